"""Rows that hold a list of turns: with role and content, with from and value, or plain texts that take turns."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from seodang.data import turns
from seodang.data.formats.row_format import TOGETHER, RowFormat, column_names, conversation
from seodang.data.turns import Row
from seodang.records import Message, Record


def _holds(row: Row, column: str, kind: type) -> bool:
    """Whether the column is a list that begins with a member of this type."""
    found = turns.listed(row.get(column))
    return bool(found) and isinstance(found[0] if found else None, kind)


class Messages(RowFormat):
    """A list of turns with role and content, as transformers and TRL write it; this project's own shape too."""

    makes: ClassVar[str] = "messages"

    kind: Literal["messages"] = "messages"
    column: str = "messages"
    """The column of the turns."""

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        return conversation(turns.dialogue_of(row, self.column, source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a list `messages`, or a list of objects in another column for dialogues."""
        if turns.listed(row.get("messages")) is not None and not _holds(row, "messages", str):
            return cls()
        names = (name for name in column_names().messages if _holds(row, name, dict))
        column = next(names, None)
        return cls(column=column) if column else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return TOGETHER | {self.column, "system"}


class ShareGPT(RowFormat):
    """A list of turns with from and value (human, gpt), as ShareGPT and Vicuna write it."""

    makes: ClassVar[str] = "messages"

    kind: Literal["sharegpt"] = "sharegpt"

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer; a turn of the role `input` joins the question beside it."""
        return conversation(turns.dialogue_of(row, "conversations", source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a list `conversations` and no pair of answers beside it."""
        found = turns.listed(row.get("conversations"))
        is_ours = found is not None and "chosen" not in row and not _holds(row, "conversations", str)
        return cls() if is_ours else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return TOGETHER | {"conversations", "system"}


class Alternating(RowFormat):
    """A list of texts that take turns, the user's first (LIMA and its translations)."""

    makes: ClassVar[str] = "messages"

    kind: Literal["alternating"] = "alternating"
    column: str = "conversations"
    """The column of the texts."""
    first: Literal["user", "assistant"] = "user"
    """Who begins."""

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        texts = [turns.text_of(text) for text in turns.listed(row.get(self.column)) or ()]
        if not texts or None in texts:
            raise turns.row_error(source, "`{column}` must be a list of texts", column=self.column)
        roles = ("user", "assistant") if self.first == "user" else ("assistant", "user")
        messages = tuple(Message(roles[at % 2], str(text)) for at, text in enumerate(texts))
        return conversation(turns.answered(messages, self.column, source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where a column for dialogues is a list of texts."""
        known = column_names()
        names = (name for name in (*known.conversations, *known.messages) if _holds(row, name, str))
        column = next(names, None)
        return cls(column=column) if column else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return TOGETHER | {self.column, "system"}
