"""The nouns that travel between stages, each with `source` (file:row or run id), and their JSON shapes.

The shapes are the ecosystem's own (TRL's dataset formats and transformers' messages), plus `source`:

    Conversation  {"messages": [{"role", "content"}, ...]}
    Prompt        {"prompt": [...]}
    Preference    {"prompt": [...], "chosen": [...], "rejected": [...]}
    Unpaired      {"prompt": [...], "completion": [...], "label": bool}
    Text          {"text": str}
    Labelled      {"text": str, "label": str | int | float}

A user turn made of an instruction and an input keeps one `content`, joined by a blank line, and says with `input_at`
at which character the input begins; `trained: false` on a message keeps it as context.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

ROLES = ("system", "user", "assistant", "tool")
INPUT_JOIN = "\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `input_at` is the character where the input of an instruction begins; `trained` overrules the mask."""

    role: str
    content: str
    input_at: int | None = None
    trained: bool | None = None

    def to_row(self) -> dict[str, Any]:
        """The message as a dictionary, without the keys that say nothing."""
        row: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.input_at is not None:
            row["input_at"] = self.input_at
        if self.trained is not None:
            row["trained"] = self.trained
        return row

    @property
    def instruction(self) -> str:
        """The content without its input."""
        return self.content if self.input_at is None else self.content[: self.input_at - len(INPUT_JOIN)]

    @property
    def input(self) -> str:
        """The input that follows the instruction, or an empty string."""
        return "" if self.input_at is None else self.content[self.input_at :]


def instruct(instruction: str, input_text: str = "") -> Message:
    """A user turn made of an instruction and, where there is one, its input."""
    if not input_text:
        return Message("user", instruction)
    return Message("user", instruction + INPUT_JOIN + input_text, len(instruction) + len(INPUT_JOIN))


def _rows(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [message.to_row() for message in messages]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order; what `prepare` makes of an instruction row and what `sft` trains on.

    `accept` holds every right form of the last answer where a program can check it; `task` names the kind of task.
    """

    messages: tuple[Message, ...]
    source: str = ""
    accept: tuple[str, ...] = ()
    task: str = ""

    @property
    def prompt(self) -> tuple[Message, ...]:
        """Everything before the last assistant turn."""
        return self.messages[:-1] if self.messages and self.messages[-1].role == "assistant" else self.messages

    @property
    def answer(self) -> str:
        """The last assistant turn, or an empty string."""
        return self.messages[-1].content if self.messages and self.messages[-1].role == "assistant" else ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        row: dict[str, Any] = {"messages": _rows(self.messages), "source": self.source}
        if self.accept:
            row["accept"] = list(self.accept)
        if self.task:
            row["task"] = self.task
        return row


@dataclass(frozen=True, slots=True)
class Prompt:
    """Turns that wait for an answer."""

    prompt: tuple[Message, ...]
    source: str = ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        return {"prompt": _rows(self.prompt), "source": self.source}


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt with a better and a worse answer."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    source: str = ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        sides = {"prompt": _rows(self.prompt), "chosen": _rows(self.chosen), "rejected": _rows(self.rejected)}
        return sides | {"source": self.source}


@dataclass(frozen=True, slots=True)
class Unpaired:
    """A prompt with one answer that is good (`label` true) or bad."""

    prompt: tuple[Message, ...]
    completion: tuple[Message, ...]
    label: bool
    source: str = ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        sides = {"prompt": _rows(self.prompt), "completion": _rows(self.completion)}
        return sides | {"label": self.label, "source": self.source}


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, for tokenizers and pretraining."""

    text: str
    source: str = ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        return {"text": self.text, "source": self.source}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text with its label, for classification and regression."""

    text: str
    label: str | int | float
    source: str = ""

    def to_row(self) -> dict[str, Any]:
        """The JSON shape of the record."""
        return {"text": self.text, "label": self.label, "source": self.source}


Record: TypeAlias = Conversation | Prompt | Preference | Unpaired | Text | Labelled

_TURNS = ("messages", "prompt", "chosen", "rejected", "completion")


def map_texts(record: Record, change: Any) -> Record:
    """The same record with `change(text) -> text` applied to every text in it; `input_at` moves with its text."""
    if isinstance(record, (Text, Labelled)):
        return replace(record, text=change(record.text))
    # the fields, not every attribute: Conversation.prompt is a property
    parts = {field.name: getattr(record, field.name) for field in dataclasses.fields(record) if field.name in _TURNS}
    changed: dict[str, Any] = {name: tuple(_map_message(m, change) for m in turns) for name, turns in parts.items()}
    return replace(record, **changed)


def _map_message(message: Message, change: Any) -> Message:
    if message.input_at is None:
        return replace(message, content=change(message.content))
    changed = instruct(change(message.instruction), change(message.input))
    return replace(changed, role=message.role, trained=message.trained)


def turns(record: Record) -> tuple[Message, ...]:
    """Every message of the record in order; none for plain text."""
    if isinstance(record, Conversation):
        return record.messages
    if isinstance(record, Preference):
        return record.prompt + record.chosen + record.rejected
    if isinstance(record, Unpaired):
        return record.prompt + record.completion
    return record.prompt if isinstance(record, Prompt) else ()
