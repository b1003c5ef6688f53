"""A batch of rows parsed, repaired, judged and fingerprinted: a pure function, for worker processes and for clusters.

What comes back is what `prepare` keeps of a batch: the JSON lines as they will be written, why a row is dropped, and a
few numbers per row. It depends on the rows alone, not on their batch.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seodang.data.dedup import Part
from seodang.data.filters import Filter
from seodang.data.fingerprints import Prints, fingerprint
from seodang.data.formats import Known
from seodang.data.judge import judge
from seodang.data.lineage import Lineage, allows
from seodang.data.profile import hangul_bin, level, measured
from seodang.data.reading import Item, parsed
from seodang.data.sources import Row
from seodang.errors import DataError
from seodang.records import Record
from seodang.runs import dump_json

SIZE = 256
"""Rows in a batch."""
LICENSE = "license"
"""Why a row is dropped whose licence is not in `allow_licenses`."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is done with every row of a source."""

    format: Known
    keeps_source: bool
    filters: tuple[Filter, ...]
    normalize: bool
    skips: bool
    """Whether a row that cannot be read is dropped; else it stops the run."""
    lineage: Lineage
    allow_licenses: tuple[str, ...] | None
    on: Part | None
    """What duplicates are found by; None where they are not looked for."""
    near: bool
    prompts: bool
    """Whether prompts that look alike are looked for, too."""


Batch = tuple[Task, list[tuple[Row | DataError, str]]]


@dataclass(slots=True)
class Judged:
    """What became of a batch; the arrays hold a number for each row, or for each row that is kept so far."""

    lines: list[bytes] = field(default_factory=list)
    """A JSON object per row, as it stands in train.jsonl or dropped.jsonl, without a line end."""
    sizes: array[int] = field(default_factory=partial(array, "I"))
    """Bytes of each line."""
    reasons: list[str] = field(default_factory=list)
    """Why a row is dropped; empty for a row that is kept so far."""
    lengths: array[int] = field(default_factory=partial(array, "I"))
    """Of each kept row: characters that are to be learnt."""
    hangul: array[int] = field(default_factory=partial(array, "B"))
    levels: array[int] = field(default_factory=partial(array, "B"))
    prompts: array[int] = field(default_factory=partial(array, "Q"))
    """64 bits of the key of its prompt."""
    prints: Prints | None = None
    prompt_prints: Prints | None = None
    repairs: Counter[str] = field(default_factory=Counter)
    lineages: array[int] = field(default_factory=partial(array, "H"))
    """Of each kept row: which of `chains` it has."""
    chains: dict[Lineage, int] = field(default_factory=dict)
    error: DataError | None = None
    """The row that stops the run; nothing behind it was looked at."""

    def keep(self, record: Record, lineage: Lineage) -> None:
        """A row that is kept so far."""
        told = lineage.to_row()
        self._add("", record.to_row() | ({"lineage": told} if told else {}))
        length, share, register = measured(record)
        self.lengths.append(length)
        self.hangul.append(hangul_bin(share))
        self.levels.append(level(register))
        self.lineages.append(self.chains.setdefault(lineage, len(self.chains)))

    def drop(self, reason: str, row: dict[str, Any]) -> None:
        """A row that is dropped, with the entry for dropped.jsonl."""
        self._add(reason, {"reason": reason} | row | {"reason": reason})

    def _add(self, reason: str, row: dict[str, Any]) -> None:
        line = dump_json(row).encode()
        self.lines.append(line)
        self.sizes.append(len(line))
        self.reasons.append(reason)


def judge_batch(batch: Batch) -> Judged:
    """Everything that can be said of rows one by one."""
    task, rows = batch
    found, kept = Judged(), list[Record]()
    for item in parsed(rows, task.format, task.keeps_source):
        if isinstance(item.found, DataError):
            if not task.skips:
                found.error = item.found
                break
            found.drop(item.reason, item.dropped())
            continue
        record = _judge(item, item.found, task, found)
        if record is not None:
            kept.append(record)
    if task.on is not None:
        found.prints = fingerprint(kept, task.on, task.near)
    prompts = fingerprint(kept, "prompt", task.prompts)
    found.prompts.frombytes(prompts.exact.tobytes())
    found.prompt_prints = prompts if task.prompts else None
    return found


def _judge(item: Item, record: Record, task: Task, found: Judged) -> Record | None:
    """The record where it is kept, repaired."""
    lineage = Lineage.of_row(item.row, task.lineage) if task.keeps_source else task.lineage
    if task.allow_licenses is not None and not allows(task.allow_licenses, lineage.license):
        found.drop(LICENSE, record.to_row() | {"license": lineage.license})
        return None
    record, repairs, reason = judge(record, task.filters, task.normalize)
    if repairs:
        found.repairs.update(repairs)
    if reason:
        found.drop(reason, record.to_row())
        return None
    found.keep(record, lineage)
    return record
