"""Hangul syllables and the letters (jamo) they are made of: arithmetic on the Unicode block (Unicode 16, §3.12).

Letters are those of the Hangul Compatibility Jamo block (ㄱ U+3131 …), which is what people type and read.
"""

from __future__ import annotations

INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
FIRST, LAST = ord("가"), ord("힣")


def is_syllable(letter: str) -> bool:
    """Whether this is one precomposed Hangul syllable, 가 … 힣."""
    return len(letter) == 1 and FIRST <= ord(letter) <= LAST


def split(syllable: str) -> tuple[str, ...]:
    """강 → (ㄱ, ㅏ, ㅇ), 가 → (ㄱ, ㅏ). Raises ValueError for anything but one Hangul syllable."""
    if not is_syllable(syllable):
        raise ValueError(f"{syllable!r} is not one Hangul syllable")
    at = ord(syllable) - FIRST
    parts = INITIALS[at // 588], VOWELS[at % 588 // 28], FINALS[at % 28]
    return tuple(part for part in parts if part)


def join(*letters: str) -> str:
    """(ㄱ, ㅏ, ㅇ) → 강. Raises ValueError where the letters do not make one syllable."""
    initial, vowel, *final = letters if len(letters) in (2, 3) else ("", "")
    last = final[0] if final else ""
    if not (initial and vowel) or initial not in INITIALS or vowel not in VOWELS or last not in FINALS:
        raise ValueError(f"{letters!r} are not the letters of one Hangul syllable")
    return chr(FIRST + (INITIALS.index(initial) * 21 + VOWELS.index(vowel)) * 28 + FINALS.index(last))


def initials(word: str) -> str:
    """The first letter of every syllable: 학교 → ㅎㄱ. Other characters stay."""
    return "".join(split(letter)[0] if is_syllable(letter) else letter for letter in word)


def final_consonant(syllable: str) -> str:
    """The final consonant (받침) of a syllable: 강 → ㅇ, 가 → "". Raises ValueError as `split` does."""
    parts = split(syllable)
    return parts[2] if len(parts) == 3 else ""
