"""The smallest card that fits, and what is changed where none does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.planning.cards import CARDS, advice, smallest
from seodang.planning.setting import shape_of
from seodang.recipe_file import from_dict

QWEN3_06B = {"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072,
             "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
             "tie_word_embeddings": True}  # fmt: skip
QWEN3_8B = QWEN3_06B | {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
                        "num_attention_heads": 32, "tie_word_embeddings": False}  # fmt: skip


def recipe(folder: Path, config: dict[str, Any], **more: Any) -> Any:
    (folder / "config.json").write_text(json.dumps(config))
    given = {"stage": "sft", "model": {"name_or_path": str(folder)}, "data": {"train": "x"}, "adapter": "lora"}
    return from_dict(given | more)


def test_published_sizes_are_met(tmp_path: Path) -> None:
    # the model cards say 0.6 B (0.44 B without embeddings) and 8.2 B (6.95 B without)
    small, large = (shape_of(recipe(tmp_path, config)) for config in (QWEN3_06B, QWEN3_8B))
    assert small.parameters == 596_049_920 and large.parameters == 8_190_735_360


def test_a_small_batch_of_a_small_model_fits_the_smallest_card(tmp_path: Path) -> None:
    one = recipe(tmp_path, QWEN3_06B, training={"per_device_train_batch_size": 1})
    found = smallest(one, shape_of(one), None)
    assert found is not None and found.card.name == "T4 16 GB" and not found.changes
    assert found.memory.parts["weights"] == 4 * 596_049_920  # without bfloat16 the weights stay float32


def test_what_fits_nowhere_is_changed_step_by_step(tmp_path: Path) -> None:
    large = recipe(tmp_path, QWEN3_8B, data={"train": "x", "max_length": 8192})
    shape = shape_of(large)
    assert smallest(large, shape, None) is None
    tried: list[Any] = []

    def fits(changed: Any) -> bool:
        tried.append(changed)
        return smallest(changed, shape, None) is not None

    changes = advice(large, shape, fits)
    assert changes is not None
    assert changes[0] == "training.per_device_train_batch_size=1 training.gradient_accumulation_steps=8"
    assert len(changes) == len(tried)
    assert advice(large, shape, lambda _: False) is None


def test_all_changes_are_known(tmp_path: Path) -> None:
    large, seen = recipe(tmp_path, QWEN3_8B), []
    advice(large, shape_of(large), lambda changed: bool(seen.append(changed)))
    assert seen[-1].training.gradient_checkpointing and seen[-1].model.quantization.kind == "nf4"
    full, seen = recipe(tmp_path, QWEN3_8B, adapter="full"), []
    advice(full, shape_of(full), lambda changed: bool(seen.append(changed)))
    assert all(changed.model.quantization is None for changed in seen)  # every weight is trained: no 4 bits


@pytest.mark.parametrize("card", CARDS)
def test_no_card_has_more_than_its_name_says(card: Any) -> None:
    assert card.mib * 2**20 <= float(card.name.split()[-2]) * 1.08e9
