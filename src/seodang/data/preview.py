"""`seodang preview`: what is trained, token by token. Colour on a terminal, ⟦ ⟧ around the trained part elsewhere."""

from __future__ import annotations

from typing import Any

from seodang.data.dataset import sample_row, training_rows
from seodang.recipe import DPO, SFT
from seodang.spans import STYLES, Span, as_rich, as_text, spans


def preview(recipe: SFT | DPO, source: str | None = None) -> tuple[list[Span], dict[str, Any]]:
    """The spans of one training row (the first, or the one whose source is given), and facts about it."""
    rows = training_rows(recipe)
    row, record = sample_row(rows, source)
    facts = {
        "source": record.source,
        "tokens": len(row.input_ids),
        "trained": row.trained,
        "stop": ", ".join(rows.chat.renderer.stops),
        "template": rows.chat.renderer.name,
    }
    return spans(row, rows.chat.tokenizer), facts


def show(found: list[Span], facts: dict[str, Any], ids: bool = False) -> None:
    """Print a preview to stdout."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(", ".join(f"{name}: {value}" for name, value in facts.items()), markup=False)
    if console.is_terminal:
        legend = "  ".join(f"[{style}]{kind}[/]" for kind, style in STYLES.items())
        console.print(legend)
        console.print(as_rich(found))
    else:
        console.print("trained tokens stand in ⟦ ⟧", markup=False)
        console.print(as_text(found), markup=False, soft_wrap=True)
    if ids:
        for span in found:
            console.print(f"{span.kind:<8} {list(span.ids)}", markup=False, soft_wrap=True)
