"""Check digits of Korean numbers: residents, foreigners, corporations, businesses, and cards.

Sources: 주민등록법 시행규칙 제2조 (whose change of October 2020 made the last six digits random), 출입국관리법
시행규칙 for foreigners (13 in the place of 11), 상업등록규칙 for corporations, 국세청 for businesses, ISO/IEC 7812
for cards. Each function takes digits alone, as many as the number has.
"""

from __future__ import annotations


def _weighted(digits: str, weights: str) -> int:
    return sum(int(digit) * int(weight) for digit, weight in zip(digits, weights, strict=False))


def resident_check(digits: str) -> bool:
    """Whether the last of a resident's 13 digits is right; numbers issued since October 2020 end in any digit."""
    return (11 - _weighted(digits, "234567892345") % 11) % 10 == int(digits[12])


def foreigner_check(digits: str) -> bool:
    """Whether the last of a foreigner's 13 digits is right; numbers issued since October 2020 end in any digit."""
    return (13 - _weighted(digits, "234567892345") % 11) % 10 == int(digits[12])


def corporate_check(digits: str) -> bool:
    """Whether the last of 13 digits is a corporation's check digit."""
    return (10 - _weighted(digits, "121212121212") % 10) % 10 == int(digits[12])


def business_check(digits: str) -> bool:
    """Whether the last of 10 digits is a business's check digit."""
    return (10 - (_weighted(digits, "137137135") + int(digits[8]) * 5 // 10) % 10) % 10 == int(digits[9])


def luhn_check(digits: str) -> bool:
    """Whether digits pass the check of ISO/IEC 7812."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(n // 10 + n % 10 for n in doubled)) % 10 == 0
