"""What a bare `trl sft` would train on a row: a small model of SFTTrainer's defaults, without trl.

As trl 1.16.0 prepares a data set with nothing but a model and a data set named (SFTConfig's defaults):

    messages              the tokenizer's own chat template; every token gets a loss, questions and headers too
    prompt, completion    the loss is on the completion; as plain strings no template is used and eos is appended
    text                  every token gets a loss; eos is appended
    conversations         from/value becomes role/content; the roles keep their names (`human`, `gpt`)

Rows longer than 1,024 tokens are cut at the end, stop and all; a row left without a loss is dropped. Nothing is said of
either. Control strings in a message become control tokens. The tests compare this with SFTTrainer itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from seodang.encoding import IGNORED, Encoded
from seodang.errors import DataError
from seodang.language import Phrase

MAX_LENGTH = 1024
"""SFTConfig.max_length."""
PAIRS = ("prompt", "completion")


@dataclass(frozen=True, slots=True)
class TrlRow:
    """A row as a bare `trl sft` would train it, and how many tokens it had before it was cut."""

    row: Encoded
    length: int

    @property
    def cut(self) -> int:
        """Tokens that are cut off."""
        return self.length - len(self.row.input_ids)

    @property
    def is_dropped(self) -> bool:
        """Whether the row is left out, because nothing that gets a loss is left of it."""
        return self.row.trained == 0


def is_readable(row: Mapping[str, Any]) -> bool:
    """Whether SFTTrainer finds columns that it knows; it stops with a KeyError where it does not."""
    if "prompt" in row:
        return "completion" in row and isinstance(row["prompt"], list) == isinstance(row["completion"], list)
    return isinstance(row.get("messages"), list) or _is_sharegpt(row) or isinstance(row.get("text"), str)


def is_conversational(row: Mapping[str, Any]) -> bool:
    """Whether a chat template is needed: the row holds turns, not plain texts."""
    return isinstance(row.get("prompt", row.get("messages", row.get("conversations"))), list)


def trl_row(row: Mapping[str, Any], tokenizer: Any, chat_template: str | None = None) -> TrlRow:
    """The row in TRL's ids and labels. `chat_template` is for a tokenizer that has none of its own.

    Raises DataError where SFTTrainer would stop: unknown columns, no chat template, no eos token, a template that
    refuses the roles.
    """
    if not is_readable(row):
        raise DataError(
            "`trl sft` cannot read a row with the columns {columns}. It reads `messages`, `prompt` and `completion`, "
            "or `text`; `seodang run` of a `prepare` recipe writes `messages`.",
            columns=", ".join(row),
        )
    encoder = _Encoder(tokenizer, chat_template, row)
    ids, start = encoder.pair(*(row[key] for key in PAIRS)) if "prompt" in row else (encoder.whole(row), 0)
    labels = [IGNORED] * start + ids[start:]
    return TrlRow(Encoded(ids[:MAX_LENGTH], labels[:MAX_LENGTH]), len(ids))


def _is_sharegpt(row: Mapping[str, Any]) -> bool:
    turns = row.get("conversations")
    return isinstance(turns, list) and bool(turns) and {"from", "value"} <= turns[0].keys()


@dataclass(frozen=True, slots=True)
class _Encoder:
    tokenizer: Any
    chat_template: str | None
    row: Mapping[str, Any]

    def whole(self, row: Mapping[str, Any]) -> list[int]:
        """The ids of a row without a completion of its own."""
        if _is_sharegpt(row):
            return self._chat([{"role": turn["from"], "content": turn["value"]} for turn in row["conversations"]])
        if isinstance(row.get("messages"), list):
            return self._chat(row["messages"])
        return self._text(self._ended(row["text"]))

    def pair(self, prompt: Any, completion: Any) -> tuple[list[int], int]:
        """The ids of prompt and completion together, and where they part from those of the prompt alone."""
        if isinstance(prompt, list):
            alone, together = self._chat(prompt, add_generation_prompt=True), self._chat(prompt + completion)
        else:
            alone, together = self._text(prompt), self._text(prompt + self._ended(completion))
        same = (at for at, (one, other) in enumerate(zip(alone, together, strict=False)) if one != other)
        return together, next(same, min(len(alone), len(together)))

    def _text(self, text: str) -> list[int]:
        return list(self.tokenizer(text=text)["input_ids"])

    def _ended(self, text: str) -> str:
        eos = self.tokenizer.eos_token
        if eos is None:
            raise DataError("`trl sft` appends the eos token to a plain text, and this tokenizer has none.")
        return text if text.endswith(eos) else text + str(eos)

    def _chat(self, turns: Sequence[Mapping[str, Any]], add_generation_prompt: bool = False) -> list[int]:
        if not (self.chat_template or self.tokenizer.chat_template):
            raise DataError("`trl sft` stops at a conversation here: this tokenizer has no chat template.")
        tools = self.row.get("tools")
        extra = self.row.get("chat_template_kwargs") or {}
        try:
            found = self.tokenizer.apply_chat_template(
                list(turns),
                chat_template=self.chat_template,
                tools=json.loads(tools) if isinstance(tools, str) else tools,
                add_generation_prompt=add_generation_prompt,
                return_dict=True,
                **extra,
            )
        except Exception as error:  # whatever a template raises, SFTTrainer stops at it too
            raise DataError("`trl sft` stops at this conversation: the chat template says {why}", why=error) from None
        return list(found["input_ids"])


def differences(ours: Encoded, theirs: TrlRow, stops: Sequence[int]) -> list[Phrase]:
    """What a bare `trl sft` does to a row otherwise than it is trained here, in sentences; none where nothing.

    `stops` are the ids that end an answer.
    """
    if theirs.is_dropped:
        return [Phrase("the row is left out without a word: its prompt fills {limit} tokens", limit=MAX_LENGTH)]
    pairs = _side_by_side(ours.input_ids, theirs.row.input_ids)
    both = {here for here, there in pairs if ours.labels[here] != IGNORED and theirs.row.labels[there] != IGNORED}
    alone = [label for at, label in enumerate(ours.labels) if label != IGNORED and at not in both]
    extra, missing, lost = theirs.row.trained - len(both), len(alone), sum(label in stops for label in alone)
    typed, cut = ours.control_strings, theirs.cut
    found = [
        (cut, Phrase("tokens cut off without a word, those after the first {limit}: {cut}", cut=cut, limit=MAX_LENGTH)),
        (
            extra,
            Phrase("tokens with a loss there alone (questions, headers, what follows a stop): {extra}", extra=extra),
        ),
        (missing, Phrase("tokens with a loss here alone: {missing}", missing=missing)),
        (lost, Phrase("stop tokens that are not learnt there: {lost}", lost=lost)),
        (typed, Phrase("typed control strings that become control tokens there: {typed}", typed=typed)),
    ]
    return [phrase for count, phrase in found if count > 0]


def _side_by_side(ours: list[int], theirs: list[int]) -> Iterator[tuple[int, int]]:
    """The places at which two rows hold the same tokens, in order."""
    same = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    if same is None:
        same = min(len(ours), len(theirs))
    yield from ((at, at) for at in range(same))
    for block in SequenceMatcher(None, ours[same:], theirs[same:], autojunk=False).get_matching_blocks():
        yield from ((same + block.a + at, same + block.b + at) for at in range(block.size))
