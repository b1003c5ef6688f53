"""Worked examples before a question: how a base model is asked fairly (few-shot; Brown et al. 2020, arXiv:2005.14165).

The examples are training rows, of the same task where rows name theirs, drawn per question; they are context only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from seodang.errors import DataError
from seodang.records import Conversation, Message, Preference, Record
from seodang.self_instruct.completers import seed_of

T = TypeVar("T", bound=Conversation | Preference)


def with_shots(records: Sequence[T], examples: Sequence[Record], shots: int, seed: int) -> list[T]:
    """Every record with so many examples before it. Raises DataError where there are too few, or for pairs."""
    if not shots:
        return list(records)
    given = [one for one in examples if isinstance(one, Conversation) and one.answer]
    if len(given) < shots or not all(isinstance(one, Conversation) for one in records):
        raise DataError(
            "`shots: {shots}` needs conversations to ask and {shots} training rows with an answer as examples; there "
            "are {count}. Give the training rows as `data.train` and the held-out file as `data.eval`.",
            shots=shots,
            count=len(given),
        )
    return [_led(one, given, shots, seed_of(seed, "shots", at)) for at, one in enumerate(records)]


def _led(record: T, examples: Sequence[Conversation], shots: int, seed: int) -> T:
    assert isinstance(record, Conversation)
    alike = [one for one in examples if one.task == record.task]
    chosen = random.Random(seed).sample(alike if len(alike) >= shots else list(examples), shots)
    shown = [_as_context(message) for one in chosen for message in one.messages]
    return replace(record, messages=(*shown, *record.messages))


def _as_context(message: Message) -> Message:
    return replace(message, trained=False) if message.role == "assistant" else message
