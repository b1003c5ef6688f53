"""Which common GPU a recipe fits on, and what to change where it fits on none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from seodang.planning.architecture import Architecture
from seodang.planning.memory import Memory
from seodang.planning.setting import GPU, OLD_GPU, memory_on
from seodang.planning.steps import Steps
from seodang.recipe import DPO, SFT
from seodang.tuning.adapters import Full
from seodang.tuning.specs import FourBit, ModelSpec


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: its name, the MiB that its driver offers, and whether it computes bfloat16 itself."""

    name: str
    mib: int
    native_bf16: bool = True

    @property
    def bytes(self) -> int:
        """What a process can have at most."""
        return self.mib * 2**20


CARDS = (
    Card("T4 16 GB", 15360, native_bf16=False),
    Card("L4 24 GB", 22500),
    Card("A10 24 GB", 22500),
    Card("RTX 3090 24 GB", 24000),
    Card("RTX 4090 24 GB", 24000),
    Card("RTX A6000 48 GB", 45000),
    Card("A100 40 GB", 40000),
    Card("A100 80 GB", 80000),
    Card("H100 80 GB", 80000),
    Card("H200 141 GB", 142000),
)
"""The usual ones. The MiB are rounded down from what a driver with error correction offers: estimates, not measured."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A card that a recipe fits on, what it takes there, and the overrides that make it fit."""

    card: Card
    memory: Memory
    changes: tuple[str, ...] = ()


def smallest(recipe: Any, shape: Architecture, steps: Steps | None) -> Fit | None:
    """The smallest card whose memory is enough, or None."""
    found = {native: memory_on(recipe, shape, steps, GPU if native else OLD_GPU) for native in (True, False)}
    for card in sorted(CARDS, key=lambda card: card.mib):
        if found[card.native_bf16].total <= card.bytes:
            return Fit(card, found[card.native_bf16])
    return None


def advice(recipe: Any, shape: Architecture, fits: Callable[[Any], bool]) -> tuple[str, ...] | None:
    """The overrides that make a recipe fit, the mildest first and none more than needed; None where nothing does."""
    changes: list[str] = []
    for text, changed in _milder(recipe):
        changes.append(text)
        if fits(changed):
            return tuple(changes)
        recipe = changed
    return None


def _milder(recipe: Any) -> Iterator[tuple[str, Any]]:
    """Recipes that take less and less, each with what was changed: same result, then slower, then another result."""
    training, batch = recipe.training, recipe.training.per_device_train_batch_size
    if batch > 1:
        whole = batch * training.gradient_accumulation_steps
        changed = {"per_device_train_batch_size": 1, "gradient_accumulation_steps": whole}
        recipe = _with(recipe, training=training.model_copy(update=changed))
        yield f"training.per_device_train_batch_size=1 training.gradient_accumulation_steps={whole}", recipe
    if not training.gradient_checkpointing:
        recipe = _with(recipe, training=recipe.training.model_copy(update={"gradient_checkpointing": True}))
        yield "training.gradient_checkpointing=true", recipe
    can_shrink = isinstance(recipe, (SFT, DPO)) and not isinstance(recipe.adapter, Full)
    if can_shrink and isinstance(recipe.model, ModelSpec) and recipe.model.quantization is None:
        recipe = _with(recipe, model=recipe.model.model_copy(update={"quantization": FourBit()}))
        yield "model.quantization=nf4", recipe


def _with(recipe: Any, **parts: Any) -> Any:
    return recipe.model_copy(update=parts)
