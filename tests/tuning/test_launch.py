"""`launch`: what a recipe may say of many devices, what upstream is told, and what is refused before anything loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.errors import RecipeError
from seodang.recipe_file import from_dict
from seodang.tuning import launch as launching
from seodang.tuning.launch import DeepSpeed, Fsdp, Launch, is_many, node, nodes, processes, require_launch

SFT = {
    "stage": "sft",
    "model": {"name_or_path": "some/model"},
    "data": {"train": "rows.jsonl"},
    "adapter": {"kind": "lora"},
    "output_dir": "runs/x",
}


def recipe(launch: Any, **changed: Any) -> Any:
    return from_dict(SFT | changed | {"launch": launch})


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_has_gpu_driver", lambda: True)
    monkeypatch.setattr(launching, "find_spec", lambda name: object())


def test_unset_trains_in_one_process() -> None:
    assert from_dict(SFT).launch is None and not is_many(None) and processes(None) == 1
    assert not is_many(Launch())


@pytest.mark.parametrize(
    ("given", "many", "shared"),
    [
        ({"num_processes": 2}, True, None),
        ({"fsdp": {}}, True, "fsdp"),
        ({"fsdp": {}, "num_processes": 4}, True, "fsdp"),
        ({"deepspeed": {"zero_stage": 3}}, True, "deepspeed"),
        ({"fsdp": None, "deepspeed": None}, False, None),
    ],
)
def test_which_recipes_are_trained_by_started_processes(given: Any, many: bool, shared: str | None) -> None:
    launch = recipe(given).launch
    assert (is_many(launch), launch.shared) == (many, shared)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_processes": 0}, "launch.num_processes: must be greater than or equal to 1, got 0"),
        ({"nproc": 2}, "launch.nproc: unknown key"),
        ({"fsdp": {}, "deepspeed": {}}, "give `fsdp` or `deepspeed`, one of the two"),
        (
            {"deepspeed": {"zero_stage": 2, "offload_param_device": "cpu"}},
            "`offload_param_device` needs `zero_stage: 3`",
        ),
        ({"deepspeed": {"zero_stage": 3, "config_file": "a.json"}}, "give `config_file` or the other keys"),
        ({"fsdp": {"version": 1}}, "launch.fsdp.version: unknown key"),
        ({"fsdp": True}, "launch.fsdp: must be keys with values"),
    ],
)
def test_mistakes_are_told_with_their_path(given: Any, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "plugin"),
    [
        ({}, {"reshard_after_forward": True, "activation_checkpointing": None}),
        ({"reshard_after_forward": False}, {"reshard_after_forward": False}),
        ({"activation_checkpointing": True}, {"activation_checkpointing": True}),
        ({"cpu_offload": True}, {"cpu_offload": True}),
        ({"transformer_layer_cls_to_wrap": ["A", "B"]}, {"transformer_cls_names_to_wrap": "A,B"}),
    ],
)
def test_every_key_of_fsdp_reaches_accelerates_plugin(given: Any, plugin: dict[str, Any], tmp_path: Path) -> None:
    from transformers import TrainingArguments

    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **Fsdp(**given).arguments())
    made = args.fsdp_plugin_args
    assert (made["fsdp_version"], made["state_dict_type"]) == (2, "FULL_STATE_DICT")
    assert {key: made.get(key) or (None if plugin[key] is None else made.get(key)) for key in plugin} == plugin


@pytest.mark.parametrize(
    ("given", "zero"),
    [
        ({}, {"stage": 2}),
        ({"zero_stage": 1}, {"stage": 1}),
        ({"zero_stage": 3}, {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True}),
        ({"offload_optimizer_device": "cpu"}, {"offload_optimizer": {"device": "cpu", "pin_memory": True}}),
        (
            {"zero_stage": 3, "offload_param_device": "cpu"},
            {"offload_param": {"device": "cpu", "pin_memory": True}, "stage": 3},
        ),
    ],
)
def test_every_key_of_deepspeed_reaches_its_configuration(given: Any, zero: dict[str, Any]) -> None:
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    made = DeepSpeed(**given).arguments()["deepspeed"]
    assert made["zero_optimization"] | zero == made["zero_optimization"]
    read = HfDeepSpeedConfig(made)
    assert read._stage == DeepSpeed(**given).zero_stage
    assert {read.get_value("gradient_accumulation_steps"), read.get_value("bf16.enabled")} == {"auto"}
    assert read.is_offload() == bool({"offload_optimizer_device", "offload_param_device"} & given.keys())


def test_a_deepspeed_file_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "zero.json"
    file.write_text(json.dumps({"zero_optimization": {"stage": 3}}), encoding="utf-8")
    given = DeepSpeed(config_file=str(file))
    assert given.arguments() == {"deepspeed": {"zero_optimization": {"stage": 3}}} and given.shares_weights
    file.write_text("[", encoding="utf-8")
    with pytest.raises(RecipeError, match="launch.deepspeed.config_file: cannot be read as JSON"):
        given.arguments()


def test_what_accelerates_own_launcher_would_set() -> None:
    assert Launch(num_processes=2).environment() == {}
    assert Launch(deepspeed=DeepSpeed()).environment() == {"ACCELERATE_USE_DEEPSPEED": "true"}
    found = Launch(fsdp=Fsdp(cpu_offload=True)).environment()
    assert found["ACCELERATE_USE_FSDP"] == "true" and found["FSDP_OFFLOAD_PARAMS"] == "true"


@pytest.mark.parametrize("key", ["fsdp", "deepspeed"])
def test_a_model_is_not_shared_out_between_processors(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_has_gpu_driver", lambda: False)
    with pytest.raises(RecipeError) as caught:
        require_launch(recipe({key: {}}))
    assert f"launch.{key}: shares a model out between GPUs, and there is none here. Leave it out" in str(caught.value)


def test_deepspeed_must_be_installed(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="launch.deepspeed: is not installed. Run `pip install deepspeed`"):
        require_launch(recipe({"deepspeed": {}}))


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"fsdp": {}}, True),
        ({"deepspeed": {"zero_stage": 3}}, True),
        ({"deepspeed": {"zero_stage": 2}}, False),
        ({"num_processes": 2}, False),
    ],
)
def test_quantised_weights_are_not_shared_out(gpu: None, given: Any, refused: bool) -> None:
    quantised = recipe(given, model={"name_or_path": "some/model", "quantization": "nf4"})
    if not refused:
        require_launch(quantised)
        return
    with pytest.raises(RecipeError, match="cannot share out nf4 weights. Leave `model.quantization` out"):
        require_launch(quantised)


def test_muon_needs_whole_matrices(gpu: None) -> None:
    model = {"config": {"model_type": "llama"}, "tokenizer": "some/tokenizer"}
    given = {"stage": "pretrain", "model": model, "data": {"train": "text.jsonl"}, "training": {"optim": "muon"}}
    with pytest.raises(RecipeError, match="`optim: muon` needs whole ones"):
        require_launch(from_dict(given | {"launch": {"fsdp": {}}, "output_dir": "runs/x"}))


def test_machines_are_counted_by_the_launchers_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    assert (nodes(), node(), processes(Launch(num_processes=4))) == (2, 1, 8) and is_many(Launch())
    with pytest.raises(RecipeError, match="PET_NNODES says 2 machines; set PET_MASTER_PORT too"):
        require_launch(recipe({"num_processes": 4}))
    monkeypatch.setenv("PET_NNODES", "1:2")
    with pytest.raises(RecipeError, match="the variable PET_NNODES must be a whole number, got 1:2"):
        require_launch(recipe({"num_processes": 4}))


def test_another_launcher_must_not_have_been_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="a launcher has started this process already"):
        require_launch(from_dict(SFT))


@pytest.mark.parametrize("given", [{"fsdp": {}}, {"deepspeed": {"zero_stage": 3}}])
def test_dpo_does_not_share_out_its_weights(gpu: None, given: Any) -> None:
    dpo = {"stage": "dpo", "model": {"run": "runs/sft"}, "data": {"train": "a.jsonl"}, "output_dir": "runs/x"}
    with pytest.raises(RecipeError, match="cannot share out the weights in `dpo`") as caught:
        require_launch(from_dict(dpo | {"launch": given}))
    assert "deepspeed.zero_stage: 2" in str(caught.value)
    require_launch(from_dict(dpo | {"launch": {"deepspeed": {"zero_stage": 2}}}))
