"""The DPO reference: log-probabilities of the parent as it lies on disk, computed once and kept in the run folder.

TRL's own reference is a copy of the adapter made inside the trainer, which is the base itself for some adapters (ia3,
vera, boft) and damages the policy for others (PiSSA, OLoRA). So it is never used: the parent's log-probabilities are
computed before the trainer exists, and reach upstream's loss as its columns `ref_chosen_logps`, `ref_rejected_logps`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch

from seodang.errors import RunError
from seodang.language import joined
from seodang.progress import progress
from seodang.runs import Run, dump_json, hash_file, hash_text, read_json, write_text

FILE = "reference.json"
Row: TypeAlias = tuple[Sequence[int], Sequence[int]]
"""(what is given, what is answered) as ids."""
Pair: TypeAlias = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""(prompt, chosen, rejected) as ids."""
Logps: TypeAlias = list[tuple[float, float]]
"""Per pair the log-probability of the chosen and of the rejected answer: natural logarithm, summed over its tokens."""

TOKENS_AT_ONCE = 8192
LOGITS_AT_ONCE = 2**27
"""Bounds of a forward pass: padded tokens, and answer positions x vocabulary (512 MB in float32)."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The parent's log-probabilities of every pair, and whether they were read from an earlier start of the run."""

    train: Logps
    eval: Logps
    cached: bool


def token_logps(model: Any, rows: Sequence[Row]) -> list[torch.Tensor]:
    """Log-probability of every answer token: per row a float32 tensor [tokens of the answer], in order, on the CPU.

    The model answers in evaluation mode, so without dropout; its mode is put back.
    """
    found: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    with _evaluating(model), torch.no_grad(), progress("log-probabilities", len(rows)) as advance:
        for batch in _batches(rows, model.config.get_text_config().vocab_size):
            for index, logps in zip(batch, _forward(model, [rows[i] for i in batch]), strict=True):
                found[index] = logps
            advance(len(batch))
    return found


def answer_logps(model: Any, pairs: Sequence[Pair]) -> Logps:
    """Log-probability of both answers of every pair, each the sum over its tokens (Rafailov et al. 2023, eq. 7)."""
    rows = [(prompt, answer) for prompt, *answers in pairs for answer in answers]
    sums = [float(logps.double().sum()) for logps in token_logps(model, rows)]
    return list(zip(sums[::2], sums[1::2], strict=True))


def largest_difference(pairs: Sequence[Pair], one: Logps, other: Logps) -> float:
    """How far two models are apart: the largest absolute difference of an answer's log-probability per token of it."""
    apart = [0.0]
    for (_, *answers), here, there in zip(pairs, one, other, strict=True):
        apart += [abs(a - b) / len(ids) for ids, a, b in zip(answers, here, there, strict=True)]
    return max(apart, key=lambda value: math.inf if math.isnan(value) else value)


def _forward(model: Any, rows: Sequence[Row]) -> Iterator[torch.Tensor]:
    """Log-probabilities of each row's answer, of rows padded on the right and read in one pass."""
    width = max(len(given) + len(answer) for given, answer in rows)
    filled = [[*given, *answer] for given, answer in rows]
    ids = torch.tensor([row + [0] * (width - len(row)) for row in filled], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in filled], device=model.device)
    first = min(len(given) for given, _ in rows) - 1
    only = {"logits_to_keep": width - first} if _keeps_logits(model) else {}
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **only).logits[:, first - width :]
    for (given, answer), scores in zip(rows, logits, strict=True):
        start = len(given) - 1 - first
        scores = scores[start : start + len(answer)].float()
        chosen = scores.gather(1, torch.tensor(answer, device=scores.device)[:, None])[:, 0]
        yield (chosen - scores.logsumexp(-1)).cpu()


def _keeps_logits(model: Any) -> bool:
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    return "logits_to_keep" in inspect.signature(inner.forward).parameters


def _batches(rows: Sequence[Row], vocabulary: int) -> Iterator[list[int]]:
    """Indices of rows of like length, as many as fit into one forward pass."""
    order = sorted(range(len(rows)), key=lambda i: -(len(rows[i][0]) + len(rows[i][1])))
    batch: list[int] = []
    for index in order:
        wider = [*batch, index]
        width = len(rows[wider[0]][0]) + len(rows[wider[0]][1])
        kept = width - min(len(rows[i][0]) for i in wider) + 1
        fits = len(wider) * width <= TOKENS_AT_ONCE and len(wider) * kept * vocabulary <= LOGITS_AT_ONCE
        if batch and not fits:
            yield batch
            wider = [index]
        batch = wider
    if batch:
        yield batch


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def fingerprint(weights: Sequence[Path | str], pairs: Sequence[Sequence[Pair]], **settings: str) -> dict[str, str]:
    """What the log-probabilities depend on: the files of every folder of weights, the ids, and named settings."""
    parts = {f"weights {number}": hash_weights(place) for number, place in enumerate(weights, start=1)}
    return (
        parts | {"data": hash_text(dump_json([[list(map(list, pair)) for pair in part] for part in pairs]))} | settings
    )


def hash_weights(place: Path | str) -> str:
    """SHA-256 over the weights and configs of a folder; a name on the Hub stands for itself."""
    folder = Path(place)
    if not folder.is_dir():
        return str(place)
    files = [*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*config.json")]
    return hash_text("\n".join(f"{path.name} {hash_file(path)}" for path in sorted(files)))


def cached(folder: Run, parts: dict[str, str], compute: Callable[[], tuple[Logps, Logps]]) -> Reference:
    """The reference kept in the run folder, or computed now and kept there.

    Raises RunError where the one that is kept belongs to other weights, data, template or precision.
    """
    kept = read_json(folder.file(FILE))
    if kept is None:
        train, held_out = compute()
        if folder.writes:
            write_text(folder.file(FILE), dump_json({"fingerprint": parts, "train": train, "eval": held_out}) + "\n")
        return Reference(train, held_out, cached=False)
    changed = sorted(name for name in parts | kept["fingerprint"] if parts.get(name) != kept["fingerprint"].get(name))
    if changed:
        raise RunError(
            "The reference log-probabilities in {path} belong to another run: {changed} changed since they were "
            "computed. Resume with what the run was started with, or start anew with `--replace` or `--new`.",
            path=folder.file(FILE),
            changed=joined(" and ", changed),
        )
    return Reference([(c, r) for c, r in kept["train"]], [(c, r) for c, r in kept["eval"]], cached=True)
