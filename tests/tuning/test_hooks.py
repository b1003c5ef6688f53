"""tuning/hooks.py: what an adapter adds to the trainer, to a checkpoint and to what is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from seodang import runs
from seodang.data.dataset import training_rows
from seodang.recipe_file import dump_recipe, from_dict
from seodang.runs import Run
from seodang.tuning import sft
from seodang.tuning.hooks import Batches, prepare
from seodang.tuning.model import Aim, load_for_training, load_model
from seodang.tuning.specs import ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
NOUNS = ["학교", "서당", "우산", "기차", "바다", "고양이", "저녁", "아침"]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    file = tmp_path / "train.jsonl"
    turns = [[{"role": "user", "content": f"{noun}의 높임말은?"}, {"role": "assistant", "content": f"{noun}입니다."}]
             for noun in NOUNS]  # fmt: skip
    file.write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns), encoding="utf-8")
    return {"train": str(file), "max_length": 256}


def recipe(model_dir: Path, data: dict[str, Any], adapter: dict[str, Any], **training: Any) -> Any:
    given = {"max_steps": 10, "learning_rate": 1e-2, "per_device_train_batch_size": 2, "save_steps": 3} | training
    return from_dict({"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "data": data,
                      "adapter": adapter, "training": given, "output_dir": "unused"})  # fmt: skip


def run_in(path: Path, resumed: bool = False) -> Run:
    path.mkdir(exist_ok=True)
    return Run(path, resumed)


def test_batches_are_padded_on_the_right_and_read_again() -> None:
    batches = Batches([([1, 2, 3], [-100, 2, 3]), ([4], [4]), ([5, 6], [5, 6])], 2, "cpu")
    assert len(batches) == 2 and len(list(batches)) == len(list(batches)) == 2
    first = next(iter(batches))
    assert first["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert first["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert first["labels"].tolist() == [[-100, 2, 3], [4, -100, -100]]


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_penalty_is_in_the_loss_of_a_step_once(
    accumulated: int, model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    first = {}
    for weight in (0.0, 2.0):
        adapter = {"kind": "adalora", "init_r": 4, "target_r": 2, "orth_reg_weight": weight}
        job = recipe(model_dir, data, adapter, gradient_accumulation_steps=accumulated)
        found = sft.run(job, run_in(tmp_path / f"run-{weight}"))
        first[weight] = found["figures"]["loss"][0]["loss"]
    loaded = load_for_training(job.model, job.adapter, Aim(42, 10, tmp_path))
    assert first[2.0] - first[0.0] == pytest.approx(job.adapter.penalty(loaded.model).item(), rel=1e-3)


def test_loraplus_raises_the_learning_rate_of_b_alone(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    job = recipe(model_dir, data, {"kind": "lora", "r": 4, "loraplus_lr_ratio": 8}, weight_decay=0.1)
    loaded = load_for_training(job.model, job.adapter, Aim(42, 10, tmp_path))
    loaded.tokenizer.chat_template = (rows := training_rows(job)).chat.jinja
    optimizer = sft.make_trainer(job, rows, loaded, run_in(tmp_path / "run")).create_optimizer()
    names = {id(weight): name for name, weight in loaded.model.named_parameters()}
    rates = {names[id(w)]: (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for w in g["params"]}
    trained = {name for name, weight in loaded.model.named_parameters() if weight.requires_grad}
    assert rates.keys() == trained
    assert {rate for name, rate in rates.items() if "lora_A" in name} == {(1e-2, 0.1)}
    assert {rate for name, rate in rates.items() if "lora_B" in name} == {(8e-2, 0.1)}


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora"])
def test_what_moved_its_base_is_saved_as_plain_lora(
    init: str, model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    folder = run_in(tmp_path / "run")
    sft.run(recipe(model_dir, data, {"kind": "lora", "r": 2, "init_lora_weights": init}, max_steps=2), folder)
    config = json.loads(folder.file("adapter/adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (4, 64, True)
    assert sorted(path.name for path in folder.path.glob("initial*")) == []


class StopAt(TrainerCallback):
    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 7:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "adapter",
    [
        {"kind": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 4},
        {"kind": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 2},
        {"kind": "lora", "r": 2, "init_lora_weights": "pissa"},
        {"kind": "lora", "r": 2, "init_lora_weights": "eva"},
        {"kind": "vera", "r": 8},
        {"kind": "prompt_tuning", "num_virtual_tokens": 4},
    ],
    ids=lambda adapter: "-".join(map(str, adapter.values())),
)
def test_a_resumed_run_ends_in_the_same_bytes(
    adapter: dict[str, Any], model_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = recipe(model_dir, data, adapter)
    whole = run_in(tmp_path / "whole")
    sft.run(job, whole)
    plain = sft.make_trainer

    def interrupted(*args: Any) -> Any:
        trainer = plain(*args)
        trainer.add_callback(StopAt())
        return trainer

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(sft, "make_trainer", interrupted)
        sft.run(job, run_in(tmp_path / "broken"))
    broken = run_in(tmp_path / "broken", resumed=True)
    sft.run(job, broken)
    files = [folder.file("adapter/adapter_model.safetensors").read_bytes() for folder in (whole, broken)]
    assert files[0] == files[1]
    configs = [json.loads(folder.file("adapter/adapter_config.json").read_text()) for folder in (whole, broken)]
    assert configs[0] == configs[1]


# --- A run that continues another ------------------------------------------------------------------------------------


def finished(job: Any, folder: Run) -> Path:
    """Train and leave the folder as the workflow does."""
    sft.run(job, folder)
    runs.write_text(folder.file(runs.RECIPE), dump_recipe(job))
    runs.write_text(folder.file(runs.MANIFEST), '{"state": "finished", "stage": "sft"}\n')
    return folder.path


def continuing(parent: Path, data: dict[str, Any], **training: Any) -> Any:
    given = {"max_steps": 10, "learning_rate": 1e-2, "per_device_train_batch_size": 2, "save_steps": 3} | training
    return from_dict({"stage": "sft", "model": {"run": str(parent)}, "template": "chatml", "data": data,
                      "training": given, "output_dir": "unused"})  # fmt: skip


def test_loraplus_goes_on_in_a_later_run(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    adapter = {"kind": "lora", "r": 2, "init_lora_weights": "pissa", "loraplus_lr_ratio": 8}
    parent = finished(recipe(model_dir, data, adapter, max_steps=2, learning_rate=1e-3), run_in(tmp_path / "run"))
    job = continuing(parent, data)
    loaded = load_for_training(job.model, job.adapter, Aim(42, 10, tmp_path))
    before = {name: weight.clone() for name, weight in loaded.model.named_parameters()}
    prepare(loaded, Batches([([5, 6], [5, 6])], 1, "cpu"), tmp_path)
    assert all(torch.equal(before[name], weight) for name, weight in loaded.model.named_parameters())
    assert loaded.initial is None
    loaded.tokenizer.chat_template = (rows := training_rows(job)).chat.jinja
    optimizer = sft.make_trainer(job, rows, loaded, run_in(tmp_path / "next")).create_optimizer()
    names = {id(weight): name for name, weight in loaded.model.named_parameters()}
    rates = {names[id(w)]: group["lr"] for group in optimizer.param_groups for w in group["params"]}
    assert {rate for name, rate in rates.items() if "lora_A" in name} == {1e-2}
    assert {rate for name, rate in rates.items() if "lora_B" in name} == {8e-2}


def ranks(folder: Path) -> dict[str, int]:
    stored = load_file(folder / "adapter" / "adapter_model.safetensors")
    return {name: len(weight) for name, weight in stored.items() if "lora_E" in name}


def test_adalora_goes_on_with_its_ranks_and_its_penalty(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    adapter = {"kind": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 4}
    parent = finished(recipe(model_dir, data, adapter), run_in(tmp_path / "run"))
    written = (parent / runs.RECIPE).read_text(encoding="utf-8")
    job, first = continuing(parent, data, max_steps=3), {}
    for weight in (0.0, 2.0):
        text = written.replace("orth_reg_weight: 0.5", f"orth_reg_weight: {weight}")
        runs.write_text(parent / runs.RECIPE, text)
        following = run_in(tmp_path / f"next-{weight}")
        first[weight] = sft.run(job, following)["figures"]["loss"][0]["loss"]
        assert ranks(following.path) == ranks(parent)
    assert len(set(ranks(parent).values())) > 1
    loaded = load_for_training(job.model, None, Aim(42, 3, tmp_path))
    penalty = loaded.method.penalty(loaded.model).item()
    assert first[2.0] - first[0.0] == pytest.approx(penalty, rel=1e-3) and penalty > 0


def test_a_continued_adalora_run_is_resumed_in_the_same_bytes(
    model_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEFT would cut the layers by the parent's masks once more, and fail."""
    adapter = {"kind": "adalora", "init_r": 4, "target_r": 2, "tinit": 1, "tfinal": 4}
    parent = finished(recipe(model_dir, data, adapter), run_in(tmp_path / "run"))
    job = continuing(parent, data)
    sft.run(job, run_in(tmp_path / "whole"))
    plain = sft.make_trainer

    def interrupted(*args: Any) -> Any:
        trainer = plain(*args)
        trainer.add_callback(StopAt())
        return trainer

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(sft, "make_trainer", interrupted)
        sft.run(job, run_in(tmp_path / "broken"))
    sft.run(job, run_in(tmp_path / "broken", resumed=True))
    files = [tmp_path / name / "adapter" / "adapter_model.safetensors" for name in ("whole", "broken")]
    assert files[0].read_bytes() == files[1].read_bytes()
    model = load_model(ModelSpec(name_or_path=str(tmp_path / "whole" / "adapter"))).model
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
