"""The whole job on a tiny model, by one folder of recipes: offline, in one lineage, every ledger summing.

Sockets are blocked and `CI` is unset, because upstream's usage ping keeps quiet where CI would notice.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.cli import main

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "smoke"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.xdist_group("whole_job"),
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`seodang run recipes/smoke` in an empty folder with sockets blocked."""
    from pytest_socket import disable_socket, enable_socket

    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("CI", raising=False)
        patch.setattr(sys, "argv", ["seodang", "run", str(RECIPES)])
        disable_socket(allow_unix_socket=True)
        try:
            main()
        finally:
            enable_socket()
        yield folder / "runs" / "smoke"


def report(done: Path, name: str) -> dict[str, Any]:
    found = runs.read_json(done / name / "report.json")
    assert found is not None
    return found


def test_every_stage_is_finished_and_has_its_report(done: Path) -> None:
    names = {path.stem for path in RECIPES.glob("*.yaml")}
    assert {path.name for path in done.iterdir() if path.is_dir()} == names
    for name in names:
        assert runs.is_finished(done / name)
        assert (done / name / "report.html").stat().st_size > 2000
        assert not (done / name / "checkpoints").exists()


def test_every_ledger_sums(done: Path) -> None:
    for path in done.glob("*/report.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = found.get("rows")
        if rows:
            assert rows["read"] == rows["kept"] + sum(rows["dropped"].values()), path
    grown = report(done, "5-generate")
    assert grown["requests"]["sent"] == grown["requests"]["answered"] + sum(grown["requests"]["failed"].values())
    assert grown["records"]["parsed"] == grown["records"]["kept"] + sum(grown["records"]["rejected"].values())


def test_held_out_loss_falls_from_base_to_sft(done: Path) -> None:
    pretrain = report(done, "2-pretrain")["metrics"]
    assert pretrain["eval_loss_last"] < 0.5 * pretrain["eval_loss_first"]
    models = report(done, "11-evaluate")["metrics"]
    assert models["sft_seeds"]["loss"] < models["base"]["loss"]
    assert models["sft"]["loss"] < models["base"]["loss"]


def test_the_grown_rows_go_into_the_second_sft(done: Path) -> None:
    seeds = report(done, "3-prepare")["metrics"]["train"]
    grown = report(done, "6-prepare-grown")
    assert grown["metrics"]["train"] > seeds
    assert report(done, "7-sft")["metrics"]["train_rows"] == grown["rows"]["kept"]


def test_dpo_starts_at_its_parent_and_prefers_what_is_preferred(done: Path) -> None:
    found = report(done, "10-dpo")
    assert found["metrics"]["loss_first"] == pytest.approx(0.6931, abs=1e-3)
    assert abs(found["reference"]["step0_margin"]) < 1e-4
    assert found["reference"]["base_difference"] > 1e-3
    assert found["metrics"]["eval_loss_last"] < found["metrics"]["eval_loss_first"]
    there = runs.manifest(done / "10-dpo")
    assert there is not None and there["parents"] == ["runs/smoke/7-sft", "runs/smoke/9-pairs"]


def test_a_tuned_model_answers_and_stops(done: Path) -> None:
    models = report(done, "11-evaluate")["metrics"]
    assert list(models) == ["base", "sft_seeds", "sft", "dpo"]
    assert models["sft"]["stop_rate"] >= 0.9
    assert models["sft"]["n"] == report(done, "3-prepare")["metrics"]["eval"]


def test_upstream_loads_the_adapter_unchanged(done: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    folder = done / "10-dpo" / "adapter"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoPeftModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": "12를 한글로 읽어 주세요."}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**ids, max_new_tokens=32)[0, ids["input_ids"].shape[1] :]
    assert 1 <= len(written) <= 32
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_a_second_run_has_nothing_to_do(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv = ["seodang", "run", str(RECIPES)]
    main()
    assert capsys.readouterr().out.count("finished before and unchanged: skipped") == len(list(RECIPES.glob("*.yaml")))
