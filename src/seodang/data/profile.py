"""What kept rows are like, in a few bytes each: how long, how much Hangul, how polite; and their histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from seodang.data.filters.sides import taught
from seodang.korean.register import Register, register_of, sentences
from seodang.korean.script import hangul_share
from seodang.records import Prompt, Record, turns

LEVELS: tuple[str, ...] = get_args(Register)
"""Speech levels, by the number that stands for each."""
BINS, NO_LETTERS = 20, 255
"""Steps of a twentieth for shares of Hangul; the number that stands for a text without letters."""
_LENGTH_BINS = 30
_TAIL = 400
"""Characters from the end of an answer in which its last sentence is looked for."""


def measured(record: Record) -> tuple[int, float | None, str]:
    """(characters, share of Hangul among the letters, level of the last sentence) of what a record teaches.

    A prompt without an answer is measured itself.
    """
    texts = [message.content for message in turns(record)] if isinstance(record, Prompt) else taught(record)
    last = texts[-1] if texts else ""
    return sum(map(len, texts)), hangul_share("\n".join(texts)), _level_of(last)


def _level_of(text: str) -> str:
    found = sentences(text[-_TAIL:])
    return register_of(found[-1]) if found else "none"


def hangul_bin(share: float | None) -> int:
    """The step of a share, 0 to 19, or NO_LETTERS."""
    return NO_LETTERS if share is None else min(int(share * BINS), BINS - 1)


def level(register: str) -> int:
    """The number of a speech level."""
    return LEVELS.index(register)


def length_histogram(lengths: Mapping[int, int]) -> dict[str, Any]:
    """{"edges", "counts"} in equal bins up to the 99th percentile; the longer ones stand in the last bin."""
    total, seen, ninety_nine = sum(lengths.values()), 0, 1
    for length in sorted(lengths):
        seen += lengths[length]
        ninety_nine = length
        if seen >= 0.99 * total:
            break
    width = max(1, -(-(ninety_nine + 1) // _LENGTH_BINS))
    bins = min(_LENGTH_BINS, ninety_nine // width + 1)
    counts = [0] * bins
    for length, count in lengths.items():
        counts[min(length // width, bins - 1)] += count
    return {"edges": [width * at for at in range(bins + 1)], "counts": counts}


def hangul_histogram(bins: Mapping[int, int]) -> dict[str, Any]:
    """{"edges", "counts"} over shares of 0 to 1, of rows by `hangul_bin`; texts without letters are left out."""
    return {"edges": [at / BINS for at in range(BINS + 1)], "counts": [bins.get(at, 0) for at in range(BINS)]}


def level_counts(levels: Mapping[int, int]) -> dict[str, int]:
    """Speech level → rows, of rows by `level`, without those that no row has."""
    return {name: levels[at] for at, name in enumerate(LEVELS) if levels.get(at)}
