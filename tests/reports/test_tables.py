"""The figures of an evaluation on a terminal: every number is the report's, and a kind's chance is counted."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.language import columns
from seodang.recipe import Evaluate
from seodang.recipe_file import from_dict
from seodang.reports.tables import Line, by_kind, lines_of, percent, side_by_side
from seodang.tasks.kinds import draw_item, kind, kind_names

MODELS = {"base": "base\n0-shot", "sft": "SFT", "dpo": "DPO"}


def entry(exact: float, **tasks: float) -> dict[str, Any]:
    return {
        "exact_match": exact,
        "stop_rate": 1.0,
        "polite_rate": 0.5,
        "n": 300,
        "intervals": {"exact_match": [exact - 0.05, exact + 0.05]},
        "tasks": {name: {"exact_match": share, "n": 20} for name, share in tasks.items()},
    }


METRICS = {
    "base": entry(0.10, even_odd=0.0, antonym=0.05),
    "sft": entry(0.61, even_odd=0.9, antonym=0.3),
    "dpo": entry(0.62, even_odd=0.35, antonym=0.95),
}


def drawn(table: Any, width: int = 77) -> list[str]:
    """The table as it comes to a console, line by line."""
    import io

    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width).print(table)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_line_per_kind_in_the_order_of_the_last_model() -> None:
    lines = drawn(by_kind(METRICS, MODELS, {"even_odd": Line("짝수와 홀수", 0.5), "antonym": Line("반대말")}))
    cells = [line.split() for line in lines]
    assert ["반대말", "5", "30", "95", "20", "·"] in cells
    assert ["짝수와", "홀수", "0", "90", "35", "20", "50"] in cells
    assert cells.index(["반대말", "5", "30", "95", "20", "·"]) < cells.index(
        ["짝수와", "홀수", "0", "90", "35", "20", "50"]
    )


def test_all_kinds_together_with_interval_and_rates() -> None:
    cells = [line.split() for line in drawn(by_kind(METRICS, MODELS, {}))]
    assert ["all", "10", "61", "62", "300"] in cells
    assert ["95", "%", "interval", "5–15", "56–66", "57–67"] in cells
    assert ["stop", "100", "100", "100"] in cells
    assert ["polite", "50", "50", "50"] in cells
    assert not any(row[:1] == ["language"] for row in cells)
    assert ["antonym", "5", "30", "95", "20", "·"] in cells


def test_models_and_kinds_that_are_not_there_leave_no_hole() -> None:
    metrics = {"base": entry(0.1), "dpo": entry(0.2, even_odd=0.5)}
    cells = [line.split() for line in drawn(by_kind(metrics, MODELS, {}))]
    assert ["even_odd", "·", "50", "20", "·"] in cells


def test_the_whole_table_fits_80_columns_with_five_models() -> None:
    tasks = dict.fromkeys(kind_names(), 1.0)
    models = {f"model_{at}": "SFT\n+grown" for at in range(5)}
    lines = {name: Line(kind(name).title, 0.5) for name in tasks}
    shown = drawn(by_kind({name: entry(0.6, **tasks) for name in models}, models, lines))
    assert max(map(columns, shown)) <= 77
    text = "\n".join(shown)
    assert [line.title for line in lines.values() if line.title not in text] == []
    assert "…" not in text


def test_side_by_side() -> None:
    cells = [line.split() for line in drawn(side_by_side(METRICS, {"sft": "B", "base": "A"}, {"exact_match": "right"}))]
    assert ["B", "A"] in cells
    assert ["right", "61", "10"] in cells


@pytest.mark.parametrize(("share", "said"), [(None, "·"), (0.0, "0"), (0.126, "13"), (1.0, "100")])
def test_percent(share: float | None, said: str) -> None:
    assert percent(share) == said


def rows_of(name: str, count: int) -> list[dict[str, Any]]:
    draw, one = random.Random(3), kind(name)
    rows = []
    for _ in range(count):
        item = draw_item(name, draw)
        asked, said = one.said(one.prompts.plain[0], item), one.said(one.answers.polite[0], item)
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
        rows.append({"messages": turns, "accept": list(one.accept(item)), "task": name})
    return rows


def test_chance_is_the_share_of_the_commonest_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = [{"role": "user", "content": "안녕?"}, {"role": "assistant", "content": "안녕."}]
    other = [{"messages": turns}, {"messages": turns, "accept": ["안녕."], "task": "mine"}]
    runs.write_rows(Path("held.jsonl"), rows_of("even_odd", 30) + rows_of("number_reading", 30) + other)
    data = {"train": "held.jsonl"}
    recipe = from_dict({"stage": "evaluate", "models": {"base": {"name_or_path": "x"}}, "data": data})
    assert isinstance(recipe, Evaluate)
    lines = lines_of(recipe)
    assert lines.keys() == {"even_odd", "number_reading", "mine"}
    assert lines["mine"] == Line("mine", 1.0)
    odd = sum("홀수" in row["accept"] for row in rows_of("even_odd", 30)) / 30
    assert lines["even_odd"] == Line(kind("even_odd").title, max(odd, 1 - odd))
    assert 0 < (lines["number_reading"].chance or 0) <= 0.1


def test_a_kind_can_set_its_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seodang.reports import tables

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tables, "kind", lambda name: kind(name).model_copy(update={"chance": 0.25}))
    runs.write_rows(Path("held.jsonl"), rows_of("even_odd", 10))
    models = {"base": {"name_or_path": "x"}}
    recipe: Any = from_dict({"stage": "evaluate", "models": models, "data": {"train": "held.jsonl"}})
    assert lines_of(recipe)["even_odd"].chance == 0.25
