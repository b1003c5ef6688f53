"""Rows out of JSON: a row per line, one array, objects one after the other, or one object that wraps the rows.

An array is read through a window, never whole: memory holds a row, whatever the size of the file. NaN and the
infinities, which pandas writes for a missing value and JSON does not know, read as null.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from seodang.data.encodings import WAY_OUT, undecodable
from seodang.errors import DataError
from seodang.language import Phrase

Row = dict[str, Any]
Found = tuple[Row | DataError, str]
"""A row, or the error that it is, and its place."""

WRAPPERS = ("data", "document", "documents", "rows")
"""Keys under which one object holds all rows: AI Hub and SQuAD write `data`, the corpora of NIKL `document`."""
LONGEST = 1 << 26
"""Characters of one row; more is a broken file, or one that is not made of rows."""
KEPT = 1 << 20
"""Characters that are kept of a row that cannot be read, or of the rest of a torn document."""
_CHUNK = 1 << 20
_SHOWN = 24
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPED = re.compile("[\udc80-\udcff]")
FAULTS = {
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


def _no_number(name: str) -> None:
    """NaN and the infinities are null."""


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def loads(raw: bytes | str, codec: str = "utf-8") -> Any:
    """The value that a whole text is; None where it is none."""
    try:
        return _DECODER.decode(raw.decode(codec) if isinstance(raw, bytes) else raw)
    except (ValueError, RecursionError):
        return None


def line_rows(lines: Iterator[tuple[int, bytes]], name: str, codec: str) -> Iterator[Found]:
    """A row per line; blank lines are none. `lines` are numbered from 1."""
    decode = _DECODER.raw_decode
    for number, raw in lines:
        try:
            text = raw.decode(codec).strip()
            row, end = decode(text)
            if end == len(text) and type(row) is dict:
                yield row, f"{name}:{number}"
                continue
        except (ValueError, RecursionError):
            pass
        if raw.strip():
            yield _line_fault(raw, f"{name}:{number}", codec), f"{name}:{number}"


def _line_fault(raw: bytes, place: str, codec: str) -> DataError:
    """Why a line is no row."""
    if len(raw) > LONGEST:
        return too_long(place, raw[:_CHUNK].decode(codec, "replace"))
    try:
        text = raw.decode(codec).strip()
        row = _DECODER.decode(text)
    except UnicodeDecodeError:
        return undecodable(place, raw, codec)
    except (ValueError, RecursionError) as error:
        told = "{where}: the line is not valid JSON: {why}. {way_out}"
        return DataError(told, where=place, why=_why(error), way_out=WAY_OUT, raw=kept(text))
    return not_object(row, place, text)


def too_long(place: str, start: str) -> DataError:
    """The error of a row beyond every bound."""
    return DataError(
        "{where}: longer than {most:,} characters. One row cannot be so long; if this is a whole set in a line, write "
        "it as JSON lines or as a JSON array. {way_out}",
        where=place,
        most=LONGEST,
        way_out=WAY_OUT,
        raw=start[:KEPT] + "…",
    )


def kept(text: str) -> str:
    """What is kept of a text that could not be read: all of it, up to a bound."""
    text = text.strip()
    return text if len(text) <= KEPT else text[:KEPT] + "…"


class Window:
    """A text that is read as far as it is needed, and forgotten as far as it has been read.

    Bytes that do not decode stand in it as lone surrogates, so that only the row around them is lost.
    """

    def __init__(self, file: IO[bytes], codec: str) -> None:
        self.text, self.at = "", 0
        self.ended = self.is_torn = False
        self._lines = 0
        self._codec = codec
        self._file = file
        decoder = codecs.getincrementaldecoder(codec)("surrogateescape")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)

    def line(self, at: int) -> int:
        """The number of the line of a position in the text."""
        return self._lines + self.text.count("\n", 0, at) + 1

    def more(self) -> None:
        """Read on: at least as much as is there and not used up."""
        self._lines += self.text.count("\n", 0, self.at)
        rest = self.text[self.at :]
        chunk = self._read(max(_CHUNK, len(rest)))
        self.is_torn = bool(self.is_torn or (not chunk.isascii() and _ESCAPED.search(chunk)))
        self.text, self.at = rest + chunk, 0

    def _read(self, size: int) -> str:
        data = self._file.read(size)
        self.ended = not data
        return self._decoder.decode(data, final=not data)

    def skip_space(self) -> str:
        """Go to the next character that is no white space, and return it; "" at the end."""
        while True:
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self.more()

    def value(self) -> tuple[Any, str]:
        """The value that begins here, and its text; the window moves on behind it.

        Raises json.JSONDecodeError, RecursionError, or ValueError for a number that is too long.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                if end < len(self.text) or self.ended:
                    text, self.at = self.text[self.at : end], end
                    return value, text
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos > len(self.text) - _SHOWN
                if self.ended or not is_cut or len(self.text) - self.at > LONGEST:
                    raise
            self.more()

    def rest(self) -> str:
        """What stands from here on, up to a bound."""
        text = self.text[self.at :] + ("" if self.ended else self._read(KEPT + 1))
        return kept(self.readable(text))

    def readable(self, text: str) -> str:
        """The text with its undecodable bytes written out, as `\\xff`."""
        if not self.is_torn:
            return text
        raw = text.encode(self._codec, "surrogateescape")
        other = "cp949" if self._codec != "cp949" else "utf-8"
        try:
            return raw.decode(other)
        except UnicodeDecodeError:
            return raw.decode(self._codec, "backslashreplace")

    def fault(self, text: str, place: str) -> DataError | None:
        """The error of a row in which bytes did not decode."""
        if not self.is_torn or not _ESCAPED.search(text):
            return None
        return undecodable(place, text.encode(self._codec, "surrogateescape"), self._codec)


def array_rows(file: IO[bytes], name: str, codec: str) -> Iterator[Found]:
    """The members of an array, each with its number, so that the layout is free.

    A mistake in the notation ends the reading, for nothing says where the next row would begin; its place is its line.
    """
    window, number = Window(file, codec), 0
    window.skip_space()
    window.at += 1
    while (char := window.skip_space()) and char != "]":
        number += 1
        try:
            value, text = window.value()
        except (ValueError, RecursionError) as error:
            yield _torn(window, name, error)
            return
        yield _member(window, value, text, f"{name}:{number}")
        after = window.skip_space()
        if after == ",":
            window.at += 1
        elif after not in ("", "]"):
            yield _torn(window, name, Phrase("a comma is missing between two rows"))
            return
    if window.skip_space() == "":
        yield _torn(window, name, Phrase("the array is not closed"))
        return
    window.at += 1
    if window.skip_space():
        yield _torn(window, name, Phrase("text follows the array"))


def object_rows(file: IO[bytes], name: str, codec: str) -> Iterator[Found]:
    """Objects one after the other, each over as many lines as it likes; places as in an array."""
    window, number = Window(file, codec), 0
    while window.skip_space():
        number += 1
        try:
            value, text = window.value()
        except (ValueError, RecursionError) as error:
            yield _torn(window, name, error)
            return
        yield _member(window, value, text, f"{name}:{number}")


def wrapped_rows(file: IO[bytes], name: str, codec: str, key: str) -> Iterator[Found]:
    """The rows that one object holds under a key; what stands beside them is about the set."""
    window = Window(file, codec)
    window.skip_space()
    value, _ = window.value()
    for number, row in enumerate(value[key], start=1):
        place = f"{name}:{number}"
        text = json.dumps(row, ensure_ascii=False)
        yield _member(window, row, text, place)


def first_object(file: IO[bytes], codec: str) -> tuple[Row | None, bool]:
    """The object with which a file begins, and whether nothing else follows; None where none begins or ends."""
    window = Window(file, codec)
    window.skip_space()
    try:
        value, _ = window.value()
    except (ValueError, RecursionError):
        return None, False
    return (value if isinstance(value, dict) else None), not window.skip_space()


def wrapper(row: Row) -> str | None:
    """The key under which an object holds rows."""
    return next((key for key in WRAPPERS if _is_rows(row.get(key))), None)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _member(window: Window, value: Any, text: str, place: str) -> Found:
    if fault := window.fault(text, place):
        return fault, place
    return (value if isinstance(value, dict) else not_object(value, place, text)), place


def _torn(window: Window, name: str, fault: Exception | Phrase) -> Found:
    """The error of a document with a mistake, and its line. What is not read, from its row on, is its `raw`."""
    at = fault.pos if isinstance(fault, json.JSONDecodeError) else window.at
    place = f"{name}:{window.line(at)}"
    if len(window.text) - window.at > LONGEST:
        return too_long(place, window.text[window.at : window.at + KEPT]), place
    why = _why(fault) if isinstance(fault, Exception) else fault
    told = "{where}: not valid JSON at this line: {why}; no row after it is read."
    return DataError(told, where=place, why=why, raw=window.rest()), place


def not_object(row: Any, place: str, raw: str) -> DataError:
    """The error of a row that is valid JSON and yet has no columns."""
    number = Phrase("a number")
    names = {list: Phrase("a list"), str: Phrase("a text"), int: number, float: number, bool: Phrase("true or false")}
    return DataError(
        "{where}: a row must be a JSON object with named columns, this one is {what}. {way_out}",
        where=place,
        what=names.get(type(row), Phrase("null")),
        way_out=WAY_OUT,
        raw=kept(raw),
    )


def _why(error: Exception) -> Phrase:
    """What is wrong, in words, with the text where it is."""
    if not isinstance(error, json.JSONDecodeError):
        deep, long = Phrase("it is nested too deeply"), Phrase("a number in it is too long")
        return deep if isinstance(error, RecursionError) else long
    text, at = error.doc, error.pos
    if error.msg.startswith("Unterminated") or not text[at : at + _CHUNK].strip():
        end = text.rstrip().rpartition("\n")[2][-_SHOWN:]
        return Phrase("it is cut off after {end!r}", end=end)
    what = next(what for start, what in FAULTS.items() if error.msg.startswith(start))
    return Phrase(what, there=text[at : at + _SHOWN].strip())
