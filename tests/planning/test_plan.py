"""`seodang plan`: the whole of it on small recipes, as text, as JSON, in Korean, and without torch."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from seodang.cli import cli
from seodang.errors import ModelError, SeodangError
from seodang.language import columns
from seodang.planning import plan as planning
from seodang.recipe_file import load_recipe
from seodang.screen import Screen

SFT = """\
stage: sft
model: {{name_or_path: {model}}}
template: chatml
data: {{train: {folder}/rows.jsonl, eval: 0.2, max_length: 128}}
adapter: {{kind: lora, r: 4}}
training: {{num_train_epochs: 2, per_device_train_batch_size: 4}}
output_dir: {folder}/runs/sft
"""


@pytest.fixture
def recipe(tmp_path: Path, model_dir: Path) -> Callable[..., Path]:
    """A recipe over ten rows of unlike length and a model folder without weights."""
    model = tmp_path / "model"
    shutil.copytree(model_dir, model, ignore=shutil.ignore_patterns("*.safetensors"))
    rows = [{"messages": [{"role": "user", "content": "숫자를 읽어 주세요. " + "삼십팔 " * number},
                          {"role": "assistant", "content": "서른여덟입니다."}]} for number in range(10)]  # fmt: skip
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (tmp_path / "rows.jsonl").write_text("".join(lines), encoding="utf-8")

    def write(text: str = SFT) -> Path:
        file = tmp_path / "1-sft.yaml"
        file.write_text(text.format(folder=tmp_path, model=model), encoding="utf-8")
        return file

    return write


def plan(file: Path, *overrides: str, on: str | None = "cpu") -> planning.Plan:
    return planning.plan(load_recipe(file, overrides).recipe, on)


def test_steps_and_what_is_trained(recipe: Callable[..., Path]) -> None:
    found = plan(recipe())
    assert found.steps is not None
    assert found.steps.rows + found.steps.held_out == 10
    assert found.steps.steps == 2 * -(-found.steps.rows // 4)
    assert 0 < found.steps.waste < 1 and not found.steps.even
    per_layer = 4 * (32 + 32 + 2 * (32 + 16) + 32 + 32 + 3 * (32 + 64))
    assert found.trained.parameters == 2 * per_layer
    assert found.fit is not None and found.fit.card.name == "T4 16 GB"


def test_rows_that_are_not_there_yet_do_not_hide_the_memory(recipe: Callable[..., Path]) -> None:
    found = plan(recipe(SFT.replace("train: {folder}/rows.jsonl, eval: 0.2", "run: runs/none")))
    assert found.steps is None and "runs/none does not exist yet" in found.why_no_steps
    assert found.memory.total > 0


def test_a_model_whose_run_is_not_there_is_said(recipe: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="the run runs/none does not exist yet"):
        plan(recipe(SFT.replace("name_or_path: {model}", "run: runs/none")))


def test_other_stages_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "1-prepare.yaml"
    file.write_text("stage: prepare\nsources: [{path: rows.jsonl}]\n")
    with pytest.raises(SeodangError, match="plan looks at pretrain, sft and dpo"):
        plan(file)


def test_too_little_memory_comes_with_what_to_change(
    recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = recipe()
    usual = plan(file).memory.total
    monkeypatch.setattr(planning, "hardware", lambda: {"memory_gib": (usual - 2**20) / 2**30, "machine": "x86_64"})
    found = plan(file)
    assert found.machine_advice[0].startswith("training.per_device_train_batch_size=1")
    monkeypatch.setattr(planning, "hardware", lambda: {"memory_gib": 0.1, "machine": "x86_64"})
    assert plan(file).machine_advice == ()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_it_is_shown_on_80_columns(language: str, recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEODANG_LANG", language)
    result = CliRunner().invoke(cli, ["plan", str(recipe()), "--on", "cpu"], catch_exceptions=False)
    assert result.exit_code == 0
    assert max(columns(line.rstrip()) for line in result.output.splitlines()) <= 80
    words = ("로짓", "프로세스", "T4 16 GB") if language == "ko" else ("logits", "process", "T4 16 GB")
    assert all(word in result.output for word in words) and "█" in result.output


def test_json_is_whole(recipe: Callable[..., Path]) -> None:
    result = CliRunner().invoke(cli, ["plan", str(recipe()), "--json", "--on", "gpu"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(result.output)
    assert found["device"] == "gpu" and found["smallest_gpu"]["card"] == "T4 16 GB"
    assert sum(found["memory"].values()) == pytest.approx(found["memory_total"], abs=10)
    assert found["steps"]["longest"] > 10 and found["trained_parameters"] < found["parameters"]


def test_nothing_of_it_imports_torch(recipe: Callable[..., Path]) -> None:
    code = (
        "import sys; from seodang.cli import cli\n"
        f"cli(['plan', {str(recipe())!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'trl', 'peft', 'datasets', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_time_comes_from_a_finished_run(recipe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning.speed, "latest_speed", lambda *_: ("1-sft", 1e9))
    found = plan(recipe())
    assert found.time is not None and found.steps is not None
    tokens = found.steps.tokens * found.steps.epochs
    assert found.time == ("1-sft", pytest.approx(6 * found.shape.parameters * tokens / 1e9))


def test_a_published_shape_stands_in_for_a_model_that_is_not_here(recipe: Callable[..., Path]) -> None:
    file = recipe(SFT.replace("{model}", "EleutherAI/polyglot-ko-1.3b"))
    found = plan(file, on="gpu")
    assert found.shape.parameters == 1_331_810_304 and found.published is not None and found.published.verified
    assert found.to_json()["shape_from"] == {"source": found.published.source, "verified": True}
    shown = Screen(Console(file=io.StringIO(), width=200))
    planning.show(found, shown)
    text = shown.console.file.getvalue()  # type: ignore[attr-defined]
    assert "quotes it whole, and its model card; the model is not on this machine" in text


def test_a_shape_that_was_put_together_is_told_so(recipe: Callable[..., Path]) -> None:
    found = plan(recipe(SFT.replace("{model}", "upstage/SOLAR-10.7B-v1.0")), on="gpu")
    shown = Screen(Console(file=io.StringIO(), width=200))
    planning.show(found, shown)
    assert "shape" in shown.console.file.getvalue()  # type: ignore[attr-defined]
    assert "unverified: its paper (arXiv:2312.15166" in shown.console.file.getvalue()  # type: ignore[attr-defined]


def test_processes_share_the_steps_and_each_has_the_memory(recipe: Callable[..., Path]) -> None:
    one, two = plan(recipe()), plan(recipe(), "launch.num_processes=2")
    assert one.steps is not None and two.steps is not None and two.processes == 2
    assert two.steps.steps == 2 * -(-one.steps.rows // 8) and two.memory.total == one.memory.total
    assert two.published is None and two.to_json()["processes"] == 2
