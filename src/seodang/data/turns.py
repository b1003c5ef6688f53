"""Turns out of foreign rows: the one table of role names, and the shapes in which sets write a turn.

A role that is not in `ROLE_NAMES` is an error; no turn is left out. Every error names the row and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from seodang.errors import DataError
from seodang.language import Phrase
from seodang.records import INPUT_JOIN, Message, instruct

Row = Mapping[str, Any]

ROLE_NAMES = {
    name: role
    for role, names in {
        "system": "system developer 시스템",
        "user": "user human usr person client patient 사용자 사람 유저 질문 질문자 고객 환자 인간",
        "assistant": "assistant gpt chatgpt bot bard ai model doctor 챗봇 봇 어시스턴트 비서 조수 보조 답변 의사",
        "tool": "tool observation function_response",
    }.items()
    for name in names.split()
}
"""Every known name of a role, in lower case → the role."""
_TOLD = "user, human, 사용자, assistant, gpt, 챗봇, system, 시스템, tool"
"""The names that an error tells: a role's own, and its most common others."""

NO_INPUT = frozenset({"", "입력없음", "입력 없음", "<noinput>", "<no input>", "noinput", "nan"})
"""What sets write, in lower case, where an instruction has no input."""

_TURN_KEYS = (("role", "content"), ("from", "value"))
_WAY_OUT = Phrase("Mend or remove the row, or let `prepare` drop and count such rows with `on_error: skip`.")


def row_error(source: str, what: str, /, **values: object) -> DataError:
    """The error of one row: where, what is wrong (a format and its values), and the way out."""
    return DataError("{where}: {what}. {way_out}", where=source, what=Phrase(what, **values), way_out=_WAY_OUT)


def text_of(value: Any) -> str | None:
    """A text or a number as text; None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    return None


def _parts(value: Any) -> str | None:
    """The text of a content that is a text, or a list of text parts."""
    if isinstance(value, list) and value and all(isinstance(p, dict) and p.get("type") == "text" for p in value):
        texts = [part.get("text") for part in value]
        return "".join(texts) if all(isinstance(text, str) for text in texts) else None
    return text_of(value)


def _role(name: Any, source: str) -> str:
    role = ROLE_NAMES.get(name) if isinstance(name, str) else None
    if role is None and isinstance(name, str):
        role = ROLE_NAMES.get(name.strip().lower())
    if role is None:
        raise row_error(source, "unknown role {name!r} (known: {known})", name=name, known=_TOLD)
    return role


def _message(turn: Any, source: str, default: str | None = None) -> Message:
    """One turn, in the words of messages or of ShareGPT. `default` is the role of a turn that names none."""
    if not isinstance(turn, dict):
        raise row_error(source, "a turn must be an object with role and content, got {turn!r:.40}", turn=turn)
    for role_key, text_key in _TURN_KEYS:
        if text_key in turn and (role_key in turn or default):
            break
    else:
        text = "a turn has neither role and content nor from and value (it has {keys})"
        raise row_error(source, text, keys=", ".join(turn))
    role = _role(turn[role_key], source) if role_key in turn else str(default)
    content = _parts(turn[text_key])
    if content is None:
        raise row_error(source, "the {role} turn has no text in `{key}`", role=role, key=text_key)
    return Message(role, content, _input_at(turn, content, source), _trained(turn, source))


def _input_at(turn: Row, content: str, source: str) -> int | None:
    at = turn.get("input_at")
    if at is None:
        return None
    if not isinstance(at, int) or content[at - len(INPUT_JOIN) : at] != INPUT_JOIN:
        raise row_error(source, "`input_at` is {at!r}, but no input begins there after an empty line", at=at)
    return at


def _trained(turn: Row, source: str) -> bool | None:
    trained = turn.get("trained")
    if trained is None or isinstance(trained, bool):
        return trained
    raise row_error(source, "`trained` must be true or false, got {trained!r}", trained=trained)


def turns_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with a list of turns. Raises DataError for none, a turn without text, or an unknown role."""
    value = row.get(column)
    if not isinstance(value, list) or not value:
        raise row_error(source, "`{column}` must be a list with at least one turn", column=column)
    return tuple(_message(turn, source) for turn in value)


def dialogue_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with a list of turns that ends with an answer."""
    return _answered(turns_of(row, column, source), column, source)


def side_of(row: Row, column: str, source: str, role: str) -> tuple[Message, ...]:
    """A column with a text or one turn, which are of `role`, or with a list of turns."""
    value = row.get(column)
    if isinstance(value, list):
        return turns_of(row, column, source)
    if isinstance(value, dict):
        return (_message(value, source, default=role),)
    content = text_of(value)
    if content is None:
        raise row_error(source, "`{column}` is missing", column=column)
    return (Message(role, content),)


def answer_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with an answer: a text, one turn, or turns that end with it."""
    return _answered(side_of(row, column, source, "assistant"), column, source)


def _answered(messages: tuple[Message, ...], column: str, source: str) -> tuple[Message, ...]:
    if messages[-1].role != "assistant":
        text = "the row has no answer: the last turn of `{column}` is the {role}'s"
        raise row_error(source, text, column=column, role=messages[-1].role)
    if not messages[-1].content.strip():
        raise row_error(source, "the row has no answer: `{column}` ends with an empty one", column=column)
    return messages


def with_system(messages: tuple[Message, ...], row: Row) -> tuple[Message, ...]:
    """The turns after the text of the row's `system` column, where it has one and they don't begin with one."""
    system = row.get("system")
    if isinstance(system, str) and system.strip() and messages[0].role != "system":
        return (Message("system", system), *messages)
    return messages


def question(instruction: str, given: Any) -> Message:
    """A user turn made of an instruction and its input; what means "no input" (`NO_INPUT`) is none."""
    text = text_of(given) or ""
    text = "" if text.strip().lower() in NO_INPUT else text
    return instruct(instruction, text) if instruction.strip() else Message("user", text)


def history_of(value: Any, source: str) -> tuple[Message, ...]:
    """The turns of a `history` column: [[question, answer], …], or nothing."""
    if not value:
        return ()
    turns: list[Message] = []
    for pair in value if isinstance(value, list) else [value]:
        texts = [text_of(text) for text in pair] if isinstance(pair, list) else []
        if len(texts) != 2 or None in texts:
            raise row_error(source, "`history` must be a list of [question, answer]")
        turns += [Message("user", str(texts[0])), Message("assistant", str(texts[1]))]
    return tuple(turns)
