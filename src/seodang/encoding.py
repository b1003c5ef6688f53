"""Conversations → ids and labels, exactly as the served model reads and writes them.

A conversation is encoded in two kinds of piece: everything the model is given and everything it writes (answer + stop),
each as it stands in place. So prompt ids are always a prefix, and trained ids always decode to exactly answer + stop.
Control strings that a user typed stay text: they are marked before rendering and encoded without special-token parsing,
which gives the ids of transformers' `apply_chat_template(..., sanitize_control_tokens=True)`, the oracle of the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.records import Conversation, Message, Preference
from seodang.template import MARKS, BoundTemplate, Piece

IGNORED = -100


@dataclass(slots=True)
class Encoded:
    """One training row: ids, labels (-100 where nothing is learnt), and what was noticed on the way."""

    input_ids: list[int]
    labels: list[int]
    border_cuts: int = 0
    """Borders between given and written text where encoding the whole text would have merged tokens."""
    control_strings: int = 0
    """Control strings typed in messages, kept as text."""
    source: str = ""
    stop_trained: bool = True

    @property
    def trained(self) -> int:
        """How many tokens get a loss."""
        return sum(label != IGNORED for label in self.labels)


def asks(messages: Sequence[Message]) -> bool:
    """Whether a turn of the user's stands before the first answer."""
    roles = [message.role for message in messages]
    first = roles.index("assistant") if "assistant" in roles else len(roles)
    return "user" in roles[:first]


class Renderer(Protocol):
    """A source of pieces: one of our templates, or the tokenizer's own Jinja."""

    @property
    def name(self) -> str:
        """What errors and reports call the template."""

    @property
    def jinja(self) -> str:
        """The chat_template that says the same."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The control tokens that end an answer."""

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Marked messages → the conversation in given and written pieces, in order."""

    def prompt(self, messages: Sequence[Message]) -> str:
        """Marked messages → the text a served model is given."""


@dataclass
class Chat:
    """A tokenizer with the template that is trained and saved with it."""

    tokenizer: Any
    renderer: Renderer
    _newline: list[int] = field(init=False)

    def __post_init__(self) -> None:
        from transformers.utils.chat_template_utils import _get_control_token_patterns

        tokens = self.tokenizer._get_control_tokens(self.renderer.jinja)
        self._control, _ = _get_control_token_patterns(tokens)
        _, self._marked = _get_control_token_patterns(tuple(self.tokenizer.added_tokens_encoder))
        self._newline = self.tokenizer.encode("\n", add_special_tokens=False)

    @property
    def jinja(self) -> str:
        """The chat_template to save with the tokenizer."""
        return self.renderer.jinja

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the chat template, as the manifest holds it."""
        from seodang.runs import hash_text

        return hash_text(self.jinja)

    @cached_property
    def stop_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the template's stop tokens, then the tokenizer's eos."""
        ids = [self.tokenizer.convert_tokens_to_ids(token) for token in self.renderer.stops]
        if self.tokenizer.eos_token_id is not None:
            ids.append(self.tokenizer.eos_token_id)
        return tuple(dict.fromkeys(ids))

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """What a served model is given for these turns, up to where it begins to write."""
        return self._encode(self.renderer.prompt([self._mark(m) for m in messages]), first=True)

    def encode(self, conversation: Conversation) -> Encoded:
        """The training row of a conversation. Raises TemplateError where no turn is trained."""
        if not asks(conversation.messages):
            raise TemplateError(
                "{source}: the conversation begins with an answer, so there is nothing that it answers. Put a user "
                "turn before it, or leave the row out.",
                source=conversation.source or Phrase("a conversation"),
            )
        marked = [self._mark(message) for message in conversation.messages]
        pieces = self.renderer.pieces(marked)
        if not any(piece.trained for piece in pieces):
            raise TemplateError(
                "{source}: no turn of this conversation is trained. It needs an assistant turn, `trained` not false.",
                source=conversation.source or Phrase("a conversation"),
            )
        row = self._join(pieces)
        row.control_strings = sum(message.content.count(MARKS[0]) for message in marked)
        row.source = conversation.source
        return row

    def encode_preference(self, pair: Preference) -> tuple[list[int], list[int], list[int]]:
        """Prompt ids, and the ids of the chosen and of the rejected answer, each with its stop."""
        sides = []
        for answer in (pair.chosen, pair.rejected):
            last = Conversation(tuple(replace(m, trained=False) for m in pair.prompt) + answer, pair.source)
            row = self.encode(last)
            start = next(i for i, label in enumerate(row.labels) if label != IGNORED)
            sides.append((row.input_ids[:start], row.input_ids[start:]))
        (prompt, chosen), (other, rejected) = sides
        if prompt != other:
            raise TemplateError(
                "{source}: the prompt has other ids before the chosen than before the rejected answer; the template "
                "`{name}` writes the prompt in the light of the answer.",
                source=pair.source,
                name=self.renderer.name,
            )
        return prompt, chosen, rejected

    def _join(self, pieces: Sequence[Piece]) -> Encoded:
        row = Encoded([], [])
        for index, piece in enumerate(pieces):
            ids = self._encode(piece.text, first=index == 0)
            row.labels += ids if piece.trained else [IGNORED] * len(ids)
            row.input_ids += ids
            row.stop_trained &= not piece.trained or (bool(ids) and ids[-1] in self.stop_ids)
            row.border_cuts += bool(index) and self._merges(pieces[index - 1].text, piece.text)
        return row

    def _merges(self, before: str, after: str) -> bool:
        """Whether whole-text encoding would join the last characters of one piece with the first of the next."""
        left, right = before[-8:], after[:8]
        if MARKS[1] in left or MARKS[0] in right or before.endswith(self.renderer.stops):
            return False
        split = self._encode(left, first=False) + self._encode(right, first=False)
        return self._encode(left + right, first=False) != split

    def _mark(self, message: Message) -> Message:
        """Put transformers' marks around typed control strings; `input_at` moves with its text."""
        if self._control.search(message.content) is None and MARKS[0] not in message.content:
            return message
        head = self._mark_text(message.content[: message.input_at]) if message.input_at is not None else ""
        tail = message.content[message.input_at :] if message.input_at is not None else message.content
        at = len(head) if message.input_at is not None else None
        return replace(message, content=head + self._mark_text(tail), input_at=at)

    def _mark_text(self, text: str) -> str:
        from transformers.utils.chat_template_utils import mark_control_tokens

        return str(mark_control_tokens(text, self._control))

    def _encode(self, text: str, first: bool) -> list[int]:
        """Ids of a marked text as it stands in place: at the start, or after other text (no dummy prefix space)."""
        if MARKS[0] not in text:
            return self._plain(text, first)
        ids: list[int] = []
        for index, part in enumerate(self._marked.split(text)):
            if not part:
                continue
            ids += self._typed(part) if index % 2 else self._plain(part, first and index == 0)
        return ids

    def _plain(self, text: str, first: bool) -> list[int]:
        def encode(part: str) -> list[int]:
            return list(self.tokenizer.encode(part, add_special_tokens=False))

        return encode(text) if first else self._in_place(encode, text)

    def _typed(self, token: str) -> list[int]:
        ids = self._in_place(self.tokenizer._encode_without_added_tokens, token)
        if self.tokenizer.convert_tokens_to_ids(token) in ids:
            raise TemplateError(
                "The control string {token!r} cannot be kept as text: this tokenizer makes the token from plain text.",
                token=token,
            )
        return ids

    def _in_place(self, encode: Callable[[str], list[int]], text: str) -> list[int]:
        """Encode after a newline and take it off again, so that SentencePiece puts no dummy space before the text."""
        ids, size = encode("\n" + text), len(self._newline)
        return ids[size:] if ids[:size] == self._newline else encode(text)


@dataclass(frozen=True)
class NamedRenderer:
    """One of our templates."""

    template: BoundTemplate

    @property
    def name(self) -> str:
        """The template's name."""
        return self.template.name

    @cached_property
    def jinja(self) -> str:
        """The Jinja that says the same."""
        return self.template.to_jinja()

    @property
    def stops(self) -> tuple[str, ...]:
        """The control tokens that end an answer."""
        return self.template.stops

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Neighbouring segments of one kind, joined."""
        pieces: list[Piece] = []
        for segment in self.template.render(messages):
            if pieces and pieces[-1].trained == segment.trained:
                pieces[-1] = Piece(pieces[-1].text + segment.text, segment.trained)
            else:
                pieces.append(Piece(segment.text, segment.trained))
        return pieces

    def prompt(self, messages: Sequence[Message]) -> str:
        """The rendered turns and the assistant's header."""
        return "".join(segment.text for segment in self.template.render(messages, add_generation_prompt=True))
