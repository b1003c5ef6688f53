"""What a model answers while it trains: `training.eval_metrics`, and a caller's own metrics, at every evaluation.

A metric sees an `Answer` (evaluation/metrics.py): what the model said to a held-out prompt, greedily, and the
log-probability it gives each token of the right answer. Neither costs training anything but time: no random number is
drawn, and no second forward pass of the loss is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seodang.data.dataset import TrainingRows
from seodang.encoding import IGNORED, Encoded
from seodang.evaluation.metrics import METRICS, Answer, Metric
from seodang.generation import Generator
from seodang.records import Conversation
from seodang.runs import hash_text
from seodang.self_instruct.completers import Sampling
from seodang.tuning.model import Loaded
from seodang.tuning.precision import autocast
from seodang.tuning.reference import token_logps
from seodang.tuning.specs import AnsweringTraining


@dataclass(frozen=True, slots=True)
class Examiner:
    """Asks a model under training the same held-out prompts again and again."""

    loaded: Loaded
    rows: TrainingRows
    metrics: Mapping[str, Metric]
    training: AnsweringTraining

    def __call__(self) -> dict[str, float]:
        """Metric → its mean over the answers to which it applies; one that applies to none is left out."""
        answers = list(self.answers())
        found = {name: [metric(answer) for answer in answers] for name, metric in self.metrics.items()}
        applied = {name: [one for one in values if one is not None] for name, values in found.items()}
        return {name: sum(values) / len(values) for name, values in applied.items() if values}

    def answers(self) -> Sequence[Answer]:
        """The answers to `eval_prompts` held-out prompts, chosen by their content."""
        chosen = self._chosen()
        if not chosen:
            return []
        chat, sampling = self.rows.chat, Sampling(temperature=0.0, max_new_tokens=self.training.eval_max_new_tokens)
        prompts = [chat.prompt_ids(record.prompt) for record, _ in chosen]
        generator = Generator(self.loaded.model, chat.tokenizer, chat.stop_ids)
        with autocast(self.loaded.precision):
            said = generator.answer(prompts, sampling, 0)
            logps = token_logps(self.loaded.model, [_sides(row) for _, row in chosen])
        return [
            Answer(
                one.text,
                one.stopped,
                record.prompt[-1].content if record.prompt else "",
                record.accept or (record.answer,),
                _trained(row, costs.tolist()),
            )
            for one, (record, row), costs in zip(said, chosen, logps, strict=True)
        ]

    def _chosen(self) -> list[tuple[Conversation, Encoded]]:
        rows = zip(self.rows.held_out, self.rows.eval, strict=True)
        asked = [(record, row) for record, row in rows if isinstance(record, Conversation) and record.answer]
        order = sorted(asked, key=lambda one: hash_text(repr(one[0].messages)))
        return order[: self.training.eval_prompts]


def _first(row: Encoded) -> int:
    return next(at for at, label in enumerate(row.labels) if label != IGNORED)


def _sides(row: Encoded) -> tuple[list[int], list[int]]:
    """(what is given, what is answered): cut before the first trained token."""
    return row.input_ids[: _first(row)], row.input_ids[_first(row) :]


def _trained(row: Encoded, logps: Sequence[float]) -> tuple[float, ...]:
    return tuple(value for value, label in zip(logps, row.labels[_first(row) :], strict=True) if label != IGNORED)


def examiner(
    training: AnsweringTraining, loaded: Loaded, rows: TrainingRows, own: Mapping[str, Metric]
) -> Examiner | None:
    """Who measures at every evaluation; None where nothing is asked for or nothing is held out."""
    metrics: dict[str, Any] = {name: METRICS[name] for name in training.eval_metrics} | dict(own)
    return Examiner(loaded, rows, metrics, training) if metrics and rows.eval else None
