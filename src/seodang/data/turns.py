"""Turns out of foreign rows: the names of roles, and the shapes in which sets write a turn.

A role that is not in data_formats/roles.yaml is an error; no turn is left out. Every error names the row and what to
do.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from seodang import packaged
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.records import INPUT_JOIN, Message, instruct
from seodang.schema import Schema

Row = Mapping[str, Any]

FORMATS = "data_formats"
"""The folder of what varies between sets: roles, columns, layouts, verbalisers."""
INPUT = "input"
"""The role of what belongs to the question beside it; no record holds it."""


class Roles(Schema):
    """data_formats/roles.yaml: the names of each role, in lists for their sources."""

    system: tuple[str | tuple[str, ...], ...]
    user: tuple[str | tuple[str, ...], ...]
    assistant: tuple[str | tuple[str, ...], ...]
    tool: tuple[str | tuple[str, ...], ...]
    input: tuple[str | tuple[str, ...], ...]


@lru_cache(maxsize=1)
def role_names() -> dict[str, str]:
    """Every known name of a role, as `plain` writes it → the role."""
    table = packaged.load(packaged.find(FORMATS, "roles"), Roles)
    found: dict[str, str] = {}
    for role, groups in table:
        for group in groups:
            names = (group,) if isinstance(group, str) else group
            found |= {plain(name): role for name in names}
    return found


def plain(name: str) -> str:
    """A role's name without what does not count: case, spaces, `-` and `_`."""
    return re.sub(r"[\s_-]+", "", name).lower()


@lru_cache(maxsize=256)
def role_of(name: str) -> str | None:
    """The role of a speaker's name: a role of records, `input`, or None for one that is not known."""
    return role_names().get(plain(name))


_TOLD = "user, human, 사용자, assistant, gpt, 챗봇, system, 시스템, tool"
"""The names that an error tells: a role's own, and its most common others."""

NO_INPUT = frozenset({"", "입력없음", "입력 없음", "<noinput>", "<no input>", "noinput", "nan"})
"""What sets write, in lower case, where an instruction has no input."""

_ROLE_KEYS, _TEXT_KEYS = ("role", "from", "speaker"), ("content", "value", "utterance", "text")
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
    role = role_of(name) if isinstance(name, str) else None
    if role is None:
        raise row_error(source, "unknown role {name!r} (known: {known})", name=name, known=_TOLD)
    return role


def _message(turn: Any, source: str, default: str | None = None) -> Message:
    """One turn, in the words of messages, ShareGPT or spoken corpora; `default` is the role where none is named."""
    if not isinstance(turn, dict):
        raise row_error(source, "a turn must be an object with role and content, got {turn!r:.40}", turn=turn)
    role_key = next((key for key in _ROLE_KEYS if key in turn), None)
    text_key = next((key for key in _TEXT_KEYS if key in turn), None)
    if text_key is None or not (role_key or default):
        text = "a turn has neither role and content nor from and value (it has {keys})"
        raise row_error(source, text, keys=", ".join(turn))
    role = _role(turn[role_key], source) if role_key else str(default)
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


def listed(value: Any) -> list[Any] | None:
    """A list as sets hold one: a list, numpy's array out of parquet, JSON as a text, a list in a list; else None."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return None
    if value and all(isinstance(part, list | tuple) for part in value):
        return [turn for part in value for turn in part]
    return list(value)


def turns_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with a list of turns. Raises DataError for none, a turn without text, or an unknown role."""
    value = listed(row.get(column))
    if not value:
        raise row_error(source, "`{column}` must be a list with at least one turn", column=column)
    return with_inputs([_message(turn, source) for turn in value], source)


def with_inputs(messages: Sequence[Message], source: str) -> tuple[Message, ...]:
    """The turns, those of the role `input` joined to their question: the one before, else the next.

    Raises DataError where there is no question for one.
    """
    if all(message.role != INPUT for message in messages):
        return tuple(messages)
    found: list[Message] = []
    waiting: str | None = None
    for message in messages:
        last = found[-1] if found else None
        if message.role == INPUT:
            if last and last.role == "user" and last.input_at is None and waiting is None:
                found[-1] = question(last.content, message.content)
            else:
                waiting = message.content if waiting is None else waiting + INPUT_JOIN + message.content
        elif message.role == "user" and waiting is not None:
            found.append(question(message.content, waiting))
            waiting = None
        else:
            found.append(message)
    if waiting is not None:
        raise row_error(source, "an input stands beside no question: {text!r:.40}", text=waiting)
    return tuple(found)


def dialogue_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with a list of turns that ends with an answer."""
    return answered(turns_of(row, column, source), column, source)


def side_of(row: Row, column: str, source: str, role: str) -> tuple[Message, ...]:
    """A column with a text or one turn, which are of `role`, or with a list of turns."""
    value = row.get(column)
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        return turns_of(row, column, source)
    if isinstance(value, dict):
        return (_message(value, source, default=role),)
    content = text_of(value)
    if content is None:
        raise row_error(source, "`{column}` is missing", column=column)
    return (Message(role, content),)


def answer_of(row: Row, column: str, source: str) -> tuple[Message, ...]:
    """A column with an answer: a text, one turn, or turns that end with it."""
    return answered(side_of(row, column, source, "assistant"), column, source)


def answered(messages: tuple[Message, ...], column: str, source: str) -> tuple[Message, ...]:
    """The turns of a column. Raises DataError where they do not end with an answer that says something."""
    if messages[-1].role != "assistant":
        text = "the row has no answer: the last turn of `{column}` is the {role}'s"
        raise row_error(source, text, column=column, role=messages[-1].role)
    if not messages[-1].content.strip():
        raise row_error(source, "the row has no answer: `{column}` ends with an empty one", column=column)
    return messages


def with_system(messages: tuple[Message, ...], row: Row, column: str = "system") -> tuple[Message, ...]:
    """The turns after the text of the row's `column`, where it has one and they don't begin with one."""
    system = row.get(column)
    if isinstance(system, str) and system.strip() and messages[0].role != "system":
        return (Message("system", system), *messages)
    return messages


def question(instruction: str, given: Any) -> Message:
    """A user turn made of an instruction and its input; what means "no input" (`NO_INPUT`) is none."""
    text = text_of(given) or ""
    text = "" if text.strip().lower() in NO_INPUT else text
    return instruct(instruction, text) if instruction.strip() else Message("user", text)


def spoken(said: Iterable[tuple[str, str]], answers: str, source: str) -> tuple[Message, ...]:
    """The turns of a dialogue of people: (speaker, text) in order, what one says in a row being one turn.

    `answers` is the speaker who is the assistant; "" is who has the last word, so that no turn is lost. Everyone else
    is the user. Raises DataError for more than two speakers where nobody is named.
    """
    joined: list[list[str]] = []
    for speaker, text in said:
        if joined and joined[-1][0] == speaker:
            joined[-1][1] += "\n" + text
        else:
            joined.append([speaker, text])
    speakers = sorted({speaker for speaker, _ in joined})
    if not answers and len(speakers) > 2:
        told = "{count} people speak in it ({speakers}); name the one who answers with `answers:`"
        raise row_error(source, told, count=len(speakers), speakers=", ".join(speakers))
    assistant = answers or (joined[-1][0] if joined else "")
    return tuple(Message("assistant" if speaker == assistant else "user", text) for speaker, text in joined)


def history_of(value: Any, source: str) -> tuple[Message, ...]:
    """The turns of a `history` column: [[question, answer], …], or nothing."""
    pairs = value.tolist() if hasattr(value, "tolist") else value
    if not pairs:
        return ()
    turns: list[Message] = []
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs]:
        texts = [text_of(text) for text in pair] if isinstance(pair, list | tuple) else []
        if len(texts) != 2 or None in texts:
            raise row_error(source, "`history` must be a list of [question, answer]")
        turns += [Message("user", str(texts[0])), Message("assistant", str(texts[1]))]
    return tuple(turns)
