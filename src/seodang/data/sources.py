"""Rows out of files, each with the place it came from: "seed.jsonl:17" is line 17.

What a file is decides its content, not its name: a `.jsonl` that holds one array is an array. Every decision
(container, encoding, line ends) comes with its evidence.

    files       which files a path names: folders, globs, archives, compressed data
    encodings   UTF-8, CP949, UTF-16
    json_rows   JSON lines · one array · objects over several lines · one object that wraps the rows
    tables      CSV · TSV · parquet · xlsx
    transcripts a text per line · dialogues with speakers

A place is a line for lines, texts, tables and dialogues (their first), and the number of the row for an array, objects
and parquet. In a folder or an archive it begins with the file: "set.zip/답변/a.jsonl:17". A row that cannot be read
comes out as a `DataError` beside its place, so that the caller stops or counts it; `error.values["raw"]` is its text.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

from seodang.data import encodings, json_rows, tables, transcripts
from seodang.data.files import BOMB_SIZE, DAMAGED, File, Found, bomb, find
from seodang.errors import DataError
from seodang.language import Phrase

Row = dict[str, Any]
Kind = Literal["lines", "array", "objects", "wrapped", "csv", "tsv", "parquet", "xlsx", "text", "transcript", "hub"]
_HEAD = 1 << 16
_FARTHEST = 1 << 24
"""Bytes that are searched for the first letter beyond ASCII, which tells the encoding."""
_DELIMITERS = {",": Phrase("commas"), ";": Phrase("semicolons"), "\t": Phrase("tabs"), "|": Phrase("bars")}
_REFUSED = (
    (b"PK\x03\x04", Phrase("an Office document or an archive that is no workbook"),
     Phrase("Save it as .xlsx, .csv or .txt.")),
    (b"\xd0\xcf\x11\xe0", Phrase("an old Office document (.xls, .doc, .hwp)"),
     Phrase("Save it as .xlsx, .csv or .txt.")),
    (b"%PDF", Phrase("a PDF"), Phrase("Take the text out of it first.")),
    (b"ARROW1", Phrase("an Arrow file"), Phrase("Write it as parquet: `datasets.load_from_disk(…).to_parquet(…)`.")),
    (b"7z\xbc\xaf", Phrase("a 7z archive"), Phrase("Unpack it, and name the folder.")),
    (b"Rar!", Phrase("a RAR archive"), Phrase("Unpack it, and name the folder.")),
    (b"BZh", Phrase("bzip2-compressed"), Phrase("Unpack it first (`bunzip2`).")),
    (b"\xfd7zXZ", Phrase("xz-compressed"), Phrase("Unpack it first (`unxz`).")),
    (b"version https://git-lfs", Phrase("a pointer of Git LFS, and the data is elsewhere"),
     Phrase("Fetch the data (`git lfs pull`).")),
    (b"<!DOCTYPE", Phrase("a web page"), Phrase("Usually the download went wrong: fetch the raw file.")),
    (b"<html", Phrase("a web page"), Phrase("Usually the download went wrong: fetch the raw file.")),
)  # fmt: skip
"""How what is not read begins → what it is, and what to do."""
_READS = Phrase("seodang reads JSON lines, a JSON array, CSV, TSV, parquet, .xlsx, transcripts and .txt files")


@dataclass(frozen=True, slots=True)
class Container:
    """How a file holds its rows, decided from its content."""

    kind: Kind
    encoding: str = "utf-8"
    """`utf-8 · utf-8-sig · cp949 · utf-16-le · utf-16-be`; empty where the file is binary."""
    line_ends: str = "LF"
    """`LF · CRLF · CR`; empty where the file is binary."""
    packed: tuple[str, ...] = ()
    """How the file is packed, from the outside in: zip, gzip, zstd."""
    detail: str = ""
    """The delimiter of a CSV, the key that wraps the rows, where a transcript is cut."""
    evidence: dict[str, Phrase] = field(default_factory=dict, compare=False)
    """Decision (`container`, `encoding`, `line_ends`) → why."""

    def to_report(self) -> dict[str, Any]:
        """The decision and its evidence, ready for JSON."""
        packed = {"packed": list(self.packed)} if self.packed else {}
        told = {"container": self.kind, "encoding": self.encoding, "line_ends": self.line_ends, **packed}
        return told | {"decided_by": dict(self.evidence)}


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


def sniff_file(file: File) -> Container:
    """What one file is, with the evidence."""
    try:
        packed = file.packed
        with closing(file.open()) as opened:
            head = _head(opened)
        if not _filled(head):
            raise DataError("{where}: the file is empty. Give a file with rows.", where=file.name)
        if head.startswith(b"PAR1"):
            return _binary(file, "parquet", packed)
        if head.startswith(b"PK\x03\x04") and file.suffix == ".xlsx":
            return _binary(file, "xlsx", packed)
        _refuse(head, file.name)
        return _text_container(file, head, packed)
    except DAMAGED as error:
        raise _damaged(file.name, error) from None


def _head(file: IO[bytes]) -> bytes:
    """The first bytes: on to the first that are no white space, and to the first beyond ASCII, within reason.

    Damaged data gives what can be read of it; the damage is met again when the rows are read.
    """
    head, wanted = bytearray(), _HEAD
    try:
        while len(head) < wanted and (data := file.read1(wanted - len(head))):  # type: ignore[attr-defined]
            head += data
            if len(head) == wanted and wanted < _FARTHEST and (not _filled(head) or head.isascii()):
                wanted *= 2
    except DAMAGED:
        if not _filled(head):
            raise
    return bytes(head)


def _filled(head: bytes | bytearray) -> bool:
    """Whether there is more than white space."""
    return bool(head.removeprefix(encodings.BOM).strip())


def _refuse(head: bytes, name: str) -> None:
    for magic, what, advice in _REFUSED:
        if head[: len(magic)].lower() == magic.lower():
            raise DataError("{where} is {what}. {advice}", where=name, what=what, advice=advice)
    if head[257:262] == b"ustar":
        what, advice = Phrase("a tar archive"), Phrase("Unpack it, and name the folder.")
        raise DataError("{where} is {what}. {advice}", where=name, what=what, advice=advice)


def _binary(file: File, kind: Literal["parquet", "xlsx"], packed: tuple[str, ...]) -> Container:
    """A parquet file or a workbook, opened once to see that it can be."""
    with _seekable(file) as opened:
        if kind == "parquet":
            parquet = tables.open_parquet(opened, file.name)
            told = "begins with PAR1; {rows:,} rows, {columns} columns"
            shape = parquet.metadata
            why = Phrase(told, rows=shape.num_rows, columns=len(parquet.schema_arrow.names))
        else:
            sheets = [name for name, _ in tables.sheets_of(tables.open_workbook(opened, file.name))]
            if not sheets:
                raise DataError("{where}: no sheet of the workbook holds rows below a header.", where=file.name)
            why = Phrase("a workbook with rows in {sheets}", sheets=", ".join(f"`{sheet}`" for sheet in sheets))
    return Container(kind, "", "", packed, evidence={"container": why})


def _seekable(file: File) -> IO[bytes]:
    """The file where it can be gone about in; else its bytes in memory, within a bound."""
    opened = file.open()
    if file.archive is None and not file.packed:
        return opened
    with closing(opened):
        data = opened.read(16 * BOMB_SIZE + 1)
    if len(data) > 16 * BOMB_SIZE:
        raise bomb(file.name)
    return io.BytesIO(data)


def _text_container(file: File, head: bytes, packed: tuple[str, ...]) -> Container:
    encoding = encodings.decide(head, file.name)
    width = 2 if encoding.name.startswith("utf-16") else 1
    text = encodings.decoded(io.BytesIO(head[: len(head) // width * width]), encoding.name).read()
    ends, ends_why = _line_ends(text)
    kind, detail, why = _kind(file, text.decode(encoding.codec, "replace"), encoding, ends)
    evidence = {"container": why, "encoding": encoding.evidence, "line_ends": ends_why}
    return Container(kind, encoding.name, ends, packed, detail, evidence)


def _line_ends(head: bytes) -> tuple[str, Phrase]:
    both = head.count(b"\r\n")
    counts = {"CRLF": both, "LF": head.count(b"\n") - both, "CR": head.count(b"\r") - both}
    ends = "CRLF" if both else "CR" if counts["CR"] and not counts["LF"] else "LF"
    told = "{crlf:,} CRLF, {lf:,} LF and {cr:,} CR in the first {bytes:,} bytes"
    return ends, Phrase(told, crlf=both, lf=counts["LF"], cr=counts["CR"], bytes=len(head))


def _kind(file: File, head: str, encoding: encodings.Encoding, ends: str) -> tuple[Kind, str, Phrase]:
    """JSON lines where the first line is a whole object; objects where the first one needs more lines than that."""
    start = head.lstrip()[:1]
    if start == "{":
        found = _json_kind(file, encoding, ends)
        if found:
            return found
    if file.suffix in (".csv", ".tsv") or (file.suffix == ".txt" and _is_tabbed(_whole_lines(head))):
        return _table(_whole_lines(head), file)
    lines = _whole_lines(head)
    if file.suffix != ".txt" and start == "[":
        return "array", "", Phrase("begins with [")
    if dialogues := transcripts.layout(lines):
        return "transcript", dialogues.cut, dialogues.evidence
    if file.suffix == ".txt":
        return "text", "", Phrase(".txt, and no line of it tells of more: a text per line")
    raise DataError(
        "{where} is not JSON: it starts with {start}. {reads}; a file in which the turns of dialogues stand as plain "
        "text needs a speaker before each (`사람: …`).",
        where=file.name,
        start=repr(head.lstrip()[:40]),
        reads=_READS,
    )


def _json_kind(file: File, encoding: encodings.Encoding, ends: str) -> tuple[Kind, str, Phrase] | None:
    with closing(file.open()) as opened:
        lines = _lines(encodings.decoded(opened, encoding.name), ends)
        first = next(raw for _, raw in lines if raw.strip()).strip()
        is_alone = not any(raw.strip() for _, raw in lines)
    row = json_rows.loads(first, encoding.codec)
    if isinstance(row, dict) and not (is_alone and json_rows.wrapper(row)):
        return "lines", "", Phrase("the first line is a whole JSON object")
    with closing(file.open()) as opened:
        row, is_alone = json_rows.first_object(encodings.decoded(opened, encoding.name), encoding.codec)
    if row is None:
        told = Phrase("the object in the first line is not whole")
        return None if file.suffix in (".csv", ".tsv") else ("lines", "", told)
    key = json_rows.wrapper(row) if is_alone else None
    if key:
        return "wrapped", key, Phrase("one JSON object with {rows:,} rows in `{key}`", rows=len(row[key]), key=key)
    return "objects", "", Phrase("the first JSON object goes over several lines")


def _whole_lines(head: str) -> list[str]:
    """The lines of the head; without the last, which may be cut, where there are others."""
    lines = head.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if len(lines) > 1 else lines


def _is_tabbed(lines: list[str]) -> bool:
    """Whether every line has the same number of tabs, as the TSV files that are named .txt do (NSMC)."""
    tabs = {line.count("\t") for line in lines if line}
    return len(lines) > 1 and len(tabs) == 1 and tabs != {0}


def _table(lines: list[str], file: File) -> tuple[Kind, str, Phrase]:
    """What parts the columns of a table, by its header. Raises DataError where a column is named twice."""
    filled = [line for line in lines if line]
    counts = {delimiter: filled[0].count(delimiter) for delimiter in _DELIMITERS}
    usual = "\t" if file.suffix == ".tsv" or (file.suffix == ".txt" and counts["\t"]) else ","
    best = usual if counts[usual] else max(counts, key=lambda delimiter: counts[delimiter])
    columns = tables.header(filled, best, file.name)
    told = "{delimiter} in the header, {columns} columns"
    return ("tsv" if best == "\t" else "csv"), best, Phrase(told, delimiter=_DELIMITERS[best], columns=len(columns))


def file_rows(file: File, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    """The rows of one file that is such a container."""
    name, kind, detail = file.name, container.kind, container.detail
    if kind in ("parquet", "xlsx"):
        opened = _seekable(file)
        if kind == "parquet":
            return _closing(tables.parquet_rows(tables.open_parquet(opened, name), name), opened)
        return _closing(tables.workbook_rows(tables.open_workbook(opened, name), name), opened)
    codec = "cp949" if container.encoding == "cp949" else "utf-8"
    text = encodings.decoded(file.open(), container.encoding)
    if kind in ("array", "objects", "wrapped"):
        return _closing(_documents(text, name, codec, container), text)
    lines = _lines(text, container.line_ends)
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


def _lines(file: IO[bytes], ends: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their ends, numbered from 1; one beyond every bound comes cut, and its rest is left."""
    most = json_rows.LONGEST + 1
    if ends == "CR":
        yield from enumerate(_old_lines(file), 1)
        return
    for number, raw in enumerate(iter(partial(file.readline, most), b""), 1):
        yield number, raw
        while len(raw) == most and not raw.endswith(b"\n"):
            raw = file.readline(most)


def _old_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines that end with a lone CR."""
    rest = b""
    while chunk := file.read(_HEAD):
        *lines, rest = (rest + chunk).split(b"\r")
        yield from lines
    if rest:
        yield rest


def _guarded(rows: Iterator[tuple[Row | DataError, str]], name: str) -> Iterator[tuple[Row | DataError, str]]:
    """The rows, and where the file itself turns out damaged, an error after the last row that could be read."""
    last = name
    try:
        for row, place in rows:
            last = place
            yield row, place
    except (DataError, UnicodeDecodeError, *DAMAGED) as error:
        yield _damaged(name, error, last), last if last != name else f"{name}:1"


def _damaged(name: str, error: Exception, last: str = "") -> DataError:
    if isinstance(error, DataError):
        return error
    if not last:
        return DataError("{where}: the compressed data is damaged. Fetch the file anew.", where=name)
    told = "{where}: after this place the file is damaged or cut off, and no row after it is read. Fetch it anew."
    return DataError(told, where=last, raw=None)
