"""The figures of an evaluation as tables for a terminal, in per cent: a column per model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seodang.data.loading import load_rows
from seodang.language import label, say
from seodang.recipe import Evaluate
from seodang.records import Conversation
from seodang.tasks.kinds import kind, kind_names

if TYPE_CHECKING:
    from rich.table import Table

EXACT = "exact_match"
RATES = ("stop_rate", "polite_rate", "language_rate", "repetition_rate")


@dataclass(frozen=True, slots=True)
class Line:
    """A kind of task: the name to show, and the share that guessing gets right, where it is known."""

    title: str
    chance: float | None = None


def lines_of(recipe: Evaluate) -> dict[str, Line]:
    """The kinds of task that an evaluation's rows name. Chance, unless a kind sets it, is the share of the commonest
    answer (the shortest accepted form) among all its rows, held out or not."""
    rows, answers = load_rows(recipe.data, "answers"), dict[str, Counter[str]]()
    for record in (*rows.eval, *rows.train):
        if isinstance(record, Conversation) and record.task and record.accept:
            answers.setdefault(record.task, Counter())[min(record.accept, key=len)] += 1
    return {name: _line(name, counts) for name, counts in answers.items()}


def _line(name: str, answers: Counter[str]) -> Line:
    chance = max(answers.values()) / answers.total()
    if name not in kind_names():
        return Line(name, chance)
    one = kind(name)
    return Line(one.title, chance if one.chance is None else one.chance)


def by_kind(metrics: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str], lines: Mapping[str, Line]) -> Table:
    """`metrics` of an evaluate report as a rich Table; `columns` names the models to show, `lines` the kinds of task.

    Kinds stand in the order of the last model's exact match; below them all together with the 95 % interval, and the
    other rates.
    """
    shown = [name for name in columns if name in metrics]
    entries = [metrics[name] for name in shown]
    table = _empty(say("kind"), [*(columns[name] for name in shown), "n", say("chance")])
    for row in _kinds([entry.get("tasks", {}) for entry in entries], lines):
        table.add_row(*row)
    table.add_section()
    table.add_row(say("all"), *(percent(entry.get(EXACT)) for entry in entries), str(entries[-1].get("n", "")))
    table.add_row(say("95 % interval"), *map(_interval, entries))
    table.add_section()
    for rate in RATES:
        if any(rate in entry for entry in entries):
            table.add_row(label(rate.removesuffix("_rate")), *(percent(entry.get(rate)) for entry in entries))
    return table


def _kinds(tasks: Sequence[Mapping[str, Any]], lines: Mapping[str, Line]) -> list[list[str]]:
    found = []
    for name in sorted(tasks[-1], key=lambda task: -tasks[-1][task].get(EXACT, 0.0)):
        line, each = lines.get(name, Line(name)), [task.get(name, {}) for task in tasks]
        count = max(one.get("n", 0) for one in each)
        found.append([line.title, *(percent(one.get(EXACT)) for one in each), str(count), percent(line.chance)])
    return found


def side_by_side(
    metrics: Mapping[str, Mapping[str, Any]], columns: Mapping[str, str], rows: Mapping[str, str]
) -> Table:
    """A few figures of a few models: `rows` names the metrics to show, `columns` the models."""
    table = _empty("", list(columns.values()))
    for metric, title in rows.items():
        table.add_row(title, *(percent(metrics[name].get(metric)) for name in columns))
    return table


def _empty(first: str, headings: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def percent(share: float | None) -> str:
    """A share of 0 to 1 in per cent, without the sign; `·` where there is none."""
    return "·" if share is None else f"{100 * share:.0f}"


def _interval(entry: Mapping[str, Any]) -> str:
    low, high = entry.get("intervals", {}).get(EXACT, (None, None))
    return f"{percent(low)}–{percent(high)}"
