"""What a recipe says of memory: its model's config.json, its adapter, and the precision on a device. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seodang.errors import ModelError
from seodang.planning.activations import Batch
from seodang.planning.architecture import Architecture, architecture
from seodang.planning.memory import Memory, Step, memory, weight_bytes
from seodang.planning.published import Published, published
from seodang.planning.steps import Steps, tokenizer_of
from seodang.planning.trained import Trained, trained
from seodang.recipe import DPO, Pretrain
from seodang.runs import read_json
from seodang.tokenization import is_on_disk, load_light, local_folder
from seodang.tuning.specs import FourBit, FreshModel, ModelSpec, Place, locate

REFERENCE_TOKENS, REFERENCE_LOGITS, REFERENCE_COPIES = 8192, 2**27, 3
"""Bounds of a pass over the reference (tuning/reference.py), and the copies of its logits: scores, float, logsumexp."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where a step is computed."""

    on_cpu: bool
    native_bf16: bool = False


CPU, GPU, OLD_GPU = Device(True), Device(False, True), Device(False, False)


def shape_of(recipe: Any) -> Architecture:
    """The architecture of a recipe's model. Raises ModelError where its config.json is not there or not known."""
    spec = recipe.model
    if isinstance(spec, FreshModel):
        vocabulary = spec.config.get("vocab_size") or len(load_light(tokenizer_of(spec)))
        return architecture({"vocab_size": vocabulary} | spec.config, "model.config")
    place = locate(spec)
    return architecture(config_of(place), place.base)


def config_of(place: Place) -> dict[str, Any]:
    """A base's config.json: on disk, as published, or from the Hub with the tokenizer; no weights are fetched."""
    known = published(place.base)
    if known is not None and not is_on_disk(place.base, place.revision):
        return known.config
    folder = local_folder(place.base, place.revision)
    found = read_json(folder / "config.json")
    if found is None:
        raise ModelError("{folder} holds no config.json that can be read, so its shape is not known.", folder=folder)
    return found


def published_shape(recipe: Any) -> Published | None:
    """What a recipe's shape was taken from where its model is not on disk; None where its own config.json was read."""
    if isinstance(recipe.model, FreshModel):
        return None
    place = locate(recipe.model)
    return None if is_on_disk(place.base, place.revision) else published(place.base)


def adapter_of(recipe: Any) -> dict[str, Any]:
    """What is trained, in PEFT's field names: the recipe's adapter, its parent's, or every weight."""
    if isinstance(recipe, Pretrain):
        return {"kind": "full"}
    if recipe.adapter is not None:
        return dict(recipe.adapter.model_dump(exclude_none=True))
    place = locate(recipe.model)
    if place.adapter is None:
        return {"kind": "full"}
    described = read_json(place.adapter / "adapter_config.json") or {}
    return described | {"kind": str(described.get("peft_type", "")).lower()}


@dataclass(frozen=True, slots=True)
class Widths:
    """Bytes of a weight, of what is computed, and of a trained number."""

    weights: int
    computed: int
    trained: int


def widths(spec: ModelSpec | FreshModel, full: bool, device: Device) -> Widths:
    """The precision that tuning/model.py, `choose_dtype` gives this recipe on a device, in bytes."""
    wanted = "auto" if isinstance(spec, FreshModel) else spec.dtype
    if wanted == "auto":
        wanted = "float32" if device.on_cpu else "bfloat16" if device.native_bf16 else "float16"
        full = full or wanted == "float16"
    computed = 4 if wanted == "float32" else 2
    quantized = isinstance(spec, ModelSpec) and spec.quantization is not None
    # TRL's cast of a quantised model's adapter is kept where bfloat16 is native
    return Widths(4 if full else computed, computed, 2 if quantized and wanted == "bfloat16" else 4)


def memory_on(recipe: Any, shape: Architecture, steps: Steps | None, device: Device) -> Memory:
    """The memory of a recipe's fullest step. Without rows every batch is taken to be as long as is allowed."""
    spec, training = recipe.model, recipe.training
    what = trained(shape, adapter_of(recipe))
    width = widths(spec, what.full, device)
    longest = steps.longest if steps else recipe.data.max_length
    at_once = min(training.per_device_train_batch_size, steps.rows if steps else training.per_device_train_batch_size)
    batch = Batch(
        rows=at_once * (2 if isinstance(recipe, DPO) else 1),
        length=longest,
        padded=not steps.even if steps else not isinstance(recipe, Pretrain),
        width=width.computed,
        on_cpu=device.on_cpu,
        attention="sdpa" if isinstance(spec, FreshModel) else spec.attn_implementation,
    )
    step = Step(
        shape,
        what,
        batch,
        weights=_weights(spec, shape, width),
        trained_width=width.trained,
        optim=training.optim,
        accumulation=training.gradient_accumulation_steps,
        checkpointing=training.gradient_checkpointing,
        fused_loss=not isinstance(recipe, Pretrain),
        reference=_reference(recipe, shape, longest),
    )
    return memory(step)


def _weights(spec: ModelSpec | FreshModel, shape: Architecture, width: Widths) -> float:
    quantization = None if isinstance(spec, FreshModel) else spec.quantization
    kind = quantization.kind if quantization else None
    return weight_bytes(shape, width.weights, kind, quantization.double if isinstance(quantization, FourBit) else True)


def _reference(recipe: Any, shape: Architecture, longest: int) -> float:
    """Bytes of a pass over the reference of `dpo`: its logits, of as many rows as are computed at once."""
    if not isinstance(recipe, DPO):
        return 0.0
    at_once = min(REFERENCE_LOGITS, max(REFERENCE_TOKENS, longest) * shape.vocabulary)
    return float(REFERENCE_COPIES * 4 * at_once)


def what_is_trained(recipe: Any, shape: Architecture) -> Trained:
    """How many numbers a recipe trains of a model of this shape."""
    return trained(shape, adapter_of(recipe))
