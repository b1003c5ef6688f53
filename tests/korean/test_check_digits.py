"""Check digits: one last digit is right, and it is the published one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seodang.korean.check_digits import business_check, corporate_check, foreigner_check, luhn_check, resident_check

CHECKS = [
    (resident_check, "9001011234568"),
    (foreigner_check, "9001015234561"),
    (corporate_check, "1101110000127"),
    (business_check, "1234567891"),
    (business_check, "1108141272"),
    (luhn_check, "4111111111111111"),
]


@pytest.mark.parametrize(("check", "digits"), CHECKS)
def test_exactly_one_last_digit_is_right(check: Callable[[str], bool], digits: str) -> None:
    assert [last for last in "0123456789" if check(digits[:-1] + last)] == [digits[-1]]


def test_a_foreigners_digit_is_not_a_residents() -> None:
    both = [(foreigner_check(f"900101523456{last}"), resident_check(f"900101523456{last}")) for last in range(10)]
    assert (True, True) not in both
    assert [any(one) for one in zip(*both, strict=True)] == [True, True]
