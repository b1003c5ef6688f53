"""How numbers are read in Korean: Sino-Korean (삼십팔), native (서른여덟), before counters (세 마리), dates, times.

Source: 국립국어원 한글 맞춤법 제44항 (numbers by 만) and 제52항 (유월, 시월), 표준어 규정 제17항 (석, 넉).
"""

from __future__ import annotations

DIGITS = ("영", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_PLACES = ("", "십", "백", "천")
_GROUPS = ("", "만", "억", "조")
_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_BEFORE_COUNTER = {"하나": "한", "둘": "두", "셋": "세", "넷": "네"}
_THREE_FOUR = {"장": ("석", "넉"), "잔": ("석", "넉"), "달": ("석", "넉")}
"""Counters before which 석 and 넉 stand beside 세 and 네."""

LARGEST_NATIVE = 99


def sino(number: int) -> str:
    """38 → 삼십팔, 10000 → 만, 0 → 영. Raises ValueError below 0 and from 10^16 on."""
    if not 0 <= number < 10**16:
        raise ValueError(f"{number} cannot be read: 0 … 10^16 - 1")
    if number == 0:
        return DIGITS[0]
    groups = []
    for name in _GROUPS:
        number, rest = divmod(number, 10_000)
        if rest:
            # 만 stands alone where its group is 1; 억 and 조 are 일억, 일조.
            groups.append(name if rest == 1 and name == "만" and not number else _group(rest) + name)
    return "".join(reversed(groups))


def _group(number: int) -> str:
    read = ""
    for place in (3, 2, 1, 0):
        digit = number // 10**place % 10
        if digit:
            read += ("" if digit == 1 and place else DIGITS[digit]) + _PLACES[place]
    return read


def native(number: int) -> str:
    """38 → 서른여덟. Raises ValueError outside 1 … 99, where there are no native numbers."""
    if not 1 <= number <= LARGEST_NATIVE:
        raise ValueError(f"{number} has no native Korean number: 1 … {LARGEST_NATIVE}")
    return _TENS[number // 10] + _ONES[number % 10]


def before_counter(number: int, counter: str = "") -> tuple[str, ...]:
    """The native number as it stands before a counter: 3 → (세,), 20 → (스무,), 3 before 장 → (세, 석).

    From 100 on the Sino-Korean number is used. Raises ValueError below 1.
    """
    if number > LARGEST_NATIVE:
        return (sino(number),)
    if number == 20:
        return ("스무",)
    tens, ones = native(number)[: len(_TENS[number // 10])], _ONES[number % 10]
    usual = tens + _BEFORE_COUNTER.get(ones, ones)
    other = _THREE_FOUR.get(counter, ())[number - 3 : number - 2] if number in (3, 4) else ()
    return (usual, *other)


def month(number: int) -> str:
    """6 → 유월, 10 → 시월, 3 → 삼월. Raises ValueError outside 1 … 12."""
    if not 1 <= number <= 12:
        raise ValueError(f"{number} is no month")
    return {6: "유월", 10: "시월"}.get(number) or f"{sino(number)}월"


def clock(hour: int, minute: int) -> str:
    """(3, 25) → 세 시 이십오 분, (3, 0) → 세 시. Raises ValueError outside 1 … 12 and 0 … 59."""
    if not (1 <= hour <= 12 and 0 <= minute <= 59):
        raise ValueError(f"{hour}:{minute} is no time of a twelve-hour clock")
    return f"{before_counter(hour)[0]} 시" + (f" {sino(minute)} 분" if minute else "")
