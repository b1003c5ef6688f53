"""Which rows of millions repeat an earlier one, and which held-out prompts are trained on, in a few bytes per row.

A row is the first 64 bits of its key (`dedup.key`) and its line: 12 bytes, 16 with the order by which held-out prompts
are looked up. Two different rows of a million have equal keys with a probability of 3 in 100 million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge

from seodang.data.dedup import Part, key
from seodang.records import Conversation, Record

SHARD = 1 << 16
"""So many rows at once are held as Python's numbers, which take ten times the room."""


def hash_of(record: Record, on: Part = "conversation") -> int:
    """64 bits of a record's key."""
    return int(key(record, on)[:16], 16)


@dataclass(slots=True)
class Lines:
    """Hashes with the lines where they stand, in the order of the file."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))
    lines: array[int] = field(default_factory=lambda: array("I"))

    def add(self, found: int, line: int) -> None:
        """Remember a row. 8 + 4 bytes."""
        self.hashes.append(found)
        self.lines.append(line)

    def repeats(self) -> Iterator[tuple[int, int]]:
        """(line, line of the first one) for every row whose hash stands in an earlier row.

        Every pass looks at one share of the hashes, so that never more than about SHARD of them are in a dictionary.
        """
        passes = len(self.hashes) // SHARD + 1
        for share in range(passes):
            first: dict[int, int] = {}
            for found, line in zip(self.hashes, self.lines, strict=True):
                if found % passes == share and first.setdefault(found, line) != line:
                    yield line, first[found]


@dataclass(slots=True)
class HeldOut:
    """The prompts of held-out rows, to be asked for while the training rows pass by."""

    rows: Lines = field(default_factory=Lines)
    order: array[int] = field(default_factory=lambda: array("I"))

    def add(self, record: Record, line: int) -> None:
        """Remember the prompt of a held-out row."""
        self.rows.add(hash_of(record, "prompt"), line)

    def close(self) -> None:
        """Sort, once all are there: 4 bytes per row."""
        hashes = self.rows.hashes
        shares = [range(at, min(at + SHARD, len(hashes))) for at in range(0, len(hashes), SHARD)]
        runs = [array("I", sorted(share, key=hashes.__getitem__)) for share in shares]
        self.order = array("I", merge(*runs, key=hashes.__getitem__))

    def trained_in(self, record: Record) -> list[int]:
        """The lines of the held-out rows whose prompt this training row answers somewhere, each told only once."""
        if not self.order:
            return []
        return [line for found in prompts(record) for line in self._take(found)]

    def _take(self, found: int) -> Iterator[int]:
        hashes, lines = self.rows.hashes, self.rows.lines
        at = bisect_left(self.order, found, key=hashes.__getitem__)
        while at < len(self.order) and hashes[self.order[at]] == found:
            row = self.order[at]
            if lines[row]:
                yield lines[row]
                lines[row] = 0  # told
            at += 1


def prompts(record: Record) -> list[int]:
    """The hash of all before an answer, for every answer of a conversation; of other records, of their prompt."""
    if not isinstance(record, Conversation):
        return [hash_of(record, "prompt")]
    ends = [at for at, message in enumerate(record.messages) if message.role == "assistant"]
    return [hash_of(Conversation(record.messages[: end + 1]), "prompt") for end in ends]
