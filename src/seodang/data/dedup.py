"""What makes two records one: the recipe's words for it, and exact duplicates, whose keys are equal.

The key is the whole conversation. It passes over spacing and sentence punctuation and keeps what carries meaning:
digits, signs, decimal points, operators, brackets. So "1.5 + 2" is not "15 + 2", "-5와 3" is not "5와 3", and
"3. 5개" is not "35개".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from pydantic import Field

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
_GAP, TURN, _SIDE = "\x00", "\x01", "\x02"

Side = Sequence[tuple[str, str]]
"""(role, content) of turns that follow one another."""


class Dedup(Schema):
    """What makes two rows duplicates, and which one stays."""

    on: Part = "conversation"
    """`prompt` or `answer` alone drops rows that differ in the rest."""
    near: bool = True
    """Rows that differ only in particles, endings, a typing error or the order of words are duplicates, too; rows that
    differ in a number, a negation, a name or any other word are not."""
    threshold: float = Field(0.6, gt=0, le=1)
    """Smallest likeness of near-duplicates: ROUGE-L of their syllables, turn by turn. Of up to 20 syllables one ending
    is a large part; there the words alone are compared."""
    keep: Literal["first", "longest", "priority"] = "first"
    """Which one stays: the one read first, the one with the longest answer, or that of the source with the highest
    `priority`; among equals the one read first."""


class Decontaminate(Schema):
    """Training rows that ask what an evaluation asks are dropped, each with the row of the evaluation that it meets."""

    files: tuple[str, ...] = Field(min_length=1)
    """Files of the evaluations, in any format that `prepare` reads."""
    on: Literal["prompt", "conversation"] = "prompt"
    """What is compared; `conversation` keeps rows that answer the same question otherwise."""
    threshold: float = Field(0.8, gt=0, le=1)
    """Smallest likeness, as ROUGE-L of syllables. Numbers, negation, Latin and quoted words must agree."""


@lru_cache(maxsize=16)  # a record's prompt is asked for three times in a row: as duplicate, to split, to count
def canonical(text: str) -> str:
    """A text without spacing and sentence punctuation; numbers and Latin words stay apart from each other."""
    parts = _NOT_SYLLABLES.split(text)
    parts[1::2] = map(SEEN.__getitem__, parts[1::2])
    return "".join(parts)


class _Seen(dict[str, str]):
    """What stands between Korean words repeats: a space, a full stop and a space, a number. It is reduced only once."""

    def __missing__(self, part: str) -> str:
        found = _IGNORED_RUN.sub("", _BETWEEN_WORDS.sub(_GAP, part))
        if len(part) <= _SHORT:
            if len(self) >= _MOST:
                self.clear()
            self[part] = found
        return found


SEEN, _MOST = _Seen(), 1 << 14


def key(record: Record, on: Part = "conversation") -> str:
    """A record's key: 32 hexadecimal digits (BLAKE2b, 128 bits) of the canonical text of the part named by `on`."""
    return digest([[(role, canonical(content)) for role, content in side] for side in sides_of(record, on)]).hex()


def digest(sides: Sequence[Side]) -> bytes:
    """BLAKE2b, 128 bits, of sides whose texts are canonical."""
    text = _SIDE.join([TURN.join([f"{role}{TURN}{content}" if role else content for role, content in side])
                       for side in sides])  # fmt: skip
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def outline(sides: Sequence[Side]) -> str:
    """The canonical texts of all sides without the names of roles: what look-alikes are found by."""
    return _SIDE.join([TURN.join([content for _, content in side]) for side in sides])


def sides_of(record: Record, on: Part = "conversation") -> Sequence[Side]:
    """The part of a record named by `on` as (role, content) of its turns: the prompt's, then every answer's.

    A text has no role and is its every part; a label stands as a role without content, so that it must be equal.
    """
    if isinstance(record, Text):
        return [[("", record.text)]]
    if isinstance(record, Conversation):
        turns = [(turn.role, turn.content) for turn in record.messages]
        length = len(record.prompt)
        sides: list[Side] = [turns[:length], turns[length:]]
    else:
        sides = _sides(record)
    return sides if on == "conversation" else sides[:1] if on == "prompt" else sides[1:]


def _sides(record: Record) -> list[Side]:
    if isinstance(record, Labelled):
        return [[("", record.text)], [(str(record.label), "")]]
    if isinstance(record, Preference):
        return [_turns(record.prompt), _turns(record.chosen), _turns(record.rejected)]
    if isinstance(record, Unpaired):
        return [_turns(record.prompt), _turns(record.completion), [("label", str(record.label))]]
    return [_turns(getattr(record, "prompt", ()))]


def _turns(messages: Sequence[Message]) -> Side:
    return [(message.role, message.content) for message in messages]


def spelt(record: Record, on: Part = "conversation") -> str:
    """The part as it is written: for every turn its role and its content, all parted by `TURN`."""
    return TURN.join([
        f"{number}{role}{TURN}{content.replace(TURN, '')}"
        for number, side in enumerate(sides_of(record, on))
        for role, content in side
    ])  # fmt: skip


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
