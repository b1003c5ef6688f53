"""What autograd keeps of a forward pass, counted per token as transformers' layers and PEFT's adapters compute.

Every operation keeps the tensors that its gradient needs. tests/planning/test_activations.py hooks what real models
keep (`torch.autograd.graph.saved_tensors_hooks`) and compares the bytes; transformers 5.23, peft 0.21.2, torch 2.13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seodang.planning.architecture import Architecture, Linear
from seodang.planning.trained import Trained

FLOAT = 4
"""Bytes of a float32: norms, their statistics and the attention's normaliser are computed in it in every precision."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The padded rows of one forward pass, and how they are computed."""

    rows: int
    length: int
    padded: bool = True
    """Whether rows differ in length, so that there is a mask."""
    width: int = 4
    """Bytes of a number: 4 in float32, 2 where matrices are multiplied in bfloat16 or float16."""
    on_cpu: bool = True
    attention: str = "sdpa"
    """`model.attn_implementation`."""

    @property
    def tokens(self) -> int:
        """Tokens with their padding."""
        return self.rows * self.length


def kept_bytes(shape: Architecture, trained: Trained, batch: Batch, checkpointing: bool = False) -> float:
    """Bytes that autograd keeps until the loss goes backward.

    With checkpointing a layer keeps its input alone, and one layer at a time is there whole.
    """
    layer, stream = layer_bytes(shape, trained, batch), shape.hidden * batch.tokens
    # the final norm's input (and what its trained weight multiplies), and its output as the loss reads it
    outside = stream * (FLOAT * (2 if trained.full and not shape.family.fused else 1) + batch.width)
    if checkpointing:
        return shape.layers * stream * batch.width + layer + outside
    # the first norm of a model whose embedding is not trained has nothing to keep
    unseen = 0 if trained.full or _is_post_norm(shape) else stream * FLOAT
    return shape.layers * layer - unseen + outside


def layer_bytes(shape: Architecture, trained: Trained, batch: Batch) -> float:
    """Bytes that autograd keeps of one layer."""
    numbers = _inputs(shape, trained, batch) + _attention(shape, batch) + _mlp(shape)
    numbers += sum(trained.rank * trained.share(linear) for linear in shape.linears)
    per_token = numbers * batch.width + _norms(shape, trained) * FLOAT
    return per_token * batch.tokens + _pairs(shape, batch)


def _inputs(shape: Architecture, trained: Trained, batch: Batch) -> float:
    """Inputs of the matrices whose own or whose adapter's weights are trained.

    In float32 those that read the same tensor share it, and the attention's output is kept already. Where numbers are
    cast (autocast, or PEFT's adapters in float32 on 2-byte weights) each has a copy; a dropout makes two of its own.
    """
    reads, out, after, down = _groups(shape)
    if trained.dropout:
        return sum(2 * linear.inputs * trained.share(linear) for linear in shape.linears)
    if batch.width < FLOAT:
        kept = [linear for linear in shape.linears if not (trained.full and linear in (out, down))]
        return sum(linear.inputs * trained.share(linear) for linear in kept) + down.inputs * trained.full
    shared = (_largest(reads, trained), _largest(after, trained), down.inputs * trained.share(down))
    return sum(shared)


def _groups(shape: Architecture) -> tuple[Sequence[Linear], Linear, Sequence[Linear], Linear]:
    """A layer's matrices: those that read the attention's input, its output, the MLP's input, and the MLP's last."""
    first = 1 if shape.family.fused else 3
    return shape.linears[:first], shape.linears[first], shape.linears[first + 1 : -1], shape.linears[-1]


def _largest(linears: Sequence[Linear], trained: Trained) -> float:
    return max(linear.inputs * trained.share(linear) for linear in linears)


def _attention(shape: Architecture, batch: Batch) -> float:
    """Queries, keys, values and the output; with a mask, keys and values are repeated for every query head.

    Source: transformers 5.23, integrations/sdpa_attention.py, `use_gqa_in_sdpa`.
    """
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if shape.family.fused:
        # GPT-NeoX rotates q and k into tensors of their own, and its output is copied to be contiguous
        return queries * (7 if shape.model_type == "gpt_neox" else 4)
    repeats = batch.attention == "eager" or (batch.attention == "sdpa" and batch.padded)
    return 2 * queries + 2 * (queries if repeats else keys)


def _mlp(shape: Architecture) -> float:
    """What the activation and the product with the gate keep, without the input of the last matrix."""
    if not shape.family.fused:
        return 3 * shape.intermediate
    # `gelu_new` is written out in four operations that keep something; the others are one
    return shape.intermediate * (4 if shape.activation == "gelu_new" else 1)


def _norms(shape: Architecture, trained: Trained) -> float:
    """Inputs of the norms, what their trained weights multiply, and their statistics; the attention's normaliser."""
    if shape.family.fused:
        # a LayerNorm is one operation; the two of a parallel GPT-NeoX layer read one tensor
        return shape.hidden * (1 if shape.parallel else 2) + 4 + shape.heads
    heads = shape.family.qk_norm * (shape.heads + shape.kv_heads)
    seen = shape.family.norms * shape.hidden + heads * shape.head_dim
    return seen * (2 if trained.full else 1) + shape.family.norms + heads + shape.heads


def _is_post_norm(shape: Architecture) -> bool:
    """EXAONE 4 norms what attention and MLP give, not what they read."""
    return shape.model_type == "exaone4"


def _pairs(shape: Architecture, batch: Batch) -> float:
    """What grows with the square of the length: eager attention's probabilities, or the mask as a CPU adds it."""
    pairs = batch.rows * batch.length**2
    if batch.attention == "eager":
        return pairs * shape.heads * (FLOAT + (batch.width if batch.width < FLOAT else 0))
    return pairs * batch.width if batch.padded and batch.on_cpu and batch.attention == "sdpa" else 0
