"""One record repaired and judged: a pure function, so that any engine can map it over a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seodang.data.filters import ChosenEqualsRejected, Filter, Leftover, Pii
from seodang.korean.normalize import normalize
from seodang.records import Record, map_texts

_SAME_SIDES = ChosenEqualsRejected()
SAME_SIDES = _SAME_SIDES.kind
"""The reason that is always asked: a pair without a difference has nothing to teach."""


def judge(record: Record, filters: Sequence[Filter], repair: bool = True) -> tuple[Record, Counter[str], str | None]:
    """Returns the record repaired, which repair was made how often, and the reason to drop it (None = keep)."""
    repairs: Counter[str] = Counter()

    def change(text: str) -> str:
        repaired, counts = normalize(text)
        if counts:
            repairs.update(counts)
        return repaired

    if repair:
        changed = map_texts(record, change)
        record = changed if repairs else record
    for one in filters:
        if isinstance(one, (Leftover, Pii)):
            record, times = one.mend(record)
            repairs.update({one.kind: times} if times else {})
    for one in (*filters, _SAME_SIDES):
        reason = one.reason(record)
        if reason:
            return record, repairs, reason
    return record, repairs, None
