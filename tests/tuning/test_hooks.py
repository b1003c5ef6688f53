"""tuning/hooks.py: what an adapter adds to the trainer, to a checkpoint and to what is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from seodang.data.dataset import training_rows
from seodang.recipe_file import from_dict
from seodang.runs import Run
from seodang.tuning import sft
from seodang.tuning.hooks import Batches
from seodang.tuning.model import Aim, load_for_training

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


def test_float16_weights_are_not_trained_under_a_gradient_scaler() -> None:
    from seodang.errors import ModelError
    from seodang.tuning.model import Precision, require_trainable_dtype

    half = torch.nn.Linear(2, 2).half()
    require_trainable_dtype(half, Precision(torch.float16))
    require_trainable_dtype(half.requires_grad_(False), Precision(torch.float16, fp16=True, device="cuda"))
    with pytest.raises(
        ModelError, match=r"float16 weights cannot be trained with float16 autocast \(weight would be\)"
    ):
        require_trainable_dtype(half.requires_grad_(True), Precision(torch.float16, fp16=True, device="cuda"))
