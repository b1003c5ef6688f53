"""One text on its way through a tokenizer, step by step, for any tokenizer, slow ones too.

    text → normalised → words (what no token can cross) → pieces → ids → special tokens → a padded batch of two

A slow tokenizer does the first steps inside its own Python code, where they cannot be seen apart; the rest is shown.
Pieces are grouped so that a syllable which is split over several byte tokens prints whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seodang.language import Phrase

BROKEN = "\ufffd"
"""What a decoder writes for bytes that are no whole character."""
LONGEST = 16
"""So many tokens are tried to print whole: a syllable may take four, the last of which may begin the next syllable."""
WINDOW = 8
"""So many groups before a token are decoded with it, so that it is written as it stands in place."""

SEEN = {" ": "␣", "\t": "⇥", "\n": "↵", "\r": "␍"}
STEERING = frozenset(map(chr, [*range(0x20), *range(0x7F, 0xA0)])) - {"\n", "\t"}
"""Control characters: a terminal would obey them."""


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring tokens that print as whole characters: their text, and each one's vocabulary entry and id."""

    text: str
    pieces: tuple[str, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Two texts of different length as one batch, padded on the right as in training: ids and attention masks."""

    ids: tuple[tuple[int, ...], ...]
    mask: tuple[tuple[int, ...], ...]
    pad: str
    pad_id: int


@dataclass(frozen=True, slots=True)
class Steps:
    """A text at every step. `normalizer` and `words` are None where the tokenizer does not show them apart."""

    tokenizer: str
    text: str
    normalizer: str | None
    """The names of the normalisers, joined; empty where the tokenizer has none."""
    normalized: str
    words: tuple[str, ...] | None
    groups: tuple[Group, ...]
    before: tuple[Group, ...]
    """Special tokens that the tokenizer itself puts before a text, and `after` it; a chat template writes its own."""
    after: tuple[Group, ...]
    batch: Batch | None
    """None where the tokenizer has neither a pad nor an eos token to fill up with."""

    def to_row(self) -> dict[str, Any]:
        """The steps as JSON holds them, for a report."""
        row: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return row


def walk(tokenizer: Any, text: str, other: str) -> Steps:
    """The steps of `text`; in the batch `other` stands beside it."""
    ids = list(tokenizer.encode(text, add_special_tokens=False))
    before, after = _special(tokenizer, text, ids)
    normalizer, normalized, words = _first_steps(tokenizer, text)
    return Steps(
        type(tokenizer).__name__,
        text,
        normalizer,
        normalized,
        words,
        tuple(groups(tokenizer, ids)),
        tuple(groups(tokenizer, before)),
        tuple(groups(tokenizer, after)),
        _batch(tokenizer, (text, other)),
    )


def seen(text: str) -> str:
    """A text in which everything can be seen: spaces, line ends, and characters that have no width."""
    return "".join(SEEN.get(one) or (one if one.isprintable() else _escaped(one)) for one in text)


def harmless(text: str) -> str:
    """A text without control characters, which a terminal would obey; line ends and tabs stay."""
    return "".join(_escaped(one) if one in STEERING else one for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def normalised(name: str | None, text: str, result: str) -> Phrase:
    """What the normalisers of this name made of a text, or why there is nothing to see."""
    if name is None:
        return Phrase("inside a slow tokenizer's own code, not to be seen apart")
    if not name:
        return Phrase("unchanged, this tokenizer has no normaliser")
    if text == result:
        return Phrase("unchanged by {name}", name=name)
    return Phrase("{text}  (by {name})", text=seen(result), name=name)


def decode(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of ids, control tokens included, nothing tidied up."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def text_in_place(tokenizer: Any, before: Sequence[int], ids: Sequence[int]) -> str:
    """The text that `ids` add after `before`: decoded alone, a SentencePiece token would lose its leading space."""
    known, whole = decode(tokenizer, before) if before else "", decode(tokenizer, [*before, *ids])
    if whole.startswith(known):
        return whole[len(known) :]
    pairs = enumerate(zip(known, whole, strict=False))
    return whole[next((at for at, (one, other) in pairs if one != other), len(whole)) :]


def groups(tokenizer: Any, ids: Sequence[int], before: Sequence[int] = ()) -> Iterator[Group]:
    """The tokens in groups that print whole, in order; bytes that are no character print as U+FFFD.

    `before` are tokens that stand before them and end with a whole character.
    """
    known = [list(before)]
    rest = list(ids)
    while rest:
        context = [token for part in known[-WINDOW:] for token in part]
        end = _whole_end(tokenizer, context, rest[:LONGEST])
        part, rest = rest[:end], rest[end:]
        pieces = tuple(map(_as_text, tokenizer.convert_ids_to_tokens(part)))
        yield Group(text_in_place(tokenizer, context, part), pieces, tuple(part))
        known.append(part)


def _whole_end(tokenizer: Any, before: Sequence[int], ids: Sequence[int]) -> int:
    """How many of the next ids print whole characters together; one where none do."""
    for end in range(1, len(ids) + 1):
        text = text_in_place(tokenizer, before, ids[:end])
        if text and BROKEN not in text:
            return end
    return 1


def _as_text(piece: str | bytes) -> str:
    """A vocabulary entry as text; some slow tokenizers hold bytes."""
    return piece.decode("utf-8", "replace") if isinstance(piece, bytes) else str(piece)


def _special(tokenizer: Any, text: str, ids: list[int]) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a text of its own accord."""
    whole = list(tokenizer.encode(text))
    for start in range(len(whole) - len(ids) + 1):
        if whole[start : start + len(ids)] == ids:
            return whole[:start], whole[start + len(ids) :]
    return [], []


def _first_steps(tokenizer: Any, text: str) -> tuple[str | None, str, tuple[str, ...] | None]:
    """The normalisers' names, the normalised text, and the words."""
    if not tokenizer.is_fast:
        return None, text, None
    backend = tokenizer.backend_tokenizer
    normalized: list[str] = []
    words: list[str] = []
    for part, is_added in _parts(backend, set(tokenizer.added_tokens_encoder.values()), text):
        changed = part if is_added or backend.normalizer is None else backend.normalizer.normalize_str(part)
        normalized.append(changed)
        if is_added or backend.pre_tokenizer is None:
            words.append(changed)
        else:
            words += [changed[start:end] for _, (start, end) in backend.pre_tokenizer.pre_tokenize_str(changed)]
    return _names(backend.normalizer), "".join(normalized), tuple(words)


def _parts(backend: Any, added: set[int], text: str) -> Iterator[tuple[str, bool]]:
    """The text cut at added tokens, which are taken out before anything is normalised."""
    cursor, found = 0, backend.encode(text, add_special_tokens=False)
    for token, (start, end) in zip(found.ids, found.offsets, strict=True):
        if token in added:
            if start > cursor:
                yield text[cursor:start], False
            yield text[start:end], True
            cursor = end
    if cursor < len(text):
        yield text[cursor:], False


def _names(normalizer: Any) -> str:
    if normalizer is None:
        return ""
    state = json.loads(normalizer.__getstate__())
    return ", ".join(one["type"] for one in state.get("normalizers", [state]))


def _batch(tokenizer: Any, texts: tuple[str, str]) -> Batch | None:
    pad = tokenizer.pad_token or tokenizer.eos_token
    if pad is None:
        return None
    pad_id = int(tokenizer.convert_tokens_to_ids(pad))
    rows = [list(tokenizer.encode(text)) for text in texts]
    longest = max(map(len, rows))
    ids = tuple(tuple(row + [pad_id] * (longest - len(row))) for row in rows)
    mask = tuple(tuple([1] * len(row) + [0] * (longest - len(row))) for row in rows)
    return Batch(ids, mask, str(pad), pad_id)
