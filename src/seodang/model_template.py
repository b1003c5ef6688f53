"""The tokenizer's own chat_template as the second source of a template.

Nothing is edited in it. The trained spans are found by rendering prefixes: what is given is the render of the earlier
turns with the generation prompt, what is written is the rest of the turn up to its last stop token. A template whose
renders are not prefixes of each other is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from seodang.errors import TemplateError
from seodang.records import Message
from seodang.template import MARKS, Piece

REASONING = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


def thinks(jinja: str) -> bool:
    """Whether a chat template writes a reasoning block."""
    return "<think>" in jinja or "enable_thinking" in jinja


class ModelRenderer:
    """Pieces of a conversation through the tokenizer's Jinja. `thinking` is `strip`, `empty`, `keep` or None."""

    name = "model"

    def __init__(self, tokenizer: Any, thinking: str | None = None) -> None:
        self.tokenizer = tokenizer
        self.jinja: str = tokenizer.get_chat_template()
        self.thinking = thinking
        longest_first = sorted(tokenizer._get_control_tokens(self.jinja), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """The token with which the template ends an answer; the eos token where it writes none."""
        probe = [Message("user", "안녕"), Message("assistant", "네")]
        written = self.pieces(probe)[-1].text
        found = [match.group() for match in self._control.finditer(written)]
        return (found[-1],)

    def prompt(self, messages: Sequence[Message]) -> str:
        """The rendered turns with the generation prompt."""
        return self._render(messages, add_generation_prompt=True)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """The conversation cut at the borders of every trained assistant turn."""
        messages = [self._reasoning(message) for message in messages]
        whole, pieces, cursor = self._render(messages), [], 0
        for index, message in enumerate(messages):
            if message.role != "assistant" or message.trained is False:
                continue
            given, written = self._turn(messages, index)
            if not whole.startswith(given) or len(given) < cursor:
                raise self._unstable(given, whole)
            pieces += [Piece(given[cursor:], False), Piece(written, True)]
            cursor = len(given) + len(written)
            if not self._continues(whole, given + written):
                raise self._unstable(given + written, whole)
        if cursor < len(whole) and not (pieces and messages[-1].role == "assistant"):
            pieces.append(Piece(whole[cursor:], False))
        return [piece for piece in pieces if piece.text]

    def _turn(self, messages: Sequence[Message], index: int) -> tuple[str, str]:
        """What is given before one assistant turn, and what the model writes: answer and stop."""
        given = self._render(messages[:index], add_generation_prompt=True)
        upto = self._render(messages[: index + 1])
        if not upto.startswith(given):
            raise self._unstable(given, upto)
        written = upto[len(given) :]
        end = self._stop_end(written, messages[index].content)
        return given, (written[:end] if end else written.rstrip("\n") + str(self.tokenizer.eos_token))

    def _stop_end(self, written: str, content: str) -> int | None:
        """Where the last control token after the answer ends, or None where the template writes none."""
        answer = content.strip()
        start = written.rfind(answer) + len(answer)
        ends = [m.end() for m in self._control.finditer(written, start) if written[m.start() - 1] != MARKS[0]]
        return ends[-1] if ends else None

    def _continues(self, whole: str, so_far: str) -> bool:
        """Whether the whole render goes on from here; a stop that only we append may be missing at its end."""
        return whole.startswith(so_far) or so_far.startswith(whole.rstrip("\n"))

    def _reasoning(self, message: Message) -> Message:
        if self.thinking != "strip" or message.role != "assistant":
            return message
        return Message(message.role, REASONING.sub("", message.content), message.input_at, message.trained)

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        from jinja2.exceptions import TemplateError as JinjaError

        extra = {} if self.thinking is None else {"enable_thinking": self.thinking == "keep"}
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    [_row(m) for m in messages], tokenize=False, add_generation_prompt=add_generation_prompt, **extra
                )
            )
        except JinjaError as error:
            raise TemplateError("The model's chat template refuses this conversation: {why}", why=error) from None

    def _unstable(self, given: str, whole: str) -> TemplateError:
        pairs = enumerate(zip(given, whole, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), min(len(given), len(whole)))
        return TemplateError(
            "The model's chat template is not prefix-stable: what a server sends is not how the training text begins. "
            "They part at character {at}: sent {sent!r}, trained {trained!r}. Name a template (`template: NAME`) "
            "together with `template_override: true`.",
            at=at,
            sent=given[max(0, at - 20) : at + 30],
            trained=whole[max(0, at - 20) : at + 30],
        )


def _row(message: Message) -> dict[str, Any]:
    """The message for Jinja, its `input_at` counted without marks (the Jinja of our templates counts them itself)."""
    row = message.to_row()
    if message.input_at is not None:
        head = message.content[: message.input_at]
        row["input_at"] = message.input_at - head.count(MARKS[0]) - head.count(MARKS[1])
    row.pop("trained", None)
    return row
