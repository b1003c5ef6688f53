"""What every format of rows has, and the names under which sets keep the parts of a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self

from seodang import packaged
from seodang.data import turns
from seodang.data.turns import FORMATS, Row
from seodang.records import Conversation, Message, Record
from seodang.schema import Schema


class Columns(Schema):
    """data_formats/columns.yaml: for each part of a row its names, the commonest first."""

    instruction: tuple[str, ...]
    input: tuple[str, ...]
    output: tuple[str, ...]
    system: tuple[str, ...]
    messages: tuple[str, ...]
    conversations: tuple[str, ...]
    text: tuple[str, ...]
    response: tuple[str, ...]
    prompt: tuple[str, ...]
    numbered: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1)
def column_names() -> Columns:
    """The names of data_formats/columns.yaml."""
    return packaged.load(packaged.find(FORMATS, "columns"), Columns)


def first_of(names: Iterable[str], row: Row) -> str | None:
    """The first of these names that is a column of the row."""
    return next((name for name in names if name in row), None)


class RowFormat(Schema):
    """A way to write a row. A format says what it makes, which columns it reads, whether it fits, and parses."""

    makes: ClassVar[str]
    """The kind of record: messages, preference, prompt or text."""

    kind: str

    def parse(self, row: Row, source: str) -> Record:
        """The record of a row. Raises DataError, naming `source`, for a row that is not in this format."""
        raise NotImplementedError

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """The rows that a row holds, each with its place; itself, where it holds no others."""
        yield row, source

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format with its knobs as the row asks for them, or None where it does not fit."""
        return None

    @classmethod
    def settled(cls, rows: Sequence[Row]) -> Self | None:
        """This format with its knobs as these rows, each of which it fits, ask for them together."""
        # An optional column may be missing in most rows, so the names are taken from all columns together.
        return cls.fits({name: row[name] for row in reversed(rows) for name in row})

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset()


def conversation(messages: tuple[Message, ...], row: Row, source: str, system: str = "") -> Conversation:
    """A Conversation of these turns, with the row's system text, its accepted forms and its task where it has them.

    `system` is the column of the system text; by default the first of its common names that the row has.
    """
    system = system or first_of(column_names().system, row) or "system"
    accept, task = turns.listed(row.get("accept")), row.get("task")
    forms = tuple(form for form in accept or () if isinstance(form, str))
    return Conversation(turns.with_system(messages, row, system), source, forms, task if isinstance(task, str) else "")


def together() -> frozenset[str]:
    """The columns that every conversation's row may have: a system text by its common names, accepted forms, a task."""
    return frozenset({"accept", "task", *column_names().system})


def numbered(rows: Sequence[Any], source: str) -> Iterator[tuple[Any, str]]:
    """The parts of a row with their places: `a.json:3#1`, `a.json:3#2` …; the row's own place for a single part."""
    for number, row in enumerate(rows, 1):
        yield row, source if len(rows) == 1 else f"{source}#{number}"
