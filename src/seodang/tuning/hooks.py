"""What an adapter does around the loop: its first weights, its share of the loss, its steps, and how it is saved.

A stage calls `prepare` before its trainer exists, and puts `AdapterTrainer` in front of upstream's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from seodang.tuning.quiet import quiet_peft, silence_upstream

# isort: split
import torch
from transformers import Trainer, TrainerCallback

from seodang.tuning.adapters import Lora, Method
from seodang.tuning.model import Loaded, refused_by_peft
from seodang.tuning.precision import autocast
from seodang.tuning.shares import is_first

silence_upstream()

INITIAL = "initial_adapter"
"""Beside a run's adapter while it trains: the first weights of a method that moves its base."""


Row: TypeAlias = tuple[list[int], list[int]]
"""(input_ids, labels)."""


class Batches:
    """Rows as the tensors that a method's `prepare` reads: [rows x longest], padded on the right, made one by one."""

    def __init__(self, rows: Sequence[Row], size: int, device: Any) -> None:
        self.rows, self.size, self.device = rows, size, device

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def __iter__(self) -> Any:
        for start in range(0, len(self.rows), self.size):
            yield self._batch(self.rows[start : start + self.size])

    def _batch(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        width = max(len(ids) for ids, _ in rows)
        fill = [(ids, labels, width - len(ids)) for ids, labels in rows]
        columns = {
            "input_ids": [ids + [0] * gap for ids, _, gap in fill],
            "attention_mask": [[1] * len(ids) + [0] * gap for ids, _, gap in fill],
            "labels": [labels + [-100] * gap for _, labels, gap in fill],
        }
        return {name: torch.tensor(column, device=self.device) for name, column in columns.items()}


def prepare(loaded: Loaded, data: Iterable[dict[str, Any]], folder: Path) -> None:
    """Set a fresh adapter's first weights and keep them where they are needed to save it. Draws nothing from training.

    A continued adapter is left as it is.

    Raises ModelError where PEFT cannot start it on these rows.
    """
    if loaded.method is None or loaded.parent is not None:
        return
    with torch.random.fork_rng(), autocast(loaded.precision):
        try:
            loaded.method.prepare(loaded.model, data)
        except (ValueError, RuntimeError, OSError) as error:
            raise refused_by_peft(error) from error
    if loaded.method.moves_base and is_first():
        loaded.initial = folder / INITIAL
        loaded.model.save_pretrained(loaded.initial, selected_adapters=["default"])


def write_adapter(loaded: Loaded, into: Path, state: dict[str, Any] | None = None) -> None:
    """Write PEFT's files; of a method that moved its base, as the plain LoRA by which it differs from the untouched.

    `state` holds the weights where the model itself has only a part of them.
    """
    more: dict[str, Any] = {} if state is None else {"state_dict": state}
    if loaded.initial:
        more["path_initial_model_for_weight_conversion"] = str(loaded.initial)
    with quiet_peft():
        loaded.model.save_pretrained(into, selected_adapters=["default"], **more)
    (into / "README.md").unlink(missing_ok=True)  # PEFT's model card with nothing filled in
    if loaded.initial:
        shutil.rmtree(loaded.initial, ignore_errors=True)


class _OnStep(TrainerCallback):
    """Gives a method its turn where the gradients are still there."""

    def __init__(self, method: Method) -> None:
        self.method = method

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """The optimizer has stepped; the counter has not."""
        self.method.on_step(model, state.global_step)


class AdapterTrainer(Trainer):
    """In front of upstream's trainer: what a method adds to it, once `adapt` has named the method."""

    method: Method | None = None
    optimizer: Any

    def adapt(self, method: Method | None) -> None:
        """Train as `method` asks."""
        self.method = method
        if method is not None and type(method).on_step is not Method.on_step:
            self.add_callback(_OnStep(method))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Upstream's loss, and in training the method's penalty once per optimizer step."""
        found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        penalty = self.method.penalty(self.model) if self.method is not None and model.training else None
        if penalty is None:
            return found
        # with the number of items given, upstream leaves the mean over accumulated batches to the loss
        share = penalty / (self.current_gradient_accumulation_steps if num_items_in_batch is not None else 1)
        return (found[0] + share, found[1]) if return_outputs else found + share

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """Upstream's optimizer; for LoRA+ the same with B's learning rate raised."""
        ratio = self.method.loraplus_lr_ratio if isinstance(self.method, Lora) else None
        if ratio is None or self.optimizer is not None:
            return super().create_optimizer(*args, **kwargs)
        from peft.optimizers import create_loraplus_optimizer

        kind, given = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        given |= {"loraplus_lr_ratio": ratio, "loraplus_weight_decay": self.args.weight_decay}
        self.optimizer = create_loraplus_optimizer(self.model, kind, **given)
        return self.optimizer

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        with quiet_peft():
            super()._save(output_dir, state_dict)
            if self.method is not None and output_dir is not None:
                self.method.save_progress(self.model, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with self.method.loading(self.model) if self.method is not None else nullcontext():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.method is not None:
            self.method.load_progress(self.model, Path(resume_from_checkpoint))
