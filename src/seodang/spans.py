"""A training row for eyes: runs of text, each trained, context or control, so that Hangul prints whole.

Tokens are decoded in runs of one kind, never one by one: a syllable may be split over several byte tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from seodang.data.dataset import TrainingRows, sample_rows
from seodang.encoding import IGNORED, Chat, Encoded
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.records import Conversation, Record, turns
from seodang.tokenizer_steps import Steps, harmless, text_in_place, walk
from seodang.trl_default import TrlRow, differences, is_conversational, is_readable, trl_row

Kind = Literal["trained", "context", "control", "stop"]


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring tokens of one kind. `control` is a control token of the context, `stop` a stop that is trained."""

    text: str
    kind: Kind
    ids: tuple[int, ...]

    def to_row(self) -> dict[str, Any]:
        """The span for a report."""
        return {"text": self.text, "kind": self.kind, "ids": list(self.ids)}


@dataclass(frozen=True, slots=True)
class View:
    """One row to look at: a heading (empty for the only one), its spans, and sentences about it."""

    title: str
    spans: tuple[Span, ...]
    notes: tuple[str, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """The view for a report."""
        return {"title": self.title, "notes": list(self.notes), "spans": [span.to_row() for span in self.spans]}


def control_ids(chat: Chat) -> frozenset[int]:
    """The ids of control tokens: special ones, and added ones that the template writes (not Gemma's added newlines)."""
    tokens = chat.tokenizer._get_control_tokens(chat.jinja)
    return frozenset(chat.tokenizer.convert_tokens_to_ids(list(tokens)))


def spans(row: Encoded, chat: Chat) -> tuple[Span, ...]:
    """The row as runs of one kind, in order; joined, they decode to the whole row."""
    control, found, cursor = control_ids(chat), [], 0
    for kind, ids in _runs(row, control, frozenset(chat.stop_ids)):
        text = text_in_place(chat.tokenizer, row.input_ids[:cursor], ids)
        found.append(Span(text, kind, tuple(ids)))
        cursor += len(ids)
    return tuple(found)


def _runs(row: Encoded, control: frozenset[int], stops: frozenset[int]) -> list[tuple[Kind, list[int]]]:
    found: list[tuple[Kind, list[int]]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        is_trained = label != IGNORED
        kind: Kind = "trained" if is_trained else "control" if token in control else "context"
        if is_trained and token in stops:
            kind = "stop"
        if found and found[-1][0] == kind and kind in ("trained", "context"):
            found[-1][1].append(token)
        else:
            found.append((kind, [token]))
    return found


def beside_trl(record: Record, rows: TrainingRows, raw: Mapping[str, Any] | None = None) -> View:
    """What a bare `trl sft` trains on the row as it stands in its file (`raw`), else on the record's own shape.

    Where SFTTrainer would stop, the view has no spans and says why.
    """
    chat, notes = rows.chat, []
    if raw is not None and not is_readable(raw):
        notes.append(Phrase(UNREADABLE, columns=", ".join(raw)))
        raw = None
    row = raw or record.to_row()
    given = chat.jinja if is_conversational(row) and not chat.tokenizer.chat_template else None
    if given:
        text = "the tokenizer has no chat template, so `trl sft` would stop; here it is given that of `{name}`"
        notes.append(Phrase(text, name=chat.renderer.name))
    try:
        theirs = trl_row(row, chat.tokenizer, given)
    except DataError as error:
        return View(TRL, (), (*notes, error.phrase))
    return View(TRL, spans(theirs.row, chat), (*notes, *_compared(sample_rows(rows, record.source), theirs, chat)))


def _compared(ours: Sequence[tuple[str, Encoded]], theirs: TrlRow, chat: Chat) -> list[Phrase]:
    if len(ours) > 1:
        return [Phrase("one row of it is trained there, {count} are here", count=len(ours))]
    return differences(ours[0][1], theirs, chat.stop_ids) or [Phrase("the same tokens get a loss")]


TRL = Phrase("the same row by a bare `trl sft`")
UNREADABLE = "`trl sft` stops at the columns {columns}; here it is given the row as `prepare` writes it"


def text_steps(tokenizer: Any, record: Record, text: str | None = None, most: int | None = None) -> Steps:
    """The steps of a text, else of the record's first question; its last answer stands beside it in the batch.

    `most` characters of both are walked, all where it is None.
    """
    said = [turn.content for turn in turns(record)] or [""]
    asked = next((turn.content for turn in turns(record) if turn.role == "user"), said[0])
    return walk(tokenizer, (asked if text is None else text)[:most], said[-1][:most])


MOST_WALKED = 100
"""Characters of a text whose steps a report shows."""


def previews(rows: TrainingRows, count: int = 2) -> dict[str, Any]:
    """For a report: the first training rows, each also as a bare `trl sft` would train it, and one text's steps."""
    views: list[View] = []
    for record in {record.source: record for record in rows.records[:count]}.values():
        views += [
            View(title or record.source, spans(row, rows.chat)) for title, row in sample_rows(rows, record.source)
        ]
        views += [beside_trl(record, rows)] if isinstance(record, Conversation) else []
    views[0] = replace(views[0], notes=rows.chat.notes)
    return {
        "views": [view.to_row() for view in views],
        "steps": text_steps(rows.chat.tokenizer, rows.records[0], most=MOST_WALKED).to_row(),
    }


PLAIN = {"trained": "⟦{}⟧", "stop": "⟦{}⟧", "context": "{}", "control": "{}"}
STYLES = {"trained": "black on green", "stop": "bold black on yellow", "context": "dim", "control": "bold cyan"}


def as_text(found: Iterable[Span]) -> str:
    """Plain text; what is trained stands in ⟦ ⟧."""
    return harmless("".join(PLAIN[span.kind].format(span.text) for span in found).replace("⟧⟦", ""))


def as_rich(found: Iterable[Span]) -> Any:
    """A rich Text in colour: trained green, stop yellow, control cyan, context dim."""
    from rich.text import Text

    text = Text()
    for span in found:
        text.append(visible(span), style=STYLES[span.kind])
    return text


def visible(span: Span) -> str:
    """The text of a span; a trained line end is marked, because a background does not show it."""
    text = harmless(span.text)
    return text.replace("\n", "↵\n") if span.kind in ("trained", "stop") else text
