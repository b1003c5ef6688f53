"""A model's shape from its config.json: every matrix of a layer with its bias, and the exact number of parameters.

Read as JSON, because transformers' config classes import torch. Defaults of an architecture stand in `FAMILIES`;
tests/planning/test_architecture.py builds each with transformers and compares the parameters one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seodang.errors import ModelError


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix of a layer: its path in the layer, the sizes it maps between, and whether it has a bias."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.inputs * self.outputs + self.outputs * self.bias


@dataclass(frozen=True, slots=True)
class Family:
    """What an architecture has and its config.json does not say."""

    norms: int = 2
    """Norms over the hidden size in a layer."""
    qk_norm: bool = False
    """Whether queries and keys are normed per head."""
    qkv_bias: bool | None = None
    """The biases of q, k and v; None: as `attention_bias` says, as the output's are."""
    tied: bool = False
    head_dim: int | None = None
    """None: hidden size over heads."""
    fused: bool = False
    """One matrix for q, k and v, LayerNorms with biases, and an MLP of two matrices: GPT-NeoX and GPT-2."""
    learned_positions: bool = False


FAMILIES: dict[str, Family] = {
    "llama": Family(),
    "mistral": Family(),
    "granite": Family(),
    "qwen2": Family(qkv_bias=True),
    "qwen3": Family(qk_norm=True, head_dim=128),
    "exaone4": Family(qk_norm=True),
    "gemma": Family(tied=True, head_dim=256),
    "gemma2": Family(tied=True, head_dim=256, norms=4),
    "gemma3_text": Family(tied=True, head_dim=256, norms=4, qk_norm=True),
    "hyperclovax": Family(norms=4),
    "gpt_neox": Family(fused=True),
    "gpt2": Family(fused=True, tied=True, learned_positions=True),
}
"""`model_type` of config.json → what is not written there (transformers 5.23, models/*/modeling_*.py)."""
OTHER_NAMES = {"n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
               "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
               "activation_function": "hidden_act", "hidden_activation": "hidden_act"}  # fmt: skip
"""GPT-2's and Gemma's names for what the others call otherwise."""
REQUIRED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a causal model. All counts are of numbers, not of bytes."""

    model_type: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    linears: tuple[Linear, ...]
    """The matrices of one layer."""
    family: Family
    tied: bool
    positions: int | None
    activation: str = "silu"
    parallel: bool = False
    """Whether attention and MLP read the same tensor (GPT-NeoX)."""

    @property
    def norm(self) -> int:
        """Parameters of the norms of one layer: a weight, and a bias where the norm is a LayerNorm."""
        per_head = 2 * self.head_dim * self.family.qk_norm
        return self.family.norms * self.hidden * (1 + self.family.fused) + per_head

    @property
    def body(self) -> int:
        """Parameters of the matrices of all layers, biases left out: what `all-linear` adapts and 4 bits quantise."""
        return self.layers * sum(linear.inputs * linear.outputs for linear in self.linears)

    @property
    def embedding(self) -> int:
        """Parameters of the word embedding, which a tied output layer shares."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """Every parameter, a tied one once."""
        layer = sum(linear.parameters for linear in self.linears) + self.norm
        positions = (self.positions or 0) * self.hidden * self.family.learned_positions
        outside = self.embedding * (2 - self.tied) + positions + self.hidden * (1 + self.family.fused)
        return self.layers * layer + outside


def architecture(config: Mapping[str, Any], where: str) -> Architecture:
    """The shape that a config.json describes. `where` names it in errors.

    Raises ModelError for an architecture that is not known here, or a config that lacks a size.
    """
    text = config.get("text_config")
    config = dict(text) if isinstance(text, Mapping) else dict(config)
    config |= {ours: config[theirs] for theirs, ours in OTHER_NAMES.items() if config.get(theirs) is not None}
    family = _family(config, where)
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head_dim = config.get("head_dim") or family.head_dim or hidden // heads
    kv_heads = heads if family.fused else config.get("num_key_value_heads") or heads
    intermediate = config.get("intermediate_size") or 4 * hidden
    linears = _fused(config, hidden, intermediate) if family.fused else _separate(
        config, family, (hidden, intermediate, heads * head_dim, kv_heads * head_dim))  # fmt: skip
    tied = config.get("tie_word_embeddings")
    return Architecture(
        model_type=config["model_type"],
        vocabulary=config["vocab_size"],
        hidden=hidden,
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=intermediate,
        linears=linears,
        family=_with_post_norm(config, family),
        tied=family.tied if tied is None else tied,
        positions=config.get("max_position_embeddings"),
        parallel=family.fused and not family.learned_positions and config.get("use_parallel_residual") is not False,
        activation=config.get("hidden_act") or ("gelu_new" if family.learned_positions else "silu"),
    )


def _family(config: Mapping[str, Any], where: str) -> Family:
    name = config.get("model_type")
    if name not in FAMILIES:
        raise ModelError(
            "{where} is a `{name}`, whose shape `plan` does not know (known: {known}). Its training is not affected.",
            where=where,
            name=name,
            known=", ".join(FAMILIES),
        )
    missing = [key for key in REQUIRED if not isinstance(config.get(key), int)]
    if missing:
        raise ModelError(
            "{where} does not say {missing}, so the shape of the model is not known. Complete its config.json.",
            where=where,
            missing=", ".join(f"`{key}`" for key in missing),
        )
    return FAMILIES[name]


def _with_post_norm(config: Mapping[str, Any], family: Family) -> Family:
    """HyperCLOVA X drops two of its four norms where `use_post_norm` is false."""
    return Family(norms=2) if config.get("use_post_norm") is False else family


def _separate(config: Mapping[str, Any], family: Family, sizes: tuple[int, int, int, int]) -> tuple[Linear, ...]:
    hidden, intermediate, queries, keys = sizes
    output_bias = bool(config.get("attention_bias")) if family.qkv_bias is None else False
    bias = output_bias if family.qkv_bias is None else family.qkv_bias
    mlp_bias = bool(config.get("mlp_bias"))
    return (
        Linear("self_attn.q_proj", hidden, queries, bias),
        Linear("self_attn.k_proj", hidden, keys, bias),
        Linear("self_attn.v_proj", hidden, keys, bias),
        Linear("self_attn.o_proj", queries, hidden, output_bias),
        Linear("mlp.gate_proj", hidden, intermediate, mlp_bias),
        Linear("mlp.up_proj", hidden, intermediate, mlp_bias),
        Linear("mlp.down_proj", intermediate, hidden, mlp_bias),
    )


def _fused(config: Mapping[str, Any], hidden: int, intermediate: int) -> tuple[Linear, ...]:
    if config["model_type"] == "gpt2":
        names, bias = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"), True
    else:
        names = ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h")
        bias = config.get("attention_bias") is not False
    return (
        Linear(names[0], hidden, 3 * hidden, bias),
        Linear(names[1], hidden, hidden, bias),
        Linear(names[2], hidden, intermediate, True),
        Linear(names[3], intermediate, hidden, True),
    )
