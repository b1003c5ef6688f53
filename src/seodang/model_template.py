"""The tokenizer's own chat_template as the second source of a template.

Nothing is edited in it. The trained spans are found by rendering prefixes: what is given is the render of the earlier
turns with the generation prompt, what is written is the rest of the turn up to its stop. Three ways, in this order:

    one row per conversation    every prompt that a server would send is how the row begins up to there
    one row per trained turn    only the last turn is so, because the template rewrites earlier turns
    the template's own marks    not even that, but the template marks what is trained with {% generation %}

and a template for which none of them works is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.records import Message
from seodang.template import MARKS, Piece

SWITCHED_OFF = {"enable_thinking": False, "thinking": False, "skip_reasoning": True}
SWITCHED_ON = {"enable_thinking": True, "thinking": True}
"""The variables with which chat templates are asked for a reasoning block, by their published names."""
THINKS = re.compile(r"think>|enable_thinking|reasoning_content|reasoning_effort|skip_reasoning|\.thinking\b")
REASONING = re.compile(rf"\s*{MARKS[0]}?<think>{MARKS[1]}?(.*?){MARKS[0]}?</think>{MARKS[1]}?\s*", re.DOTALL)
"""The reasoning at the beginning of an answer, as data has it; its tags may be marked as control strings."""
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
QUESTION, ANSWER = Message("user", "안녕하세요?"), Message("assistant", "반갑습니다.")


def thinks(jinja: str) -> bool:
    """Whether a chat template writes or reads a reasoning block."""
    return THINKS.search(jinja) is not None


def thinking_kwargs(jinja: str, thinking: str | None) -> dict[str, bool]:
    """What `apply_chat_template` is told for `thinking: strip | empty | keep`, as far as the template listens to it."""
    from transformers.utils.chat_template_utils import _get_template_variables

    if thinking is None:
        return {}
    heard = _get_template_variables(jinja)
    return {name: on for name, on in (SWITCHED_ON if thinking == "keep" else SWITCHED_OFF).items() if name in heard}


def one_per_turn(messages: Sequence[Message]) -> list[list[Message]]:
    """The conversation up to each trained turn, with only that turn trained."""
    ends = [index for index, _ in _trained(messages)]
    return [[*(replace(m, trained=False) for m in messages[:end]), messages[end]] for end in ends]


def _trained(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    turns = enumerate(messages)
    return ((index, m) for index, m in turns if m.role == "assistant" and m.trained is not False)


@dataclass(frozen=True, slots=True)
class _Probe:
    """What the template does with one question and its answer."""

    header: str
    """Written by the model before the answer."""
    stop: str
    """The token that ends the answer."""
    is_appended: bool
    """The template does not write the stop."""
    is_marked: bool
    """The spans are those of the template's own marks."""


class ModelRenderer:
    """Pieces of a conversation through the tokenizer's Jinja. `thinking` is `strip`, `empty`, `keep` or None."""

    name = "model"

    def __init__(self, tokenizer: Any, thinking: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.jinja: str = tokenizer.get_chat_template()
        self.thinking = thinking
        self.switches = thinking_kwargs(self.jinja, thinking)
        longest_first = sorted(tokenizer._get_control_tokens(self.jinja), key=len, reverse=True)
        tokens = "|".join(map(re.escape, longest_first)) or "(?!)"
        self._control = re.compile(tokens)
        self._stop_runs = re.compile(f"(?<!{MARKS[0]})(?:{tokens})+")

    @property
    def stops(self) -> tuple[str, ...]:
        """The token with which the template ends an answer; the eos token where it writes none."""
        return (self._probe.stop,)

    @property
    def notes(self) -> tuple[Phrase, ...]:
        """What a reader of the check should know about the template."""
        found, probe = [], self._probe
        if probe.header and not probe.is_marked:
            text = "the prompt ends before {header!r}: the model writes it, and it is trained"
            found.append(Phrase(text, header=probe.header))
        if probe.is_appended:
            text = "the template writes no stop after the last answer; {stop} is appended and trained"
            found.append(Phrase(text, stop=probe.stop))
        if probe.is_marked:
            text = (
                "a row does not begin as a server's prompt does; what is trained stands in the template's own {marks}"
            )
            found.append(Phrase(text, marks="{% generation %}"))
        elif isinstance(self._cut([QUESTION, ANSWER, QUESTION, ANSWER]), TemplateError):
            text = "the template rewrites earlier turns: a conversation is one example per trained turn"
            found.append(Phrase(text))
        if self.switches:
            told = ", ".join(f"{name}={value}" for name, value in self.switches.items())
            found.append(Phrase("prompts are rendered with {told}; a server must be told the same", told=told))
        if "strftime_now" in self.jinja:
            found.append(Phrase("the template writes the date of the day into the prompt"))
        return tuple(found)

    @property
    def is_marked(self) -> bool:
        """Whether the trained spans are the template's own marks, because no prompt is how a row begins."""
        return self._probe.is_marked

    def prompt(self, messages: Sequence[Message]) -> str:
        """The rendered turns with the generation prompt."""
        return self._render(messages, add_generation_prompt=True)

    def examples(self, messages: Sequence[Message]) -> list[list[Piece]]:
        """The rows of a conversation: one, or one per trained turn. Raises TemplateError where there is no way."""
        found = self._cut(messages)
        if isinstance(found, list):
            return [found]
        rows = []
        for turns in one_per_turn(messages):
            row = self._cut(turns)
            row = self._from_marks(turns) or row if isinstance(row, TemplateError) else row
            if isinstance(row, TemplateError):
                raise row
            rows.append(row)
        return rows

    @cached_property
    def _probe(self) -> _Probe:
        row = self.examples([QUESTION, ANSWER])[0]
        written = row[-1].text
        header, _, closing = written.rpartition(ANSWER.content)
        tokens = [match.group() for match in self._control.finditer(closing or written)]
        is_marked = isinstance(self._cut([QUESTION, ANSWER]), TemplateError)
        stands = "".join(piece.text for piece in row) in self._render([QUESTION, ANSWER])
        return _Probe(header, tokens[-1] if tokens else "", not stands, is_marked)

    def _cut(self, messages: Sequence[Message]) -> list[Piece] | TemplateError:
        """One row for the whole conversation, or why the template does not allow it."""
        whole, pieces, cursor = self._render(messages), list[Piece](), 0
        for index, _ in _trained(messages):
            given = self._render(messages[:index], add_generation_prompt=True)
            upto = whole if index == len(messages) - 1 else self._render(messages[: index + 1])
            if not upto.startswith(given) or not whole.startswith(given) or len(given) < cursor:
                return self._unstable(given, upto if whole.startswith(given) else whole)
            written = self._written(upto[len(given) :])
            pieces += [Piece(given[cursor:], False), Piece(written, True)]
            cursor = len(given) + len(written)
            if upto is not whole and not whole.startswith(given + written):
                return self._unstable(given + written, whole)
        if not pieces or messages[-1].role != "assistant" or messages[-1].trained is False:
            pieces.append(Piece(whole[cursor:], False))
        return [piece for piece in pieces if piece.text]

    @cached_property
    def _closing(self) -> tuple[str, str]:
        """What the template writes after an answer that stands last, and how much of it the model is to write.

        Control tokens that follow each other at once end an answer together; what stands behind them is not trained.
        """
        closing = self._render([QUESTION, ANSWER]).rpartition(ANSWER.content)[2]
        stop = self._stop_runs.search(closing)
        if stop:
            return closing, closing[: stop.end()]
        if not self.tokenizer.eos_token:
            raise TemplateError(
                "The model's chat template writes no stop token after an answer, and the tokenizer has no eos token: "
                "the model would never learn to stop. Set `eos_token` in its tokenizer_config.json."
            )
        return closing, str(self.tokenizer.eos_token)

    def _written(self, rest: str) -> str:
        """What the model writes of a turn that stands last: header, answer and stop."""
        closing, stop = self._closing
        if rest.endswith(closing):
            return rest.removesuffix(closing) + stop
        runs = list(self._stop_runs.finditer(rest))
        return rest[: runs[-1].end()] if runs else rest + str(self.tokenizer.eos_token or "")

    def _from_marks(self, messages: Sequence[Message]) -> list[Piece] | None:
        """The last turn cut at the template's {% generation %} marks, or None where it has none there."""
        from transformers.utils.chat_template_utils import render_jinja_template

        if not GENERATION.search(self.jinja):
            return None
        names = {**self.tokenizer.special_tokens_map, **self.switches}
        rows, jinja = [self.rows(messages)], self.jinja
        texts, marks = render_jinja_template(rows, chat_template=jinja, return_assistant_tokens_mask=True, **names)
        whole, start = texts[0], _parting(self._render(messages[:-1]), texts[0])
        pieces, cursor = list[Piece](), 0
        for begin, end in _merged(span for span in marks[0] if span[0] >= start):
            pieces += [Piece(whole[cursor:begin], False), Piece(whole[begin:end], True)]
            cursor = end
        if not pieces:
            return None
        # a stop right behind the marks is the answer's; what stands behind the stop is not trained
        rest = pieces[-1].text + whole[cursor:]
        pieces[-1] = Piece(self._written(rest), True)
        return [piece for piece in pieces if piece.text]

    def _answer(self, message: Message) -> str:
        """The content without the reasoning before it, where `thinking` says what that is."""
        found = REASONING.match(message.content) if self.thinking else None
        return message.content[found.end() :] if found else message.content

    def rows(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The messages as `apply_chat_template` is given them.

        Reasoning is left out, or handed over as the template reads it; `input_at` is counted without marks.
        """
        return [self._row(message) for message in messages]

    def _row(self, message: Message) -> dict[str, Any]:
        row = message.to_row()
        row.pop("trained", None)
        if message.input_at is not None:
            head = message.content[: message.input_at]
            row["input_at"] = message.input_at - head.count(MARKS[0]) - head.count(MARKS[1])
        if self.thinking and message.role == "assistant":
            row |= self._reasoned(message)
        if self._takes_parts:
            row["content"] = [{"type": "text", "text": row["content"]}]
        return row

    def _reasoned(self, message: Message) -> dict[str, Any]:
        """Content and reasoning of an answer in the fields that the template reads."""
        found, answer = REASONING.match(message.content), self._answer(message)
        if found is None or self.thinking != "keep":
            return {"content": answer}
        reasoning = found.group(1).strip()
        if "reasoning_content" in self.jinja or ".thinking" in self.jinja:
            return {"content": answer, "reasoning_content": reasoning}
        return {"content": f"<think>\n{reasoning}\n</think>\n\n{answer}"}

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template reads a content only as a list of parts, as those of image models do."""
        return not self._shows(QUESTION.content) and self._shows([{"type": "text", "text": QUESTION.content}])

    def _shows(self, content: Any) -> bool:
        try:
            return QUESTION.content in self._apply([{"role": "user", "content": content}])
        except _refusals():
            return False

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        try:
            return self._apply(self.rows(messages), add_generation_prompt)
        except _refusals() as error:
            raise TemplateError("The model's chat template refuses this conversation: {why}", why=error) from None

    def _apply(self, rows: list[dict[str, Any]], add_generation_prompt: bool = False) -> str:
        options = {"tokenize": False, "add_generation_prompt": add_generation_prompt}
        return str(self.tokenizer.apply_chat_template(rows, **options, **self.switches))

    def _unstable(self, given: str, whole: str) -> TemplateError:
        at = _parting(given, whole)
        return TemplateError(
            "The model's chat template is not prefix-stable: what a server sends is not how the training text begins. "
            "They part at character {at}: sent {sent!r}, trained {trained!r}. Name a template (`template: NAME`) "
            "together with `template_override: true`.",
            at=at,
            sent=_around(given, at),
            trained=_around(whole, at),
        )


def _around(text: str, at: int) -> str:
    """A few words around a character, without marks."""
    return text[max(0, at - 20) : at + 30].replace(MARKS[0], "").replace(MARKS[1], "")


def _parting(one: str, other: str) -> int:
    """The first character at which two texts differ."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _merged(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that touch each other, as one."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def _refusals() -> tuple[type[Exception], ...]:
    """What a chat template raises on messages that it does not take."""
    from jinja2.exceptions import TemplateError as JinjaError

    return (JinjaError, TypeError, ValueError, KeyError, IndexError, AttributeError)
