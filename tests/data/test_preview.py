"""What is trained, shown: plain text off a terminal, the row that was asked for, ids on request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.data.preview import preview, show
from seodang.recipe_file import from_dict


@pytest.fixture
def recipe(tmp_path: Path, model_dir: Path) -> Any:
    rows = [
        {"messages": [{"role": "user", "content": f"{n}번 질문"}, {"role": "assistant", "content": f"똠방각하 {n}"}]}
        for n in range(3)
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    base = {"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(base | {"data": {"train": str(file)}})


def test_the_trained_part_stands_in_brackets(recipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show(*preview(recipe))
    shown = capsys.readouterr().out
    assert "⟦똠방각하 0<|im_end|>⟧" in shown
    assert "source: rows.jsonl:1" in shown
    assert "stop: <|im_end|>" in shown


def test_one_row_by_its_source(recipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show(*preview(recipe, "rows.jsonl:3"))
    assert "⟦똠방각하 2<|im_end|>⟧" in capsys.readouterr().out


def test_ids_on_request(recipe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shown, facts = preview(recipe)
    show(shown, facts, ids=True)
    ((_, found),) = shown
    shown = capsys.readouterr().out
    assert f"stop     {list(found[-1].ids)}" in shown
    assert facts["trained"] == str(sum(len(span.ids) for span in found if span.kind in ("trained", "stop")))


def test_a_pair_shows_both_answers(tmp_path: Path, model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"prompt": "가?", "chosen": "나", "rejected": "다라"}, ensure_ascii=False) + "\n")
    stage = {
        "stage": "dpo",
        "model": {"name_or_path": str(model_dir)},
        "template": "chatml",
        "data": {"train": str(file)},
    }
    show(*preview(from_dict(stage)))  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "-- chosen" in shown and "⟦나<|im_end|>⟧" in shown
    assert "-- rejected" in shown and "⟦다라<|im_end|>⟧" in shown
