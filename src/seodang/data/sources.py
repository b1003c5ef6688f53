"""Rows out of a file, each with the place it came from: "seed.jsonl:17" is row 17.

Read now: JSON lines, a JSON array, JSON objects one after the other (pretty-printed or not), and `.txt` with one text
per line; UTF-8 with or without a byte-order mark; any line ends. What a file is decides its content, not its name:
a `.jsonl` that holds one array is an array. Everything else is one `DataError` that says what it is and what to do.

A place is the line for JSON lines and texts, and the number of the row for an array or for objects, however they are
laid out. A row that cannot be read comes out as a `DataError` beside its place, so that the caller stops or counts it;
`error.values["raw"]` is its text as it stands in the file.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seodang.errors import DataError
from seodang.language import Phrase

Row = dict[str, Any]

_UTF16 = Phrase("UTF-16 text"), Phrase("Save it as UTF-8 first: `iconv -f UTF-16 -t UTF-8 FILE`.")
_MAGIC = (
    (b"\x1f\x8b", Phrase("gzip-compressed"), Phrase("Unpack it first (`gunzip`).")),
    (b"\x28\xb5\x2f\xfd", Phrase("zstd-compressed"), Phrase("Unpack it first (`unzstd`).")),
    (b"PK\x03\x04", Phrase("a zip archive or an Excel workbook"),
     Phrase("Unpack it, or save the sheet as JSON lines, first.")),
    (b"PAR1", Phrase("a parquet file"), Phrase('Write it as JSON lines first: `pandas.read_parquet(…).to_json(…, '
     'orient="records", lines=True, force_ascii=False)`.')),
    (b"\xff\xfe", *_UTF16),
    (b"\xfe\xff", *_UTF16),
)  # fmt: skip
_TABLES = {
    ".csv": (Phrase("comma-separated values"), "pandas.read_csv(…)"),
    ".tsv": (Phrase("tab-separated values"), 'pandas.read_csv(…, sep="\\t", quoting=3)'),
}
_BOM = b"\xef\xbb\xbf"
_HEAD = 1 << 16
_SPACE = re.compile(r"\s*")
_WAY_OUT = Phrase("Mend or remove it, or let `prepare` drop and count such rows with `on_error: skip`.")
_SHOWN = 24
_FAULTS = {
    "Expecting value": "no value begins at {there!r}",
    "Expecting property name": "a column name in double quotes must stand at {there!r}",
    "Illegal trailing comma": "a comma too many at {there!r}",
    "Expecting ':'": "a colon is missing before {there!r}",
    "Expecting ','": "a comma, or the backslash of a quotation mark in a text, is missing before {there!r}",
    "Invalid control character": "a line end, tab or other control character is not escaped at {there!r}",
    "Invalid \\": "a backslash that escapes nothing must be doubled at {there!r}",
    "Extra data": "after the row stands {there!r}",
    "": "a mistake at {there!r}",
}
"""How the messages of `json` begin → the same for a reader, with the text there."""
_READS = Phrase("seodang reads JSON lines, a JSON array, and .txt files with one text per line")


@dataclass(frozen=True, slots=True)
class Container:
    """How a file holds its rows, decided from its first bytes."""

    kind: Literal["lines", "array", "objects", "text"]
    """JSON lines · one JSON array · JSON objects over several lines each · a text per line."""
    encoding: Literal["utf-8", "utf-8-sig"]
    line_ends: Literal["LF", "CRLF", "CR"]


def sniff(path: str | Path) -> Container:
    """What kind of file this is. Raises DataError when it is missing, empty, or nothing that is read here."""
    path = Path(path)
    head = _head(path)
    for magic, name, advice in _MAGIC:
        if head.startswith(magic):
            raise DataError("{where} is {name}. {advice}", where=path.name, name=name, advice=advice)
    if path.suffix.lower() in _TABLES:
        name, reader = _TABLES[path.suffix.lower()]
        raise DataError(
            "{where} holds {name}; {reads}. Write it as JSON lines first: "
            '`{reader}.to_json(…, orient="records", lines=True, force_ascii=False)`.',
            where=path.name,
            name=name,
            reads=_READS,
            reader=reader,
        )
    encoding: Literal["utf-8", "utf-8-sig"] = "utf-8-sig" if head.startswith(_BOM) else "utf-8"
    line_ends = _line_ends(head)
    first = next(raw for _, raw in _lines(path, line_ends) if raw.strip()).strip()
    return Container(_kind(path, first), encoding, line_ends)


def read_rows(path: str | Path) -> Iterator[tuple[Row | DataError, str]]:
    """The rows of a file in order, each as a dictionary (or the DataError that it is) with its place.

    Raises DataError at once for a file that cannot be read at all: missing, empty, not UTF-8, of another kind.
    """
    path = Path(path)
    container = sniff(path)
    if container.kind == "text":
        return _text_rows(path, container)
    if container.kind == "lines":
        return _line_rows(path, container)
    return _document_rows(path, container)


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise DataError("{where} is a folder. Name the file in it to read.", where=path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            while head and not head.removeprefix(_BOM).strip() and (more := file.read(_HEAD)):
                head = more
    except FileNotFoundError:
        raise DataError("The file {where} does not exist.{near}", where=path, near=_near(path)) from None
    except OSError as error:
        raise DataError("The file {where} cannot be read: {why}.", where=path, why=error.strerror) from None
    if not head.removeprefix(_BOM).strip():
        raise DataError("{where}: the file is empty. Give a file with rows.", where=path.name)
    return head


def _near(path: Path) -> Phrase:
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, 1)
    if not near:
        return Phrase(" Paths start at the working directory.")
    return Phrase(" Did you mean {near}?", near=path.with_name(near[0]))


def _line_ends(head: bytes) -> Literal["LF", "CRLF", "CR"]:
    if b"\r\n" in head:
        return "CRLF"
    return "CR" if b"\r" in head and b"\n" not in head else "LF"


def _kind(path: Path, first: bytes) -> Literal["lines", "array", "objects", "text"]:
    """JSON lines where the first line is a whole object; objects where the first one needs more lines than that."""
    plain = path.suffix.lower() == ".txt"
    if first.startswith(b"{"):
        if isinstance(_loads(first), dict):
            return "lines"
        if not plain:
            return "objects" if _starts_with_object(path) else "lines"
    if plain:
        return "text"
    if first.startswith(b"["):
        return "array"
    raise DataError(
        "{where} is not JSON: it starts with {start}. {reads}; a file in which the turns of dialogues stand as plain "
        "text has to be made into rows first.",
        where=path.name,
        start=repr(first.decode("utf-8", "replace")[:40]),
        reads=_READS,
    )


def _loads(raw: bytes | str) -> Any:
    try:
        return json.loads(raw, parse_constant=_no_number)
    except ValueError:
        return None


def _no_number(name: str) -> None:
    """NaN and the infinities, which pandas writes for a missing value and JSON does not know, read as null."""


def _starts_with_object(path: Path) -> bool:
    try:
        found, _ = json.JSONDecoder().raw_decode(_text(path).lstrip())
    except ValueError:
        return False
    return isinstance(found, dict)


def _lines(path: Path, line_ends: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file as bytes, numbered from 1, without a byte-order mark."""
    with path.open("rb") as file:
        lines = file.read().split(b"\r") if line_ends == "CR" else file
        for number, raw in enumerate(lines, 1):
            yield number, raw.removeprefix(_BOM) if number == 1 else raw


def _line_rows(path: Path, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    for number, raw in _lines(path, container.line_ends):
        if raw.strip():
            place = f"{path.name}:{number}"
            yield _line_row(raw, place), place


def _line_row(raw: bytes, place: str) -> Row | DataError:
    try:
        text = raw.decode("utf-8").strip()
        row = json.loads(text, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        return _not_utf8(place, raw, error)
    except (ValueError, RecursionError) as error:
        told = "{where}: the line is not valid JSON: {why}. {way_out}"
        return DataError(told, where=place, why=_why(error), way_out=_WAY_OUT, raw=text)
    return row if isinstance(row, dict) else _not_object(row, place, text)


def _text_rows(path: Path, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    for number, raw in _lines(path, container.line_ends):
        place = f"{path.name}:{number}"
        try:
            text = raw.decode("utf-8").strip("\r\n")
        except UnicodeDecodeError as error:
            yield _not_utf8(place, raw, error), place
            continue
        if text.strip():
            yield {"text": text}, place


def _document_rows(path: Path, container: Container) -> Iterator[tuple[Row | DataError, str]]:
    """The members of an array, or objects one after the other, each with its number, so that the layout is free.

    A mistake ends the reading, for nothing says where the next row would begin; its place is its line.
    """
    text = _text(path)
    array = container.kind == "array"
    decode = json.JSONDecoder(parse_constant=_no_number).raw_decode
    number = 0
    at = _space(text, text.index("[") + 1 if array else 0)
    while at < len(text) and not (array and text[at] == "]"):
        number += 1
        place = f"{path.name}:{number}"
        try:
            row, end = decode(text, at)
        except (ValueError, RecursionError) as error:
            yield _torn(path, text, at, error)
            return
        yield row if isinstance(row, dict) else _not_object(row, place, text[at:end]), place
        at = _space(text, end)
        if array and at < len(text) and text[at] != "]":
            if text[at] != ",":
                yield _torn(path, text, at, Phrase("a comma is missing between two rows"))
                return
            at = _space(text, at + 1)
    after = _space(text, at + 1)
    if array and (at >= len(text) or after < len(text)):
        open_end, more = Phrase("the array is not closed"), Phrase("text follows the array")
        yield _torn(path, text, after, open_end if at >= len(text) else more)


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _torn(path: Path, text: str, start: int, fault: Exception | Phrase) -> tuple[DataError, str]:
    """The error of a document with a mistake, and its line. What is not read, from `start` on, is its `raw`."""
    at = getattr(fault, "pos", start)
    place = f"{path.name}:{text.count(chr(10), 0, at) + 1}"
    why = _why(fault) if isinstance(fault, Exception) else fault
    told = "{where}: not valid JSON at this line: {why}; no row after it is read."
    return DataError(told, where=place, why=why, raw=text[start:].strip()), place


def _text(path: Path) -> str:
    data = path.read_bytes().removeprefix(_BOM)
    try:
        return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_utf8(f"{path.name}:{line}", data, error) from None


def _not_utf8(place: str, raw: bytes, error: UnicodeDecodeError) -> DataError:
    try:
        raw.decode("cp949")
        codec, guess = "cp949", Phrase("it reads as CP949: `iconv -f CP949 -t UTF-8 FILE`")
    except UnicodeDecodeError:
        codec, guess = "utf-8", Phrase("save it as UTF-8")
    return DataError(
        "{where}: not UTF-8 (byte 0x{byte:02x}); {guess}.",
        where=place,
        byte=raw[error.start],
        guess=guess,
        raw=raw.decode(codec, "backslashreplace").strip(),
    )


def _not_object(row: Any, place: str, raw: str) -> DataError:
    number = Phrase("a number")
    names = {list: Phrase("a list"), str: Phrase("a text"), int: number, float: number, bool: Phrase("true or false")}
    return DataError(
        "{where}: a row must be a JSON object with named columns, this one is {what}. {way_out}",
        where=place,
        what=names.get(type(row), Phrase("null")),
        way_out=_WAY_OUT,
        raw=raw,
    )


def _why(error: Exception) -> Phrase:
    """What is wrong, in words, with the text where it is."""
    if not isinstance(error, json.JSONDecodeError):
        deep, long = Phrase("it is nested too deeply"), Phrase("a number in it is too long")
        return deep if isinstance(error, RecursionError) else long
    text, at = error.doc, error.pos
    if error.msg.startswith("Unterminated") or not text[at:].strip():
        return Phrase("it is cut off after {end!r}", end=text.rstrip().rpartition(chr(10))[2][-_SHOWN:])
    what = next(what for start, what in _FAULTS.items() if error.msg.startswith(start))
    return Phrase(what, there=text[at : at + _SHOWN].strip())
