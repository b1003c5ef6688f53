"""Which texts of a record a filter looks at: what is asked, what is answered, and what is taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from seodang.records import Conversation, Labelled, Message, Preference, Prompt, Record, Text, Unpaired

Where = Literal["answer", "prompt"]


def texts(record: Record, where: Where) -> list[str]:
    """The texts to judge: every answer (or plain text), or the turns before the last answer."""
    if isinstance(record, (Text, Labelled)):
        return [record.text]
    if where == "prompt":
        return [message.content for message in prompt(record)]
    if isinstance(record, Preference):
        return [message.content for message in record.chosen + record.rejected]
    return taught(record) if isinstance(record, Conversation) else _completion(record)


def taught(record: Record) -> list[str]:
    """The texts that a model should learn to write: not the rejected side of a pair, nor an answer labelled bad."""
    if isinstance(record, Conversation):
        return [message.content for message in record.messages if message.role == "assistant"]
    if isinstance(record, Preference):
        return [message.content for message in record.chosen]
    if isinstance(record, (Text, Labelled)):
        return [record.text]
    return _completion(record) if isinstance(record, Unpaired) and record.label else []


def _completion(record: Record) -> list[str]:
    return [message.content for message in record.completion] if isinstance(record, Unpaired) else []


def prompt(record: Record) -> tuple[Message, ...]:
    """The turns before the last answer; none for plain text."""
    return record.prompt if isinstance(record, (Conversation, Preference, Unpaired, Prompt)) else ()


def asked(record: Record) -> str:
    """What is asked, all turns before the last answer in one text; empty for plain text."""
    return "\n".join([message.content for message in prompt(record)])


def map_answers(record: Record, change: Callable[[str], str]) -> Record:
    """The same record with `change` applied to what a model would be trained to write."""

    def changed(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(m, content=change(m.content)) if m.role == "assistant" else m for m in messages)

    if isinstance(record, Conversation):
        return replace(record, messages=changed(record.messages))
    if isinstance(record, Preference):
        return replace(record, chosen=changed(record.chosen), rejected=changed(record.rejected))
    return replace(record, completion=changed(record.completion)) if isinstance(record, Unpaired) else record
