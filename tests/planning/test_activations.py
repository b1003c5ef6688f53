"""The bytes that autograd keeps of a forward pass, against those that real models keep."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from seodang.planning.activations import Batch, kept_bytes
from seodang.planning.architecture import architecture
from seodang.planning.trained import trained

ROWS, LENGTH = 2, 50
SIZES = {"vocab_size": 300, "hidden_size": 64, "intermediate_size": 224, "num_hidden_layers": 3,
         "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 256,
         "pad_token_id": 0}  # fmt: skip
STILL = {"attention_dropout": 0.0, "hidden_dropout": 0.0}
GPT2 = {"vocab_size": 300, "n_embd": 64, "n_layer": 3, "n_head": 8, "n_positions": 256, "attn_pdrop": 0.0,
        "embd_pdrop": 0.0, "resid_pdrop": 0.0}  # fmt: skip
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"} | STILL
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": SIZES, "mistral": SIZES, "qwen2": SIZES, "qwen3": SIZES | {"head_dim": 10}, "granite": SIZES,
    "exaone4": SIZES, "gemma": SIZES | {"head_dim": 10}, "gemma3_text": SIZES | {"head_dim": 10},
    "hyperclovax": SIZES, "gpt_neox": NEOX, "gpt2": GPT2,
}  # fmt: skip
LORA = {"kind": "lora", "r": 4, "target_modules": "all-linear"}
FULL = {"kind": "full"}


def kept_by(name: str, adapter: dict[str, Any], batch: Batch) -> int:
    """Bytes of the distinct tensors that autograd keeps, weights apart."""
    from seodang.tuning.quiet import silence_upstream

    # isort: split
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    silence_upstream()
    dtype = torch.bfloat16 if batch.width == 2 and adapter is not FULL else torch.float32
    config = CONFIG_MAPPING[name](**CONFIGS[name])
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=batch.attention)
    add_fused_lm_head(model)
    if adapter is not FULL:
        given = {key: value for key, value in adapter.items() if key != "kind"}
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=name == "gpt2", **given))
    ids = torch.randint(1, 300, (batch.rows, batch.length))
    mask = torch.ones_like(ids)
    mask[1, LENGTH - 9 if batch.padded else LENGTH :] = 0
    own = {part.untyped_storage().data_ptr() for part in (*model.parameters(), *model.buffers())}
    kept: dict[int, Any] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.requires_grad | (tensor.numel() >= ROWS * LENGTH):
            kept[storage.data_ptr()] = storage
        return tensor

    mixed = torch.autocast("cpu", torch.bfloat16) if batch.width == 2 else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), mixed:
        model.train()(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False, fused_lm_head=True)
    weights = {part.numel() for part in model.parameters()}  # casts of weights, which autocast keeps
    return sum(storage.nbytes() for storage in kept.values() if storage.nbytes() // 2 not in weights)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("adapter", [LORA, FULL], ids=["lora", "full"])
@pytest.mark.parametrize("name", CONFIGS)
def test_float32_is_counted_to_the_tensor(name: str, adapter: dict[str, Any], padded: bool) -> None:
    batch = Batch(ROWS, LENGTH, padded=padded)
    shape = architecture({"model_type": name} | CONFIGS[name], "it")
    assert kept_bytes(shape, trained(shape, adapter), batch) == pytest.approx(kept_by(name, adapter, batch), rel=0.02)


@pytest.mark.parametrize(
    ("adapter", "batch", "apart"),
    [
        (LORA | {"target_modules": ["q_proj", "v_proj"]}, Batch(ROWS, LENGTH), 0.02),
        (LORA | {"lora_dropout": 0.1}, Batch(ROWS, LENGTH), 0.05),
        (LORA, Batch(ROWS, LENGTH, attention="eager"), 0.05),
        (LORA, Batch(ROWS, LENGTH, width=2), 0.05),
        (FULL, Batch(ROWS, LENGTH, width=2), 0.05),
    ],
    ids=["two targets", "dropout", "eager", "lora in bfloat16", "full in bfloat16"],
)
@pytest.mark.parametrize("name", ["llama", "qwen3"])
def test_other_ways_to_compute_are_counted_nearly(
    name: str, adapter: dict[str, Any], batch: Batch, apart: float
) -> None:
    shape = architecture({"model_type": name} | CONFIGS[name], "it")
    assert kept_bytes(shape, trained(shape, adapter), batch) == pytest.approx(kept_by(name, adapter, batch), rel=apart)


def test_checkpointing_keeps_the_streams_and_one_layer() -> None:
    shape = architecture({"model_type": "llama"} | SIZES, "it")
    batch, lora = Batch(ROWS, LENGTH), trained(shape, LORA)
    assert kept_bytes(shape, lora, batch, checkpointing=True) < kept_bytes(shape, lora, batch) / 2
