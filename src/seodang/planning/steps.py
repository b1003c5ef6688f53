"""How many steps a recipe takes, how many tokens a step has, and how many of these are padding. No torch in here."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seodang.data.dataset import training_rows
from seodang.data.outcomes import EncodedPair
from seodang.data.texts import read_texts
from seodang.recipe import DPO, SFT, Pretrain
from seodang.runs import is_finished, weights_of
from seodang.tokenization import load_light
from seodang.tuning.launch import processes
from seodang.tuning.specs import FreshModel, ModelSpec, Training, locate, steps_of


@dataclass(frozen=True, slots=True)
class Steps:
    """The loop in numbers."""

    rows: int
    """Training rows; a pair is one, of two sequences."""
    held_out: int
    steps: int
    """Optimizer steps."""
    epochs: float
    tokens: int
    """Tokens of one epoch without padding."""
    padded: int
    """Tokens of one epoch as they are computed, padding included."""
    tokens_per_step: float
    """Computed tokens of an optimizer step, on average."""
    longest: int
    """Tokens of the longest row: one batch of the epoch is as wide."""
    even: bool
    """Whether all rows have one length, so that there is no mask."""

    @property
    def waste(self) -> float:
        """Share of the computed tokens that are padding."""
        return 1 - self.tokens / self.padded

    @property
    def total(self) -> int:
        """Computed tokens of the whole training."""
        return round(self.tokens_per_step * self.steps)


def count_steps(recipe: SFT | DPO | Pretrain) -> Steps:
    """Read and encode the rows as training would. Raises the error of a row or a tokenizer that stops it."""
    if isinstance(recipe, Pretrain):
        train, held_out = _blocks(recipe)
        return steps_for(recipe.training, train, held_out, recipe.seed, processes(recipe.launch))
    rows = training_rows(recipe)
    sequences = [_sequences(row) for row in rows.train]
    return steps_for(recipe.training, sequences, len(rows.eval), recipe.seed, processes(recipe.launch))


def _sequences(row: object) -> tuple[int, ...]:
    """Tokens of a row's sequences: both sides of a pair are computed, each with the prompt."""
    if isinstance(row, EncodedPair):
        return len(row.prompt) + len(row.chosen), len(row.prompt) + len(row.rejected)
    return (len(row.input_ids),)  # type: ignore[attr-defined]


def steps_for(
    training: Training, rows: Sequence[tuple[int, ...]], held_out: int, seed: int, together: int = 1
) -> Steps:
    """The loop over rows of these lengths in so many processes.

    The order is drawn, as the trainer's is, but is not the trainer's.
    """
    batch, steps = training.per_device_train_batch_size, steps_of(training, len(rows), together)
    order = random.Random(seed).sample(rows, len(rows))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    padded = sum(max(map(max, rows)) * sum(map(len, rows)) for rows in batches)
    per_epoch = max(1, math.ceil(math.ceil(len(batches) / together) / training.gradient_accumulation_steps))
    lengths = {length for row in rows for length in row}
    return Steps(
        rows=len(rows),
        held_out=held_out,
        steps=steps,
        epochs=steps / per_epoch,
        tokens=sum(map(sum, rows)),
        padded=padded,
        tokens_per_step=padded / per_epoch,
        longest=max(lengths),
        even=len(lengths) == 1,
    )


def _blocks(recipe: Pretrain) -> tuple[list[tuple[int, ...]], int]:
    """Lengths of the rows that the texts are cut into, and how many are held out."""
    texts, length = read_texts(recipe.data), recipe.data.max_length
    tokenizer = load_light(tokenizer_of(recipe.model))
    counts = []
    for part in (texts.train, texts.eval):
        encoded = tokenizer(part, add_special_tokens=False, split_special_tokens=True, verbose=False) if part else {}
        counts.append(sum(len(ids) + 1 for ids in encoded.get("input_ids", ())))
    whole, rest = divmod(counts[0], length)
    rows: list[tuple[int, ...]] = [(length,)] * whole
    rows += [(rest,)] * bool(rest)
    return rows, math.ceil(counts[1] / length)


def tokenizer_of(spec: FreshModel | ModelSpec) -> str:
    """Where the tokenizer of a model lies, or of one that has only a tokenizer yet."""
    if isinstance(spec, ModelSpec):
        return locate(spec).tokenizer
    run = Path(spec.tokenizer)
    return str(weights_of(run)) if is_finished(run) else spec.tokenizer
