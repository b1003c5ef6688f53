"""Filters by the language of an answer: hardly any Hangul, or an answer that was never translated.

Both judge letters only, without code, LaTeX and web addresses, and neither asks anything of an answer whose prompt
wants another language, code or mathematics, or is itself in another language.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from seodang.data.filters.patterns import any_of
from seodang.data.filters.sides import Where, asked, taught, texts
from seodang.korean.script import hangul_share, prose
from seodang.records import Record
from seodang.schema import Schema

_OTHER_LETTERS = re.compile("[^\\W\\d_가-힣ㄱ-ㅎㅏ-ㅣ]+")
_HANGUL = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]+")
_ORIGINAL = re.compile(r"\([^()가-힣\n]*\)")
_FOREIGN_LINE = re.compile(r"^[^가-힣ㄱ-ㅎㅏ-ㅣ\n]*[^\W\d_가-힣ㄱ-ㅎㅏ-ㅣ][^가-힣ㄱ-ㅎㅏ-ㅣ\n]*$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_\u3041-\u30ff\u4e00-\u9fff]{2,}|[\u3041-\u30ff\u4e00-\u9fff]{2}")


def _length(pattern: re.Pattern[str], text: str) -> int:
    return sum(map(len, pattern.findall(text)))


def _without_names(text: str, question: str) -> str:
    """The text without foreign words that it has from the question, and without originals in brackets."""
    names = set(_OTHER_LETTERS.findall(question))
    return _OTHER_LETTERS.sub(lambda word: "" if word[0] in names else word[0], _ORIGINAL.sub("", text))


def _exempt(record: Record) -> bool:
    """Whether another language, code or mathematics is asked for, or what is asked is not Korean."""
    question = asked(record)
    if not question:
        return False
    if any_of("asks_for_language").search(question) or any_of("asks_for_code").search(question):
        return True
    share = hangul_share(prose(question))
    return share is not None and share < 0.5


class HangulShare(Schema):
    """Drops a record whose texts are hardly Hangul: `hangul_share`. Off for translation, code and mathematics.

    Judged over letters, without code, LaTeX, web addresses, originals in brackets and names that stand in the prompt; a
    text with few letters is kept, and so is an answer to a prompt that is not Korean itself: `of: prompt` drops that.
    """

    kind: Literal["hangul_share"] = "hangul_share"
    of: Where = "answer"
    """Judge what should be learnt, or the turns before the last answer."""
    min: float = Field(0.3, ge=0, le=1)
    """Smallest share of Hangul among the letters."""
    min_letters: int = Field(20, ge=1)
    """With fewer letters there is nothing to judge."""

    def reason(self, record: Record) -> str | None:
        """`hangul_share`, or None."""
        found = taught(record) if self.of == "answer" else texts(record, "prompt")
        text = "\n".join(found)
        if not self._is_low(text) or not self._is_low(_ORIGINAL.sub("", prose(text))):
            return None
        if self.of == "answer" and (_exempt(record) or not self._is_low(_without_names(prose(text), asked(record)))):
            return None
        return "hangul_share"

    def _is_low(self, text: str) -> bool:
        other = _length(_OTHER_LETTERS, text)
        if not other:
            return False
        hangul = _length(_HANGUL, text)
        return other + hangul >= self.min_letters and hangul < self.min * (other + hangul)


class Untranslated(Schema):
    """Drops a record whose answer, or a good part of it, was left in another language: `untranslated`.

    Judged line by line: a line without any Hangul and with several words. Off for translation, code and mathematics.
    """

    kind: Literal["untranslated"] = "untranslated"
    min_words: int = Field(3, ge=1)
    """A line with fewer words is a name or a title."""
    max_share: float = Field(0.3, ge=0, le=1)
    """Largest share of the answer's letters that may stand in such lines."""

    def reason(self, record: Record) -> str | None:
        """`untranslated`, or None."""
        if not any([self._is_foreign(text) for text in taught(record)]):
            return None
        return None if _exempt(record) else "untranslated"

    def _is_foreign(self, text: str) -> bool:
        if not _FOREIGN_LINE.search(text):
            return False
        text = prose(text)
        lines = [line for line in _FOREIGN_LINE.findall(text) if len(_WORD.findall(line)) >= self.min_words]
        foreign = sum(_length(_OTHER_LETTERS, line) for line in lines)
        return foreign > self.max_share * (_length(_HANGUL, text) + _length(_OTHER_LETTERS, text))
