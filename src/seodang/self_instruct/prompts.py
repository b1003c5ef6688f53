"""Prompt files: how examples are laid out, what a model is asked, and how its answer is read back into tasks.

`build` and `parse` are pure. An answer is cut into one block per record at its headings and each block is read alone,
so that one bad record never shifts the fields of the next. What cannot be read is a proposal with a `reason`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from seodang.packaged import find, load
from seodang.records import Conversation, Message, instruct
from seodang.schema import Schema

PROMPTS = "data_templates/prompts"
PARSE, TRUNCATED, LABEL_TWICE = "parse", "truncated", "label_twice"
NO_INSTRUCTION, NO_OUTPUT = "no_instruction", "no_output"


class Labels(Schema):
    """What stands before each field of a record, at the beginning of a line and followed by a colon."""

    instruction: str = Field(min_length=1)
    input: str = Field(min_length=1)
    output: str = Field(min_length=1)


class PromptFile(Schema):
    """A file in data_templates/prompts/. Places to fill are {count}, {new}, {first}, {last}, {beyond} and {none}."""

    language: Literal["ko", "en"]
    heading: str
    """The line that opens a record, with {number}."""
    labels: Labels
    no_input: tuple[str, ...] = Field(min_length=1)
    """Ways to say that a record has no input; the first one is written."""
    new: int = Field(8, ge=1)
    """How many tasks one request asks for."""
    instruction_only: bool = False
    """An answer is one instruction and nothing else; the model is then asked to follow it."""
    stop: tuple[str, ...] = ()
    """Strings that end an answer; {beyond} is the number after the last one asked for."""
    chat: str
    """The user turn for a model with a chat template; {examples} is where they stand."""
    continuation: str
    """What stands above the examples where a model continues a text."""

    @model_validator(mode="after")
    def _places(self) -> Self:
        if "{number}" not in self.heading:
            raise ValueError("`heading` needs {number}: records are told apart by their headings")
        if "{examples}" not in self.chat and not self.instruction_only:
            raise ValueError("`chat` needs {examples}: the place where the examples stand")
        return self


@dataclass(frozen=True, slots=True)
class Proposal:
    """One record of an answer: read, or with the `reason` why it could not be. `raw` is its text as it came."""

    instruction: str
    input: str
    output: str
    raw: str
    reason: str = ""

    @property
    def prompt(self) -> Message:
        """The user turn."""
        return instruct(self.instruction, self.input)

    def to_conversation(self, source: str) -> Conversation:
        """The proposal as a record of instruction data."""
        return Conversation((self.prompt, Message("assistant", self.output)), source)


def find_prompt(name: str) -> Path:
    """The prompt file of this name, or at this path. Raises TemplateError where a name does not exist."""
    path = Path(name)
    return path if path.suffix == ".yaml" and path.is_file() else find(PROMPTS, name)


def load_prompt(path: Path) -> PromptFile:
    """Read and check a prompt file. Raises RecipeError with every mistake in it."""
    return load(path, PromptFile)


def exchange(conversation: Conversation) -> tuple[Message, str] | None:
    """The first user turn and its answer: what a prompt shows of a conversation. None where there is no such pair."""
    turns = [message for message in conversation.messages if message.role != "system"]
    if len(turns) < 2 or (turns[0].role, turns[1].role) != ("user", "assistant"):
        return None
    return turns[0], turns[1].content


def build(prompt: PromptFile, examples: Sequence[Conversation], chat: bool) -> str | tuple[Message, ...]:
    """The text to continue, or the turns to answer, that ask for new tasks after these examples."""
    shown = [record(prompt, number, example) for number, example in enumerate(examples, 1)]
    if chat:
        asked = _fill(prompt.chat, prompt, len(shown)).replace("{examples}", "\n\n".join(shown))
        return (Message("user", asked),)
    opened = f"{_heading(prompt, len(shown) + 1)}\n{prompt.labels.instruction}:"
    return "\n\n".join([_fill(prompt.continuation, prompt, len(shown)), *shown, opened])


def stops(prompt: PromptFile, examples: int) -> tuple[str, ...]:
    """The stop strings of a request that shows so many examples."""
    return tuple(_fill(stop, prompt, examples) for stop in prompt.stop)


def _fill(text: str, prompt: PromptFile, count: int) -> str:
    last = count + prompt.new
    values = {"count": count, "new": prompt.new, "first": count + 1, "last": last, "beyond": last + 1}
    for name, value in {**values, "none": prompt.no_input[0]}.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _heading(prompt: PromptFile, number: int) -> str:
    return prompt.heading.replace("{number}", str(number))


def record(prompt: PromptFile, number: int, example: Conversation) -> str:
    """A conversation in the layout of the file, under its number; its user turn alone where that is all that is asked
    for. Raises ValueError where it has no exchange."""
    shown = exchange(example)
    if shown is None:
        raise ValueError(f"{example.source}: an example needs a user turn and its answer")
    if prompt.instruction_only:
        return shown[0].content
    (message, answer), labels = shown, prompt.labels
    fields = (
        (labels.instruction, message.instruction),
        (labels.input, message.input or prompt.no_input[0]),
        (labels.output, answer),
    )
    return "\n".join([_heading(prompt, number), *(f"{label}: {text}" for label, text in fields)])


def parse(prompt: PromptFile, answer: str, *, chat: bool, stopped: bool) -> list[Proposal]:
    """Every record of an answer, in order; an answer without any is one proposal that could not be read.

    The last record of an answer that was cut by length (`stopped` false) is `truncated`, however whole it looks.
    """
    if prompt.instruction_only:
        reason = TRUNCATED if not stopped else "" if answer.strip() else NO_INSTRUCTION
        return [Proposal(answer.strip(), "", "", answer, reason)]
    if not chat:
        answer = f"{prompt.labels.instruction}:{answer}"
    blocks = [block.strip() for block in _heading_line(prompt).split(answer)]
    # What stands before the first heading is talk, unless it is a record itself: a continued one always is.
    lead = blocks[:1] if not chat or _fields(prompt, blocks[0]) else []
    found = [_read(prompt, block) for block in [*lead, *blocks[1:]] if block]
    if not found:
        return [Proposal("", "", "", answer, PARSE if stopped else TRUNCATED)]
    if not stopped:
        found[-1] = Proposal("", "", "", found[-1].raw, TRUNCATED)
    return found


def _heading_line(prompt: PromptFile) -> re.Pattern[str]:
    """The heading on a line of its own, also where a model set it in Markdown or added a full stop."""
    words = r"\s*".join(r"\d+" if part == "{number}" else re.escape(part) for part in prompt.heading.split())
    return re.compile(rf"^[#*\s]*{words}[.:*\s]*$", re.MULTILINE)


def _fields(prompt: PromptFile, block: str) -> list[tuple[str, str]]:
    """(field name, text) for every label at the beginning of a line."""
    names = {label: name for name, label in prompt.labels.model_dump().items()}
    label = "|".join(map(re.escape, names))
    parts = re.split(rf"^[*\s]*({label})[*\s]*[:：][*]*", block, flags=re.MULTILINE)
    return [(names[parts[at]], parts[at + 1].strip()) for at in range(1, len(parts), 2)]


def _read(prompt: PromptFile, block: str) -> Proposal:
    pairs = _fields(prompt, block)
    fields = dict(pairs)
    if not pairs:
        return Proposal("", "", "", block, PARSE)
    if len(fields) < len(pairs):
        return Proposal("", "", "", block, LABEL_TWICE)
    said, given, answer = (fields.get(name, "") for name in ("instruction", "input", "output"))
    given = "" if given.lower() in {text.lower() for text in prompt.no_input} else given
    reason = NO_INSTRUCTION if not said else NO_OUTPUT if not answer else ""
    return Proposal(said, given, answer, block, reason)
