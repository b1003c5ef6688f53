"""Syllables and letters: taken apart and put together again, over every Hangul syllable there is."""

from __future__ import annotations

import unicodedata

import pytest

from seodang.korean.jamo import FINALS, INITIALS, VOWELS, final_consonant, initials, is_syllable, join, split

SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4)]


def test_every_syllable_is_put_together_from_what_it_is_split_into() -> None:
    assert len(SYLLABLES) == 11_172
    assert [one for one in SYLLABLES if join(*split(one)) != one] == []
    assert len({split(one) for one in SYLLABLES}) == 11_172


def test_the_letters_are_those_of_unicode() -> None:
    """NFD gives conjoining jamo: initials from U+1100, vowels from U+1161, finals from U+11A8, in the same order."""
    conjoining = {chr(0x1100 + place): letter for place, letter in enumerate(INITIALS)}
    conjoining |= {chr(0x1161 + place): letter for place, letter in enumerate(VOWELS)}
    conjoining |= {chr(0x11A7 + place): letter for place, letter in enumerate(FINALS)}
    assert [
        one for one in SYLLABLES if split(one) != tuple(conjoining[part] for part in unicodedata.normalize("NFD", one))
    ] == []


@pytest.mark.parametrize(
    ("syllable", "letters"),
    [
        ("가", ("ㄱ", "ㅏ")),
        ("강", ("ㄱ", "ㅏ", "ㅇ")),
        ("꽃", ("ㄲ", "ㅗ", "ㅊ")),
        ("닭", ("ㄷ", "ㅏ", "ㄺ")),
        ("의", ("ㅇ", "ㅢ")),
        ("쐈", ("ㅆ", "ㅘ", "ㅆ")),
        ("힣", ("ㅎ", "ㅣ", "ㅎ")),
    ],
)
def test_a_syllable_and_its_letters(syllable: str, letters: tuple[str, ...]) -> None:
    assert split(syllable) == letters
    assert join(*letters) == syllable


@pytest.mark.parametrize("text", ["", "ㄱ", "ㅏ", "a", "1", "나무", unicodedata.normalize("NFD", "강"), "漢"])
def test_what_is_no_syllable_is_refused(text: str) -> None:
    assert not is_syllable(text)
    for function in (split, final_consonant):
        with pytest.raises(ValueError, match="is not one Hangul syllable"):
            function(text)


@pytest.mark.parametrize(
    "letters",
    [
        (),
        ("ㄱ",),
        ("ㅏ", "ㄱ"),
        ("ㄱ", "ㅏ", "ㄸ"),
        ("ㄱ", "ㅏ", "ㅏ"),
        ("ㄱ", "ㅏ", "ㅇ", "ㅇ"),
        ("", "ㅏ"),
        ("ㄳ", "ㅏ"),
    ],
)
def test_letters_that_make_no_syllable_are_refused(letters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="are not the letters of one Hangul syllable"):
        join(*letters)


@pytest.mark.parametrize(
    ("word", "first"),
    [("학교", "ㅎㄱ"), ("떡볶이", "ㄸㅂㅇ"), ("빵 3개", "ㅃ 3ㄱ"), ("K팝", "Kㅍ"), ("ㅋㅋ", "ㅋㅋ"), ("", "")],
)
def test_initials(word: str, first: str) -> None:
    assert initials(word) == first


@pytest.mark.parametrize(
    ("syllable", "final"), [("강", "ㅇ"), ("가", ""), ("값", "ㅄ"), ("길", "ㄹ"), ("있", "ㅆ"), ("외", "")]
)
def test_final_consonant(syllable: str, final: str) -> None:
    assert final_consonant(syllable) == final
