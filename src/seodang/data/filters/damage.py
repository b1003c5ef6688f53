"""Filters of damaged answers: characters that no writer meant, code that breaks off, and what is said over and over."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from pydantic import Field

from seodang.data.filters.patterns import any_of
from seodang.data.filters.sides import asked, taught, texts
from seodang.records import Record
from seodang.schema import Schema

_BROKEN = re.compile(
    "[\ufffd\x80-\x84\x86-\x9f\ud800-\udfff\u00c2-\u00f4]"  # one class first, so that the search is quick
    "(?:(?<=[^\u00c2-\u00f4])|(?<=[\u00c2-\u00f4])[\u00a0-\u00bf]{2})"
)
"""Replacement and control characters, halves of a surrogate pair, and three bytes of UTF-8 read as Latin-1."""


class Broken(Schema):
    """Drops a record with text that was damaged before it came here (`�`), or code that is never closed: `broken`.

    Asked after the repair, so that what can be repaired is not dropped.
    """

    kind: Literal["broken"] = "broken"

    def reason(self, record: Record) -> str | None:
        """`broken`, or None."""
        if any(map(_BROKEN.search, texts(record, "prompt"))) or any(map(_BROKEN.search, texts(record, "answer"))):
            return "broken"
        return "broken" if any([text.count("```") % 2 for text in taught(record)]) else None


_LONG_WORD = 24
"""Longer words than Korean has: perhaps one that is written again and again without a space."""
_END = 8
_PIECE = re.compile(r"[^.!?。…\n]+[.!?。…]*")


class Repeated(Schema):
    """Drops a record whose answer says the same over and over, as models that do not stop do: `repeated`.

    Not where repetition is asked for, nor for laughter, lines of signs and numbers.
    """

    kind: Literal["repeated"] = "repeated"
    times: int = Field(5, ge=3)
    """So many times one after another, a piece of 2 to 40 characters with two different letters."""
    max_share: float = Field(0.5, gt=0, le=1)
    """Largest share of the text that may be sentences or lines which came before."""

    def reason(self, record: Record) -> str | None:
        """`repeated`, or None."""
        if not any([_suspect(text) and self._repeats(text) for text in taught(record)]):
            return None
        return None if any_of("asks_for_repetition").search(asked(record)) else "repeated"

    def _repeats(self, text: str) -> bool:
        for found in re.finditer(rf"(.{{2,40}}?)\1{{{self.times - 1},}}", text, re.DOTALL):
            if len(set(filter(str.isalpha, found[1]))) > 1:
                return True
        pieces = [piece.strip() for piece in _PIECE.findall(text)]
        again = sum((count - 1) * len(piece) for piece, count in Counter(pieces).items() if count > 2)
        return again > self.max_share * sum(map(len, pieces))


def _suspect(text: str) -> bool:
    """Cheap, and true of what repeats: few new words, a word that is too long, or an end that was there before."""
    words = text.split()
    if len(set(words)) * 3 < len(words) * 2 or text.count(text[-_END:]) > 3:
        return True
    return max(map(len, words), default=0) > _LONG_WORD
