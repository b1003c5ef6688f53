"""`seodang preview`: what is trained, token by token. Colour on a terminal, ⟦ ⟧ around the trained part elsewhere."""

from __future__ import annotations

from typing import Any

from seodang.data.dataset import sample_rows, training_rows
from seodang.language import label, say
from seodang.recipe import DPO, SFT
from seodang.spans import STYLES, Span, as_rich, as_text, spans


def preview(recipe: SFT | DPO, source: str | None = None) -> tuple[list[tuple[str, list[Span]]], dict[str, Any]]:
    """The spans of one training row (the first, or the one whose source is given), and facts about it.

    A preference pair is two rows, `chosen` and `rejected`: both answers get a loss.
    """
    rows = training_rows(recipe)
    shown = sample_rows(rows, source)
    facts = {
        "source": shown[0][1].source,
        "tokens": " + ".join(str(len(row.input_ids)) for _, row in shown),
        "trained": " + ".join(str(row.trained) for _, row in shown),
        "stop": ", ".join(rows.chat.renderer.stops),
        "template": rows.chat.renderer.name,
    }
    return [(title, spans(row, rows.chat.tokenizer)) for title, row in shown], facts


def show(found: list[tuple[str, list[Span]]], facts: dict[str, Any], ids: bool = False) -> None:
    """Print a preview to stdout."""
    from rich.console import Console

    console = Console(highlight=False)
    line = ", ".join(f"{label(name)}: {value}" for name, value in facts.items())
    console.print(line, markup=False, soft_wrap=True)
    if console.is_terminal:
        console.print("  ".join(f"[{style}]{label(kind)}[/]" for kind, style in STYLES.items()))
    else:
        console.print(say("trained tokens stand in ⟦ ⟧"), markup=False)
    for title, row in found:
        if title:
            console.print(f"-- {title}", markup=False)
        text = as_rich(row) if console.is_terminal else as_text(row)
        console.print(text, markup=False, soft_wrap=not console.is_terminal)
        for span in row if ids else ():
            console.print(f"{span.kind:<8} {list(span.ids)}", markup=False, soft_wrap=True)
