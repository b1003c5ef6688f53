"""Conversations → ids and labels, exactly as the served model reads and writes them.

A conversation is encoded in two kinds of piece: everything the model is given and everything it writes (answer + stop),
each as it stands in place (pieces.py). So prompt ids are always a prefix, trained ids are exactly those of answer and
stop, and a syllable that is split over several tokens is trained or given as one.
Control strings that a user typed stay text: they are marked before rendering and encoded without special-token parsing,
which gives the ids of transformers' `apply_chat_template(..., sanitize_control_tokens=True)`, the oracle of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.model_template import one_per_turn
from seodang.pieces import PieceEncoder, Placed
from seodang.records import Conversation, Message, Preference
from seodang.template import BoundTemplate, Piece

IGNORED = -100
BATCH = 512
"""How many conversations are given to the tokenizer at once."""

HALF_PAIR = re.compile("[\ud800-\udfff]")


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

    @property
    def notes(self) -> tuple[Phrase, ...]:
        """What a reader of the check should know about the template."""

    def examples(self, messages: Sequence[Message]) -> list[list[Piece]]:
        """Marked messages → the rows of a conversation, each in given and written pieces, in order."""

    def prompt(self, messages: Sequence[Message]) -> str:
        """Marked messages → the text a served model is given."""


@dataclass
class Chat:
    """A tokenizer with the template that is trained and saved with it."""

    tokenizer: Any
    renderer: Renderer

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

    @cached_property
    def notes(self) -> tuple[Phrase, ...]:
        """What a reader of the check should know about the template and the tokenizer."""
        return (*self.renderer.notes, *([self._pieces.note] if self._pieces.note else []))

    @cached_property
    def _pieces(self) -> PieceEncoder:
        return PieceEncoder(self.tokenizer, self.renderer.jinja)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """What a served model is given for these turns, up to where it begins to write."""
        return self._pieces.encode(self.renderer.prompt([self._mark(m) for m in messages])).ids

    def examples(self, conversation: Conversation) -> list[Encoded]:
        """The training rows of a conversation: one, or one per trained turn where the template rewrites earlier turns.

        Raises TemplateError where no turn is trained, and where the template refuses the conversation.
        """
        found = next(self.encode_many([conversation]))
        if isinstance(found, TemplateError):
            raise found
        return found

    def encode_many(self, conversations: Iterable[Conversation]) -> Iterator[list[Encoded] | TemplateError]:
        """`examples` of many conversations, in order, with few calls of the tokenizer; or the error that one is."""
        waiting = iter(conversations)
        while some := list(islice(waiting, BATCH)):
            yield from self._encoded(some, [self._cut(conversation) for conversation in some])

    def _encoded(
        self, conversations: Sequence[Conversation], cut: Sequence[list[list[Piece]] | TemplateError]
    ) -> Iterator[list[Encoded] | TemplateError]:
        rows = [row for found in cut if not isinstance(found, TemplateError) for row in found]
        try:
            placed = iter(self._pieces.encode_many([request for row in rows for request in _requests(row)]))
        except TemplateError as error:
            if len(conversations) == 1:
                yield _named(conversations[0], error)
            else:  # one of them cannot be encoded: each by itself
                for conversation, found in zip(conversations, cut, strict=True):
                    yield from self._encoded([conversation], [found])
            return
        for conversation, found in zip(conversations, cut, strict=True):
            if isinstance(found, TemplateError):
                yield found
            else:
                yield [self._join(row, [next(placed) for _ in row], conversation.source) for row in found]

    def encode(self, conversation: Conversation) -> Encoded:
        """The one training row of a conversation. Raises TemplateError where it has several, and as `examples` does."""
        rows = self.examples(conversation)
        if len(rows) != 1:
            raise TemplateError(
                "{source}: the template `{name}` rewrites earlier turns, so the conversation is {count} examples, not "
                "one row. Ask for `examples`, or set `trained` to false on all turns but one.",
                source=conversation.source or Phrase("a conversation"),
                name=self.renderer.name,
                count=len(rows),
            )
        return rows[0]

    def encode_preference(self, pair: Preference) -> tuple[list[int], list[int], list[int]]:
        """Prompt ids, and the ids of the chosen and of the rejected answer, each with its stop."""
        chosen, rejected = (self.encode(side) for side in self.sides(pair))
        return self.paired(pair, chosen, rejected)

    def sides(self, pair: Preference) -> tuple[Conversation, Conversation]:
        """The chosen and the rejected answer, each behind the prompt, in which nothing is trained."""
        prompt = tuple(replace(message, trained=False) for message in pair.prompt)
        return Conversation(prompt + pair.chosen, pair.source), Conversation(prompt + pair.rejected, pair.source)

    def paired(self, pair: Preference, chosen: Encoded, rejected: Encoded) -> tuple[list[int], list[int], list[int]]:
        """Two encoded sides as prompt, chosen and rejected ids. Raises TemplateError where their prompts differ."""
        (prompt, good), (other, bad) = _halves(chosen), _halves(rejected)
        if prompt != other:
            raise TemplateError(
                "{source}: the prompt has other ids before the chosen than before the rejected answer; the template "
                "`{name}` writes the prompt in the light of the answer.",
                source=pair.source,
                name=self.renderer.name,
            )
        return prompt, good, bad

    def _cut(self, conversation: Conversation) -> list[list[Piece]] | TemplateError:
        """The marked conversation as rows of pieces, or the error that names it."""
        source = conversation.source or Phrase("a conversation")
        if not asks(conversation.messages):
            return TemplateError(
                "{source}: the conversation begins with an answer, so there is nothing that it answers. Put a user "
                "turn before it, or leave the row out.",
                source=source,
            )
        if any(HALF_PAIR.search(message.content) for message in conversation.messages):
            return TemplateError(
                "{source}: the row holds half of a surrogate pair (an escape like \\ud83d alone), which no tokenizer "
                "reads. Mend the file that it comes from, or leave the row out.",
                source=source,
            )
        try:
            rows = self.renderer.examples([self._mark(message) for message in conversation.messages])
        except TemplateError as error:
            return _named(conversation, error)
        if any(piece.trained for row in rows for piece in row):
            return rows
        return TemplateError(
            "{source}: no turn of this conversation is trained. It needs an assistant turn, `trained` not false.",
            source=source,
        )

    def _join(self, pieces: Sequence[Piece], placed: Sequence[Placed], source: str) -> Encoded:
        row = Encoded([], [], source=source)
        for piece, found in zip(pieces, placed, strict=True):
            row.labels += found.ids if piece.trained else [IGNORED] * len(found.ids)
            row.input_ids += found.ids
            row.stop_trained &= not piece.trained or (bool(found.ids) and found.ids[-1] in self.stop_ids)
            row.border_cuts += found.cut
            row.control_strings += self._pieces.typed(piece.text)
        return row

    def _mark(self, message: Message) -> Message:
        """Put transformers' marks around typed control strings; `input_at` moves with its text."""
        if not self._pieces.is_marked(message.content):
            return message
        at = message.input_at or 0
        head, tail = self._pieces.mark(message.content[:at]), self._pieces.mark(message.content[at:])
        return replace(message, content=head + tail, input_at=None if message.input_at is None else len(head))


def _named(conversation: Conversation, error: TemplateError) -> TemplateError:
    """The error with the row that it is about."""
    source = conversation.source or Phrase("a conversation")
    return TemplateError("{source}: {fault}", source=source, fault=error.phrase)


def _halves(row: Encoded) -> tuple[list[int], list[int]]:
    """The ids before the first trained one, and from there on."""
    start = next(i for i, label in enumerate(row.labels) if label != IGNORED)
    return row.input_ids[:start], row.input_ids[start:]


def _requests(row: Sequence[Piece]) -> Iterator[tuple[str, str]]:
    """Every piece of a row with the text before it."""
    before = ""
    for piece in row:
        yield piece.text, before
        before = piece.text


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

    @property
    def notes(self) -> tuple[Phrase, ...]:
        """What a reader of the check should know about the template."""
        if self.template.template.verified:
            return ()
        text = "the template `{name}` is not verified: no ids of the family's own tokenizer were compared with it"
        return (Phrase(text, name=self.name),)

    def examples(self, messages: Sequence[Message]) -> list[list[Piece]]:
        """One row, or one per trained turn where the template rewrites earlier turns."""
        if not self.template.rewrites_past:
            return [self._pieces(messages)]
        return [self._pieces(turns) for turns in one_per_turn(messages)]

    def _pieces(self, messages: Sequence[Message]) -> list[Piece]:
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
