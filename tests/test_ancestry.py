"""ancestry.py: the chain behind a run, what has changed or gone since, and what is refused then. Real runs, tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from seodang import ancestry, runs
from seodang.ancestry import Ancestor, from_json, line, of_run, to_json, tree
from seodang.cli import cli
from seodang.errors import ModelError, RunError, SeodangError
from seodang.recipe_file import from_dict
from seodang.tuning.model import load_model
from seodang.tuning.specs import ModelSpec
from seodang.workflow import run_recipe

IDS = torch.tensor([[5, 17, 40, 301, 77, 9]])
LORA = {"kind": "lora", "r": 4}


def rows(name: str, count: int = 6) -> str:
    turns = [
        [("user", f"{n}의 높임말은?"), ("assistant", f"{n}입니다.")]
        for n in ("학교", "바다", "저녁", "연필", "여름", "우산")
    ]
    lines = [{"messages": [{"role": r, "content": c} for r, c in turn]} for turn in turns[:count]]
    Path(name).write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines), encoding="utf-8")
    return name


def train(output: str, model: dict[str, Any], **more: Any) -> Path:
    loop = {"max_steps": 2, "learning_rate": 2e-2, "per_device_train_batch_size": 3}
    given = {"stage": "sft", "model": model, "data": {"train": "rows.jsonl"}, "training": loop, "output_dir": output}
    return run_recipe(from_dict(given | more), "fresh").path


def logits(run: str) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = load_model(ModelSpec(run=run)).model(IDS).logits
    return found


@pytest.fixture
def chain(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sft → continued → merged and stacked upon, twice: once with base/, once without."""
    monkeypatch.chdir(tmp_path)
    rows("rows.jsonl")
    train("runs/sft", {"name_or_path": str(model_dir)}, adapter=LORA, template="chatml")
    train("runs/more", {"run": "runs/sft"})
    train("runs/stacked", {"run": "runs/more", "merge": True}, adapter=LORA)
    train("runs/light", {"run": "runs/more", "merge": True, "keep_base": False}, adapter=LORA)
    return tmp_path


def shown(run: str) -> str:
    found = CliRunner().invoke(cli, ["show", run])
    assert found.exit_code == 0, found.exception
    return found.output


def test_the_chain_is_told_to_its_root_and_every_later_stage_uses_it(chain: Path, model_dir: Path) -> None:
    told = shown("runs/stacked").splitlines()
    assert told[0].startswith("runs/stacked · sft · lora r 4 · 6 rows · finished 20")
    assert "model  runs/more · sft · 6 rows · merged, with a fresh adapter stacked on it · finished" in told[1]
    assert "model  runs/sft · sft · lora r 4 · 6 rows · its adapter is continued · finished" in told[2]
    assert f"model  {model_dir} · with a fresh adapter on it" in told[3]
    assert sum("data  rows.jsonl" in one for one in told) == 3 and len(told) == 7
    assert "merged, not kept, with a fresh adapter stacked on it" in shown("runs/light")
    # a further stage on the stacked runs, and what is saved of each
    assert Path("runs/stacked/base/config.json").is_file() and not Path("runs/light/base").exists()
    assert torch.equal(logits("runs/stacked"), logits("runs/light"))
    for parent in ("stacked", "light"):
        again = train(f"runs/on-{parent}", {"run": f"runs/{parent}"})
        assert (again / "adapter").is_dir()
        train(f"runs/over-{parent}", {"run": f"runs/{parent}", "merge": True}, adapter=LORA)
    assert torch.equal(logits("runs/on-stacked"), logits("runs/on-light"))
    assert torch.equal(logits("runs/over-stacked"), logits("runs/over-light"))
    assert len(shown("runs/over-light").splitlines()) == 9


def test_a_parent_that_is_gone_or_has_changed_is_said_and_refused(chain: Path) -> None:
    weights = Path("runs/more/adapter/adapter_model.safetensors")
    before = weights.read_bytes()
    weights.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    assert "runs/more · sft" in shown("runs/light") and "CHANGED SINCE" in shown("runs/light")
    with pytest.raises(RunError) as error:
        logits("runs/light")
    run = chain / "runs" / "light"
    assert str(error.value) == (
        f"model.run: {run} stands on runs/more, merged and not kept, and that run has changed since "
        f"(runs/more/adapter/adapter_model.safetensors). Train {run} again, or put the old parent back (it may lie in "
        "runs/.trash)."
    )
    logits("runs/stacked")  # keeps its own base
    weights.write_bytes(before)
    assert "CHANGED" not in shown("runs/light")
    shutil.rmtree("runs/more")
    told = shown("runs/light")
    assert "NOT THERE ANY MORE" in told and "model  runs/sft · sft · lora r 4" in told  # from its own manifest
    with pytest.raises(RunError, match=r"stands on runs/more, merged and not kept, and that run is not there any more"):
        logits("runs/light")
    with pytest.raises(SeodangError, match="runs/more"):
        train("runs/again", {"run": "runs/more"})


def test_a_base_that_has_changed_under_an_adapter_is_refused(chain: Path, model_dir: Path) -> None:
    copy = chain / "base"
    shutil.copytree(model_dir, copy)
    train("runs/own", {"name_or_path": str(copy)}, adapter=LORA, template="chatml")
    train("runs/after", {"run": "runs/own"})
    logits("runs/after")
    weights = copy / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for run in ("runs/own", "runs/after"):
        with pytest.raises(ModelError, match=r"was trained on .*base, whose model\.safetensors has changed since"):
            logits(run)
    weights.unlink()
    shutil.rmtree(copy)
    with pytest.raises(ModelError, match=r"stands on .*base, which is not there"):
        logits("runs/own")


def test_a_resumed_run_refuses_another_parent(chain: Path) -> None:
    runs.write_text(Path("runs/more/manifest.json"), (chain / "runs/more/manifest.json").read_text().replace(
        '"state": "finished"', '"state": "running"'))  # fmt: skip
    weights = Path("runs/sft/adapter/adapter_model.safetensors")
    weights.write_bytes(weights.read_bytes() + b" ")
    job = from_dict(runs.read_recipe(Path("runs/more")) | {"output_dir": "runs/more"})
    with pytest.raises(RunError, match=r"(?s)cannot be resumed.*runs/sft/adapter/adapter_model.safetensors has other"):
        run_recipe(job, "resume")


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no manifest\.json"):
        of_run(tmp_path)


def test_the_chain_survives_its_manifest() -> None:
    leaf = Ancestor("data", "rows.jsonl")
    one = Ancestor("model", "runs/sft", "sft", "continued", {"kept": 1200, "adapter": "lora", "r": 8}, (leaf,))
    assert tuple(map(from_json, json.loads(json.dumps(to_json((one,)))))) == (one,)
    assert line(one) == "model  runs/sft · sft · lora r 8 · 1,200 rows · its adapter is continued · NOT THERE ANY MORE"


def test_keep_base_is_about_merged_weights() -> None:
    with pytest.raises(ValueError, match="`keep_base: false` is about the weights that `merge: true` makes"):
        ModelSpec(run="runs/x", keep_base=False)
    assert ancestry.HOW["merged_away"]


def test_a_chain_that_two_parents_share_is_told_once() -> None:
    root = Ancestor("data", "seeds.jsonl")
    shared = Ancestor("model", "runs/sft", "sft", parents=(root,))
    pairs = Ancestor("data", "runs/pairs", "pairs", parents=(shared,))
    lines = list(tree(Ancestor("", "runs/dpo", "dpo", parents=(shared, pairs))))
    assert [line.strip("│├└─ ").split(" · ")[0] for line in lines] == [
        "runs/dpo", "model  runs/sft", "data  seeds.jsonl", "data  runs/pairs", "model  runs/sft",
    ]  # fmt: skip
    assert lines[-1].endswith("see above") and sum("see above" in line for line in lines) == 1
