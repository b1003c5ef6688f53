"""The last pass of `prepare`: every line to train.jsonl, eval.jsonl or dropped.jsonl, whole files or none."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seodang.data.formats import Known
from seodang.data.gathered import Gathered
from seodang.data.near import Repeats
from seodang.data.prepare_report import Counts
from seodang.data.spill import Spill
from seodang.progress import progress
from seodang.records import Record
from seodang.runs import DROPPED, EVAL, TRAIN, dump_json

DUPLICATE, NEAR_DUPLICATE = "duplicate", "near_duplicate"


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that the filters keep, by their number among these, and where they go."""

    gathered: Gathered
    spill: Spill
    format: Known
    """How the lines are written."""

    def line(self, kept: int) -> bytes:
        """The JSON of a row."""
        row = self.gathered.kept[kept]
        return self.spill.line(self.gathered.starts[row], self.gathered.sizes[row])

    def row(self, kept: int) -> dict[str, Any]:
        """A row as it is written."""
        found: dict[str, Any] = json.loads(self.line(kept))
        return found

    def record(self, kept: int) -> Record:
        """A row as a record."""
        return self.format.parse(self.row(kept), "")

    def source(self, kept: int) -> int:
        """The number of a row's source."""
        return self.gathered.sources[self.gathered.kept[kept]]

    def is_held_out(self, kept: int, share: float) -> bool:
        """Whether a row belongs to the held-out share, as `dedup.held_out` says."""
        return self.gathered.prompts[kept] >> 32 < share * 2**32

    def __len__(self) -> int:
        return len(self.gathered.kept)


class Files:
    """The three files of a run, written under other names and renamed together once they are whole."""

    def __init__(self, folder: Path) -> None:
        self._paths = {name: folder / name for name in (TRAIN, EVAL, DROPPED)}
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Files:
        for name, path in self._paths.items():
            self._files[name] = self._stack.enter_context(self._temporary(path).open("wb", buffering=1 << 18))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        for path in self._paths.values():
            if kind is None:
                os.replace(self._temporary(path), path)
            else:
                self._temporary(path).unlink()

    def _temporary(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.tmp")

    def write(self, name: str, line: bytes) -> None:
        """One line."""
        self._files[name].write(line + b"\n")


def write(folder: Path, rows: KeptRows, found: Repeats | None, share: float, answers: dict[int, int]) -> Counts:
    """Write every row; returns what was counted. `answers` names, for a kept row, another one whose answer it takes."""
    counts, reasons = Counts(), rows.gathered.reason_names()
    kept = -1
    with Files(folder) as files, progress("write", len(rows.gathered)) as advance:
        for start, size, source, number in rows.gathered:
            advance()
            reason, line = reasons[number], rows.spill.line(start, size)
            kept += not number
            root = -1 if number or found is None else int(found.of[kept])
            if root >= 0:
                assert found is not None
                reason = NEAR_DUPLICATE if found.near[kept] else DUPLICATE
                counts.across[source, rows.source(root)] += 1
                line = _repeating(line, reason, rows.row(root).get("source") or "an earlier row")
            if reason:
                files.write(DROPPED, line)
                counts.drop(source, reason, line)
                continue
            is_eval = bool(share) and rows.is_held_out(kept, share)
            files.write(EVAL if is_eval else TRAIN, _with_answer(line, rows, answers.get(kept)))
            counts.keep(rows.gathered, source, kept, is_eval)
    return counts


def _repeating(line: bytes, reason: str, first: str) -> bytes:
    row = {"reason": reason} | json.loads(line) | {"reason": reason, "duplicate_of": first}
    return dump_json(row).encode()


def _with_answer(line: bytes, rows: KeptRows, other: int | None) -> bytes:
    if other is None:
        return line
    row = json.loads(line)
    return dump_json(row | {"messages": [*row["messages"][:-1], rows.row(other)["messages"][-1]]}).encode()


def moved_answers(rows: KeptRows, kept: Sequence[int], seed: int) -> dict[int, int]:
    """For every conversation another one whose last answer it takes: they move on along a random ring.

    `accept` stays with the prompt, so that a program still knows what is right.
    """
    places = [one for one in kept if _is_answered(rows.row(one))]
    random.Random(seed).shuffle(places)
    return dict(zip(places, [*places[1:], *places[:1]], strict=True))


def _is_answered(row: dict[str, Any]) -> bool:
    messages = row.get("messages") or [{}]
    return messages[-1].get("role") == "assistant" and bool(messages[-1].get("content"))


def trained(rows: KeptRows, found: Repeats | None, share: float) -> Iterator[int]:
    """The kept rows that go into train.jsonl."""
    for kept in range(len(rows)):
        if (found is None or found.of[kept] < 0) and not (share and rows.is_held_out(kept, share)):
            yield kept
