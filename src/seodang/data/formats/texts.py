"""Rows that hold a prompt without an answer, or plain text."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from seodang import records
from seodang.data import turns
from seodang.data.formats.delimited import layout_of
from seodang.data.formats.row_format import RowFormat, column_names
from seodang.data.turns import Row
from seodang.records import Record


class PromptOnly(RowFormat):
    """A prompt that waits for an answer."""

    makes: ClassVar[str] = "prompt"

    kind: Literal["prompt"] = "prompt"
    column: str = "prompt"
    """The column of the prompt."""

    def parse(self, row: Row, source: str) -> Record:
        """A Prompt."""
        return records.Prompt(turns.with_system(turns.side_of(row, self.column, source, "user"), row), source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a prompt and nothing that could be its answer."""
        answers = {"chosen", "rejected", "completion", "messages", "conversations", "label", *column_names().output}
        if not isinstance(row.get("prompt"), str | list) or answers & row.keys():
            return None
        return None if any(name.startswith(("completion_", "response_")) for name in row) else cls()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({self.column, "system"})


class Text(RowFormat):
    """Plain text without turns, for tokenizers and pretraining."""

    makes: ClassVar[str] = "text"

    kind: Literal["text"] = "text"
    column: str = "text"
    """The column of the text."""

    def parse(self, row: Row, source: str) -> Record:
        """A Text."""
        text = turns.text_of(row.get(self.column))
        if text is None:
            raise turns.row_error(source, "the row has no `{column}`", column=self.column)
        return records.Text(text, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a text that is no dialogue, and no label for it."""
        text = row.get("text")
        return cls() if isinstance(text, str) and "label" not in row and layout_of([text]) is None else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({self.column})
