"""How far a tuned model has moved from another one: KL divergence over what it says itself.

    KL(model ‖ reference) = E over its own samples y of log p_model(y) − log p_reference(y), in nats per answer

It is estimated with one sample per prompt at temperature 1, as the penalty of RLHF is (Ziegler et al. 2019,
arXiv:1909.08593, eq. 2). The estimate is unbiased and can be below 0 by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seodang.encoding import Chat
from seodang.evaluation.metrics import ratio_interval
from seodang.generation import Generator
from seodang.records import Conversation, Preference
from seodang.self_instruct.completers import Sampling, seed_of
from seodang.tuning.reference import Row, token_logps


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sample per prompt as (prompt ids, answer ids with the stop), and its log-probability under its model."""

    rows: list[Row]
    logps: list[float]


def draw(model: Any, chat: Chat, records: Sequence[Conversation | Preference], max_new_tokens: int, seed: int) -> Drawn:
    """One answer per prompt at temperature 1, and what the model that gave it makes of it."""
    prompts = [chat.prompt_ids(record.prompt) for record in records]
    sampling = Sampling(temperature=1.0, max_new_tokens=max_new_tokens)
    seeds = [seed_of(seed, "divergence", at) for at in range(len(prompts))]
    made = Generator(model, chat.tokenizer, chat.stop_ids, batch_size=32).answer(prompts, sampling, seeds)
    ends = [list(chat.stop_ids[:1]) if one.stopped else [] for one in made]
    answers = [[*one.ids, *end] for one, end in zip(made, ends, strict=True)]
    rows: list[Row] = [(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True) if answer]
    return Drawn(rows, _sums(model, rows))


def divergence(drawn: Drawn, reference: Any) -> dict[str, float]:
    """{"mean", "low", "high", "n"}: nats per answer with the 95 % interval over prompts. `reference` is a model."""
    apart = [mine - theirs for mine, theirs in zip(drawn.logps, _sums(reference, drawn.rows), strict=True)]
    low, high = ratio_interval(apart, [1.0] * len(apart))
    return {"mean": sum(apart) / len(apart), "low": low, "high": high, "n": len(apart)}


def _sums(model: Any, rows: Sequence[Row]) -> list[float]:
    return [float(logps.double().sum()) for logps in token_logps(model, rows)]
