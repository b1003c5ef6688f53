"""A file as records: its container, then its format from evidence over many rows, then row by row.

`prepare`, `inspect`, `init` and the trainers read through this one door, so that a file is the same file everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from seodang.data.containers import Container
from seodang.data.formats import Auto, Decision, Format, Known, expand, settle
from seodang.data.hub import HubRows
from seodang.data.sources import Row, Rows, open_rows
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
    row: Mapping[str, Any] | None

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
    """An open source: how it holds its rows, how they are written, and the rows to come, each exactly once."""

    rows: Rows | HubRows
    container: Container
    """What the file is; of many, the first."""
    decision: Decision
    found: Iterator[tuple[Row | DataError, str]]
    """The rows to come as they stand in their file, each with its place; to be gone through once, so or as `items`."""
    keeps_source: bool = False

    @property
    def items(self) -> Iterator[Item]:
        """The rows to come as records."""
        return parsed(self.found, self.decision.format, self.keeps_source)

    def to_report(self) -> dict[str, Any]:
        """Every decision and its evidence, ready for JSON; complete once the rows have been gone through."""
        told = self.rows.to_report(self.container)
        return told | {"format": self.decision.format.model_dump(), "evidence": self.decision.phrase}


def open_records(
    path: str | Path, wanted: Format | None = None, name: str | None = None, keeps_source: bool = False
) -> Reading:
    """Open a file, folder, glob or archive of rows.

    Raises DataError where it cannot be read at all, or its format cannot be decided. `name` stands in places instead
    of the path's own. With `keeps_source` a record keeps the `source` that its row brings, as the rows of a run do;
    else its source is its place ("seed.jsonl:17").
    """
    return read_records(open_rows(path, name), wanted, keeps_source)


def read_records(rows: Rows | HubRows, wanted: Format | None = None, keeps_source: bool = False) -> Reading:
    """Rows as records: their format is decided from the first of them. Raises DataError as `open_records` does."""
    every = iter(rows)
    head = list(islice(every, EVIDENCE_ROWS))
    if not head:
        raise DataError("{where}: there are no rows in the file.", where=rows.name)
    good = [row for row, _ in head if not isinstance(row, DataError)]
    if not good:
        raise next(row for row, _ in head if isinstance(row, DataError))
    decision = settle(wanted or Auto(), good, rows.name)
    return Reading(rows, rows.container, decision, chain(head, every), keeps_source)


def parsed(rows: Iterable[tuple[Row | DataError, str]], form: Known, keeps_source: bool = False) -> Iterator[Item]:
    """Rows with their places as records in one format: a pure function of each row."""
    for whole, at in rows:
        if isinstance(whole, DataError):
            yield Item(whole, at, None)
            continue
        for row, place in expand(form, whole, at):
            if isinstance(row, DataError):
                yield Item(row, place, None)
                continue
            try:
                record = form.parse(row, place)
            except DataError as error:
                yield Item(error, place, row)
                continue
            source = row.get("source") if keeps_source else None
            yield Item(replace(record, source=source) if isinstance(source, str) and source else record, place, row)
