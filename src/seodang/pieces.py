"""The ids of a piece of text as it stands in place: after what precedes it, without dummy spaces, cut where it begins.

A row is encoded in pieces, what the model is given and what it writes. Each is encoded behind the end of the text
before it, and its ids are found by the tokenizer's offsets. Where a token would reach over the border, the piece is
encoded behind a neutral context, and the border is counted as a cut: the served model is given the prompt first and
never meets that token. Control strings that a user typed are marked, and their ids are those of transformers'
`apply_chat_template(..., sanitize_control_tokens=True)`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.template import MARKS
from seodang.tokenization import PROBES

NEAR, FAR = 16, 64
"""How many characters before a border are looked at: plain text, and in search of a control token."""

START = "가"
"""What stands before a probe: at the beginning of a text tokenizers add and take off a space."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece in ids. `cut` says that encoding the whole text would have made other tokens at its beginning."""

    ids: list[int]
    cut: bool = False


class PieceEncoder:
    """Encodes marked text piece by piece. `jinja` is the chat template, whose own control strings are marked too."""

    def __init__(self, tokenizer: Any, jinja: str) -> None:
        from transformers.utils.chat_template_utils import _get_control_token_patterns

        self.tokenizer = tokenizer
        added = tuple(tokenizer.added_tokens_encoder)
        self._control, _ = _get_control_token_patterns(tokenizer._get_control_tokens(jinja))
        self._added, self._marked = _get_control_token_patterns(added)
        self._newline = self._plain("\n")
        self._tails: dict[str, list[int]] = {}

    def mark(self, text: str) -> str:
        """Put transformers' marks around control strings; marks that stand in the text already are taken out."""
        from transformers.utils.chat_template_utils import mark_control_tokens

        return str(mark_control_tokens(text, self._control))

    def is_marked(self, text: str) -> bool:
        """Whether `mark` would change the text."""
        return self._control.search(text) is not None or MARKS[0] in text or MARKS[1] in text

    def typed(self, text: str) -> int:
        """How many marked control strings stand in a text."""
        return sum(match.group(1) is not None for match in self._marked.finditer(text)) if MARKS[0] in text else 0

    def encode(self, text: str, before: str = "") -> Placed:
        """Marked text → its ids behind `before`, the text that precedes it ("" where it begins the row)."""
        return self.encode_many([(text, before)])[0]

    def encode_many(self, pieces: Sequence[tuple[str, str]]) -> list[Placed]:
        """Pieces as (text, the text before it) → their ids, in one call of the tokenizer."""
        contexts = [self._context(before) for _, before in pieces]
        heads = [self._marked.split(text) if MARKS[0] in text or MARKS[1] in text else [text] for text, _ in pieces]
        found = self._offsets([context + head[0] for context, head in zip(contexts, heads, strict=True)])
        return [
            self._joined(head, context, *encoded) for head, context, encoded in zip(heads, contexts, found, strict=True)
        ]

    @cached_property
    def note(self) -> Phrase | None:
        """What the tokenizer does to text that it cannot give back, on the first probe that shows it."""
        for probe in PROBES:
            if self._added.search(probe):
                continue
            ids = self._plain(START) + self.encode(probe, START).ids
            back = str(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
            if back != START + probe:
                text = "the tokenizer writes {text!r} as {back!r}: answers are trained as it writes them"
                return Phrase(text, text=probe, back=back.removeprefix(START))
        return None

    def _offsets(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        if not texts:
            return []
        options = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
        found = self.tokenizer(texts, return_offsets_mapping=True, verbose=False, **options)
        return list(zip(found["input_ids"], found["offset_mapping"], strict=True))

    def _context(self, before: str) -> str:
        """The end of a text that decides how the next one is encoded: from its last control token, else a few words."""
        if not before:
            return ""
        near = re.split(f"[{MARKS[0]}{MARKS[1]}]", before[-FAR:])[-1]
        tokens = [match.start() for match in self._added.finditer(near)]
        return near[tokens[-1] :] if tokens else near[-NEAR:] or "\n"

    def _joined(self, parts: list[str], context: str, ids: list[int], offsets: list[tuple[int, int]]) -> Placed:
        """The head of a piece, cut from behind its context, and the typed control strings and texts after it."""
        head = self._head(parts[0], context, ids, offsets)
        more: list[int] = []
        for index, part in enumerate(parts[1:], 1):
            if part:
                more += self._typed(part) if index % 2 else self._behind_newline(self._plain, part)
        return Placed(head.ids + more, head.cut) if more else head

    def _head(self, text: str, context: str, ids: list[int], offsets: list[tuple[int, int]]) -> Placed:
        if not context or not text:
            return Placed(ids if text else [])
        found = self._behind(context, ids, offsets)
        for neutral in ("\n", self.tokenizer.eos_token or "\n") if found is None else ():
            found = self._behind(neutral, *self._offsets([neutral + text])[0])
            if found is not None:
                break
        found = self._plain(text) if found is None else found
        return Placed(found, self._tail(context) + found != ids)

    def _behind(self, context: str, ids: list[int], offsets: Sequence[tuple[int, int]]) -> list[int] | None:
        """The ids behind a context, or None where a token reaches over the border or changes what is before it.

        The offsets alone do not tell: some tokenizers leave the space out of those of a word with its space.
        """
        at = next((index for index, (_, end) in enumerate(offsets) if end > len(context)), len(offsets))
        is_whole = at == len(offsets) or offsets[at][0] >= len(context)
        return ids[at:] if is_whole and ids[:at] == self._tail(context) else None

    def _tail(self, context: str) -> list[int]:
        if context not in self._tails:
            self._tails = {} if len(self._tails) > 10_000 else self._tails  # a bound for contexts that never come back
            self._tails[context] = self._plain(context)
        return self._tails[context]

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, verbose=False))

    def _typed(self, token: str) -> list[int]:
        ids = self._behind_newline(self.tokenizer._encode_without_added_tokens, token)
        if self.tokenizer.convert_tokens_to_ids(token) in ids:
            raise TemplateError(
                "The control string {token!r} cannot be kept as text: this tokenizer makes the token from plain text.",
                token=token,
            )
        return ids

    def _behind_newline(self, encode: Callable[[str], list[int]], text: str) -> list[int]:
        """What transformers does after a typed control string: encode behind a newline and take it off again."""
        ids, size = encode("\n" + text), len(self._newline)
        return ids[size:] if ids[:size] == self._newline else encode(text)
