"""A file as records: its container, then its format from evidence over many rows, then row by row.

`prepare`, `inspect`, `init` and the trainers read through this one door, so that a file is the same file everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from seodang.data.formats import Auto, Decision, Format, Known, settle
from seodang.data.sources import Container, Row, read_rows, sniff
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.records import Record

EVIDENCE_ROWS = 1000
"""How many rows from the start of a file decide its format."""
UNREADABLE, MALFORMED = "unreadable", "malformed"
"""Why a row is no record: it is no JSON object · it is one, but not in the format of its file."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row: the record it is, or the error that it is, where it stands, and the row itself where it is an object."""

    found: Record | DataError
    place: str
    row: Row | None

    @property
    def reason(self) -> str:
        """Why it is dropped where `found` is an error."""
        return UNREADABLE if self.row is None else MALFORMED

    @property
    def fault(self) -> Phrase:
        """What is wrong, without the advice that is for those who stop; empty for a record."""
        if not isinstance(self.found, DataError):
            return Phrase("")
        return Phrase(self.found.text.removesuffix(" {way_out}"), **self.found.values)

    def dropped(self) -> dict[str, Any]:
        """The entry for dropped.jsonl: place, fault, and the row, or its text as `raw` where it is no object."""
        entry = {"source": self.place, "error": self.fault}
        if self.row is not None:
            return entry | {"row": self.row}
        values = self.found.values if isinstance(self.found, DataError) else {}
        return entry | {"raw": values.get("raw")}


@dataclass(frozen=True, slots=True)
class Reading:
    """An open file: how it holds its rows, how they are written, and the rows to come, each exactly once."""

    path: Path
    container: Container
    decision: Decision
    items: Iterator[Item]


def open_records(
    path: str | Path, wanted: Format | None = None, name: str | None = None, keeps_source: bool = False
) -> Reading:
    """Open a file of rows. Raises DataError where it cannot be read at all, or its format cannot be decided.

    `name` stands in places instead of the file's own name. With `keeps_source` a record keeps the `source` that its
    row brings, as the rows of a run do; else its source is its place ("seed.jsonl:17").
    """
    path = Path(path)
    container, rows = sniff(path), read_rows(path)
    head = list(islice(rows, EVIDENCE_ROWS))
    if not head:
        raise DataError("{where}: there are no rows in the file.", where=path.name)
    good = [row for row, _ in head if not isinstance(row, DataError)]
    if not good:
        raise next(row for row, _ in head if isinstance(row, DataError))
    decision = settle(wanted or Auto(), good, path.name)
    named = ((row, place if name is None else name + place[len(path.name) :]) for row, place in chain(head, rows))
    return Reading(path, container, decision, _items(named, decision.format, keeps_source))


def _at(error: DataError, place: str) -> DataError:
    """The same error under the name by which the place is told."""
    return DataError(error.text, **error.values | {"where": place})


def _items(rows: Iterable[tuple[Row | DataError, str]], form: Known, keeps_source: bool) -> Iterator[Item]:
    for row, place in rows:
        if isinstance(row, DataError):
            yield Item(_at(row, place), place, None)
            continue
        try:
            record = form.parse(row, place)
        except DataError as error:
            yield Item(error, place, row)
            continue
        source = row.get("source") if keeps_source else None
        yield Item(replace(record, source=source) if isinstance(source, str) and source else record, place, row)
