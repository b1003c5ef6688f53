"""How long a training takes here: from the FLOP/s of a run that is finished, as quickstart and plan estimate it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seodang.errors import SeodangError
from seodang.recipe import SFT, Stage
from seodang.recipe_file import from_dict
from seodang.runs import MANIFEST, REPORT, is_finished, manifest, read_json, read_recipe
from seodang.tuning.preflight import stored_parameters

FLOPS = 6
"""Floating-point operations per parameter and token, forward and backward (Kaplan et al. 2020, arXiv:2001.08361)."""


def seconds(parameters: float, tokens: float, flops: float) -> float:
    """The time for so many tokens through so many parameters, at this many FLOP/s."""
    return FLOPS * parameters * tokens / flops


def flops_of(recipe: Any, metrics: Mapping[str, Any]) -> float:
    """FLOP/s of a finished `sft`, from its report's metrics; padding is not counted."""
    batch = recipe.training.per_device_train_batch_size * recipe.training.gradient_accumulation_steps
    tokens = metrics["tokens"] * metrics["steps"] * batch / metrics["train_rows"]
    return float(FLOPS * stored_parameters(recipe.model) * tokens / max(metrics["seconds"], 0.1))


def latest_speed(runs: Path, machine: str) -> tuple[str, float] | None:
    """The name and FLOP/s of the last `sft` that was finished on this kind of machine, or None."""
    finished = [path.parent for path in runs.glob(f"**/{MANIFEST}") if is_finished(path.parent)]
    finished.sort(key=lambda path: str((manifest(path) or {}).get("finished")), reverse=True)
    for path in finished:
        noted = manifest(path) or {}
        if noted.get("stage") == "sft" and (noted.get("hardware") or {}).get("machine") == machine:
            found = _speed_of_run(path)
            if found:
                return path.name, found
    return None


def _speed_of_run(path: Path) -> float:
    try:
        recipe: Stage = from_dict(read_recipe(path))
        metrics = (read_json(path / REPORT) or {}).get("metrics", {})
        return flops_of(recipe, metrics) if isinstance(recipe, SFT) else 0.0
    except (SeodangError, KeyError, ZeroDivisionError):
        return 0.0
