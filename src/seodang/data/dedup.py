"""Exact duplicates: two records are one where their keys are equal, and the key is the whole conversation.

A key passes over spacing and sentence punctuation and keeps what carries meaning: digits, signs, decimal points,
operators, brackets. So "1.5 + 2" is not "15 + 2", "-5와 3" is not "5와 3", and "3. 5개" is not "35개".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from seodang.records import Conversation, Labelled, Message, Preference, Record, Text, Unpaired
from seodang.schema import Schema

Part = Literal["conversation", "prompt", "answer"]

# Numbers, formulas and names hold their marks: 1.5  .5  1,000  3·1  a.b  f'(x)  5!  n!  !=  ~5
_IGNORED = (
    r"\s|[?…。、，！？“”‘’\"]"
    r"|[.~](?![0-9A-Za-z])|(?<![0-9A-Za-z\s(=+*/<>~-])\.(?![0-9])"
    r"|,(?!(?<=[0-9A-Za-z],)[0-9A-Za-z])"
    r"|·(?!(?<=[0-9]·)[0-9])"
    r"|(?<![0-9A-Za-z])'"
    r"|(?<![0-9])(?<!\b[A-Za-z])!(?!=)"
)
_BETWEEN_WORDS = re.compile(rf"(?<=[0-9A-Za-z])(?:{_IGNORED})+(?=[0-9A-Za-z])")
_IGNORED_RUN = re.compile(rf"(?:{_IGNORED})+")
_NOT_SYLLABLES = re.compile("([^가-힣]+)")
_SHORT = 16
_GAP, _TURN, _SIDE = "\x00", "\x01", "\x02"


class Dedup(Schema):
    """Which part of a record makes it a duplicate."""

    on: Part = "conversation"
    """`prompt` or `answer` alone drops rows that differ in the rest."""


@lru_cache(maxsize=16)  # a record's prompt is asked for three times in a row: as duplicate, to split, to count
def canonical(text: str) -> str:
    """A text without spacing and sentence punctuation; numbers and Latin words stay apart from each other."""
    parts = _NOT_SYLLABLES.split(text)
    parts[1::2] = [_seen(part) if len(part) <= _SHORT else _reduced(part) for part in parts[1::2]]
    return "".join(parts)


def _reduced(part: str) -> str:
    return _IGNORED_RUN.sub("", _BETWEEN_WORDS.sub(_GAP, part))


_seen = lru_cache(maxsize=1 << 14)(_reduced)
"""What stands between Korean words repeats: a space, a full stop and a space, a number."""


def key(record: Record, on: Part = "conversation") -> str:
    """A record's key: 32 hexadecimal digits (BLAKE2b, 128 bits) of the canonical text of the part named by `on`."""
    return hashlib.blake2b(_part(record, on).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _part(record: Record, on: Part) -> str:
    if isinstance(record, Text):
        return canonical(record.text)
    if isinstance(record, Labelled):
        sides = [canonical(record.text), str(record.label)]
    else:
        prompt, answers = _prompt_and_answers(record)
        sides = [_turns(prompt), *map(_turns, answers)]
    return {"conversation": _SIDE.join(sides), "prompt": sides[0], "answer": _SIDE.join(sides[1:])}[on]


def _prompt_and_answers(record: Record) -> tuple[Sequence[Message], list[Sequence[Message]]]:
    if isinstance(record, Conversation):
        return record.prompt, [record.messages[len(record.prompt) :]]
    if isinstance(record, Preference):
        return record.prompt, [record.chosen, record.rejected]
    if isinstance(record, Unpaired):
        return record.prompt, [record.completion, [Message("label", str(record.label))]]
    return getattr(record, "prompt", ()), []


def _turns(messages: Sequence[Message]) -> str:
    return _TURN.join(f"{message.role}{_TURN}{canonical(message.content)}" for message in messages)


def held_out(record: Record, share: float) -> bool:
    """Whether a record belongs to the held-out `share` (0 to 1), by the hash of its prompt alone.

    Adding rows reshuffles nothing, rows with one prompt stay on one side, and the same share holds out the same
    prompts in a conversation file and in a preference file.
    """
    return int(key(record, "prompt")[:8], 16) < share * 2**32


@dataclass(slots=True)
class DedupIndex:
    """The keys seen so far, each with the source of its first record."""

    on: Part = "conversation"
    first: dict[str, str] = field(default_factory=dict)

    def add(self, record: Record) -> str | None:
        """The source of the record that this one repeats, or None where it is new (and now remembered)."""
        found = key(record, self.on)
        if found in self.first:
            return self.first[found] or "an earlier row"
        self.first[found] = record.source
        return None
