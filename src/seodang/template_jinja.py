"""Writes a template of ours as the Jinja `chat_template` that is saved with the tokenizer and read by every server.

Nothing is decided here that template.py does not decide too: for any conversation both give the same text, and the
tests hold them to it. Message texts may carry the marks that transformers puts around typed control tokens
(`template.MARKS`); they are looked through where a text is cut, and stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seodang.template import Block, Template, Turn


def write_jinja(template: Template, thinking: str | None = None) -> str:
    """The Jinja of a template whose `{bos}` and `{eos}` are filled in; `thinking` as in `Template.bind`."""
    lines = [*_start(template), "{%- for message in turns -%}", *_gap(template)]
    word = "if"
    for role in ("system", "user", "assistant"):
        turn: Turn | None = getattr(template, role)
        if turn is not None:
            first = " and loop.first" if role == "system" else ""
            body = _body(template, role, thinking)
            lines.append("{%- " + word + f" message['role'] == '{role}'{first} -%}}" + body)
            word = "elif"
    lines.append("{%- else -%}{{- raise_exception('No place here for a turn of the role ' ~ message['role']) -}}")
    lines += ["{%- endif -%}", "{%- endfor -%}", "{%- if add_generation_prompt -%}"]
    if template.gap:
        lines.append("{%- if turns -%}{{- " + _text(template.gap) + " -}}{%- endif -%}")
    opening = template.assistant.open + (template.thinking.given(thinking) if template.thinking else "")
    return "\n".join([*lines, "{{- " + _text(opening) + " -}}", "{%- endif -%}"])


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _start(template: Template) -> Iterator[str]:
    yield "{%- set turns = messages -%}"
    if template.system and template.default_system is not None:
        text = _text(template.default_system)
        if template.default_system_with_input is not None:
            inner = "messages and messages[0]['role'] == 'user' and messages[0]['input_at'] is number"
            text = f"({_text(template.default_system_with_input)} if {inner} else {text})"
        added = "{%- set turns = [{'role': 'system', 'content': " + text + "}] + turns -%}"
        yield "{%- if not messages or messages[0]['role'] != 'system' -%}" + added + "{%- endif -%}"
    if template.fold_system:
        yield "{%- set folded = turns and turns[0]['role'] == 'system' -%}" + _FOLD_NEEDS_USER
    if template.start:
        yield "{{- " + _text(template.start) + " -}}"


_FOLD_NEEDS_USER = (
    "{%- if folded and (turns | length < 2 or turns[1]['role'] != 'user') -%}"
    "{{- raise_exception('The system turn is written into the user turn after it, and none follows') -}}{%- endif -%}"
)


def _gap(template: Template) -> Iterator[str]:
    if template.gap:
        unless = " and not (folded and loop.index0 == 1)" if template.fold_system else ""
        yield "{%- if not loop.first" + unless + " -%}{{- " + _text(template.gap) + " -}}{%- endif -%}"


def _body(template: Template, role: str, thinking: str | None) -> str:
    turn: Turn = getattr(template, role)
    if role == "assistant" and template.thinking is not None:
        return _answer(turn, template.thinking, thinking)
    if not template.fold_system or role == "assistant":
        return _turn(turn, turn.open)
    if role == "system":
        return _turn(turn, template.user.open + turn.open)
    opening = "{%- if not (folded and loop.index0 == 1) -%}{{- " + _text(turn.open) + " -}}{%- endif -%}"
    return opening + _turn(turn, "")


def _turn(turn: Turn, opening: str) -> str:
    before, after = opening + turn.lead, turn.close
    plain = "{{- " + " ~ ".join(filter(None, (_text(before) if before else "", "message['content']",
                                              _text(after) if after else ""))) + " -}}"  # fmt: skip
    if turn.input is None:
        return plain
    return (
        "{%- if message['input_at'] is number -%}"
        + _INPUT_AT
        + "{{- " + _text(before) + " ~ message['content'][:split.at - 2] ~ " + _text(turn.input)
        + " ~ message['content'][split.at:] ~ " + _text(after) + " -}}{%- else -%}" + plain + "{%- endif -%}"
    )  # fmt: skip


_INPUT_AT = (
    "{%- set split = namespace(at=message['input_at']) -%}"
    "{%- for mark in range(message['content'].count(\"\\U000f0000\")) -%}"
    "{%- set split.at = message['input_at'] + 2 * message['content'][:split.at].count(\"\\U000f0000\") -%}"
    "{%- endfor -%}"
)
"""Where the input begins once transformers has put two marks around every control token that a user typed before it."""


def _answer(turn: Turn, block: Block, thinking: str | None) -> str:
    """An assistant turn of a template that thinks: its content is cut as `Block.split` cuts it."""
    opens, closes = block.open.strip(), block.close.strip()
    begins = ("not loop.last or " if thinking == "keep" else "") + f"head.startswith({_text(opens)})"
    cut = (
        "{%- set parts = message['content'].split(" + _text(closes) + ") -%}"
        '{%- set head = parts[0].lstrip().lstrip("\\U000f0000") -%}'
        "{%- set thought = parts | length > 1 and (" + begins + ") -%}"
        "{%- set answer = (parts[1:] | join(" + _text(closes) + ')).lstrip("\\U000f0001").lstrip() '
        "if thought else message['content'] -%}"
    )
    past = block.given("empty" if thinking == "keep" else thinking)
    before = "{{- " + _text(turn.open + past + turn.lead) + " -}}"
    if thinking == "keep":
        reasoning = f'(head[{len(opens)}:].lstrip("\\U000f0001").rstrip("\\U000f0000").strip() if thought else "")'
        kept = f"{_text(turn.open + block.open)} ~ {reasoning} ~ {_text(block.close + turn.lead)}"
        before = "{%- if loop.last -%}{{- " + kept + " -}}{%- else -%}" + before + "{%- endif -%}"
    return cut + before + "{{- answer ~ " + _text(turn.close) + " -}}"
