"""Numbers as they are read in Korean, against tables written by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seodang.korean.numbers import before_counter, clock, month, native, sino

SINO = {
    0: "영", 1: "일", 2: "이", 3: "삼", 4: "사", 5: "오", 6: "육", 7: "칠", 8: "팔", 9: "구", 10: "십", 11: "십일",
    16: "십육", 20: "이십", 38: "삼십팔", 60: "육십", 99: "구십구", 100: "백", 101: "백일", 110: "백십", 111: "백십일",
    206: "이백육", 324: "삼백이십사", 999: "구백구십구", 1000: "천", 1001: "천일", 1010: "천십", 1100: "천백",
    2026: "이천이십육", 5050: "오천오십", 9999: "구천구백구십구", 10_000: "만", 10_001: "만일", 11_000: "만천",
    20_000: "이만", 58_700: "오만팔천칠백", 100_000: "십만", 110_000: "십일만", 123_456: "십이만삼천사백오십육",
    1_000_000: "백만", 10_000_000: "천만", 99_999_999: "구천구백구십구만구천구백구십구", 100_000_000: "일억",
    100_010_000: "일억일만", 1_200_000_000: "십이억", 10**12: "일조", 10**15: "천조",
}  # fmt: skip
NATIVE = {
    1: "하나", 2: "둘", 3: "셋", 4: "넷", 5: "다섯", 6: "여섯", 7: "일곱", 8: "여덟", 9: "아홉", 10: "열", 11: "열하나",
    20: "스물", 22: "스물둘", 30: "서른", 38: "서른여덟", 40: "마흔", 50: "쉰", 60: "예순", 70: "일흔", 80: "여든",
    90: "아흔", 99: "아흔아홉",
}  # fmt: skip
COUNTED = [
    # (number, counter, the forms before it)
    (1, "마리", ("한",)),
    (2, "개", ("두",)),
    (3, "명", ("세",)),
    (4, "권", ("네",)),
    (5, "대", ("다섯",)),
    (3, "장", ("세", "석")),
    (4, "장", ("네", "넉")),
    (3, "잔", ("세", "석")),
    (4, "달", ("네", "넉")),
    (5, "장", ("다섯",)),
    (2, "장", ("두",)),
    (1, "잔", ("한",)),
    (11, "살", ("열한",)),
    (13, "장", ("열세",)),
    (19, "마리", ("열아홉",)),
    (20, "살", ("스무",)),
    (20, "장", ("스무",)),
    (21, "살", ("스물한",)),
    (34, "명", ("서른네",)),
    (99, "살", ("아흔아홉",)),
    (100, "명", ("백",)),
    (1000, "장", ("천",)),
]
MONTHS = ("일월", "이월", "삼월", "사월", "오월", "유월", "칠월", "팔월", "구월", "시월", "십일월", "십이월")
TIMES = {
    (1, 0): "한 시", (2, 5): "두 시 오 분", (3, 25): "세 시 이십오 분", (4, 10): "네 시 십 분", (5, 1): "다섯 시 일 분",
    (6, 30): "여섯 시 삼십 분", (7, 16): "일곱 시 십육 분", (8, 0): "여덟 시", (9, 59): "아홉 시 오십구 분",
    (10, 10): "열 시 십 분", (11, 11): "열한 시 십일 분", (12, 45): "열두 시 사십오 분",
}  # fmt: skip


@pytest.mark.parametrize(("number", "read"), SINO.items())
def test_sino(number: int, read: str) -> None:
    assert sino(number) == read


def test_no_two_numbers_are_read_alike() -> None:
    assert len({sino(number) for number in range(100_000)}) == 100_000
    assert len({native(number) for number in range(1, 100)}) == 99


@pytest.mark.parametrize(("number", "read"), NATIVE.items())
def test_native(number: int, read: str) -> None:
    assert native(number) == read


@pytest.mark.parametrize(("number", "counter", "forms"), COUNTED)
def test_before_a_counter(number: int, counter: str, forms: tuple[str, ...]) -> None:
    assert before_counter(number, counter) == forms


def test_without_a_counter_there_is_one_form() -> None:
    assert before_counter(3) == ("세",)


@pytest.mark.parametrize(("number", "read"), [*enumerate(MONTHS, 1)])
def test_month(number: int, read: str) -> None:
    assert month(number) == read


@pytest.mark.parametrize(("time", "read"), TIMES.items())
def test_clock(time: tuple[int, int], read: str) -> None:
    assert clock(*time) == read


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        (sino, (-1,), "cannot be read"),
        (sino, (10**16,), "cannot be read"),
        (native, (0,), "no native Korean number: 1 … 99"),
        (native, (100,), "no native Korean number"),
        (before_counter, (0,), "no native Korean number"),
        (month, (0,), "is no month"),
        (month, (13,), "is no month"),
        (clock, (0, 10), "no time of a twelve-hour clock"),
        (clock, (13, 0), "no time"),
        (clock, (3, 60), "no time"),
    ],
)
def test_what_cannot_be_read_is_refused(function: Callable[..., object], given: tuple[int, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        function(*given)
