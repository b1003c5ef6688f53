"""A training row for eyes: runs of text, each trained, context or control, so that Hangul prints whole.

Tokens are decoded in runs of one kind, never one by one: a syllable may be split over several byte tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from seodang.data.dataset import TrainingRows, sample_rows
from seodang.encoding import IGNORED, Encoded

Kind = Literal["trained", "context", "control", "stop"]


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring tokens of one kind. `control` is a control token of the context, `stop` one that is trained."""

    text: str
    kind: Kind
    ids: tuple[int, ...]

    def to_row(self) -> dict[str, Any]:
        """The span for a report."""
        return {"text": self.text, "kind": self.kind, "ids": list(self.ids)}


def spans(row: Encoded, tokenizer: Any) -> list[Span]:
    """The row as runs of one kind, in order; joined, they decode to the whole row."""
    control = set(tokenizer.added_tokens_encoder.values())
    found: list[tuple[Kind, list[int]]] = []
    for token, label in zip(row.input_ids, row.labels, strict=True):
        kind = _kind(token in control, label != IGNORED)
        if found and found[-1][0] == kind and kind in ("trained", "context"):
            found[-1][1].append(token)
        else:
            found.append((kind, [token]))
    return [Span(_decode(tokenizer, ids), kind, tuple(ids)) for kind, ids in found]


def _kind(is_control: bool, is_trained: bool) -> Kind:
    if is_control:
        return "stop" if is_trained else "control"
    return "trained" if is_trained else "context"


def _decode(tokenizer: Any, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def previews(rows: TrainingRows, count: int = 2) -> list[list[dict[str, Any]]]:
    """The first training rows as spans, for a report."""
    sources = [record.source for record in rows.records[:count]]
    shown = (row for source in sources for _, row in sample_rows(rows, source))
    return [[span.to_row() for span in spans(row, rows.chat.tokenizer)] for row in shown]


PLAIN = {"trained": "⟦{}⟧", "stop": "⟦{}⟧", "context": "{}", "control": "{}"}
STYLES = {"trained": "black on green", "stop": "bold black on yellow", "context": "dim", "control": "bold cyan"}


def as_text(found: list[Span]) -> str:
    """Plain text; what is trained stands in ⟦ ⟧."""
    return "".join(PLAIN[span.kind].format(span.text) for span in found).replace("⟧⟦", "")


def as_rich(found: list[Span]) -> Any:
    """A rich Text in colour: trained green, stop yellow, control cyan, context dim."""
    from rich.text import Text

    text = Text()
    for span in found:
        text.append(span.text, style=STYLES[span.kind])
    return text
