"""`seodang chat RUN`: talk to what a run has trained, through the template it was trained with.

Answers go to stdout as they come, syllable by syllable; everything else goes to stderr, so that a piped file of
questions gives a clean file of answers.

    /reset   forget the conversation        /exit   leave (as does the end of the input)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.chats import make_chat
from seodang.errors import ModelError
from seodang.generation import Completion, Generator
from seodang.language import Phrase, say
from seodang.records import Message
from seodang.self_instruct.completers import Sampling, seed_of
from seodang.served import prompt_ids, thinking_of
from seodang.tuning.model import load_model
from seodang.tuning.specs import ModelSpec, spec_of_run

GREEDY = Sampling(temperature=0.0, max_new_tokens=512)
HALF = "\ufffd"
"""What the bytes of an unfinished syllable decode to."""


def chat(run_path: Path, sampling: Sampling = GREEDY, seed: int = 42) -> None:
    """Read questions from stdin until /exit or its end, and answer them on stdout.

    Raises ModelError where the run is not finished, has no weights, or has no chat template.
    """
    talk = open_talk(run_path, sampling, seed)
    _tell("{run}: /reset forgets the conversation, /exit leaves", run=run_path)
    for line in _questions():
        if line == "/exit":
            break
        if line == "/reset":
            talk.messages.clear()
            _tell("[the conversation begins anew]")
            continue
        try:
            talk.ask(line)
        except KeyboardInterrupt:
            talk.messages.pop()
            _tell("\n[interrupted; the question is forgotten]")


def open_talk(run_path: Path, sampling: Sampling = GREEDY, seed: int = 42) -> Talk:
    """Load a run, or a folder of weights, for talking.

    Raises TemplateError where the run's chat template is not the one it was trained with.
    """
    is_run = (run_path / runs.MANIFEST).exists() or not run_path.exists()
    loaded = load_model(spec_of_run(run_path) if is_run else ModelSpec(name_or_path=str(run_path)))
    if not loaded.tokenizer.chat_template:
        raise ModelError(
            "{path} has no chat template: it was trained on plain text and continues text, it does not answer. Name a "
            "run that was trained on conversations (`sft` or `dpo`).",
            path=run_path,
        )
    weights = runs.weights_of(run_path) if is_run else run_path
    thinking = thinking_of(weights, loaded.tokenizer)
    stops = _stop_ids(weights, loaded.tokenizer, thinking)
    return Talk(Generator(loaded.model, loaded.tokenizer, stops), sampling, seed, thinking)


def _stop_ids(folder: Path, tokenizer: Any, thinking: str | None) -> tuple[int, ...]:
    """What ends an answer: the ids saved for every server beside the weights, else those of the template."""
    saved = (runs.read_json(folder / "generation_config.json") or {}).get("eos_token_id")
    if saved is None:
        return make_chat(tokenizer, None, thinking=thinking).stop_ids
    return tuple(saved) if isinstance(saved, list) else (int(saved),)


@dataclass(slots=True)
class Talk:
    """A conversation with one model. `messages` are the turns so far."""

    generator: Generator
    sampling: Sampling
    seed: int
    thinking: str | None = None
    messages: list[Message] = field(default_factory=list)

    def ask(self, question: str) -> Completion:
        """Add a question, stream the answer to stdout and why it ended to stderr; both turns are remembered."""
        self.messages.append(Message("user", question))
        prompt = self.prompt_ids()
        streamer = SyllableStreamer(self.generator.tokenizer, self.generator.stop_ids)
        self.generator.streamer = streamer
        try:
            answer = self.generator.answer([prompt], self.sampling, [seed_of(self.seed, len(self.messages))])[0]
        finally:
            self.generator.streamer = None
            print(flush=True)
        self.messages.append(Message("assistant", answer.text))
        _tell("[{ending}]", ending=self.ending(prompt, answer, streamer.stop))
        return answer

    def prompt_ids(self) -> list[int]:
        """What the model is given: the turns in its own template, control strings that were typed kept as text."""
        return prompt_ids(self.generator.tokenizer, self.messages, self.thinking)

    def ending(self, prompt: Sequence[int], answer: Completion, stop: str) -> Phrase:
        """Why the answer ended, in words."""
        count = len(answer.ids)
        tokens = Phrase("{count} token", count=count) if count == 1 else Phrase("{count} tokens", count=count)
        if answer.stopped:
            return Phrase("stopped at {stop}, {tokens}", stop=stop, tokens=tokens)
        if self.generator.room(prompt, self.sampling) < self.sampling.max_new_tokens:
            text = "cut: the conversation fills the model's {length} tokens; /reset begins anew"
            return Phrase(text, length=self.generator.max_length)
        return Phrase("cut after {tokens}", tokens=tokens)


class SyllableStreamer:
    """Prints text as tokens come, and never half a syllable; transformers' streamers wait for the next space instead.

    A token may hold only some bytes of a syllable, which decode to U+FFFD: a tail of those waits for the next token.
    """

    def __init__(self, tokenizer: Any, stop_ids: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.stop_ids = frozenset(stop_ids)
        self.ids: list[int] | None = None
        self.shown = ""
        self.stop = ""

    def put(self, value: Any) -> None:
        """Ids from `generate`: first the prompt, then one by one."""
        if self.ids is None:
            self.ids = []
            return
        for token in value.reshape(-1).tolist():
            if token in self.stop_ids:
                self.stop = str(self.tokenizer.convert_ids_to_tokens(token))
            elif not self.stop:
                self.ids.append(token)
        self._print(self._text().rstrip(HALF))

    def end(self) -> None:
        """The last token has come: what is half stays half, and is shown."""
        self._print(self._text())

    def _text(self) -> str:
        return str(self.tokenizer.decode(self.ids or [], skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _print(self, text: str) -> None:
        if text.startswith(self.shown):
            print(text[len(self.shown) :], end="", flush=True)
            self.shown = text


def _questions() -> Iterator[str]:
    """Lines of stdin without empty ones; a prompt is shown where a person types them."""
    while True:
        try:
            line = input("> ") if sys.stdin.isatty() else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            return
        if not line and not sys.stdin.isatty():
            return
        question = line.encode("utf-8", "replace").decode().strip()
        if question:
            yield question


def _tell(text: str, **values: object) -> None:
    print(say(text, **values), file=sys.stderr, flush=True)
