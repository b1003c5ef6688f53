"""`seodang preview`: what is trained, token by token. Colour on a terminal, ⟦ ⟧ around the trained part elsewhere.

preview(recipe)                     one training row: what gets a loss, what is context, what is a control token
preview(recipe, beside="trl")       the same row as a bare `trl sft` would train it, and what differs
preview(recipe, steps=True)         a text on its way through the tokenizer
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from seodang import runs
from seodang.data import formats
from seodang.data.dataset import TrainingRows, sample_rows, tokenizer_path, training_rows
from seodang.data.loading import load_rows
from seodang.data.reading import open_records
from seodang.data.specs import TrainData
from seodang.errors import DataError
from seodang.language import Phrase, label, say
from seodang.preview_lines import id_lines, step_lines
from seodang.recipe import DPO, SFT
from seodang.records import Record
from seodang.spans import STYLES, View, as_rich, as_text, beside_trl, spans, text_steps
from seodang.tokenization import load_light
from seodang.tokenizer_steps import Steps

WIDTH = 80
"""Columns of a line where no terminal says otherwise."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What is trained, to look at: `print` it, show it in a notebook, or read its `views` and `facts`."""

    facts: Mapping[str, Any]
    views: tuple[View, ...] = ()
    steps: Steps | None = None
    tokenizer: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return "\n".join(_plain_lines(self, ids=False))

    def _repr_html_(self) -> str:
        from seodang.reports.preview import notebook

        return notebook(self.to_row())

    def to_row(self) -> dict[str, Any]:
        """The preview as JSON holds it."""
        steps = {"steps": self.steps.to_row()} if self.steps else {}
        return {"facts": dict(self.facts), "views": [view.to_row() for view in self.views]} | steps


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at: which row (None is the first), beside what, or the steps of a text (None is its question)."""

    row: str | None = None
    beside: Literal["trl"] | None = None
    steps: bool = False
    text: str | None = None


WANTED = tuple(Wanted.__dataclass_fields__)


def preview(recipe: SFT | DPO, wanted: Wanted = Wanted()) -> Preview:
    """One training row of a recipe, or with `steps` a text's way through its tokenizer, whatever kind that is.

    A preference pair is two rows, `chosen` and `rejected`: both answers get a loss. Raises DataError for a row that
    there is not, and for `beside` with pairs.
    """
    if wanted.steps or wanted.text is not None:
        return _steps(recipe, wanted)
    if wanted.beside and isinstance(recipe, DPO):
        raise DataError(
            "`--beside trl` shows what `trl sft` makes of a conversation, and this recipe is `dpo`. Leave it out, or "
            "give a recipe of the stage `sft`."
        )
    rows = training_rows(recipe)
    shown = sample_rows(rows, wanted.row)
    heading = AS_HERE if wanted.beside else ""
    views = [View(title or heading, spans(row, rows.chat)) for title, row in shown]
    views[0] = replace(views[0], notes=rows.chat.notes)
    if wanted.beside:
        record = next(record for record in rows.records if record.source == shown[0][1].source)
        views.append(beside_trl(record, rows, _raw(recipe.data, record.source)))
    return Preview(_facts(rows, shown), tuple(views), tokenizer=rows.chat.tokenizer)


AS_HERE = Phrase("as it is trained here")


def _facts(rows: TrainingRows, shown: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = {
        "source": shown[0][1].source,
        "tokens": " + ".join(str(len(row.input_ids)) for _, row in shown),
        "trained": " + ".join(str(row.trained) for _, row in shown),
        "stop": ", ".join(rows.chat.renderer.stops),
        "template": rows.chat.renderer.name,
    }
    noticed = {
        "control_strings": sum(row.control_strings for _, row in shown),
        "border_cuts": sum(row.border_cuts for _, row in shown),
    }
    return found | {name: count for name, count in noticed.items() if count}


def _raw(data: TrainData, source: str) -> Mapping[str, Any] | None:
    """The row of this source as it stands in its file."""
    path = Path(str(data.run)) / runs.TRAIN if data.run else Path(str(data.train))
    wanted = formats.Auto() if data.run else data.format
    items = open_records(path, wanted, keeps_source=data.run is not None).items
    return next((item.row for item in items if getattr(item.found, "source", None) == source), None)


def _steps(recipe: SFT | DPO, wanted: Wanted) -> Preview:
    """Without a template and without encoding, so that a slow tokenizer will do."""
    tokenizer = load_light(tokenizer_path(recipe), recipe.model.revision)
    record = _record(load_rows(recipe.data, recipe.reads).train, wanted.row)
    kind = Phrase("fast") if tokenizer.is_fast else Phrase("slow")
    facts = {"source": record.source, "tokenizer": Phrase("{name} ({kind})", name=type(tokenizer).__name__, kind=kind)}
    return Preview(facts, steps=text_steps(tokenizer, record, wanted.text), tokenizer=tokenizer)


def _record(records: Sequence[Record], source: str | None) -> Record:
    found = next((record for record in records if source in (None, record.source)), None)
    if found is None:
        text = "There is no row with the source {source} to train on. `--row` takes a source as `file.jsonl:17`."
        raise DataError(text, source=source)
    return found


def show(found: Preview, ids: bool = False) -> None:
    """Print a preview to stdout: in colour on a terminal, plain elsewhere."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        for line in _plain_lines(found, ids):
            console.print(line, markup=False, soft_wrap=True)
        return
    console.print(_fact_line(found), markup=False)
    if found.views:
        console.print("  ".join(f"[{style}]{label(kind)}[/]" for kind, style in STYLES.items()))
    for view in found.views:
        for line in _headings(view):
            console.print(Padding(Text(line.strip()), (0, 0, 0, len(line) - len(line.lstrip()))))
        for text in id_lines(view.spans, found.tokenizer, console.width) if ids else [as_rich(view.spans)]:
            console.print(text)
    for line in step_lines(found.steps, console.width) if found.steps else ():
        console.print(line, markup=False, soft_wrap=True)


def _plain_lines(found: Preview, ids: bool) -> Iterator[str]:
    yield _fact_line(found)
    if found.views and not ids:
        yield say("trained tokens stand in ⟦ ⟧")
    for view in found.views:
        yield from _headings(view)
        if ids:
            yield from (line.plain.rstrip() for line in id_lines(view.spans, found.tokenizer, WIDTH))
        elif view.spans:
            yield as_text(view.spans)
    yield from step_lines(found.steps, WIDTH) if found.steps else ()


def _fact_line(found: Preview) -> str:
    said = {label(name): say(value) if isinstance(value, str) else value for name, value in found.facts.items()}
    return ", ".join(f"{name}: {value}" for name, value in said.items())


def _headings(view: View) -> Iterator[str]:
    if view.title:
        yield f"-- {say(view.title)}"
    yield from (f"   {say(note)}" for note in view.notes)
