"""What a file is: container, encoding and line ends, each decided from its bytes and told with its evidence."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, Literal

from seodang.data import encodings, json_rows, tables, transcripts
from seodang.data.files import BOMB_SIZE, DAMAGED, File, bomb
from seodang.errors import DataError
from seodang.language import Phrase

Kind = Literal["lines", "array", "objects", "wrapped", "csv", "tsv", "parquet", "xlsx", "text", "transcript", "hub"]
_HEAD = 1 << 16
_FARTHEST = 1 << 24
"""Bytes that are searched for the first letter beyond ASCII, which tells the encoding."""
_ARRAY = re.compile(r"\s*\[\s*[{\]]")
"""How an array of objects begins; a text may begin with a bracket, too: `[속보] …`."""
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
        raise damaged(file.name, error) from None


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
    with seekable(file) as opened:
        if kind == "parquet":
            parquet = tables.open_parquet(opened, file.name)
            told = "begins with PAR1; {rows:,} rows, {columns} columns"
            shape = parquet.metadata
            why = Phrase(told, rows=shape.num_rows, columns=len(parquet.schema_arrow.names))
        else:
            sheets = [name for name, _ in tables.sheets_of(opened, file.name)]
            if not sheets:
                raise DataError("{where}: no sheet of the workbook holds rows below a header.", where=file.name)
            why = Phrase("a workbook with rows in {sheets}", sheets=", ".join(f"`{sheet}`" for sheet in sheets))
    return Container(kind, "", "", packed, evidence={"container": why})


def seekable(file: File) -> IO[bytes]:
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
    lines = _whole_lines(head)
    if _ARRAY.match(head):
        return "array", "", Phrase("begins with [")
    if file.suffix in (".csv", ".tsv") or (file.suffix == ".txt" and _is_tabbed(lines)):
        return _table(lines, file)
    if dialogues := transcripts.layout(lines):
        return "transcript", dialogues.cut, dialogues.evidence
    if file.suffix == ".txt":
        return "text", "", Phrase(".txt, and no line of it tells of more: a text per line")
    if start == "[":
        return "array", "", Phrase("begins with [")
    raise DataError(
        "{where} is not JSON: it starts with {start}. {reads}; a file in which the turns of dialogues stand as plain "
        "text needs a speaker before each (`사람: …`).",
        where=file.name,
        start=repr(head.lstrip()[:40]),
        reads=_READS,
    )


def _json_kind(file: File, encoding: encodings.Encoding, ends: str) -> tuple[Kind, str, Phrase] | None:
    with closing(file.open()) as opened:
        lines = lines_of(encodings.decoded(opened, encoding.name), ends)
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


def lines_of(file: IO[bytes], ends: str) -> Iterator[tuple[int, bytes]]:
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


def damaged(name: str, error: Exception, last: str = "") -> DataError:
    """The error of a file that is damaged, as a whole or after the place `last`."""
    if isinstance(error, DataError):
        return error
    if not last:
        return DataError("{where}: the compressed data is damaged. Fetch the file anew.", where=name)
    told = "{where}: after this place the file is damaged or cut off, and no row after it is read. Fetch it anew."
    return DataError(told, where=last, raw=None)
