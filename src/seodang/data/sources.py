"""Rows out of files, each with the place it came from: "seed.jsonl:17" is line 17.

What a file is decides its content, not its name: a `.jsonl` that holds one array is an array. Every decision
(container, encoding, line ends) comes with its evidence.

    files       which files a path names: folders, globs, archives, compressed data
    encodings   UTF-8, CP949, UTF-16
    containers  what each file is
    json_rows   JSON lines · one array · objects over several lines · one object that wraps the rows
    tables      CSV · TSV · parquet · xlsx
    transcripts a text per line · dialogues with speakers

A place is a line for lines, texts, tables and dialogues (their first), and the number of the row for an array, objects
and parquet. In a folder or an archive it begins with the file: "set.zip/답변/a.jsonl:17". A row that cannot be read
comes out as a `DataError` beside its place, so that the caller stops or counts it; `error.values["raw"]` is its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from seodang.data import encodings, json_rows, tables, transcripts
from seodang.data.containers import Container, damaged, lines_of, seekable, sniff_file
from seodang.data.files import DAMAGED, File, Found, find
from seodang.errors import DataError

Row = dict[str, Any]


class Rows:
    """The rows of a path, to be gone through once, and what is found out on the way."""

    def __init__(self, found: Found, name: str) -> None:
        self.name = name
        self.unread = found.unread
        """Files beside those read that are no data."""
        self.files: Counter[Container] = Counter()
        """What the files gone through so far are → how many."""
        self._found = found
        self._first: Container | None = None
        if not found.is_many:
            self._first = sniff_file(found.files[0])

    @property
    def container(self) -> Container:
        """What the file is; of many, the first that can be read. Raises DataError where none can."""
        error: DataError | None = None
        for file in self._found.files if self._first is None else ():
            try:
                self._first = sniff_file(file)
                break
            except DataError as one:
                error = error or one
        if self._first is None:
            assert error is not None
            raise error
        return self._first

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._found.files)

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self._found.files)

    def to_report(self, container: Container) -> dict[str, Any]:
        """The decisions and their evidence, ready for JSON; of many files also how many are what."""
        told = container.to_report()
        if not self._found.is_many:
            return told
        groups = [one.to_report() | {"files": count} for one, count in self.files.items()]
        return told | {"files": self.count, "groups": groups, "unread": list(self.unread)}

    def __iter__(self) -> Iterator[tuple[Row | DataError, str]]:
        """The rows in order. Of many files, one that cannot be read at all is one error at its own place."""
        for file in self._found.files:
            try:
                container = self._first if not self._found.is_many and self._first else sniff_file(file)
                rows = file_rows(file, container)
            except DataError as error:
                if not self._found.is_many:
                    raise
                yield error, file.name
                continue
            self.files[container] += 1
            yield from _guarded(rows, file.name)


def open_rows(path: str | Path, name: str | None = None) -> Rows:
    """The rows of a file, a folder, a glob or an archive. `name` stands in places instead of the path's own.

    Raises DataError at once for a file that cannot be read at all: missing, empty, of another kind.
    """
    return Rows(find(path, name), name or Path(path).name or str(path))


def read_rows(path: str | Path) -> Iterator[tuple[Row | DataError, str]]:
    """The rows of a path in order, each as a dictionary (or the DataError that it is) with its place."""
    return iter(open_rows(path))


def sniff(path: str | Path) -> Container:
    """What kind of file this is. Raises DataError when it is missing, empty, or nothing that is read here."""
    return open_rows(path).container


def file_rows(file: File, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    """The rows of one file that is such a container."""
    name, kind, detail = file.name, container.kind, container.detail
    if kind in ("parquet", "xlsx"):
        opened = seekable(file)
        if kind == "parquet":
            return _closing(tables.parquet_rows(tables.open_parquet(opened, name), name), opened)
        return _closing(tables.workbook_rows(tables.sheets_of(opened, name), name), opened)
    codec = "cp949" if container.encoding == "cp949" else "utf-8"
    text = encodings.decoded(file.open(), container.encoding)
    if kind in ("array", "objects", "wrapped"):
        return _closing(_documents(text, name, codec, container), text)
    lines = lines_of(text, container.line_ends)
    if kind == "lines":
        return _closing(json_rows.line_rows(lines, name, codec), text)
    if kind in ("csv", "tsv"):
        found = tables.tsv_rows(lines, name, codec) if kind == "tsv" else tables.csv_rows(lines, name, codec, detail)
        return _closing(found, text)
    if kind == "text":
        return _closing(transcripts.text_rows(lines, name, codec), text)
    return _closing(transcripts.dialogue_rows(lines, name, codec, detail), text)


def _documents(text: IO[bytes], name: str, codec: str, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    if container.kind == "array":
        return json_rows.array_rows(text, name, codec)
    if container.kind == "objects":
        return json_rows.object_rows(text, name, codec)
    return json_rows.wrapped_rows(text, name, codec, container.detail)


def _closing(rows: Iterator[Any], opened: IO[bytes]) -> Iterator[Any]:
    try:
        yield from rows
    finally:
        opened.close()


def _guarded(rows: Iterator[tuple[Row | DataError, str]], name: str) -> Iterator[tuple[Row | DataError, str]]:
    """The rows, and where the file itself turns out damaged, an error after the last row that could be read."""
    last = name
    try:
        for row, place in rows:
            last = place
            yield row, place
    except (DataError, UnicodeDecodeError, *DAMAGED) as error:
        yield damaged(name, error, last), last if last != name else f"{name}:1"
