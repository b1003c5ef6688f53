"""What quantisation cost: the held-out loss of the quantised base beside the same base in full precision."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from seodang.tuning.hooks import Batches, Row

# isort: split
import torch

from seodang.tuning.model import Loaded, load_base
from seodang.tuning.precision import autocast
from seodang.tuning.preflight import stored_parameters
from seodang.tuning.specs import ModelSpec, Place, locate

ROWS = 64
"""Held-out rows that are compared: the two bases read the same ones, so few decide."""
SPARE = 0.8
"""Share of the free memory that the base in full precision may take for it."""


def quantization_cost(loaded: Loaded, spec: ModelSpec, rows: Sequence[Row], of: str = "eval") -> dict[str, float]:
    """Mean loss per trained token (natural logarithm) of both bases, without any adapter; the report's metrics.

    `of` names the rows: `eval`, or `chosen` where the held-out rows are pairs, whose own loss is of another kind.
    Empty where nothing is quantised, nothing is held out, or the full base does not fit into memory beside.
    """
    if not loaded.quantized or not rows:
        return {}
    place = Place(loaded.base, None, loaded.base, None if Path(loaded.base).is_dir() else locate(spec).revision)
    whole_spec = ModelSpec(
        name_or_path=loaded.base, trust_remote_code=spec.trust_remote_code, attn_implementation=spec.attn_implementation
    )
    size = stored_parameters(whole_spec) * loaded.precision.weights.itemsize
    if not size or size > SPARE * _free_memory(loaded.precision.device):
        return {}
    bare = loaded.model.disable_adapter() if hasattr(loaded.model, "peft_config") else nullcontext()
    with bare:
        quantized = _loss(loaded, loaded.model, rows[:ROWS])
    whole = load_base(place, whole_spec, loaded.precision).eval()
    return {f"base_{of}_loss_full": _loss(loaded, whole, rows[:ROWS]), f"base_{of}_loss_quantized": quantized}


def _free_memory(device: str) -> float:
    """Bytes. Where the system does not say, as much as is needed."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")


def _loss(loaded: Loaded, model: Any, rows: Sequence[Row]) -> float:
    """Mean over every trained token, row by row, so that no padding is read."""
    was_training, total, tokens = model.training, 0.0, 0
    model.eval()
    with torch.no_grad(), autocast(loaded.precision):
        for batch in Batches(rows, 1, model.device):
            labels = batch["labels"][:, 1:]
            logits = model(input_ids=batch["input_ids"]).logits[:, :-1].float()
            total += float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum"))
            tokens += int((labels != -100).sum())
    model.train(was_training)
    return round(total / max(1, tokens), 6)
