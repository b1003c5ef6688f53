"""One record repaired and judged: a pure function, so that any engine can map it over a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from seodang.data.filters import ChosenEqualsRejected, Filter, Leftover, Pii
from seodang.korean.normalize import normalize
from seodang.records import Labelled, Record, Text, map_texts, turns

_SAME_SIDES = ChosenEqualsRejected()
SAME_SIDES = _SAME_SIDES.kind
"""The reason that is always asked: a pair without a difference has nothing to teach."""


def judge(record: Record, filters: Sequence[Filter], repair: bool = True) -> tuple[Record, Counter[str], str | None]:
    """Returns the record repaired, which repair was made how often, and the reason to drop it (None = keep)."""
    record, repairs = repaired(record) if repair else (record, Counter[str]())
    for one in filters:
        record, times = mended(record, one)
        if times:
            repairs[one.kind] += times
    for one in (*filters, _SAME_SIDES):
        reason = one.reason(record)
        if reason:
            return record, repairs, reason
    return record, repairs, None


def repaired(record: Record) -> tuple[Record, Counter[str]]:
    """The record with every text repaired, and which repair was made how often; the record itself where none was."""
    repairs: Counter[str] = Counter()
    for text in _parts(record):
        repairs.update(normalize(text)[1])
    return (map_texts(record, _repair) if repairs else record), repairs


def _repair(text: str) -> str:
    return normalize(text)[0]


def _parts(record: Record) -> Iterator[str]:
    """Every text of the record, instruction and input apart, as `map_texts` meets them."""
    if isinstance(record, (Text, Labelled)):
        yield record.text
    for message in turns(record):
        if message.input_at is None:
            yield message.content
        else:
            yield message.instruction
            yield message.input


def mended(record: Record, one: Filter) -> tuple[Record, int]:
    """The record as a filter mends it, and in how many places; most filters mend nothing."""
    return one.mend(record) if isinstance(one, (Leftover, Pii)) else (record, 0)
