"""Rows that hold a list of turns: with role and content, with from and value, plain texts, or numbered columns."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from seodang.data import turns
from seodang.data.formats.row_format import RowFormat, column_names, conversation, together
from seodang.data.turns import Row
from seodang.records import Message, Record

MOST_TURNS = 20
"""So many numbered columns of each speaker are looked for."""


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
        return together() | {self.column}


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
        return together() | {"conversations"}


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
        return together() | {self.column}


class Numbered(RowFormat):
    """A dialogue over numbered columns, as the workbooks of AI Hub hold one: 사람문장1, 시스템문장1, 사람문장2 …"""

    makes: ClassVar[str] = "messages"

    kind: Literal["numbered"] = "numbered"
    user: str = "사람문장{n}"
    """The columns of the user's turns; {n} counts from 1."""
    assistant: str = "시스템문장{n}"
    """The columns of the assistant's turns."""

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer; empty columns after it are no turns."""
        messages: list[Message] = []
        for number in range(1, MOST_TURNS + 1):
            for role, name in (("user", self.user), ("assistant", self.assistant)):
                text = turns.text_of(row.get(_column(name, number)))
                if text and text.strip():
                    messages.append(Message(role, text))
        if not messages:
            raise turns.row_error(source, "the row has no `{column}`", column=_column(self.user, 1))
        return conversation(turns.answered(tuple(messages), self.assistant, source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has the first columns of a user and of an assistant."""
        pairs = column_names().numbered
        found = next((pair for pair in pairs if all(_column(name, 1) in row for name in pair)), None)
        return cls(user=found[0], assistant=found[1]) if found else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        names = (_column(name, n) for n in range(1, MOST_TURNS + 1) for name in (self.user, self.assistant))
        return together() | set(names)


def _column(name: str, number: int) -> str:
    return name.replace("{n}", str(number))
