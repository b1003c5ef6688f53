"""A chat template as data: one YAML file, two readers.

Python renders it to segments, so that what is trained is known exactly; `to_jinja` emits the `chat_template` that is
saved with the tokenizer and read by every server. A file says, per role, what opens and what closes a turn:

    start       text before the first turn; `{bos}` stands for the tokenizer's own where it puts one
    open        given to the model             lead    written by the model before the answer, trained
    close       ends the turn; on the assistant's it is trained, and its last control token is the stop token
    stop        ends an answer although `close` does not write it; it is not trained then (an accident, on purpose)
    input       opens the input of a user turn that has one (`records.Message.input_at`)
    gap         only between turns, so that the last trained token is always the stop token
    fold_system the system turn stands inside the first user turn, after its `open`
    thinking    the reasoning block that an answer may begin with
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from seodang.errors import Mistake, RecipeError, TemplateError
from seodang.packaged import find
from seodang.records import Message
from seodang.runs import hash_text
from seodang.schema import Schema, check_schema
from seodang.template_jinja import write_jinja

MARKS = ("\U000f0000", "\U000f0001")
"""What `apply_chat_template(sanitize_control_tokens=True)` of transformers puts around typed control tokens."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of rendered text: the template's own or a message's, and whether the model is to write it."""

    text: str
    kind: Literal["control", "content"]
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of marked text that is encoded as one, and whether the model is to write it."""

    text: str
    trained: bool


class Turn(Schema):
    """What stands around the content of one role."""

    open: str = ""
    lead: str = ""
    close: str = ""
    input: str | None = None


class Block(Schema):
    """A reasoning block before an answer: `open`, the reasoning, `close`."""

    open: str
    close: str

    def given(self, thinking: str | None) -> str:
        """What of it stands in the prompt: all of an empty one, or only its opening where the model is to reason."""
        return {"strip": "", "keep": self.open}.get(thinking or "empty", self.open + self.close)

    def split(self, content: str, opened: bool = False) -> tuple[str, str]:
        """The reasoning with which an answer begins, and the answer. A tag anywhere else is part of the answer.

        `opened`: the prompt opened the block, so an answer that a server sends back may do without the opening tag.
        """
        head, *rest = content.split(self.close.strip())
        head, opens = head.lstrip().lstrip(MARKS[0]), self.open.strip()
        if not rest or not (opened or head.startswith(opens)):
            return "", content
        reasoning = head.removeprefix(opens).lstrip(MARKS[1]).rstrip(MARKS[0]).strip()
        return reasoning, self.close.strip().join(rest).lstrip(MARKS[1]).lstrip()


class Example(Schema):
    """A conversation and the exact text it renders to; the tests run it."""

    messages: tuple[dict[str, Any], ...]
    text: str


class Template(Schema):
    """A file in data_templates/."""

    name: str
    source: str
    """Where the layout was published."""
    verified: bool = False
    """Whether golden ids come from the family's own tokenizer or its published Jinja."""
    control: tuple[str, ...] = ()
    """Strings that must each be one token of the tokenizer."""
    start: str = ""
    system: Turn | None = None
    user: Turn
    assistant: Turn
    stop: str = ""
    """A control token that ends an answer although `assistant.close` does not write it. It is never trained then, and
    `check` stops the run unless it is told otherwise (`check.min_stop_ratio`)."""
    gap: str = ""
    default_system: str | None = None
    default_system_with_input: str | None = None
    """Takes the place of `default_system` where the first user turn has an input."""
    fold_system: bool = False
    """The system turn stands inside the first user turn, after its `open`."""
    thinking: Block | None = None
    """What an answer begins with where the model reasons first."""
    example: Example = Field(exclude=True)

    def bind(self, bos: str = "", eos: str = "", thinking: str | None = None) -> BoundTemplate:
        """Fill in the tokenizer's own tokens. Raises TemplateError where the file needs an eos and there is none.

        `thinking` says what becomes of the reasoning block where the template has one: `empty` (the default) gives the
        model an empty one before every answer, `strip` writes none, and with `keep` the last answer's reasoning is
        written by the model while those before it are given as empty ones.
        """
        texts = json.dumps(self.model_dump(), ensure_ascii=False)
        if "{eos}" in texts and not eos:
            raise TemplateError(
                "The template `{name}` ends an answer with the tokenizer's eos token, and this tokenizer has none. "
                "Set `eos_token` in its tokenizer_config.json, or use a template with a stop token of its own.",
                name=self.name,
            )

        def fill(value: Any) -> Any:
            if isinstance(value, str):
                return value.replace("{bos}", bos).replace("{eos}", eos)
            if isinstance(value, dict):
                return {key: fill(item) for key, item in value.items()}
            return [fill(item) for item in value] if isinstance(value, (list, tuple)) else value

        filled = type(self).model_validate(fill(self.model_dump()) | {"example": self.example})
        control = filled.control + ((eos,) if "{eos}" in texts else ())
        mode = (thinking or "empty") if self.thinking else None
        return BoundTemplate(filled, tuple(dict.fromkeys(control)), mode)


def load_template(name_or_path: str) -> Template:
    """A template by its name in data_templates/ or by the path of a YAML file."""
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else find("data_templates", name_or_path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TemplateError("The template file {path} cannot be read: {why}.", path=path, why=error.strerror) from None
    except yaml.YAMLError as error:
        raise TemplateError("The template file {path} is not YAML: {why}", path=path, why=error) from None
    template, mistakes = check_schema(Template, data)
    if template is None:
        raise RecipeError(str(path), mistakes or [Mistake("", "is empty")], "template")
    return template


@dataclass(frozen=True)
class BoundTemplate:
    """A template with a tokenizer's own tokens filled in. `thinking` is None where it has no reasoning block."""

    template: Template
    control: tuple[str, ...]
    thinking: str | None = None

    @property
    def name(self) -> str:
        """The template's name."""
        return self.template.name

    @property
    def rewrites_past(self) -> bool:
        """Whether an answer is written otherwise once a turn follows it, so that each needs a row of its own."""
        return self.thinking == "keep"

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """The control token that ends an answer: the last one in `assistant.close`, else the one the template names."""
        close = self.template.assistant.close or self.template.stop
        found = [token for token in self.control if token in close]
        if not found:
            raise TemplateError(
                "The template `{name}` has no stop token: `assistant.close` names none of its control tokens.",
                name=self.name,
            )
        return (max(found, key=close.rindex),)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the Jinja, as every run's manifest holds it."""
        return hash_text(self.to_jinja())

    def to_jinja(self) -> str:
        """The same template as a Jinja `chat_template` for the tokenizer."""
        return write_jinja(self.template, self.thinking)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> list[Segment]:
        """The conversation as segments; their texts joined are what the Jinja renders."""
        turns = self._with_system(messages)
        folded = self.template.fold_system and bool(turns) and turns[0].role == "system"
        segments = [Segment(self.template.start, "control")]
        for index, message in enumerate(turns):
            if index and not (folded and index == 1):
                segments.append(Segment(self.template.gap, "control"))
            segments += self._turn(message, self._layout(turns, index), index == len(turns) - 1)
        if add_generation_prompt:
            block = self.template.thinking
            opening = self.template.assistant.open + (block.given(self.thinking) if block else "")
            segments.append(Segment((self.template.gap if turns else "") + opening, "control"))
        return [segment for segment in segments if segment.text]

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        if not self.template.system or (messages and messages[0].role == "system"):
            return list(messages)
        first = messages[0] if messages else None
        has_input = first is not None and first.role == "user" and first.input_at is not None
        text = self.template.default_system_with_input if has_input else None
        text = text if text is not None else self.template.default_system
        return list(messages) if text is None else [Message("system", text), *messages]

    def _layout(self, turns: Sequence[Message], index: int) -> Turn:
        """What stands around one of the turns. Raises TemplateError where the template has no place for it."""
        role = turns[index].role
        turn: Turn | None = getattr(self.template, role) if role in ("system", "user", "assistant") else None
        if turn is None:
            raise TemplateError("The template `{name}` has no `{role}` turn.", name=self.name, role=role)
        if role == "system" and index:
            raise TemplateError("A system turn stands in the middle of a conversation; it must come first.")
        if not self.template.fold_system or turns[0].role != "system" or index > 1:
            return turn
        if len(turns) < 2 or turns[1].role != "user":
            raise TemplateError(
                "The template `{name}` writes the system turn into the user turn after it, and none follows here.",
                name=self.name,
            )
        return turn.model_copy(update={"open": "" if index else self.template.user.open + turn.open})

    def _turn(self, message: Message, turn: Turn, last: bool) -> list[Segment]:
        trained = message.role == "assistant" and message.trained is not False
        if message.role == "assistant" and self.template.thinking is not None:
            return self._answer(message, self.template.thinking, last)
        body = [Segment(message.content, "content", trained)]
        if turn.input is not None and message.input_at is not None:
            parts = (message.instruction, "content"), (turn.input, "control"), (message.input, "content")
            body = [Segment(text, kind, trained) for text, kind in parts]  # type: ignore[arg-type]
        return [
            Segment(turn.open, "control"),
            Segment(turn.lead, "control", trained),
            *body,
            Segment(turn.close, "control", trained),
        ]

    def _answer(self, message: Message, block: Block, last: bool) -> list[Segment]:
        """An assistant turn that may begin with a reasoning block."""
        turn, keeps = self.template.assistant, self.thinking == "keep" and last
        trained = message.trained is not False and (keeps or not self.rewrites_past)
        reasoning, answer = block.split(message.content, opened=self.rewrites_past and not last)
        written = [Segment(reasoning, "content", trained), Segment(block.close, "control", trained)] if keeps else []
        given = block.given(self.thinking if keeps or not self.rewrites_past else "empty")
        return [
            Segment(turn.open + given, "control"),
            *written,
            Segment(turn.lead, "control", trained),
            Segment(answer, "content", trained),
            Segment(turn.close, "control", trained),
        ]
