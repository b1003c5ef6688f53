"""Items about numbers, counting, time and dates, against answers written by hand."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import pairwise

import pytest

from seodang.tasks.items import FUNCTIONS
from seodang.tasks.number_items import DAYS, DAYS_IN_MONTH

TABLE = [
    # (function, slots, right forms; none: the slots make no sense)
    ("sino_number", {"n": "38"}, ["삼십팔", "서른여덟"]),
    ("sino_number", {"n": "324"}, ["삼백이십사"]),
    ("sino_number", {"n": "999999"}, ["구십구만구천구백구십구"]),
    ("sino_number", {"n": "1000000"}, []),
    ("sino_number", {"n": "038"}, []),
    ("number_of", {"r": "삼십팔"}, ["38"]),
    ("number_of", {"r": "천이백"}, ["1200", "1,200"]),
    ("number_of", {"r": "삼백 이십사"}, ["324"]),
    ("number_of", {"r": "일십"}, []),
    ("number_of", {"r": "서른여덟"}, []),
    ("native_age", {"n": "1"}, ["한 살"]),
    ("native_age", {"n": "20"}, ["스무 살"]),
    ("native_age", {"n": "25"}, ["스물다섯 살"]),
    ("native_age", {"n": "100"}, []),
    ("count_things", {"w": "고양이", "n": "3", "u": "마리"}, ["세 마리"]),
    ("count_things", {"w": "종이", "n": "4", "u": "장"}, ["네 장", "넉 장"]),
    ("count_things", {"w": "커피", "n": "3", "u": "잔"}, ["세 잔", "석 잔"]),
    ("count_things", {"w": "책", "n": "20", "u": "권"}, ["스무 권"]),
    ("count_things", {"w": "책", "n": "100", "u": "권"}, []),
    ("count_things", {"w": "구두", "n": "1", "u": "6켤레"}, []),
    ("count_things", {"w": "7시", "n": "5", "u": "분"}, []),
    ("clock_time", {"t": "3시 25분"}, ["세 시 이십오 분"]),
    ("clock_time", {"t": "12시 1분"}, ["열두 시 일 분"]),
    ("clock_time", {"t": "10시10분"}, ["열 시 십 분"]),
    ("clock_time", {"t": "13시 5분"}, []),
    ("clock_time", {"t": "3시 60분"}, []),
    ("clock_time", {"t": "3시"}, []),
    ("date", {"d": "6월 10일"}, ["유월 십일"]),
    ("date", {"d": "10월 3일"}, ["시월 삼일"]),
    ("date", {"d": "2월 29일"}, ["이월 이십구일"]),
    ("date", {"d": "2월 30일"}, []),
    ("date", {"d": "13월 1일"}, []),
    ("date", {"d": "4월 0일"}, []),
    ("weekday", {"w": "월요일", "n": "3", "d": "뒤"}, ["목요일"]),
    ("weekday", {"w": "월요일", "n": "3", "d": "후"}, ["목요일"]),
    ("weekday", {"w": "월요일", "n": "1", "d": "전"}, ["일요일"]),
    ("weekday", {"w": "토요일", "n": "100", "d": "뒤"}, ["월요일"]),
    ("weekday", {"w": "월욜", "n": "1", "d": "전"}, []),
    ("weekday", {"w": "월요일", "n": "1", "d": "쯤"}, []),
    ("successor", {"n": "99"}, ["100"]),
    ("successor", {"n": "0"}, []),
    ("larger", {"x": "9", "y": "10"}, ["10"]),
    ("larger", {"x": "321", "y": "123"}, ["321"]),
    ("larger", {"x": "7", "y": "7"}, []),
    ("sort_numbers", {"s": "27, 3, 91"}, ["3, 27, 91"]),
    ("sort_numbers", {"s": "100, 20"}, ["20, 100"]),
    ("sort_numbers", {"s": "5, 5, 1"}, ["1, 5, 5"]),
    ("sort_numbers", {"s": "27"}, []),
    ("sort_numbers", {"s": "27, 셋"}, []),
    ("parity", {"n": "7"}, ["홀수"]),
    ("parity", {"n": "10"}, ["짝수"]),
    ("parity", {"n": "ten"}, []),
]


@pytest.mark.parametrize(("function", "slots", "forms"), TABLE)
def test_the_right_forms(function: str, slots: dict[str, str], forms: list[str]) -> None:
    assert FUNCTIONS[function].solve(slots) == tuple(forms)


def test_a_reading_and_its_number_are_inverse() -> None:
    draw = random.Random(1)
    for _ in range(300):
        slots = FUNCTIONS["sino_number"].draw(draw)
        read = FUNCTIONS["sino_number"].solve(slots)[0]
        assert FUNCTIONS["number_of"].solve({"r": read})[0] == slots["n"]


def test_days_of_the_week_are_those_of_the_calendar() -> None:
    monday = date(2024, 1, 1)
    assert monday.weekday() == 0
    for day in range(7):
        for count in range(1, 15):
            for word, sign in (("뒤", 1), ("전", -1)):
                found = monday + timedelta(day + sign * count)
                slots = {"w": DAYS[day], "n": str(count), "d": word}
                assert FUNCTIONS["weekday"].solve(slots) == (DAYS[found.weekday()],)


def test_months_are_as_long_as_in_a_leap_year() -> None:
    months = [date(2024, month, 1) for month in range(1, 13)] + [date(2025, 1, 1)]
    assert [(after - first).days for first, after in pairwise(months)] == list(DAYS_IN_MONTH)


def test_the_last_digit_is_told_with_an_even_number() -> None:
    assert FUNCTIONS["parity"].more({"n": "348"}) == {"e": "8"}


def test_things_are_counted_with_the_counter_of_the_table() -> None:
    draw = random.Random(2)
    seen = {(slots["w"], slots["u"]) for slots in (FUNCTIONS["count_things"].draw(draw) for _ in range(3000))}
    assert {("강아지", "마리"), ("자동차", "대"), ("커피", "잔"), ("밥", "공기")} <= seen
    assert len(seen) == len({word for word, _ in seen})
