"""Parameters from config.json alone, against the models that transformers builds from the same config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.errors import ModelError
from seodang.planning.architecture import FAMILIES, architecture

LLAMA = {"vocab_size": 301, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3,
         "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 64,
         "pad_token_id": 0}  # fmt: skip
NEOX = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
GPT2 = {"vocab_size": 301, "n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 64}
CONFIGS: dict[str, tuple[dict[str, Any], ...]] = {
    "llama": (LLAMA, LLAMA | {"attention_bias": True, "mlp_bias": True}, LLAMA | {"tie_word_embeddings": True},
              LLAMA | {"head_dim": 12}),
    "mistral": (LLAMA, LLAMA | {"head_dim": 16}),
    "granite": (LLAMA, LLAMA | {"attention_bias": True}),
    "qwen2": (LLAMA, LLAMA | {"tie_word_embeddings": True}),
    "qwen3": (LLAMA, LLAMA | {"head_dim": 10, "attention_bias": True, "tie_word_embeddings": True}),
    "exaone4": (LLAMA, LLAMA | {"head_dim": 10, "tie_word_embeddings": True}),
    "gemma": (LLAMA, LLAMA | {"head_dim": 16, "tie_word_embeddings": False}),
    "gemma2": (LLAMA | {"head_dim": 16},),
    "gemma3_text": (LLAMA | {"head_dim": 16},),
    "hyperclovax": (LLAMA, LLAMA | {"use_post_norm": False}),
    "gpt_neox": (NEOX, NEOX | {"attention_bias": False}, NEOX | {"tie_word_embeddings": True}),
    "gpt2": (GPT2, GPT2 | {"n_inner": 100}),
}  # fmt: skip


def test_every_known_family_is_tested() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize(("name", "given"), [(name, given) for name, all_ in CONFIGS.items() for given in all_])
def test_parameters_are_those_of_the_real_model(name: str, given: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    config = CONFIG_MAPPING[name](**given)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = model.num_parameters()
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert architecture(saved, "it").parameters == wanted
    shape = architecture({"model_type": name} | given, "it")  # as short as a person would write it
    assert shape.parameters == wanted
    layers = {path.rpartition("0.")[2]: module for path, module in model.named_modules() if ".0." in path}
    for linear in shape.linears:
        matrix = layers[linear.name].weight
        assert sorted(matrix.shape) == sorted((linear.inputs, linear.outputs)), linear.name
        assert (layers[linear.name].bias is not None) is linear.bias, linear.name


def test_a_config_inside_a_vision_config_is_read() -> None:
    given = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", **LLAMA}}
    assert architecture(given, "it").parameters == architecture(given["text_config"], "it").parameters


def test_an_unknown_architecture_and_a_lacking_size_are_said() -> None:
    with pytest.raises(ModelError, match="models/x is a `mamba`, whose shape `plan` does not know .known: llama, "):
        architecture({"model_type": "mamba"}, "models/x")
    with pytest.raises(ModelError, match="does not say `num_hidden_layers`, `vocab_size`"):
        architecture({"model_type": "llama", "hidden_size": 8, "num_attention_heads": 2}, "models/x")
