"""The right particle (조사) after a word: 을/를, 이/가, (으)로 … chosen by the sound the word ends in.

A text may hold dual markers, consonant form first: `'사과'(을/를) 먹었다` becomes `'사과'를 먹었다`.
"""

from __future__ import annotations

import re

from seodang.korean.jamo import final_consonant, is_syllable
from seodang.korean.numbers import DIGITS

PAIRS = (
    *("을/를", "이/가", "은/는", "과/와", "으로/로", "이라고/라고", "이에요/예요", "이야/야", "이다/다"),
    *(
        "이라/라",
        "이고/고",
        "이지/지",
        "이며/며",
        "이나/나",
        "아/야",
        "이란/란",
        "이었다/였다",
        "이니까/니까",
        "이거든/거든",
    ),
)
"""The dual forms, after a consonant / after a vowel."""
_MARKER = re.compile(rf"\(({'|'.join(map(re.escape, PAIRS))})\)")
_SOUND = re.compile(r"[가-힣0-9ㄱ-ㅎㅏ-ㅣ]")
_ZEROS = ("", "십", "백", "천", *["만"] * 4, *["억"] * 4, "조")


def josa(word: str, pair: str) -> str:
    """The form of `pair` that follows `word`: ("사과", "을/를") → 를, ("길", "으로/로") → 로.

    Digits count by their Sino-Korean reading, letters such as ㄱ by their name; quotes and brackets after the last
    letter are skipped. Raises ValueError for an unknown pair and for a word without a letter to go by.
    """
    if pair not in PAIRS:
        raise ValueError(f"{pair!r} is not one of {', '.join(PAIRS)}")
    final = _final(word)
    after_consonant, after_vowel = pair.split("/")
    if pair == "으로/로" and final == "ㄹ":
        return after_vowel
    return after_consonant if final else after_vowel


def fill(text: str) -> str:
    """The text with every dual marker `(을/를)` replaced by the form that follows what stands before it."""
    while found := _MARKER.search(text):
        text = text[: found.start()] + josa(text[: found.start()], found[1]) + text[found.end() :]
    return text


def _final(word: str) -> str:
    letters = _SOUND.findall(word)
    if not letters:
        raise ValueError(f"{word!r} has no Korean letter or digit that says which particle follows")
    last: str = letters[-1]
    if is_syllable(last):
        return final_consonant(last)
    if last.isdigit():
        return final_consonant(_read_end(word))
    # the names of consonants end in a consonant (기역, 리을), vowels are read as they are
    return ("ㄹ" if last == "ㄹ" else "ㄱ") if "ㄱ" <= last <= "ㅎ" else ""


def _read_end(word: str) -> str:
    """The last syllable of the number that the word ends in."""
    digits = re.findall(r"\d+", word)[-1]
    zeros = len(digits) - len(digits.rstrip("0"))
    if zeros == len(digits):
        return DIGITS[0]
    return _ZEROS[min(zeros, len(_ZEROS) - 1)] if zeros else DIGITS[int(digits[-1])]
