"""The words of the project, and what counts as a number or a Hangul word in a slot."""

from __future__ import annotations

import pytest

from seodang.tasks.slots import Plain, is_hangul, nouns, number_in, syllables


def test_nouns_are_hangul_and_stand_once() -> None:
    assert len(nouns()) > 800
    assert [word for word in nouns() if not is_hangul(word) or len(word) < 2] == []
    assert sorted({word for word in nouns() if nouns().count(word) > 1}) == []


def test_syllables_are_those_of_the_words_sorted() -> None:
    assert list(syllables()) == sorted(set(syllables()))
    assert {"꽃", "학", "먹", "봐"} <= set(syllables())
    assert all(map(is_hangul, syllables()))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("38", 38),
        ("99", 99),
        ("100", None),  # above
        ("0", None),  # below
        ("038", None),
        ("-3", None),
        ("3.5", None),
        ("1,000", None),
        ("삼", None),
        ("٣", None),  # a digit, and not one that people here type
        (" 3", None),
        ("", None),
    ],
)
def test_number_in(text: str, number: int | None) -> None:
    assert number_in(text, 1, 99) == number


@pytest.mark.parametrize(
    ("word", "answer"), [("학교", True), ("가", True), ("", False), ("ㄱ", False), ("K팝", False), ("두 말", False)]
)
def test_is_hangul(word: str, answer: bool) -> None:
    assert is_hangul(word) is answer


def test_a_plain_item_has_no_further_slots() -> None:
    assert Plain().more({"n": "3"}) == {}
