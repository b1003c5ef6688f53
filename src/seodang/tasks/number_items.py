"""Items about numbers, counting, time and dates."""

from __future__ import annotations

import random
import re
from functools import cache

import yaml

from seodang.korean import numbers
from seodang.packaged import find
from seodang.tasks.slots import Forms, Plain, Slots, is_hangul, number_in

DAYS = tuple(f"{letter}요일" for letter in "월화수목금토일")
DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class SinoNumber(Plain):
    """{n} in digits, read: 38 → 삼십팔 or 서른여덟."""

    def draw(self, draw: random.Random) -> Slots:
        low, high = draw.choice(((11, 99), (100, 999)))
        return {"n": str(draw.randint(low, high))}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 999_999)
        if number is None:
            return ()
        return (numbers.sino(number), *([numbers.native(number)] if number <= numbers.LARGEST_NATIVE else []))


@cache
def _by_reading() -> dict[str, int]:
    return {numbers.sino(number): number for number in range(1, 100_000)}


class NumberOf(Plain):
    """{r} is a reading: 삼백이십사 → 324."""

    def draw(self, draw: random.Random) -> Slots:
        return {"r": numbers.sino(int(SinoNumber().draw(draw)["n"]))}

    def solve(self, slots: Slots) -> Forms:
        number = _by_reading().get(slots["r"].replace(" ", ""))
        return () if number is None else (str(number), f"{number:,}") if number > 999 else (str(number),)


class NativeAge(Plain):
    """{n} is an age: 25 → 스물다섯 살."""

    def draw(self, draw: random.Random) -> Slots:
        return {"n": str(draw.randint(1, 99))}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 99)
        return () if number is None else tuple(f"{read} 살" for read in numbers.before_counter(number))


class CountThings(Plain):
    """{n} of the noun {w} with its counter {u}: 3 마리 → 세 마리."""

    def draw(self, draw: random.Random) -> Slots:
        word, unit = draw.choice(_counters())
        return {"w": word, "n": str(draw.randint(1, 20)), "u": unit}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 99)
        # 7시 5분 and 5월 8일 are a time and a date, no five 분 of 7시
        if number is None or not (is_hangul(slots["w"]) and is_hangul(slots["u"])):
            return ()
        return tuple(f"{read} {slots['u']}" for read in numbers.before_counter(number, slots["u"]))


@cache
def _counters() -> tuple[tuple[str, str], ...]:
    """Nouns with their usual counter, from the table of the kind that asks for it."""
    table = yaml.safe_load(find("data_tasks", "counter_word").read_text(encoding="utf-8"))["rows"]
    return tuple((word, unit if isinstance(unit, str) else unit[0]) for word, unit in table)


class ClockTime(Plain):
    """{t} is a time: 3시 25분 → 세 시 이십오 분."""

    def draw(self, draw: random.Random) -> Slots:
        return {"t": f"{draw.randint(1, 12)}시 {draw.randint(1, 59)}분"}

    def solve(self, slots: Slots) -> Forms:
        found = re.fullmatch(r"(\d{1,2})시 ?(\d{1,2})분", slots["t"])
        if not found or not (1 <= int(found[1]) <= 12 and 1 <= int(found[2]) <= 59):
            return ()
        return (numbers.clock(int(found[1]), int(found[2])),)


class Date(Plain):
    """{d} is a date: 6월 10일 → 유월 십일."""

    def draw(self, draw: random.Random) -> Slots:
        month = draw.randint(1, 12)
        return {"d": f"{month}월 {draw.randint(1, DAYS_IN_MONTH[month - 1])}일"}

    def solve(self, slots: Slots) -> Forms:
        found = re.fullmatch(r"(\d{1,2})월 ?(\d{1,2})일", slots["d"])
        if not found or not 1 <= int(found[1]) <= 12 or not 1 <= int(found[2]) <= DAYS_IN_MONTH[int(found[1]) - 1]:
            return ()
        return (f"{numbers.month(int(found[1]))} {numbers.sino(int(found[2]))}일",)


class Weekday(Plain):
    """The day {n} days 뒤 or 전 ({d}) of {w}: 월요일, 3, 뒤 → 목요일."""

    def draw(self, draw: random.Random) -> Slots:
        return {"w": draw.choice(DAYS), "n": str(draw.randint(1, 6)), "d": draw.choice(("뒤", "전"))}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 999)
        if slots["w"] not in DAYS or number is None or slots["d"] not in ("뒤", "후", "전"):
            return ()
        return (DAYS[(DAYS.index(slots["w"]) + (-number if slots["d"] == "전" else number)) % 7],)


class Successor(Plain):
    """{n} → the next number."""

    def draw(self, draw: random.Random) -> Slots:
        return {"n": str(draw.randint(10, 998))}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 99_999)
        return () if number is None else (str(number + 1),)


class Larger(Plain):
    """The larger of {x} and {y}."""

    def draw(self, draw: random.Random) -> Slots:
        x, y = draw.sample(range(10, 100) if draw.random() < 0.5 else range(100, 1000), 2)
        return {"x": str(x), "y": str(y)}

    def solve(self, slots: Slots) -> Forms:
        x, y = number_in(slots["x"], 1, 99_999), number_in(slots["y"], 1, 99_999)
        return () if x is None or y is None or x == y else (str(max(x, y)),)


class SortNumbers(Plain):
    """{s}, numbers with commas, from the smallest on: 27, 3, 91 → 3, 27, 91."""

    def draw(self, draw: random.Random) -> Slots:
        return {"s": ", ".join(map(str, draw.sample(range(1, 100), 3)))}

    def solve(self, slots: Slots) -> Forms:
        found = [number_in(part, 1, 99_999) for part in slots["s"].split(", ")]
        known = sorted(number for number in found if number is not None)
        return (", ".join(map(str, known)),) if len(known) == len(found) > 1 else ()


class Parity:
    """{n} is 짝수 or 홀수."""

    def draw(self, draw: random.Random) -> Slots:
        return {"n": str(draw.randint(10, 999))}

    def solve(self, slots: Slots) -> Forms:
        number = number_in(slots["n"], 1, 99_999)
        return () if number is None else ("홀수" if number % 2 else "짝수",)

    def more(self, slots: Slots) -> Slots:
        return {"e": slots["n"][-1]}
