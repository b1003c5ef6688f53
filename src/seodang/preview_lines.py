"""A preview as lines of a terminal: a row's tokens with their ids, and the steps of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seodang.language import columns, label, padded, say
from seodang.spans import STYLES, Span
from seodang.tokenizer_steps import Batch, Group, Steps, groups, normalised, seen

if TYPE_CHECKING:
    from rich.text import Text

INDENT = "  "
HEADINGS = ("text", "normalised", "words", "special tokens")


def id_lines(spans: Iterable[Span], tokenizer: Any, width: int) -> Iterator[Text]:
    """The spans, each on a line or more: its kind, then its tokens in groups that print whole, with their ids."""
    from rich.text import Text

    before: Sequence[int] = ()
    room = 2 + max(columns(label(kind)) for kind in STYLES)
    for span in spans:
        found = list(groups(tokenizer, span.ids, before))
        before, line = found[-1].ids, Text(padded(label(span.kind), room))
        for group in found:
            text, ids = seen(group.text), f"[{_ids(group.ids)}]"
            if room < line.cell_len > width - columns(text + ids):
                yield line
                line = Text(" " * room)
            line.append(text, STYLES[span.kind]).append(ids, "not dim").append(" ")
        yield line


def step_lines(steps: Steps, width: int) -> Iterator[str]:
    """The steps of a text in order; what is too wide goes on below, and a syllable takes two columns."""
    yield from _paragraph(say("text"), seen(steps.text), width)
    result = say(normalised(steps.normalizer, steps.text, steps.normalized))
    yield from _paragraph(say("normalised"), result, width)
    hidden = say("inside a slow tokenizer's own code, not to be seen apart")
    words = hidden if steps.words is None else [f"{seen(word)} │ " for word in steps.words]
    yield from _paragraph(say("words"), words, width)
    yield say("pieces and ids")
    yield from _table(
        [(seen(group.text), " ".join(map(seen, group.pieces)), _ids(group.ids)) for group in steps.groups], width
    )
    yield from _paragraph(say("special tokens"), _special(steps), width)
    if steps.batch:
        yield say("batch of two, filled up with {pad} on the right", pad=steps.batch.pad)
        yield from _batch(steps.batch, width)


def _ids(ids: Iterable[int]) -> str:
    return " ".join(map(str, ids))


def _special(steps: Steps) -> str:
    if not (steps.before or steps.after):
        return say("none of the tokenizer's own; a chat template writes them")
    return " … ".join(_pieces(part) or say("nothing") for part in (steps.before, steps.after))


def _pieces(found: Sequence[Group]) -> str:
    return " ".join(f"{' '.join(map(seen, group.pieces))} [{_ids(group.ids)}]" for group in found)


def _paragraph(name: str, parts: Iterable[str], width: int) -> Iterator[str]:
    """A heading and parts of text, which go on under themselves; a text is parted at every character."""
    room, line = 2 + max(map(columns, map(say, HEADINGS))), ""
    head = padded(name, room)
    for part in parts:
        if line and columns(head + line + part.rstrip()) > width:
            yield (head + line).rstrip()
            head, line = " " * room, ""
        line += part
    yield (head + line).rstrip(" │")


def _table(rows: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Columns side by side, one per entry, as many as fit; then the next ones below."""
    line: list[tuple[str, ...]] = []
    for row in [*rows, ()]:
        if line and (not row or _wide([*line, row]) > width):
            sizes = [_wide([one]) - len(INDENT) for one in line]
            for texts in zip(*line, strict=True):
                cells = (padded(text, size) for text, size in zip(texts, sizes, strict=True))
                yield (INDENT + INDENT.join(cells)).rstrip()
            line = []
        line += [row] if row else []


def _wide(rows: Sequence[tuple[str, ...]]) -> int:
    return sum(len(INDENT) + max(map(columns, row)) for row in rows)


def _batch(batch: Batch, width: int) -> Iterator[str]:
    for number, (ids, mask) in enumerate(zip(batch.ids, batch.mask, strict=True), 1):
        cells = [(str(token), str(is_text)) for token, is_text in zip(ids, mask, strict=True)]
        yield from _table([(f"{number}  {say('ids')}", f"   {say('mask')}"), *cells], width)
