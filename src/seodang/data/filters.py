"""Reasons to drop a record: one class per filter, each with `reason(record) -> str | None`, None meaning keep.

A filter that can make a record good again has `mend(record) -> (record, times)` too, which is asked first.

The reason is the word that the ledger counts. Lengths are characters, because a limit in words that is right for
English drops a quarter of real Korean prompts; phrases are looked for as they stand, because `\\b` does not end at a
josa.

To add one: a class with its knobs and `reason`, and its name in the union at the bottom.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seodang.korean.pii import mask_pii
from seodang.korean.script import hangul_share, prose
from seodang.language import Phrase
from seodang.records import Conversation, Labelled, Message, Preference, Record, Text, Unpaired, map_texts, turns
from seodang.schema import Schema, by_name

Where = Literal["answer", "prompt"]


def _texts(record: Record, where: Where) -> list[str]:
    """The texts to judge: every answer (or plain text), or the turns before the last answer."""
    if isinstance(record, (Text, Labelled)):
        return [record.text]
    if where == "prompt":
        return [message.content for message in _prompt(record)]
    if isinstance(record, Conversation):
        return [message.content for message in record.messages if message.role == "assistant"]
    if isinstance(record, Preference):
        return [message.content for message in record.chosen + record.rejected]
    return [message.content for message in record.completion] if isinstance(record, Unpaired) else []


def _prompt(record: Conversation | Preference | Unpaired | object) -> tuple[Message, ...]:
    prompt: tuple[Message, ...] = getattr(record, "prompt", ())
    return prompt


def _map_answers(record: Record, change: Callable[[str], str]) -> Record:
    """The same record with `change` applied to what a model would be trained to write."""

    def changed(messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(replace(m, content=change(m.content)) if m.role == "assistant" else m for m in messages)

    if isinstance(record, Conversation):
        return replace(record, messages=changed(record.messages))
    if isinstance(record, Preference):
        return replace(record, chosen=changed(record.chosen), rejected=changed(record.rejected))
    return replace(record, completion=changed(record.completion)) if isinstance(record, Unpaired) else record


class Empty(Schema):
    """Drops a record in which a turn says nothing: `empty`."""

    kind: Literal["empty"] = "empty"

    def reason(self, record: Record) -> str | None:
        """`empty`, or None."""
        if isinstance(record, (Text, Labelled)):
            return None if record.text.strip() else "empty"
        messages = turns(record)
        return None if messages and all(message.content.strip() for message in messages) else "empty"


class Length(Schema):
    """Drops a record with too short or too long a text: `too_short`, `too_long`. In characters."""

    kind: Literal["length"] = "length"
    of: Where = "answer"
    """Judge every answer, or the turns before the last one."""
    min: int = Field(1, ge=0)
    max: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            text = "`max` ({max}) must not be smaller than `min` ({min})"
            raise ValueError(Phrase(text, max=self.max, min=self.min))
        return self

    def reason(self, record: Record) -> str | None:
        """`too_short`, `too_long`, or None."""
        lengths = [len(text) for text in _texts(record, self.of)]
        if any(length < self.min for length in lengths):
            return "too_short"
        return "too_long" if self.max is not None and any(length > self.max for length in lengths) else None


class HangulShare(Schema):
    """Drops a record whose texts are hardly Hangul: `hangul_share`. Off for translation, code and mathematics.

    Judged over letters, without code, LaTeX and web addresses; a text with few letters is kept.
    """

    kind: Literal["hangul_share"] = "hangul_share"
    of: Where = "answer"
    min: float = Field(0.3, ge=0, le=1)
    """Smallest share of Hangul among the letters."""
    min_letters: int = Field(20, ge=1)
    """With fewer letters there is nothing to judge."""

    def reason(self, record: Record) -> str | None:
        """`hangul_share`, or None."""
        text = prose("\n".join(_texts(record, self.of)))
        if sum(map(str.isalpha, text)) < self.min_letters:
            return None
        share = hangul_share(text)
        return "hangul_share" if share is not None and share < self.min else None


class PromptEqualsAnswer(Schema):
    """Drops a record whose answer only repeats the last turn before it: `prompt_equals_answer`."""

    kind: Literal["prompt_equals_answer"] = "prompt_equals_answer"

    def reason(self, record: Record) -> str | None:
        """`prompt_equals_answer`, or None."""
        prompt, answers = _prompt(record), _texts(record, "answer")
        if not prompt or not answers:
            return None
        last = "".join(prompt[-1].content.split())
        repeated = answers if isinstance(record, Preference) else answers[-1:]
        return "prompt_equals_answer" if any("".join(text.split()) == last for text in repeated) else None


class EndsWithColon(Schema):
    """Drops a record with a text that breaks off at a colon, as generated ones do: `ends_with_colon`."""

    kind: Literal["ends_with_colon"] = "ends_with_colon"
    of: Where = "answer"

    def reason(self, record: Record) -> str | None:
        """`ends_with_colon`, or None."""
        found = any(text.rstrip().endswith((":", "：")) for text in _texts(record, self.of))
        return "ends_with_colon" if found else None


class Contains(Schema):
    """Drops a record with one of these phrases in it: `contains`. The case of Latin letters does not matter."""

    kind: Literal["contains"] = "contains"
    of: Where = "answer"
    phrases: tuple[str, ...] = Field(min_length=1)
    """Looked for as they stand, also inside words: 이미지 is found in 이미지를."""

    def reason(self, record: Record) -> str | None:
        """`contains`, or None."""
        texts = [text.lower() for text in _texts(record, self.of)]
        return "contains" if any(phrase.lower() in text for phrase in self.phrases for text in texts) else None


_HEADINGS = (
    "질문|답변|응답|명령어|지시문|맥락|입력|출력|Instruction|Input|Response|Question|Answer|Human|User|Assistant"
)
_MARK = (
    rf"(?:\#{{2,4}}\s*(?:{_HEADINGS})(?:\([^()\n]{{1,12}}\))?\s*[:：]"
    r"|<\|[a-z_]+\|>|</s>|<(?:usr|bot|sys)>)"
)
_LEFTOVER = re.compile(_MARK, re.IGNORECASE)
_AT_THE_ENDS = re.compile(rf"\A(?:\s*{_MARK})+\s*|(?:\s*{_MARK})+\s*\Z", re.IGNORECASE)


class Leftover(Schema):
    """Takes a chat template's words (`### 답변:`, `<|im_end|>`) off both ends of an answer, and counts it; drops a
    record whose answer has some in its midst, because another turn follows there: `leftover`."""

    kind: Literal["leftover"] = "leftover"

    def mend(self, record: Record) -> tuple[Record, int]:
        """The record with clean ends, and how many answers were changed."""
        times = 0

        def change(text: str) -> str:
            nonlocal times
            clean = _AT_THE_ENDS.sub("", text) if _LEFTOVER.search(text) else text
            times += clean != text
            return clean

        mended = _map_answers(record, change)
        return (mended, times) if times else (record, 0)

    def reason(self, record: Record) -> str | None:
        """`leftover`, or None."""
        return "leftover" if any(map(_LEFTOVER.search, _texts(record, "answer"))) else None


class Pii(Schema):
    """Drops a record with personal data in any of its texts (resident registration numbers), or masks them: `pii`."""

    kind: Literal["pii"] = "pii"
    action: Literal["drop", "mask"] = "drop"
    """Drop the record, or put `*` for the digits that tell who it is."""

    def mend(self, record: Record) -> tuple[Record, int]:
        """The record with what was found masked, where the `action` is that, and in how many places."""
        times = 0

        def change(text: str) -> str:
            nonlocal times
            masked, counts = mask_pii(text)
            times += sum(counts.values())
            return masked

        mended = map_texts(record, change)
        return (mended, times) if times and self.action == "mask" else (record, 0)

    def reason(self, record: Record) -> str | None:
        """`pii`, or None."""
        texts = [*_texts(record, "prompt"), *_texts(record, "answer")]
        return "pii" if any(mask_pii(text)[1] for text in texts) else None


class ChosenEqualsRejected(Schema):
    """Drops a preference whose two sides are the same: `chosen_equals_rejected`. `prepare` always asks it."""

    kind: Literal["chosen_equals_rejected"] = "chosen_equals_rejected"

    def reason(self, record: Record) -> str | None:
        """`chosen_equals_rejected`, or None."""
        if not isinstance(record, Preference):
            return None
        chosen, rejected = ([message.content.strip() for message in side] for side in (record.chosen, record.rejected))
        return "chosen_equals_rejected" if chosen == rejected else None


Filter = Annotated[
    Empty
    | Length
    | HangulShare
    | PromptEqualsAnswer
    | EndsWithColon
    | Contains
    | Leftover
    | Pii
    | ChosenEqualsRejected,
    Field(discriminator="kind"),
    by_name,
]
