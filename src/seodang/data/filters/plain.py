"""Filters that need no knowledge of a language: empty, length, a phrase, a colon at the end, two texts that are one."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from seodang.data.filters.sides import Where, prompt, taught, texts
from seodang.language import Phrase
from seodang.records import Labelled, Preference, Record, Text, turns
from seodang.schema import Schema


class Empty(Schema):
    """Drops a record in which a turn says nothing: `empty`."""

    kind: Literal["empty"] = "empty"

    def reason(self, record: Record) -> str | None:
        """`empty`, or None."""
        if isinstance(record, (Text, Labelled)):
            return None if record.text.strip() else "empty"
        messages = turns(record)
        return None if messages and all([message.content.strip() for message in messages]) else "empty"


@cache
def _tokenizer(name_or_path: str) -> Any:
    from seodang.tokenization import load_light

    return load_light(name_or_path)


class Length(Schema):
    """Drops a record with too short or too long a text: `too_short`, `too_long`."""

    kind: Literal["length"] = "length"
    of: Where = "answer"
    """Judge every answer, or the turns before the last one."""
    min: int = Field(1, ge=0)
    max: int | None = Field(None, ge=1)
    unit: Literal["characters", "eojeol", "tokens"] = "characters"
    """Characters; eojeol, which are what stands between spaces; or tokens of `tokenizer`, without control tokens."""
    tokenizer: str | None = None
    """A folder or a name on the Hub, for `unit: tokens`."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            text = "`max` ({max}) must not be smaller than `min` ({min})"
            raise ValueError(Phrase(text, max=self.max, min=self.min))
        if (self.unit == "tokens") != (self.tokenizer is not None):
            raise ValueError("`unit: tokens` and `tokenizer` belong together: give both, or neither")
        return self

    def _length(self, text: str) -> int:
        if self.unit == "tokens":
            return len(_tokenizer(self.tokenizer or "").encode(text, add_special_tokens=False))
        return len(text) if self.unit == "characters" else len(text.split())

    def reason(self, record: Record) -> str | None:
        """`too_short`, `too_long`, or None."""
        lengths = [self._length(text) for text in texts(record, self.of)]
        if any(length < self.min for length in lengths):
            return "too_short"
        return "too_long" if self.max is not None and any(length > self.max for length in lengths) else None


class PromptEqualsAnswer(Schema):
    """Drops a record whose answer only repeats the last turn before it: `prompt_equals_answer`."""

    kind: Literal["prompt_equals_answer"] = "prompt_equals_answer"

    def reason(self, record: Record) -> str | None:
        """`prompt_equals_answer`, or None."""
        before, answers = prompt(record), texts(record, "answer")
        if not before or not answers:
            return None
        last = before[-1].content
        repeated = answers if isinstance(record, Preference) else answers[-1:]
        return "prompt_equals_answer" if any(_same(text, last) for text in repeated) else None


def _same(one: str, other: str) -> bool:
    """Whether two texts are one but for white space. Most differ in their first word, which is looked at first."""
    start, begin = one.lstrip()[:1], other.lstrip()[:1]
    return start == begin and "".join(one.split()) == "".join(other.split())


class EndsWithColon(Schema):
    """Drops a record with a text that breaks off at a colon, as generated ones do: `ends_with_colon`."""

    kind: Literal["ends_with_colon"] = "ends_with_colon"
    of: Where = "answer"

    def reason(self, record: Record) -> str | None:
        """`ends_with_colon`, or None."""
        said = taught(record) if self.of == "answer" else texts(record, "prompt")
        found = any([text.rstrip().endswith((":", "：")) for text in said])
        return "ends_with_colon" if found else None


class Contains(Schema):
    """Drops a record with one of these phrases in it: `contains`. The case of Latin letters does not matter."""

    kind: Literal["contains"] = "contains"
    of: Where = "answer"
    phrases: tuple[str, ...] = Field(min_length=1)
    """Looked for as they stand, also inside words: 이미지 is found in 이미지를."""

    def reason(self, record: Record) -> str | None:
        """`contains`, or None."""
        found = [text.lower() for text in texts(record, self.of)]
        return "contains" if any(phrase.lower() in text for phrase in self.phrases for text in found) else None


class ChosenEqualsRejected(Schema):
    """Drops a preference whose two sides are the same: `chosen_equals_rejected`. `prepare` always asks it."""

    kind: Literal["chosen_equals_rejected"] = "chosen_equals_rejected"

    def reason(self, record: Record) -> str | None:
        """`chosen_equals_rejected`, or None."""
        if not isinstance(record, Preference):
            return None
        chosen, rejected = ([message.content.strip() for message in side] for side in (record.chosen, record.rejected))
        return "chosen_equals_rejected" if chosen == rejected else None
