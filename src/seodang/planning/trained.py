"""What a recipe trains of a model: how many numbers, exactly, and of which matrices the inputs are kept.

The adapter is a dictionary with PEFT's field names, as a recipe or an adapter_config.json has them.
tests/planning/test_trained.py counts what PEFT 0.21 makes of the same fields on real models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from seodang.errors import ModelError
from seodang.planning.architecture import Architecture, Linear

LAYERS = {"gpt2": "transformer.h", "gpt_neox": "gpt_neox.layers"}
"""`model_type` → the path of its layers; `model.layers` elsewhere."""
EMBEDDING = {"gpt2": "transformer.wte", "gpt_neox": "gpt_neox.embed_in"}
"""`model_type` → the path of its word embedding; `model.embed_tokens` elsewhere."""
OUTPUT = "lm_head"
IA3_KEYS = frozenset({"llama", "mistral"})
"""Where IA3 scales k beside v unless it is told; q elsewhere (peft 0.21.2, utils/constants.py)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What an optimizer holds of a model."""

    kind: str
    parameters: int
    rank: int = 0
    """Numbers per token that an adapter keeps between its two matrices."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Name of a layer's matrix → in which share of the layers it is adapted."""
    dropout: bool = False
    copied: int = 0
    """Parameters of modules trained whole beside an adapter: PEFT keeps the untrained ones, too."""

    @property
    def full(self) -> bool:
        """Whether every weight is trained."""
        return self.kind == "full"

    def share(self, linear: Linear) -> float:
        """In which share of the layers this matrix is trained or adapted, so that its input is kept."""
        return 1.0 if self.full else self.shares.get(linear.name, 0.0)


Fields = Mapping[str, Any]


def _lora(adapter: Fields, linear: Linear) -> int:
    rank = int(adapter.get("r", 8))
    return rank * (linear.inputs + linear.outputs) + linear.outputs * bool(adapter.get("use_dora"))


def _adalora(adapter: Fields, linear: Linear) -> int:
    rank = int(adapter.get("init_r", 12))
    return rank * (linear.inputs + linear.outputs + 1)


def _vera(adapter: Fields, linear: Linear) -> int:
    return int(adapter.get("r", 256)) + linear.outputs


def _ia3(adapter: Fields, linear: Linear) -> int:
    return linear.inputs if linear.name.endswith(("down_proj", "4h_to_h", "mlp.c_proj")) else linear.outputs


def _oft(adapter: Fields, linear: Linear) -> int:
    """Skew-symmetric blocks: PEFT takes their number (`r`) or their size."""
    size = int(adapter.get("oft_block_size", 32)) or linear.inputs // int(adapter["r"])
    blocks = 1 if adapter.get("block_share") else linear.inputs // size
    return blocks * size * (size - 1) // 2


def _boft(adapter: Fields, linear: Linear) -> int:
    size = int(adapter.get("boft_block_size", 4)) or linear.inputs // int(adapter["boft_block_num"])
    return int(adapter.get("boft_n_butterfly_factor", 1)) * linear.inputs * size + linear.outputs


COUNTS: dict[str, Callable[[Fields, Linear], int]] = {
    "lora": _lora, "adalora": _adalora, "vera": _vera, "ia3": _ia3, "oft": _oft, "boft": _boft,
}  # fmt: skip
"""Adapter kind → the parameters that it adds to a matrix."""
RANK = {"lora": "r", "adalora": "init_r", "vera": "r"}
"""Adapter kind → the field with its rank."""


def trained(shape: Architecture, adapter: Fields) -> Trained:
    """What an adapter (or `{"kind": "full"}`) trains. Raises ModelError for a kind that is not known here."""
    kind = str(adapter["kind"])
    if kind == "full":
        return Trained(kind, shape.parameters)
    if kind in ("prompt_tuning", "prefix_tuning"):
        tokens = int(adapter.get("num_virtual_tokens") or 0)
        width = shape.hidden if kind == "prompt_tuning" else 2 * shape.layers * shape.kv_heads * shape.head_dim
        return Trained(kind, tokens * width)
    if kind not in COUNTS:
        raise ModelError("adapter.kind: `plan` does not know what `{kind}` trains.", kind=kind)
    adapted = list(_adapted(shape, adapter))
    copied = _copied(shape, adapter)
    numbers = sum(COUNTS[kind](adapter, linear) for linear in adapted)
    layers = Counter(linear.name for linear in adapted)
    return Trained(
        kind,
        numbers + copied,
        rank=int(adapter.get("init_r" if kind == "adalora" else "r") or 0)
        if kind in ("lora", "adalora", "vera")
        else 0,
        shares={name: count / shape.layers for name, count in layers.items()},
        dropout=any(float(adapter.get(name) or 0) > 0 for name in ("lora_dropout", "vera_dropout")),
        copied=copied,
    )


def _adapted(shape: Architecture, adapter: Fields) -> Iterator[Linear]:
    """Every matrix that the adapter is put on, once per layer, and the word embedding where it is named."""
    targets = adapter.get("target_modules") or _default_targets(shape, str(adapter["kind"]))
    if not isinstance(targets, str):
        targets = tuple(targets)
    prefix = LAYERS.get(shape.model_type, "model.layers")
    for number in range(shape.layers):
        for linear in shape.linears:
            if _is_target(f"{prefix}.{number}.{linear.name}", targets):
                yield linear
    words = EMBEDDING.get(shape.model_type, "model.embed_tokens")
    if targets != "all-linear" and _is_target(words, targets):
        yield Linear(words, shape.vocabulary, shape.hidden)


def _is_target(path: str, targets: str | tuple[str, ...]) -> bool:
    """PEFT's rule: a text is a pattern for the whole path, a list holds paths or their ends."""
    if isinstance(targets, str):
        return targets.lower() == "all-linear" or re.fullmatch(targets, path) is not None
    return any(path == target or path.endswith(f".{target}") for target in targets)


def _default_targets(shape: Architecture, kind: str) -> str | tuple[str, ...]:
    if kind != "ia3":
        return "all-linear"
    if shape.family.fused:
        return (shape.linears[0].name, shape.linears[-1].name)
    return ("k_proj" if shape.model_type in IA3_KEYS else "q_proj", "v_proj", "down_proj")


def _copied(shape: Architecture, adapter: Fields) -> int:
    """Parameters of `modules_to_save`."""
    names = adapter.get("modules_to_save") or ()
    words = EMBEDDING.get(shape.model_type, "model.embed_tokens")
    sizes = {words: shape.embedding, OUTPUT: shape.embedding}
    sizes |= {linear.name: linear.parameters * shape.layers for linear in shape.linears}
    return sum(size for path, size in sizes.items() if any(path == n or path.endswith(f".{n}") for n in names))
