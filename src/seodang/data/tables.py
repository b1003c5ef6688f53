"""Rows out of tables: CSV, TSV, parquet and workbooks. The first line, or row, names the columns.

A TSV is read with quoting off: Korean sets (KorSTS, NSMC) have lone quotation marks in their texts. A row of a CSV may
go over several lines within quotation marks; its place is its first line, as an editor counts. A row with more or
fewer fields than there are columns is an error, and so is a column named twice: nothing is guessed.
"""

from __future__ import annotations

import csv
import datetime
import math
import zipfile
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import IO, Any

from seodang.data.encodings import WAY_OUT, undecodable
from seodang.data.files import bomb, is_bomb
from seodang.data.json_rows import KEPT, Found, kept
from seodang.errors import DataError
from seodang.language import Phrase

Lines = Iterator[tuple[int, bytes]]
Sheets = list[tuple[str, list[list[Any]]]]
_FIELD = 1 << 20
"""Characters of one field of a CSV; a quotation mark that is never closed runs into this."""
_BATCH = 1024


def columns_of(names: Sequence[str], where: str) -> list[str]:
    """The names of the columns, those without one numbered. Raises DataError where two are the same."""
    columns = [name.strip() or f"column_{number}" for number, name in enumerate(names, start=1)]
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(
            "{where}: the header names the column {columns} more than once. Rename one of them.",
            where=where,
            columns=", ".join(f"`{name}`" for name in twice),
        )
    return columns


def header(lines: Sequence[str], delimiter: str, where: str) -> list[str]:
    """The columns that the first row of a CSV or TSV names. Raises DataError where two are the same."""
    if delimiter == "\t":
        return columns_of(lines[0].split("\t"), where)
    try:
        return columns_of(next(csv.reader(lines, delimiter=delimiter)), where)
    except csv.Error:
        return []  # what is wrong is said, with its line, when the rows are read


def csv_rows(lines: Lines, name: str, codec: str, delimiter: str) -> Iterator[Found]:
    """The rows of a CSV. A row that breaks the rules of quoting costs itself alone: the next line is tried anew."""
    columns: list[str] | None = None
    for fields, place, taken in _records(lines, name, codec, delimiter):
        if isinstance(fields, DataError):
            if columns is None:
                raise fields
            yield fields, place
        elif columns is None:
            columns = columns_of(fields, name)
        elif fields:
            yield _row(columns, fields, place, taken), place


def tsv_rows(lines: Lines, name: str, codec: str) -> Iterator[Found]:
    """The rows of a TSV, a line each, with quoting off."""
    columns: list[str] | None = None
    for number, raw in lines:
        if not raw.strip(b"\r\n"):
            continue
        place = f"{name}:{number}"
        try:
            text = raw.decode(codec).rstrip("\r\n")
        except UnicodeDecodeError:
            yield undecodable(place, raw, codec), place
            continue
        fields = text.split("\t")
        if columns is None:
            columns = columns_of(fields, name)
        else:
            yield _row(columns, fields, place, text), place


def _row(columns: list[str], fields: list[str], place: str, text: str) -> dict[str, Any] | DataError:
    if len(fields) == len(columns) and "\0" not in text:
        return dict(zip(columns, fields, strict=True))
    if len(fields) == len(columns):
        told = "{where}: the row holds a zero byte, as a damaged file does. {way_out}"
        return DataError(told, where=place, way_out=WAY_OUT, raw=kept(text))
    return DataError(
        "{where}: the row has {fields} fields, and the header names {columns} columns ({names}). {way_out}",
        where=place,
        fields=len(fields),
        columns=len(columns),
        names=", ".join(columns[:8]),
        way_out=WAY_OUT,
        raw=kept(text),
    )


class _Lines:
    """Lines as texts that can be put back, and that remembers those taken for the row that is being read."""

    def __init__(self, lines: Lines, codec: str) -> None:
        self._lines, self._codec = lines, codec
        self._back: deque[tuple[int, bytes]] = deque()
        self.taken: list[tuple[int, bytes]] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.taken.append(line)
        return line[1].decode(self._codec, "backslashreplace")

    def put_back(self) -> None:
        """All but the first of the lines taken."""
        self._back.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def text(self) -> str:
        """The lines taken, as they stand in the file."""
        return b"".join(raw for _, raw in self.taken).decode(self._codec, "backslashreplace")

    def fault(self, name: str) -> DataError | None:
        """The error of the first line taken that does not decode."""
        for number, raw in self.taken:
            try:
                raw.decode(self._codec)
            except UnicodeDecodeError:
                return undecodable(f"{name}:{number}", raw, self._codec)
        return None


def _records(lines: Lines, name: str, codec: str, delimiter: str) -> Iterator[tuple[list[str] | DataError, str, str]]:
    """(fields or what is wrong, place, text) of each row."""
    source = _Lines(lines, codec)
    csv.field_size_limit(_FIELD)
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    while True:
        source.taken.clear()
        fields: list[str] | DataError
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            source.put_back()
            place = f"{name}:{source.taken[0][0]}"
            told = "{where}: the quotation marks of the row do not match: {why}. {way_out}"
            fields = DataError(told, where=place, why=_why(error), way_out=WAY_OUT, raw=source.text().strip()[:KEPT])
        place = f"{name}:{source.taken[0][0]}"
        text = source.text()
        if "\\x" in text:
            fields = source.fault(name) or fields
        yield fields, place, text


def _why(error: csv.Error) -> Phrase:
    """The message of `csv` in words."""
    if "limit" in str(error) or "end of data" in str(error):
        return Phrase("one is opened and never closed")
    if "expected after" in str(error):
        return Phrase("one within a text must be doubled")
    return Phrase("a line end stands outside of them")


def parquet_rows(file: Any, name: str) -> Iterator[Found]:
    """The rows of a parquet file, lists as lists; a place is the number of the row."""
    number = 0
    for batch in _batches(file):
        for row in batch.to_pylist():
            number += 1
            yield {key: plain(value) for key, value in row.items()}, f"{name}:{number}"


def _batches(file: Any) -> Iterator[Any]:
    """The parts of a parquet file. Raises EOFError where one is damaged."""
    import pyarrow

    try:
        yield from file.iter_batches(_BATCH)
    except (pyarrow.ArrowException, OSError) as error:
        raise EOFError(str(error)) from None


def open_parquet(file: IO[bytes], name: str) -> Any:
    """A parquet file, open. Raises DataError where it is damaged, or pyarrow is not there."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise DataError("Reading parquet needs pyarrow: `pip install pyarrow`.") from None
    try:
        return parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError):
        told = "{where} is a damaged or incomplete parquet file. Fetch it anew."
        raise DataError(told, where=name) from None


def plain(value: Any) -> Any:
    """A value as JSON knows it: dates as text, bytes as text where they are UTF-8, no number as null."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def sheets_of(file: IO[bytes], name: str) -> Sheets:
    """The sheets of a workbook that hold more than a header: (name, rows of cells from the first row on).

    Raises DataError where it is damaged or locked, or python-calamine is not there.
    """
    try:
        import python_calamine
    except ImportError:
        raise DataError("Reading .xlsx needs python-calamine: `pip install python-calamine`.") from None
    try:
        with zipfile.ZipFile(file) as archive:
            if any(map(is_bomb, archive.infolist())):
                raise bomb(name)
        file.seek(0)
        book = python_calamine.CalamineWorkbook.from_filelike(file)
        found = [(sheet, book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)) for sheet in book.sheet_names]
    except python_calamine.PasswordError:
        raise DataError("{where} is locked with a password. Save it without one.", where=name) from None
    except (python_calamine.CalamineError, zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        told = "{where} is a damaged workbook. Save it anew as .xlsx, or as CSV."
        raise DataError(told, where=name) from None
    return [(sheet, rows) for sheet, rows in found if sum(any(cell != "" for cell in row) for row in rows) > 1]


def workbook_rows(sheets: Sheets, name: str) -> Iterator[Found]:
    """The rows of every sheet; a place is the row as the program shows it, with its sheet where there are several."""
    for sheet, rows in sheets:
        where = f"{name}/{sheet}" if len(sheets) > 1 else name
        columns: list[str] | None = None
        width = 0
        for number, cells in enumerate(rows, start=1):
            values = [_cell(cell) for cell in cells]
            if all(value == "" for value in values):
                continue
            place = f"{where}:{number}"
            if columns is None:
                width = max(at for at, value in enumerate(values, start=1) if value != "")
                columns = columns_of([str(value) for value in values[:width]], where)
            elif any(value != "" for value in values[width:]):
                yield _row(columns, [str(value) for value in values], place, repr(values)), place
            else:
                yield dict(zip(columns, values, strict=False)), place


def _cell(value: Any) -> Any:
    """A cell: numbers are floats in a workbook, and those without a fraction are meant as whole ones."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else plain(value)
