"""How much memory a training step takes, part by part, at its fullest moment.

Two moments can be the fullest: when the loss begins to go backward (everything kept for the gradient is there, and the
logits), and when the optimizer writes (every gradient and its states are there). The fuller one is told.

Each constant names its source. The figures for a CPU are measured by benchmarks/plan.py; those for a GPU follow from
the same counts and the sources named, and are not measured here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from seodang.planning.activations import FLOAT, Batch, kept_bytes
from seodang.planning.architecture import Architecture
from seodang.planning.trained import Trained

TILE_TOKENS, TILE_WORDS = 4096, 32768
"""TRL's fused output layer works on tiles of so many tokens and words (trl 1.16: kernels/chunked_logprob.py,
TOKEN_CHUNK_SIZE; trainer/utils.py, _CHUNKED_LOGPROB_CHUNK_SIZE)."""
CPU_TILES = 8.25
"""Float32 tiles that its backward holds at once where there is no Triton: the tile, y, z, log p, p, the gradient, the
target's mask in bytes, and two in passing (chunked_logprob.py, `_backward_tile`; measured 8.25 to 8.28)."""
PLAIN_LOGITS = 3
"""Float32 copies of all logits in transformers' own loss: the log-probabilities and two gradients (measured)."""
PROCESS = 400 * 2**20
"""Bytes of a Python process that has torch, transformers and TRL loaded (measured: 403 MiB)."""
CPU_RUNTIME = 120 * 2**20
"""Bytes that torch's own libraries and threads take in the first step (measured: 119 MiB, torch 2.13)."""
HEAP_SHARE, HEAP_OUTPUTS, HEAP_BLOCK = 0.16, 1.35, 32 * 2**20
"""What glibc's heap holds free between kept blocks, because an aligned block does not fit where one of its size was:
this share of what is kept, and of an adapter's outputs so many (measured: glibc 2.36, LoRA, full and two targets).
Blocks of 32 MiB and more come from the kernel and go back to it (mallopt(3), M_MMAP_THRESHOLD)."""
GPU_RUNTIME = int(0.75 * 2**30)
"""CUDA's context and the workspaces of cuBLAS. An estimate, not measured."""
GPU_SPARE = 0.08
"""Share of a GPU that the caching allocator may hold in pieces too small to use. An estimate, not measured."""
STATES = {"adamw": 8, "adam_": 8, "lion": 4, "lomo": 0, "adafactor": 0, "sgd": 0, "rmsprop": 4, "muon": 4}
"""Beginning of `training.optim` → bytes that it keeps per trained float32 number."""
NF4_BYTES = {True: 0.5 + 0.127 / 8, False: 0.5 + 0.5 / 8}
"""Bytes of a 4-bit number with its block's constant, of which one stands for 64 numbers: 0.127 bit where the constants
are quantised too, else 0.5 bit (Dettmers et al. 2023, arXiv:2305.14314, §3)."""

PartName = Literal[
    "process", "weights", "adapter", "gradients", "optimizer", "activations", "logits", "heap", "runtime"
]
BEFORE: tuple[PartName, ...] = ("process", "weights", "adapter")
"""What is in memory before the first step."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one training step is made of."""

    shape: Architecture
    trained: Trained
    batch: Batch
    weights: float
    """Bytes of the frozen or trained weights."""
    trained_width: int = 4
    """Bytes of a trained number."""
    optim: str = "adamw_torch"
    accumulation: int = 1
    checkpointing: bool = False
    fused_loss: bool = True
    """TRL's loss in tiles; transformers' own computes all logits."""
    reference: float = 0.0
    """Bytes of the pass over the reference, which is over before the first step."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by part, in the order in which they are shown."""

    parts: dict[PartName, float] = field(default_factory=dict)
    reference: float = 0.0
    """Peak of the pass over the reference beside the weights: before the first step, so not added."""

    @property
    def total(self) -> float:
        """The peak, in bytes."""
        before = sum(self.parts.get(name, 0.0) for name in BEFORE)
        return max(sum(self.parts.values()), before + self.reference)

    @property
    def above_weights(self) -> float:
        """What training adds to the model in memory: the peak above the size before the first step."""
        return sum(size for name, size in self.parts.items() if name not in BEFORE)


def weight_bytes(shape: Architecture, width: int, kind: str | None = None, double: bool = True) -> float:
    """Bytes of a model's weights; of a quantised one only the matrices of its layers shrink (bitsandbytes 0.50)."""
    if kind is None:
        return float(shape.parameters * width)
    small = NF4_BYTES[double] if kind in ("nf4", "fp4") else 1.0
    return (shape.parameters - shape.body) * width + shape.body * small


def memory(step: Step) -> Memory:
    """The fullest moment of a step, after the first: the optimizer's states are there."""
    whole: dict[PartName, float] = {"process": PROCESS} if step.batch.on_cpu else {}
    whole["weights"] = step.weights
    if not step.trained.full:
        whole["adapter"] = (step.trained.parameters + step.trained.copied) * step.trained_width
    gradients = step.trained.parameters * step.trained_width
    states: dict[PartName, float] = {"optimizer": step.trained.parameters * _state_bytes(step)}
    backward = states | {"gradients": gradients * (step.accumulation > 1)} | _backward(step)
    update = states | {"gradients": gradients, "activations": 0.0, "logits": 0.0, "heap": _in_passing(step)}
    fuller = max((backward, update), key=lambda parts: sum(parts.values()))
    runtime = CPU_RUNTIME if step.batch.on_cpu else GPU_RUNTIME
    return Memory(whole | fuller | {"runtime": runtime}, step.reference)


def _state_bytes(step: Step) -> float:
    """Bytes of the optimizer's states per trained number; those of 8-bit optimizers are a byte each."""
    per_float = next((size for name, size in STATES.items() if step.optim.startswith(name)), 8)
    return per_float / 4 if "8bit" in step.optim else per_float * step.trained_width / FLOAT


def _backward(step: Step) -> dict[PartName, float]:
    """When the loss begins to go backward."""
    kept = kept_bytes(step.shape, step.trained, step.batch, step.checkpointing)
    return {"activations": kept, "logits": _logits(step), "heap": _heap(step, kept)}


def _logits(step: Step) -> float:
    """The output layer's share: the logits or their tiles, the gradient of what it reads, and of its own weight."""
    shape, batch = step.shape, step.batch
    predicted = batch.rows * (batch.length - 1)
    trains_head = shape.embedding if step.trained.full or step.trained.copied >= shape.embedding else 0
    gradients = (predicted * shape.hidden + trains_head) * FLOAT
    if not step.fused_loss:
        return gradients + PLAIN_LOGITS * batch.tokens * shape.vocabulary * FLOAT
    tile = min(predicted, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS)
    return gradients + tile * (CPU_TILES * FLOAT if batch.on_cpu else batch.width)


def _heap(step: Step, kept: float) -> float:
    shape, batch = step.shape, step.batch
    largest = max(linear.outputs for linear in shape.linears) * batch.tokens * batch.width
    if not batch.on_cpu:
        return kept * GPU_SPARE
    if largest >= HEAP_BLOCK:
        return 0.0
    outputs = sum(linear.outputs * step.trained.share(linear) for linear in shape.linears) * shape.layers
    adapted = 0.0 if step.trained.full else outputs * batch.tokens * batch.width
    return HEAP_SHARE * kept + HEAP_OUTPUTS * adapted / (shape.layers if step.checkpointing else 1)


def _in_passing(step: Step) -> float:
    """AdamW's update computes two tensors of the largest parameter's size (torch, optim/adamw.py)."""
    return 2.0 * FLOAT * (step.shape.embedding if step.trained.full else 0)
