"""How several processes share rows: every row once in an epoch, also where they do not divide. Torch in here.

accelerate fills the last batches with rows from the beginning, which are then trained twice (1.15, BatchSamplerShard,
`even_batches`), and without that the processes wait for one another for ever. Here the rows that are left are dealt out
evenly, and what a batch lacks is filled with a row that is no row: it is taken out again before it is computed, or has
no gradient where a process would have nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from seodang.tuning.quiet import silence_upstream

# isort: split
import torch
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Dataset, RandomSampler, Sampler, SequentialSampler
from transformers import Trainer

silence_upstream()

FILLER = "is_filler"
COUNT = "row_count"
IGNORED = -100


def is_first() -> bool:
    """Whether this is the process that writes, or the only one."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process goes through the block alone, then the others: they find there what it has made."""
    together = torch.distributed.is_initialized()
    if together and not is_first():
        torch.distributed.barrier()
    yield
    if together and is_first():
        torch.distributed.barrier()


def shares_model(trainer: Trainer) -> bool:
    """Whether the model is shared out between the processes (FSDP, DeepSpeed), so that none has a whole copy."""
    return bool(trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)


class Filled(Dataset[dict[str, Any]]):
    """Rows, and under the index after the last one the filler: the first row without anything to learn."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index] if index < len(self.rows) else filler(self.rows[0])


def filler(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the same kind that teaches nothing: no label, or two answers that are one."""
    made = dict(row) | {FILLER: True}
    if "labels" in row:
        made["labels"] = [IGNORED] * len(row["labels"])
    if "chosen_ids" in row:
        made |= {"rejected_ids": row["chosen_ids"], "ref_rejected_logps": row["ref_chosen_logps"]}
    return made


class Dealt(Sampler[int]):
    """The order of an epoch in whole batches for every process; `rows` itself stands for the filler.

    `evenly`: the rows of the last batches are dealt out one by one; else each batch is as full as it can be, as it is
    with one process.
    """

    def __init__(self, order: Sampler[int], rows: int, shape: tuple[int, int], evenly: bool) -> None:
        self.order, self.rows, self.evenly = order, rows, evenly
        self.batch, self.processes = shape

    def __len__(self) -> int:
        at_once = self.batch * self.processes
        return -(-self.rows // at_once) * at_once

    def __iter__(self) -> Iterator[int]:
        order = list(self.order)
        whole = len(order) - len(order) % (self.batch * self.processes)
        yield from order[:whole]
        left = order[whole:]
        for process in range(self.processes if left else 0):
            start = process * self.batch
            mine = left[process :: self.processes] if self.evenly else left[start : start + self.batch]
            yield from mine + [self.rows] * (self.batch - len(mine))

    def set_epoch(self, epoch: int) -> None:
        """Shuffle as this epoch is shuffled."""
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)


def without_fillers(collate: Callable[[list[dict[str, Any]]], Any]) -> Callable[[list[dict[str, Any]]], Any]:
    """A collator that sees rows only, or one filler where there is none, and counts them in `COUNT`."""

    def collated(rows: list[dict[str, Any]]) -> Any:
        real = [row for row in rows if not row.get(FILLER)]
        batch = collate(real or [{name: value for name, value in rows[0].items() if name != FILLER}])
        return dict(batch) | {COUNT: len(real)}

    return collated


class EveryRowOnce(Trainer):
    """In front of upstream's trainer: with several processes every row is trained once in an epoch."""

    means_rows = False
    """Whether upstream's loss is a mean over rows, not over the tokens of all processes."""
    args: Any
    accelerator: Any
    model: Any
    _order: Dealt | None = None
    data_collator: Any

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Upstream's evaluation; before the training it leaves no model behind that was prepared for reading only.

        That one would be taken for the training, and every process would train a model of its own, silently
        (transformers 5.23, Trainer.evaluation_loop; accelerate 1.15, `_is_accelerate_prepared`).
        """
        # or the mean over a process's tokens would be scaled by those of the others, of whom some have no row
        average, self.args.average_tokens_across_devices = self.args.average_tokens_across_devices, False
        found = super().evaluate(*args, **kwargs)
        self.args.average_tokens_across_devices = average
        if self.args.world_size > 1 and not self.is_in_train and self.model_wrapped is self.model:
            self.accelerator._models.clear()
            self.model._is_accelerate_prepared = False
        return found

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Upstream's loss over the rows that are rows.

        Upstream gathers what it measures as if every process had as many; and where its loss is a mean over rows
        (`means_rows`), the mean over the processes would give the rows of a smaller batch a greater weight.
        """
        rows = inputs.pop(COUNT, None)
        if rows is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        with self._gathering(rows):
            found = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if not self.means_rows or not model.training:
            return found
        counted = self.accelerator.gather(torch.tensor(rows, device=self.args.device))
        weight = rows * self.args.world_size / int(counted.sum())
        return (found[0] * weight, found[1]) if return_outputs else found * weight

    @contextmanager
    def _gathering(self, rows: int) -> Iterator[None]:
        """What is gathered inside is of rows only, of however many each process has."""
        upstream = self.accelerator.gather

        def gather(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.dim() == 0:
                return upstream(tensor if rows else torch.zeros_like(tensor))
            mine = tensor if rows else tensor[:0]
            sizes = upstream(torch.tensor(len(mine), device=tensor.device)).tolist()
            padded = torch.cat([mine, mine.new_zeros(max(sizes) - len(mine), *mine.shape[1:])])
            parts = upstream(padded).split(max(sizes)) if max(sizes) else [mine] * len(sizes)
            return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

        self.accelerator.gather = self.accelerator.gather_for_metrics = gather
        try:
            yield
        finally:
            del self.accelerator.gather, self.accelerator.gather_for_metrics

    def _get_dataloader(self, dataset: Any, description: str, batch_size: int, *args: Any, **kwargs: Any) -> Any:
        if self.args.world_size == 1:
            return super()._get_dataloader(dataset, description, batch_size, *args, **kwargs)
        training, upstream = kwargs.get("is_training", False), kwargs.pop("sampler_fn", None)

        def dealt(rows: Filled) -> Sampler[int]:
            order = self._seeded(upstream(rows) if upstream is not None else None, rows)
            found = Dealt(order, len(rows), (batch_size, self.args.world_size), evenly=training)
            self._order = found if training else self._order
            return found

        collate, self.data_collator = self.data_collator, without_fillers(self.data_collator)
        try:
            return super()._get_dataloader(Filled(dataset), description, batch_size, *args, sampler_fn=dealt, **kwargs)
        finally:
            self.data_collator = collate

    def _run_epoch(self, *args: Any, epoch: int, **kwargs: Any) -> Any:
        """Upstream's epoch, in its own order also where a resumed run skips its beginning.

        The batches to skip hide the order from whoever would tell it the epoch, and the first one's rows would come
        again (transformers 5.23, Trainer._run_epoch; accelerate 1.15, DataLoaderShard.set_epoch).
        """
        if self._order is not None:
            self._order.set_epoch(epoch)
        return super()._run_epoch(*args, epoch=epoch, **kwargs)

    def _seeded(self, order: Any, rows: Filled) -> Sampler[int]:
        """The order that one process would take, the same in all: accelerate makes it only of a sampler it knows."""
        if order is None:
            return SequentialSampler(rows)
        if isinstance(order, RandomSampler):
            return SeedableRandomSampler(rows, data_seed=self.args.data_seed)
        return order
