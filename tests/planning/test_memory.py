"""The parts of a step's memory: which there are, what they follow, and which moment is the fullest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seodang.planning.activations import Batch
from seodang.planning.architecture import Architecture, architecture
from seodang.planning.memory import CPU_TILES, PROCESS, Step, memory, weight_bytes
from seodang.planning.trained import trained

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
CONFIG: dict[str, Any] = {"model_type": "qwen3", "vocab_size": 32000, "hidden_size": 512, "intermediate_size": 1536,
          "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64,
          "tie_word_embeddings": True}  # fmt: skip
LORA = {"kind": "lora", "r": 16, "target_modules": "all-linear"}


def shape_with(**more: Any) -> Architecture:
    return architecture(CONFIG | more, "it")


def step(adapter: dict[str, Any] = LORA, batch: Batch | None = None, **more: Any) -> Step:
    shape = shape_with()
    return Step(shape, trained(shape, adapter), batch or Batch(8, 512), weight_bytes(shape, 4), **more)


def test_the_measured_cases_are_predicted_within_15_percent() -> None:
    """The latest record of benchmarks/plan.py, which measures them."""
    found = json.loads(max(RESULTS.glob("*-plan.json")).read_text(encoding="utf-8"))["results"]
    assert {result["case"] for result in found} == {"lora", "qlora", "full", "dpo", "lora-152k"}
    assert all(abs(result["ratio"] - 1) <= 0.15 for result in found), found


def test_a_loras_parts() -> None:
    found = memory(step())
    count = found.parts["adapter"] / 4
    assert count == step().trained.parameters
    assert found.parts["optimizer"] == 8 * count  # AdamW: two float32 states
    assert found.parts["gradients"] == 0  # at the fullest moment none is there yet
    assert found.parts["logits"] > CPU_TILES * 4 * 4088 * 32000
    assert found.parts["process"] == PROCESS
    before = PROCESS + found.parts["weights"] + found.parts["adapter"]
    assert found.above_weights == pytest.approx(found.total - before)


def test_gradients_are_there_while_they_are_accumulated() -> None:
    found = memory(step(accumulation=4))
    assert found.parts["gradients"] == found.parts["adapter"]


def test_with_little_text_the_update_is_the_fullest_moment() -> None:
    found = memory(step({"kind": "full"}, Batch(1, 8)))
    assert found.parts["activations"] == 0
    assert found.parts["gradients"] == found.parts["weights"] == 4 * shape_with().parameters


@pytest.mark.parametrize(
    ("optim", "bytes_each"), [("adamw_torch", 8), ("adamw_bnb_8bit", 2), ("sgd", 0), ("lion_32bit", 4)]
)
def test_optimizers_keep_what_they_keep(optim: str, bytes_each: int) -> None:
    assert memory(step(optim=optim)).parts["optimizer"] == bytes_each * step().trained.parameters


def test_checkpointing_takes_less_and_a_longer_batch_more() -> None:
    usual = memory(step()).parts["activations"]
    assert memory(step(checkpointing=True)).parts["activations"] < usual / 3
    assert memory(step(batch=Batch(8, 1024))).parts["activations"] > 2 * usual


def test_the_tile_is_bounded_in_tokens_and_words() -> None:
    small, large = step(), step()
    large = replace(large, shape=shape_with(vocab_size=152064), batch=Batch(64, 512))
    difference = memory(large).parts["logits"] - memory(small).parts["logits"]
    assert difference < 0.2 * memory(small).parts["logits"] + 64 * 512 * 512 * 4


def test_4_bits_shrink_the_layers_alone() -> None:
    shape = shape_with()
    outside = (shape.parameters - shape.body) * 4
    assert weight_bytes(shape, 4, "nf4") - outside == pytest.approx(shape.body * 0.516, rel=0.001)
    assert weight_bytes(shape, 4, "nf4", double=False) > weight_bytes(shape, 4, "nf4")
    assert weight_bytes(shape, 4, "int8") - outside == shape.body


def test_a_gpu_has_no_process_and_a_smaller_tile() -> None:
    found = memory(step(batch=Batch(8, 512, width=2, on_cpu=False)))
    assert "process" not in found.parts
    assert found.parts["logits"] < memory(step()).parts["logits"] / 10


def test_the_reference_is_over_before_the_first_step() -> None:
    small = memory(step(batch=Batch(1, 8), reference=1e9))
    assert small.total == small.parts["process"] + small.parts["weights"] + small.parts["adapter"] + 1e9
    assert memory(step(reference=1e3)).total == memory(step()).total
