"""The right particle (조사) after a word: 을/를, 이/가, (으)로 … chosen by the sound the word ends in.

A text may hold dual markers, consonant form first: `'사과'(을/를) 먹었다` becomes `'사과'를 먹었다`.
What is not Hangul is read by `data_words/josa.yaml`: letters by name, units, signs, common Latin words.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TypeAlias

from seodang.korean.jamo import final_consonant, is_syllable
from seodang.korean.numbers import DIGITS
from seodang.language import words_path

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

Finals: TypeAlias = frozenset[str]
"""The final consonants that a word may be read with, "" for a vowel; none where its reading is not known."""

_MARKER = re.compile(rf"\(({'|'.join(map(re.escape, PAIRS))})\)")
_ZEROS = ("", "십", "백", "천", *["만"] * 4, *["억"] * 4, *["조"] * 4, "경")
_LOOKED_AT = 200
"""Characters at the end of a text that decide; a marker of `fill` may stand behind a long one."""
_BRACKETS = {")": "(", "]": "[", "}": "{", "）": "（", "］": "［", "〕": "〔", "】": "【"}
_QUIET = re.compile(r"[\s\"'‘’“”`´.,!?;:~…·。！？、，*_」』》〉｣\]〔【［（(\[{<>「『《〈❞❜-]+$")
_NUMBER = re.compile(r"(?<![A-Za-z0-9.])[-+]?\d{1,3}(?:,\d{3})+$|\d+$")
_AFTER_NUMBER = re.compile(r"\d\s?([A-Za-zμΩ°][A-Za-z/]*)[²³]?$")
_GLUED = re.compile(r"[A-Za-z]+-?\d$")
_MONEY = re.compile(r"([$₩€£¥])\s?\d[\d,.]*$")
_CLOCK = re.compile(r"(?<!\d)\d{1,2}:[0-5]\d$")
_FRACTION = re.compile(r"\d/\d+$")
_LATIN = re.compile(r"[A-Za-z][A-Za-z+#&-]*$")
_VOWELS = re.compile("[AEIOU]")


def josa(word: str, pair: str, reading: str | None = None) -> str:
    """The form of `pair` that follows `word`: ("사과", "을/를") → 를, ("길", "으로/로") → 로, ("3km", "이/가") → 가.

    Numbers count by their Sino-Korean reading, units, signs and letters by their names, Latin words by a table;
    quotes after the last letter and words in brackets behind another are skipped. `reading` says in Hangul how the word
    is read. Where none of this tells, the answer is the dual form: 을(를), (으)로; `pair` may be either. Raises
    ValueError for an unknown pair. Source: 한글 맞춤법 and 외래어 표기법 of 국립국어원.
    """
    pair = _PAIR_OF.get(pair, pair)
    if pair not in PAIRS:
        raise ValueError(f"{pair!r} is not one of {', '.join(PAIRS)}")
    forms = {_form(pair, final) for final in _finals(word if reading is None else reading)}
    return forms.pop() if len(forms) == 1 else _dual(pair)


def fill(text: str) -> str:
    """The text with every dual marker `(을/를)` replaced by the form that follows what stands before it."""
    while found := _MARKER.search(text):
        text = text[: found.start()] + josa(text[: found.start()], found[1]) + text[found.end() :]
    return text


def _form(pair: str, final: str) -> str:
    after_consonant, after_vowel = pair.split("/")
    if pair == "으로/로" and final == "ㄹ":
        return after_vowel
    return after_consonant if final else after_vowel


def _dual(pair: str) -> str:
    after_consonant, after_vowel = pair.split("/")
    if after_consonant.endswith(after_vowel):
        return f"({after_consonant.removesuffix(after_vowel)}){after_vowel}"
    return f"{after_consonant}({after_vowel})"


_PAIR_OF = {_dual(pair): pair for pair in PAIRS}


def _finals(word: str) -> Finals:
    word = _bare(unicodedata.normalize("NFC", word[-_LOOKED_AT:]))
    if not word:
        return frozenset()
    last = word[-1]
    if is_syllable(last):
        return frozenset([final_consonant(last)])
    if "ㄱ" <= last <= "ㅣ":
        # the names of consonants end in a consonant (기역, 리을), vowels are read as they are
        return frozenset([("ㄹ" if last == "ㄹ" else "ㄱ") if last <= "ㅎ" else ""])
    if last.isascii() and last.isdigit():
        return _of_number(word)
    return _of_unit(word) or _of_latin(word) or _of_sign(last)


def _bare(word: str) -> str:
    """The word without quotes and marks behind it, and without the brackets that follow it: 서울(Seoul) → 서울."""
    while word:
        opening = _BRACKETS.get(word[-1])
        start = word.rfind(opening) if opening else -1
        if opening and start >= 0:
            word = word[:start].rstrip() or word[start + 1 : -1]
        elif opening or _QUIET.search(word):
            word = _QUIET.sub("", word[:-1] if opening else word)
        else:
            break
    return word


def _of_number(word: str) -> Finals:
    money = _MONEY.search(word)
    if money:
        return _read(_words()["signs"][money[1]])
    if _CLOCK.search(word):
        return frozenset() if word.endswith(":00") else _read("분")
    if _FRACTION.search(word):
        return frozenset()
    korean = _read(_number_end(word))
    glued = _GLUED.search(word)
    if glued:
        return _table("latin", glued[0]) or korean | _read(_english_digits()[int(word[-1])])
    return korean


def _number_end(word: str) -> str:
    """The last syllable of the number that the word ends in; behind a decimal point digits are read one by one."""
    found = _NUMBER.search(word)
    digits = found[0].replace(",", "").lstrip("+-") if found else word[-1]
    zeros = len(digits) - len(digits.rstrip("0"))
    if not zeros:
        return DIGITS[int(digits[-1])]
    if zeros == len(digits) or re.search(r"\d\.\d+$", word):
        return DIGITS[0]
    return _ZEROS[min(zeros, len(_ZEROS) - 1)]


def _of_unit(word: str) -> Finals:
    found = _AFTER_NUMBER.search(word)
    reading = _words()["units"].get(found[1]) if found else None
    return _read(reading) if reading else frozenset()


def _of_latin(word: str) -> Finals:
    """By the table, whole or behind its last hyphen; a single letter and an abbreviation in capitals by letters."""
    found = _LATIN.search(word)
    if not found:
        return frozenset()
    latin = found[0].rstrip("-")
    last = re.split("[-&]", latin)[-1]
    known = _table("latin", latin) or _table("latin", last)
    if known or not last.isalpha():
        return known
    spoken = _VOWELS.search(last.upper())
    if len(last) == 1 or (last.isupper() and (len(last) <= 3 or (not spoken and len(last) <= 6))):
        return _read(_words()["letters"][last[-1].lower()])
    unit = "" if spoken else _words()["units"].get(last, "")
    return _read(unit) if unit else frozenset()


def _of_sign(sign: str) -> Finals:
    """Signs and Greek letters by name; ⑩ and Ⅳ by their value."""
    if sign.isascii() and sign.isalnum():
        return frozenset()
    known = _table("signs", sign) or _table("letters", sign)
    value = unicodedata.numeric(sign, 0.5)
    return known or (frozenset() if value % 1 else _read(_number_end(str(int(value)))))


def _read(readings: str) -> Finals:
    return frozenset(final_consonant(reading.strip()[-1]) for reading in readings.split("|"))


def _table(kind: str, word: str) -> Finals:
    reading = _words()[kind].get(word.lower())
    return _read(reading) if reading else frozenset()


def _english_digits() -> list[str]:
    found: list[str] = list(_words()["english_digits"])
    return found


@lru_cache
def _words() -> dict[str, dict[str, str]]:
    import yaml

    path = words_path("josa")
    if path is None:
        raise FileNotFoundError("data_words/josa.yaml is missing from this installation")
    found: dict[str, dict[str, str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
