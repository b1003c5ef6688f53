"""In which numbers weights are kept and computed: what the hardware can, what a recipe asks, what training needs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seodang.tuning.quiet import silence_upstream

# isort: split
import torch
from transformers import BitsAndBytesConfig

from seodang.errors import ModelError
from seodang.tuning.specs import EightBit

if TYPE_CHECKING:
    from seodang.tuning.specs import Quantization

silence_upstream()


@dataclass(frozen=True, slots=True)
class Hardware:
    """What decides the precision: the device type, and whether it computes bfloat16 itself."""

    device: str
    native_bf16: bool


def find_hardware() -> Hardware:
    """This machine. A GPU that only emulates bfloat16 (T4, V100) does not count as having it."""
    if torch.cuda.is_available():
        return Hardware("cuda", torch.cuda.is_bf16_supported(including_emulation=False))
    return Hardware("cpu", False)


@dataclass(frozen=True, slots=True)
class Precision:
    """The dtype of the frozen weights, and which autocast the trainer switches on."""

    weights: torch.dtype
    bf16: bool = False
    fp16: bool = False
    device: str = "cpu"


def choose_dtype(wanted: str, hardware: Hardware, full: bool = False) -> Precision:
    """The precision for `model.dtype` on this hardware. Raises ModelError for what the hardware cannot do.

    `full`: every weight is trained, so mixed precision keeps them in float32 (Micikevicius et al. 2018, §3.1).
    `auto` is float32 on a CPU, bfloat16 on a GPU that has it, else float16 autocast over float32 weights.
    """
    gpu = hardware.device == "cuda"
    if wanted == "auto":
        wanted = ("bfloat16" if hardware.native_bf16 else "float16") if gpu else "float32"
        full = full or wanted == "float16"
    if wanted == "float16" and not gpu:
        raise ModelError("model.dtype: float16 is not computed on a CPU. Write `float32`, or leave it `auto`.")
    if wanted == "bfloat16" and gpu and not hardware.native_bf16:
        raise ModelError(
            "model.dtype: this GPU only emulates bfloat16, many times slower. Leave it `auto` (float16 autocast)."
        )
    weights = torch.float32 if full else getattr(torch, wanted)
    return Precision(weights, bf16=wanted == "bfloat16", fp16=wanted == "float16", device=hardware.device)


def quantizer(quantization: Quantization, precision: Precision) -> BitsAndBytesConfig:
    """bitsandbytes' config: NF4 or FP4 (QLoRA, arXiv:2305.14314, §3) or LLM.int8, computing in the weights' dtype."""
    if isinstance(quantization, EightBit):
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization.kind,
        bnb_4bit_use_double_quant=quantization.double,
        bnb_4bit_compute_dtype=torch.float16 if precision.fp16 else precision.weights,
    )


def keep_differentiable(model: Any) -> None:
    """Switch off bitsandbytes' repacking of 4-bit weights on CPUs with AVX512-BF16.

    There the first forward in eval mode repacks them for a kernel without a gradient, and every later training step
    trains on a cut graph, silently (bitsandbytes 0.50.2, nn/modules.py, Linear4bit.forward).
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):  # its Linear4bit; no import, for it may not be installed
            module.support_avx512bf16_for_cpu = False


def leave_the_file(model: Any) -> None:
    """Copy what a quantised model on a CPU still reads out of its file: norms and embeddings.

    As long as one tensor does, the whole file in full precision stays in memory beside the quantised weights, and at
    340 M parameters QLoRA takes more than LoRA (transformers 5.23 maps safetensors files).
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu" and tensor.is_floating_point():
            tensor.data = tensor.data.clone()


def require_trainable_dtype(model: Any, precision: Precision) -> None:
    """Raise ModelError where float16 weights would be trained under a gradient scaler, which cannot unscale them."""
    found = next((n for n, w in model.named_parameters() if w.requires_grad and w.dtype == torch.float16), None)
    if precision.fp16 and found:
        raise ModelError(
            "model.dtype: float16 weights cannot be trained with float16 autocast ({name} would be): its gradient "
            "scaler refuses them. Leave `model.dtype` out, which keeps trained weights in float32.",
            name=found,
        )


def autocast(precision: Precision) -> AbstractContextManager[Any]:
    """What a trainer of this precision switches on."""
    mixed = torch.bfloat16 if precision.bf16 else torch.float16
    return torch.autocast(precision.device, mixed, enabled=precision.bf16 or precision.fp16)
