"""Precision, config and adapter of a recipe as memory needs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.errors import ModelError
from seodang.planning.architecture import architecture
from seodang.planning.setting import CPU, GPU, OLD_GPU, Device, Widths, adapter_of, memory_on, shape_of, widths
from seodang.recipe_file import from_dict
from seodang.tuning.specs import ModelSpec


def recipe(model: Any, **more: Any) -> Any:
    given = {"stage": "sft", "model": model, "data": {"train": "rows.jsonl"}, "adapter": "lora"}
    return from_dict(given | more)


@pytest.mark.parametrize(
    ("spec", "full", "device", "found"),
    [
        ({}, False, CPU, Widths(4, 4, 4)),
        ({"dtype": "bfloat16"}, False, CPU, Widths(2, 2, 4)),
        ({}, False, GPU, Widths(2, 2, 4)),
        ({}, True, GPU, Widths(4, 2, 4)),
        ({}, False, OLD_GPU, Widths(4, 2, 4)),
        ({"dtype": "float32"}, False, GPU, Widths(4, 4, 4)),
        ({"quantization": {"kind": "nf4"}}, False, CPU, Widths(4, 4, 4)),
        ({"quantization": {"kind": "nf4"}}, False, GPU, Widths(2, 2, 2)),
    ],
)
def test_the_precision_is_the_trainers(spec: dict[str, Any], full: bool, device: Device, found: Widths) -> None:
    assert widths(ModelSpec(name_or_path="x", **spec), full, device) == found


@pytest.mark.parametrize("dtype", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("device", [CPU, GPU, OLD_GPU])
def test_it_is_what_choose_dtype_says(dtype: Any, full: bool, device: Device) -> None:
    from seodang.tuning.precision import Hardware, choose_dtype

    if dtype == "bfloat16" and device is OLD_GPU:
        return  # refused
    chosen = choose_dtype(dtype, Hardware("cpu" if device.on_cpu else "cuda", device.native_bf16), full)
    found = widths(ModelSpec(name_or_path="x", dtype=dtype), full, device)
    assert found.weights == chosen.weights.itemsize
    assert found.computed == (2 if chosen.bf16 or chosen.fp16 else chosen.weights.itemsize)


def test_the_shape_is_read_from_the_config_alone(tmp_path: Path, model_dir: Path) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shape_of(recipe({"name_or_path": str(tmp_path)})) == architecture(config, "it")


def test_a_torn_config_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="holds no config.json that can be read"):
        shape_of(recipe({"name_or_path": str(tmp_path)}))


def test_a_continued_adapter_is_read_from_its_files(tmp_path: Path, model_dir: Path) -> None:
    described = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"], "base_model_name_or_path": str(model_dir)}
    (tmp_path / "adapter_config.json").write_text(json.dumps(described))
    found = adapter_of(recipe({"name_or_path": str(tmp_path)}, adapter=None))
    assert (found["kind"], found["r"], found["target_modules"]) == ("lora", 4, ["q_proj"])


def test_a_pretraining_trains_everything_with_plain_logits(tokenizer_dir: Path) -> None:
    config = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 64}  # fmt: skip
    given = {"stage": "pretrain", "model": {"config": config, "tokenizer": str(tokenizer_dir)}, "data": {"train": "x"}}
    found: Any = from_dict(given)
    shape = shape_of(found)
    assert shape.vocabulary > 300  # the tokenizer's
    assert adapter_of(found) == {"kind": "full"}
    assert memory_on(found, shape, None, CPU).parts["logits"] > 3 * 8 * 512 * shape.vocabulary * 4


def test_dpo_computes_both_sides_and_a_reference(model_dir: Path) -> None:
    pairs, rows = (recipe({"name_or_path": str(model_dir)}, stage=stage) for stage in ("dpo", "sft"))
    shape = shape_of(rows)
    one, two = (memory_on(found, shape, None, CPU) for found in (rows, pairs))
    assert two.parts["activations"] == pytest.approx(2 * one.parts["activations"], rel=0.01)
    assert one.reference == 0 < two.reference
