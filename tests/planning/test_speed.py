"""The time of a training from the speed of one that is finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang.planning import speed
from seodang.recipe_file import from_dict
from seodang.runs import MANIFEST, RECIPE, REPORT, dump_json

RECIPE_TEXT = """\
stage: sft
model: {name_or_path: MODEL}
template: chatml
data: {train: rows.jsonl}
adapter: full
training: {per_device_train_batch_size: 4, gradient_accumulation_steps: 2}
"""
METRICS = {"tokens": 1000, "steps": 5, "train_rows": 10, "seconds": 2.0}


def finished(folder: Path, model: Path, when: str, machine: str = "x86_64") -> None:
    folder.mkdir(parents=True)
    (folder / RECIPE).write_text(RECIPE_TEXT.replace("MODEL", str(model)), encoding="utf-8")
    manifest = {"state": "finished", "stage": "sft", "finished": when, "hardware": {"machine": machine}}
    (folder / MANIFEST).write_text(dump_json(manifest), encoding="utf-8")
    (folder / REPORT).write_text(dump_json({"metrics": METRICS}), encoding="utf-8")


def test_the_latest_finished_sft_of_this_kind_of_machine_is_the_measure(model_dir: Path, tmp_path: Path) -> None:
    finished(tmp_path / "a" / "old", model_dir, "2026-01-01")
    finished(tmp_path / "a" / "new", model_dir, "2026-01-02")
    finished(tmp_path / "other", model_dir, "2026-01-03", machine="aarch64")
    (tmp_path / "unfinished").mkdir()
    found = speed.latest_speed(tmp_path, "x86_64")
    assert found is not None and found[0] == "new"
    recipe = from_dict({"stage": "sft", "model": {"name_or_path": str(model_dir)}, "data": {"train": "rows.jsonl"},
                        "training": {"per_device_train_batch_size": 8}})  # fmt: skip
    # 5 steps of 8 rows of 100 tokens, 6 operations per token and parameter, in 2 seconds
    assert found[1] == speed.flops_of(recipe, METRICS) == 6 * speed.stored_parameters(recipe.model) * 4000 / 2


def test_without_a_finished_run_there_is_no_measure(tmp_path: Path) -> None:
    assert speed.latest_speed(tmp_path, "x86_64") is None


def test_the_time_follows_from_it() -> None:
    assert speed.seconds(1e9, 1e6, 6e12) == pytest.approx(1000)
