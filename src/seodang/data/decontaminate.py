"""Rows that ask what an evaluation asks: exactly, nearly, or with the question standing whole inside a longer prompt.

What is compared is the question; numbers, negation, Latin and quoted words must agree, so that the training split of a
benchmark is not taken for its test split. A question of fewer than INSIDE characters may stand inside a row by chance
("다음 중 옳은 것은?") and is only looked for as a whole prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seodang.data.agreement import resembles
from seodang.data.dedup import TURN, Decontaminate, canonical, spelt
from seodang.data.fingerprints import Prints, fingerprint
from seodang.data.near import Places, meets
from seodang.data.reading import open_records
from seodang.errors import DataError
from seodang.records import Record

CONTAMINATED = "in_evaluation"
"""Why a row is dropped whose question stands in an evaluation file."""
INSIDE = 24
"""Characters, without spacing and punctuation, that a question must have to be looked for inside longer prompts."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Evaluations:
    """The questions of the evaluation files, to be asked for by fingerprint and text."""

    def __init__(self, records: Sequence[Record], wanted: Decontaminate) -> None:
        self._wanted = wanted
        self.places = [record.source for record in records]
        """Where each question stands, `file:line`."""
        self._prints = fingerprint(records, wanted.on)
        self._texts = [spelt(record, wanted.on) for record in records]
        inside = [(canonical(_content(text)), at) for at, text in enumerate(self._texts)]
        self._inside: dict[int, list[tuple[str, int]]] = {}
        for text, at in inside:
            if len(text) >= INSIDE:
                self._inside.setdefault(int(_windows(text)[0]), []).append((text, at))
        self._starts = np.fromiter(self._inside, np.uint64, len(self._inside))

    def meets(self, prints: Prints, text_of: Callable[[int], str]) -> Places:
        """For every row the number of the question that it meets, or -1. `prints` and texts are those of `wanted.on`.

        Every row's text is read once, in order, where a question is long enough to stand inside one.
        """
        text = lru_cache(maxsize=1 << 10)(text_of)
        least = self._wanted.threshold
        met = meets(self._prints, prints, lambda one, row: resembles(self._texts[one], text(row), least))
        if len(self._starts):
            for row in np.flatnonzero(met < 0).tolist():
                met[row] = self._stands_in(canonical(_content(text(row))))
        return met

    def _stands_in(self, text: str) -> int:
        """The question that stands inside a canonical text, or -1."""
        if len(text) <= INSIDE:
            return -1
        windows = _windows(text)
        for start in windows[np.isin(windows, self._starts)].tolist():
            for question, at in self._inside[start]:
                if question in text:
                    return at
        return -1


def _content(text: str) -> str:
    return TURN.join(text.split(TURN)[1::2])


def _windows(text: str) -> npt.NDArray[np.uint64]:
    """A hash of every INSIDE characters that follow one another; 24 = 8 + 16, each made of two halves."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    widths = {1: codes}
    for width in (1, 2, 4, 8):
        half = widths[width]
        widths[2 * width] = _hash(half[:-width], half[width:])
    return _hash(widths[8][: len(codes) - INSIDE + 1], widths[16][8:])


def _hash(left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    found = (left * _FACTOR) ^ right
    return (found ^ (found >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


def load(wanted: Decontaminate) -> Evaluations:
    """Read the evaluation files. Raises DataError for a file or a row that cannot be read: nothing may slip through."""
    records: list[Record] = []
    for path in wanted.files:
        for item in open_records(path).items:
            if isinstance(item.found, DataError):
                raise item.found
            records.append(item.found)
    return Evaluations(records, wanted)
