"""A chat template as data: one YAML file, two readers.

Python renders it to segments, so that what is trained is known exactly; `to_jinja` emits the `chat_template` that is
saved with the tokenizer and read by every server. A file says, per role, what opens and what closes a turn:

    start       text before the first turn; `{bos}` stands for the tokenizer's own where it puts one
    open        given to the model             lead    written by the model before the answer, trained
    close       ends the turn; on the assistant's it is trained, and its control tokens are the stop tokens
    stop        ends an answer although `close` does not write it; it is not trained then (an accident, on purpose)
    input       opens the input of a user turn that has one (`records.Message.input_at`)
    gap         only between turns, so that the last trained token is always the stop token
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
    example: Example = Field(exclude=True)

    def bind(self, bos: str = "", eos: str = "") -> BoundTemplate:
        """Fill in the tokenizer's own tokens. Raises TemplateError where the file needs an eos and there is none."""
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
        return BoundTemplate(filled, tuple(dict.fromkeys(control)))


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
    """A template with a tokenizer's own tokens filled in."""

    template: Template
    control: tuple[str, ...]

    @property
    def name(self) -> str:
        """The template's name."""
        return self.template.name

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """The control tokens that close an assistant turn, in order of appearance; else the one the template names."""
        close = self.template.assistant.close or self.template.stop
        found = [token for token in self.control if token in close]
        if not found:
            raise TemplateError(
                "The template `{name}` has no stop token: `assistant.close` names none of its control tokens.",
                name=self.name,
            )
        return tuple(sorted(found, key=close.index))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the Jinja, as every run's manifest holds it."""
        return hash_text(self.to_jinja())

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> list[Segment]:
        """The conversation as segments; their texts joined are what the Jinja renders."""
        turns = self._with_system(messages)
        segments = [Segment(self.template.start, "control")]
        for index, message in enumerate(turns):
            if index:
                segments.append(Segment(self.template.gap, "control"))
            segments += self._turn(message, index)
        if add_generation_prompt:
            segments.append(Segment((self.template.gap if turns else "") + self.template.assistant.open, "control"))
        return [segment for segment in segments if segment.text]

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        if not self.template.system or (messages and messages[0].role == "system"):
            return list(messages)
        first = messages[0] if messages else None
        has_input = first is not None and first.role == "user" and first.input_at is not None
        text = self.template.default_system_with_input if has_input else None
        text = text if text is not None else self.template.default_system
        return list(messages) if text is None else [Message("system", text), *messages]

    def _turn(self, message: Message, index: int) -> list[Segment]:
        turn = self._layout(message.role, index)
        trained = message.role == "assistant" and message.trained is not False
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

    def _layout(self, role: str, index: int) -> Turn:
        turn: Turn | None = getattr(self.template, role) if role in ("system", "user", "assistant") else None
        if turn is None:
            raise TemplateError("The template `{name}` has no `{role}` turn.", name=self.name, role=role)
        if role == "system" and index:
            raise TemplateError("A system turn stands in the middle of a conversation; it must come first.")
        return turn

    def to_jinja(self) -> str:
        """The same template as a Jinja `chat_template` for the tokenizer."""
        return _jinja(self.template)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _jinja(template: Template) -> str:
    lines = [_jinja_start(template), "{%- for message in turns -%}"]
    if template.gap:
        lines.append("{%- if not loop.first -%}{{- " + _text(template.gap) + " -}}{%- endif -%}")
    word = "if"
    for role in ("system", "user", "assistant"):
        turn: Turn | None = getattr(template, role)
        if turn is not None:
            first = " and loop.first" if role == "system" else ""
            lines.append("{%- " + word + f" message['role'] == '{role}'{first} -%}}" + _jinja_turn(turn))
            word = "elif"
    lines.append("{%- else -%}{{- raise_exception('No place here for a turn of the role ' ~ message['role']) -}}")
    lines += ["{%- endif -%}", "{%- endfor -%}", "{%- if add_generation_prompt -%}"]
    if template.gap:
        lines.append("{%- if turns -%}{{- " + _text(template.gap) + " -}}{%- endif -%}")
    lines += ["{{- " + _text(template.assistant.open) + " -}}", "{%- endif -%}"]
    return "\n".join(lines)


def _jinja_start(template: Template) -> str:
    lines = ["{%- set turns = messages -%}"]
    if template.system and template.default_system is not None:
        text = _text(template.default_system)
        if template.default_system_with_input is not None:
            inner = "messages and messages[0]['role'] == 'user' and messages[0]['input_at'] is number"
            text = f"({_text(template.default_system_with_input)} if {inner} else {text})"
        added = "{%- set turns = [{'role': 'system', 'content': " + text + "}] + turns -%}"
        lines.append("{%- if not messages or messages[0]['role'] != 'system' -%}" + added + "{%- endif -%}")
    if template.start:
        lines.append("{{- " + _text(template.start) + " -}}")
    return "\n".join(lines)


def _jinja_turn(turn: Turn) -> str:
    before, after = turn.open + turn.lead, turn.close
    plain = "{{- " + " ~ ".join(filter(None, (_text(before) if before else "", "message['content']",
                                              _text(after) if after else ""))) + " -}}"  # fmt: skip
    if turn.input is None:
        return plain
    return (
        "{%- if message['input_at'] is number -%}"
        + _JINJA_INPUT_AT
        + "{{- " + _text(before) + " ~ message['content'][:split.at - 2] ~ " + _text(turn.input)
        + " ~ message['content'][split.at:] ~ " + _text(after) + " -}}{%- else -%}" + plain + "{%- endif -%}"
    )  # fmt: skip


_JINJA_INPUT_AT = (
    "{%- set split = namespace(at=message['input_at']) -%}"
    "{%- for mark in range(message['content'].count(\"\\U000f0000\")) -%}"
    "{%- set split.at = message['input_at'] + 2 * message['content'][:split.at].count(\"\\U000f0000\") -%}"
    "{%- endfor -%}"
)
"""Where the input begins once transformers has put two marks around every control token that a user typed before it."""
