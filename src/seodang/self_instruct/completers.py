"""Models that complete requests: what a request and an answer are, the log of all answers, and the light backends.

To add one: a class with its knobs, `name`, `chats` and `complete(requests)`, then its name in the union at the bottom.
`local` has knobs only: it needs torch, so the doer builds it from `seodang.tuning.model` and `seodang.generation`.

A request is known by its content (model, prompt, sampling, stop strings, seed). Every raw answer is appended to a log
under that key, and what is in the log is not asked again: all that follows an answer can be replayed.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from seodang.errors import DataError
from seodang.records import Message
from seodang.runs import dump_json, hash_text
from seodang.schema import Schema, by_name

TOO_LONG = "prompt_too_long"
NOT_RECORDED = "not_recorded"
_TAIL = 1 << 16


class Sampling(Schema):
    """How the next token is chosen, in transformers' terms."""

    temperature: float = Field(0.0, ge=0)
    """0 always takes the likeliest token."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Sample among the likeliest tokens that make up this probability (Holtzman et al. 2020, arXiv:1904.09751)."""
    max_new_tokens: int = Field(256, ge=1)
    repetition_penalty: float = Field(1.0, gt=0)
    """Above 1, tokens that have occurred are made less likely (Keskar et al. 2019, arXiv:1909.05858)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to complete: a text to continue, or the turns of a chat that wait for an answer."""

    prompt: str | tuple[Message, ...]
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()
    model: str = ""

    def to_row(self) -> dict[str, Any]:
        """Everything the answer depends on, as JSON."""
        prompt = self.prompt if isinstance(self.prompt, str) else [message.to_row() for message in self.prompt]
        how = {"sampling": self.sampling.model_dump(), "stop": list(self.stop), "seed": self.seed}
        return {"model": self.model, "prompt": prompt, **how}

    @property
    def key(self) -> str:
        """The address of the answer: a hash of everything it depends on."""
        return hash_text(dump_json(self.to_row()))[:32]


@dataclass(frozen=True, slots=True)
class Response:
    """The raw answer to a request, or why there is none (`failed`). `stopped` is false where it was cut by length."""

    key: str
    text: str
    stopped: bool
    failed: str = ""


class Completes(Protocol):
    """What a doer asks of a model."""

    @property
    def name(self) -> str:
        """What identifies the model and its weights."""

    @property
    def chats(self) -> bool:
        """Whether it answers chat turns; else it continues a text."""

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        """One response per request, in the same order."""


def seed_of(*parts: object) -> int:
    """A seed of its own for one request, from the run's seed and the request's place; the same on every machine."""
    return int(hash_text(":".join(map(str, parts)))[:12], 16)


class AnswerLog:
    """The append-only file of every request and its raw answer. A torn last line is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _cut_torn_tail(path)
        self.found = read_answers(path) if path.exists() else {}

    def ask(self, requests: Sequence[Request], completer: Completes) -> list[Response]:
        """The stored answers, and for the requests that have none the completer's, stored before they are returned."""
        missing = {request.key: request for request in requests if request.key not in self.found}
        if missing:
            answers = completer.complete(list(missing.values()))
            self._append(list(missing.values()), answers)
        return [self.found[request.key] for request in requests]

    def _append(self, requests: Sequence[Request], answers: Sequence[Response]) -> None:
        lines = []
        for request, answer in zip(requests, answers, strict=True):
            said = {"text": answer.text, "stopped": answer.stopped, "failed": answer.failed}
            lines.append(dump_json({"key": request.key, **request.to_row(), **said}) + "\n")
            self.found[request.key] = answer
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())


def _cut_torn_tail(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _TAIL)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            end = start if newline < 0 else start + newline + 1
            if newline >= 0:
                break
        file.truncate(end)


def read_answers(path: Path) -> dict[str, Response]:
    """The answers of a log by their key. Raises DataError, naming the line, for one that is not an answer."""
    found = {}
    for row, where in _rows(path):
        try:
            found[row["key"]] = Response(row["key"], row["text"], row["stopped"], row["failed"])
        except (KeyError, TypeError):
            raise _not_an_answer(where) from None
    return found


def _rows(path: Path) -> Iterable[tuple[dict[str, Any], str]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            where = f"{path.name}:{number}"
            try:
                yield json.loads(line), where
            except ValueError:
                raise _not_an_answer(where) from None


def _not_an_answer(where: str) -> DataError:
    return DataError(
        "{where}: this line is not a recorded answer (key, text, stopped, failed). The file must be the requests.jsonl "
        "of a `generate` or `pairs` run, unchanged.",
        where=where,
    )


class Local(Schema):
    """A Hugging Face causal model on this machine: a run of ours, or a name or path. Give one of the two."""

    kind: Literal["local"] = "local"
    run: str | None = None
    """A finished run; its adapter, tokenizer and template come with it."""
    name_or_path: str | None = None
    style: Literal["chat", "continue"] | None = None
    """Ask it in chat turns, or let it continue a text; unset: chat where the tokenizer has a chat template."""
    batch_size: int = Field(8, ge=1)
    """Requests answered at once."""


class Replay(Schema):
    """Answers recorded by an earlier run, found by what was asked; asks no model."""

    kind: Literal["replay"] = "replay"
    path: str
    """The requests.jsonl of a `generate` or `pairs` run."""

    @cached_property
    def _first(self) -> dict[str, Any]:
        if not Path(self.path).is_file():
            raise DataError("{path}: there is no such file of recorded answers.", path=self.path)
        return next((row for row, _ in _rows(Path(self.path))), {"model": "", "prompt": ""})

    @cached_property
    def _found(self) -> dict[str, Response]:
        return read_answers(Path(self.path))

    @property
    def name(self) -> str:
        """The model that was recorded: requests have the same keys only under its name."""
        return str(self._first["model"])

    @property
    def chats(self) -> bool:
        """Whether chat turns were recorded."""
        return not isinstance(self._first["prompt"], str)

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        """The recorded answers; a request that was never recorded fails with `not_recorded`."""
        return [self._found.get(key) or Response(key, "", False, NOT_RECORDED) for key in (r.key for r in requests)]


class Fake(Schema):
    """A stand-in that asks no model, for dry runs and tests: the same request always has the same answer."""

    kind: Literal["fake"] = "fake"
    answers: tuple[str, ...] = ()
    """Answers to choose from; without any, it shuffles the words of the prompt's own examples into new ones."""
    chats: bool = False
    """Answer chat turns; else continue a text."""

    @property
    def name(self) -> str:
        """`fake`, with what it answers from."""
        return f"fake:{hash_text(dump_json(list(self.answers)))[:12]}"

    def complete(self, requests: Sequence[Request]) -> list[Response]:
        """An answer per request, chosen or shuffled by a hash of the request."""
        return [Response(request.key, self._answer(request), True) for request in requests]

    def _answer(self, request: Request) -> str:
        draw = random.Random(request.key)
        if self.answers:
            return draw.choice(self.answers)
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
        return _shuffled(prompt, draw)


def _shuffled(prompt: str, draw: random.Random) -> str:
    """New records in the layout of the prompt's own: blocks between blank lines, words exchanged line by line.

    A last block that only opens a record (a text to continue) is completed first.
    """
    *blocks, opened = [block.splitlines() or [""] for block in prompt.strip().split("\n\n")]
    examples = [block for block in blocks if len(block) > len(opened)] or [opened]
    made = []
    for _ in range(draw.randint(1, 3)):
        picked = draw.choice(examples)
        lines = [
            _mixed(line, [block[at] for block in examples if at < len(block)], draw) for at, line in enumerate(picked)
        ]
        made.append("\n".join(lines))
    first = made[0].splitlines()[len(opened) - 1 :] or [""]
    first[0] = first[0].removeprefix(opened[-1])
    return "\n\n".join(["\n".join(first), *made[1:]])


def _mixed(line: str, alike: list[str], draw: random.Random) -> str:
    """The line's first word, which labels it, and words of the lines that stand in the same place."""
    label, *rest = line.split(" ")
    words = [word for other in alike for word in other.split(" ")[1:]]
    return " ".join([label, *(draw.choice(words) for _ in rest)])


Completer = Annotated[Local | Replay | Fake, Field(discriminator="kind"), by_name]
