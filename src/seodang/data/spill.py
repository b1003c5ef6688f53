"""Judged rows on disk while a run of `prepare` is not finished: memory stays small, and a killed run continues.

    .prepare/rows      the JSON lines of all rows, one after another
    .prepare/batches   for each batch its numbers, with check sums of itself and of its lines

A batch counts once both hold it whole. Everything behind the first torn one is cut off when the files are opened.
"""

from __future__ import annotations

import pickle
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from seodang.data.batches import Judged

FOLDER = ".prepare"
_FRAME = struct.Struct("<IIIQ")
"""Bytes of the numbers, their check sum, the check sum of the lines, bytes of the lines."""


class Spill:
    """The batches of a run, in order, each of one source. `header` says what they are made from and by."""

    def __init__(self, run: Path, header: str) -> None:
        self._folder = run / FOLDER
        self._header = header.encode() + b"\n"
        self._end = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._rows = (self._folder / "rows").open("ab", buffering=0)
        self._reader = (self._folder / "rows").open("rb", buffering=1 << 16)
        self._batches = (self._folder / "batches").open("ab+")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in (self._rows, self._reader, self._batches):
            file.close()

    def discard(self) -> None:
        """Remove everything: the run is finished, or cannot be."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def restored(self) -> Iterator[tuple[int, Judged]]:
        """(source, batch) of what an earlier attempt left whole; then, and only then, batches may be added."""
        self._batches.seek(0)
        whole = self._batches.readline()
        at = len(whole)
        if whole == self._header:
            while frame := self._frame():
                source, judged, size = frame
                at += size
                self._end += sum(judged.sizes)
                yield source, judged
        else:
            at = 0
        self._rows.truncate(self._end)
        self._batches.truncate(at)
        if not at:
            self._batches.write(self._header)
            self._batches.flush()

    def _frame(self) -> tuple[int, Judged, int] | None:
        """The next (source, batch, bytes), or None where it is not whole."""
        head = self._batches.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return None
        size, check, rows_check, rows_size = _FRAME.unpack(head)
        data, lines = self._batches.read(size), self.line(self._end, rows_size)
        if (len(data), crc32(data)) != (size, check) or (len(lines), crc32(lines)) != (rows_size, rows_check):
            return None
        source, judged = pickle.loads(data)
        return source, judged, _FRAME.size + size

    def add(self, source: int, judged: Judged) -> None:
        """Store a batch; its lines are taken out of it."""
        lines = b"".join(judged.lines)
        judged.lines = []
        data = pickle.dumps((source, judged), pickle.HIGHEST_PROTOCOL)
        self._rows.write(lines)
        self._batches.write(_FRAME.pack(len(data), crc32(data), crc32(lines), len(lines)) + data)
        self._batches.flush()
        self._end += len(lines)

    def line(self, start: int, size: int) -> bytes:
        """What stands at a place of the rows."""
        self._reader.seek(start)
        return self._reader.read(size)
