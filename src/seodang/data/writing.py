"""The last pass of `prepare`: every line to train.jsonl, eval.jsonl or dropped.jsonl, whole files or none."""

from __future__ import annotations

import json
import os
import random
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from seodang.data.deciding import Verdict
from seodang.data.gathered import KeptRows
from seodang.data.prepare_report import Counts
from seodang.progress import progress
from seodang.runs import DROPPED, EVAL, TRAIN, dump_json


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


def write(folder: Path, rows: KeptRows, verdict: Verdict, answers: dict[int, int]) -> Counts:
    """Write every row; returns what was counted. `answers` names, for a kept row, another one whose answer it takes."""
    counts, reasons = Counts(), rows.gathered.reason_names()
    kept = -1
    with Files(folder) as files, progress("prepare", len(rows.gathered)) as advance:
        for start, size, source, number in rows.gathered:
            advance()
            reason, line = reasons[number], rows.spill.line(start, size)
            if not number:
                kept += 1
                reason = verdict.reason(kept)
                line = _with_cause(line, rows, verdict, kept) if reason else line
            if reason:
                files.write(DROPPED, line)
                counts.drop(source, reason, line)
                if not number and (first := verdict.repeated(kept)) is not None:
                    counts.across[source, rows.source(first)] += 1
                continue
            part, times = EVAL if verdict.is_eval(kept) else TRAIN, verdict.times(kept)
            for _ in range(times):
                files.write(part, _with_answer(line, rows, answers.get(kept)))
            counts.keep(rows.gathered, source, kept, part, times)
    return counts


def _with_cause(line: bytes, rows: KeptRows, verdict: Verdict, kept: int) -> bytes:
    """The entry of a row that goes because of another one: why, and which."""
    reason, first = verdict.reason(kept), verdict.repeated(kept)
    cause: dict[str, Any] = {"reason": reason}
    if first is not None:
        cause["duplicate_of"] = rows.row(first).get("source") or "an earlier row"
    if question := verdict.question(kept):
        cause["question"] = question
    return dump_json({"reason": reason} | json.loads(line) | cause).encode()


def _with_answer(line: bytes, rows: KeptRows, other: int | None) -> bytes:
    if other is None:
        return line
    row = json.loads(line)
    return dump_json(row | {"messages": [*row["messages"][:-1], rows.row(other)["messages"][-1]]}).encode()


def moved_answers(rows: KeptRows, verdict: Verdict, seed: int) -> dict[int, int]:
    """For every training conversation another one whose last answer it takes: they move on along a random ring.

    `accept` stays with the prompt, so that a program still knows what is right.
    """
    places = [one for one in verdict.trained() if _is_answered(rows.row(one))]
    random.Random(seed).shuffle(places)
    return dict(zip(places, [*places[1:], *places[:1]], strict=True))


def _is_answered(row: dict[str, Any]) -> bool:
    messages = row.get("messages") or [{}]
    return messages[-1].get("role") == "assistant" and bool(messages[-1].get("content"))
