"""Items about words, syllables and letters, against answers written by hand."""

from __future__ import annotations

import random

import pytest

from seodang.korean import jamo
from seodang.tasks.items import FUNCTIONS
from seodang.tasks.slots import nouns

TABLE = [
    # (function, slots, right forms; none: the slots make no sense)
    ("josa_object", {"w": "사과"}, ["를"]),
    ("josa_object", {"w": "책"}, ["을"]),
    ("josa_object", {"w": "물"}, ["을"]),
    ("josa_subject", {"w": "바다"}, ["가"]),
    ("josa_subject", {"w": "산"}, ["이"]),
    ("josa_with", {"w": "나무"}, ["와"]),
    ("josa_with", {"w": "꽃"}, ["과"]),
    ("josa_with", {"w": "TV"}, []),
    ("final_consonant", {"w": "강물"}, ["있"]),
    ("final_consonant", {"w": "물가"}, ["없"]),
    ("final_consonant", {"w": "물3"}, []),
    ("jamo_split", {"s": "강"}, ["ㄱ, ㅏ, ㅇ"]),
    ("jamo_split", {"s": "의"}, ["ㅇ, ㅢ"]),
    ("jamo_split", {"s": "닭"}, ["ㄷ, ㅏ, ㄺ"]),
    ("jamo_split", {"s": "강물"}, []),
    ("jamo_join", {"j": "ㄱ, ㅏ, ㅇ"}, ["강"]),
    ("jamo_join", {"j": "ㄲ, ㅗ, ㅊ"}, ["꽃"]),
    ("jamo_join", {"j": "ㄱ,ㅏ"}, []),
    ("jamo_join", {"j": "ㅏ, ㄱ"}, []),
    ("initials", {"w": "학교"}, ["ㅎㄱ"]),
    ("initials", {"w": "떡볶이"}, ["ㄸㅂㅇ"]),
    ("initials", {"w": "K팝"}, []),
    ("syllable_count", {"w": "꽃"}, ["한 글자", "1글자", "1"]),
    ("syllable_count", {"w": "학교"}, ["두 글자", "2글자", "2"]),
    ("syllable_count", {"w": "고슴도치"}, ["네 글자", "4글자", "4"]),
    ("syllable_count", {"w": "가나다라마바사아자차"}, ["열 글자", "10글자", "10"]),
    ("syllable_count", {"w": "가나다라마바사아자차카"}, []),
    ("syllable_count", {"w": "두 말"}, []),
    ("last_letter", {"w": "학교"}, ["교"]),
    ("last_letter", {"w": "꽃"}, ["꽃"]),
    ("last_letter", {"w": "abc"}, []),
    ("reverse", {"w": "나무"}, ["무나"]),
    ("reverse", {"w": "고슴도치"}, ["치도슴고"]),
    ("reverse", {"w": "꽃"}, []),
]


@pytest.mark.parametrize(("function", "slots", "forms"), TABLE)
def test_the_right_forms(function: str, slots: dict[str, str], forms: list[str]) -> None:
    assert FUNCTIONS[function].solve(slots) == tuple(forms)


@pytest.mark.parametrize(
    ("function", "word", "more"),
    [
        ("josa_object", "사과", {"j": "사과를"}),
        ("josa_subject", "산", {"j": "산이"}),
        ("josa_with", "책", {"j": "책과"}),
        ("final_consonant", "강물", {"l": "물"}),
        ("initials", "학교", {}),
    ],
)
def test_further_slots(function: str, word: str, more: dict[str, str]) -> None:
    assert FUNCTIONS[function].more({"w": word}) == more


@pytest.mark.parametrize("word", nouns()[::40])
def test_the_three_particles_and_the_final_consonant_agree(word: str) -> None:
    after_consonant = [FUNCTIONS[name].solve({"w": word})[0] for name in ("josa_object", "josa_subject", "josa_with")]
    expected = ["을", "이", "과"] if jamo.final_consonant(word[-1]) else ["를", "가", "와"]
    assert after_consonant == expected
    assert FUNCTIONS["final_consonant"].solve({"w": word}) == ("있" if expected[0] == "을" else "없",)


def test_letters_taken_apart_are_put_together_again() -> None:
    draw = random.Random(1)
    for _ in range(200):
        slots = FUNCTIONS["jamo_split"].draw(draw)
        (letters,) = FUNCTIONS["jamo_split"].solve(slots)
        assert FUNCTIONS["jamo_join"].solve({"j": letters}) == (slots["s"],)


def test_words_to_count_are_of_many_lengths() -> None:
    draw = random.Random(1)
    lengths = [len(FUNCTIONS["syllable_count"].draw(draw)["w"]) for _ in range(400)]
    assert set(lengths) == {2, 3, 4}
    assert max(lengths.count(length) for length in set(lengths)) < 200
