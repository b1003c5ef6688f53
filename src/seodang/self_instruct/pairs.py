"""Stage `pairs`: several answers per prompt from one model, scored by programs, cut into preference pairs for DPO.

A pair is kept only where two different answers are a margin apart; nothing is guessed where scores tie or are missing.
Every sample stays in samples.jsonl with its scores, so that pairs can be cut again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from seodang import runs
from seodang.data.loading import load_rows
from seodang.errors import DataError
from seodang.evaluation.metrics import METRICS, Answer
from seodang.language import Phrase
from seodang.progress import Advance, progress
from seodang.recipe import Pairs
from seodang.records import Conversation, Message, Preference, Prompt
from seodang.runs import Ledger, Run
from seodang.self_instruct.completers import AnswerLog, Completes, Request, Response, seed_of

REQUESTS, SAMPLES = "requests.jsonl", "samples.jsonl"
PROMPTS_PER_BATCH = 16
NO_SCORE, NONE_STOPPED, SAME_TEXT = "no_score", "none_stopped", "same_text"
ALL_EQUAL, NO_MARGIN, NO_PROMPT, OVER_MAX = "all_equal", "no_margin", "no_prompt", "over_max_prompts"
_ROUNDING = 1e-9


def run(recipe: Pairs, folder: Run) -> dict[str, Any]:
    """Do the stage; returns the report. Raises DataError where no pair has a margin."""
    from seodang.generation import load_completer

    rows = load_rows(recipe.data, "prompts")
    sampler = Sampler(
        recipe, load_completer(recipe.model, recipe.batch_size, style="chat"), AnswerLog(folder.file(REQUESTS))
    )
    cut, pairs = Cut(recipe.margin, rows.ledger), {}
    for name, records in ((runs.TRAIN, rows.train), (runs.EVAL, rows.eval)):
        asked = _asked(records, recipe.max_prompts, rows.ledger)
        with progress(Phrase("pairs for {name}", name=name), len(asked)) as advance:
            pairs[name] = [
                pair for record, drawn in sampler.sample(asked, name, advance) for pair in cut(record, drawn)
            ]
    folder.write_rows(SAMPLES, cut.samples)
    folder.write_rows(runs.DROPPED, rows.ledger.rows)
    _require_some(pairs[runs.TRAIN], rows.ledger)
    for name, found in pairs.items():
        if found:
            folder.write_rows(name, (pair.to_row() for pair in found))
    return {"rows": rows.ledger.close(), "metrics": _means(cut.samples, recipe.score) | cut.metrics}


def _asked(records: Sequence[Any], limit: int | None, ledger: Ledger) -> list[Any]:
    """The records to ask for; one without a prompt, or beyond `max_prompts`, is counted as dropped."""
    asked: list[Any] = []
    for record in records:
        if not record.prompt:
            ledger.drop(NO_PROMPT, record.to_row())
        elif limit is not None and len(asked) >= limit:
            ledger.drop(OVER_MAX, {"source": record.source})
        else:
            asked.append(record)
    return asked


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer with what each metric says of it (None: does not apply) and their weighted mean."""

    text: str
    stopped: bool
    scores: Mapping[str, float | None]
    score: float | None
    failed: str = ""

    def to_row(self, source: str, number: int) -> dict[str, Any]:
        """The line of samples.jsonl."""
        said = {"text": self.text, "stopped": self.stopped, "failed": self.failed}
        return {"source": source, "sample": number, **said, "scores": dict(self.scores), "score": self.score}


def weighted_mean(scores: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """The mean of the metrics that apply, by weight; a negative weight counts against. None where none applies."""
    applies = {name: value for name, value in scores.items() if value is not None}
    total = sum(abs(weights[name]) for name in applies)
    return sum(weights[name] * value for name, value in applies.items()) / total if total else None


def pick(samples: Sequence[Sample], margin: float) -> tuple[Sample, Sample] | str:
    """(chosen, rejected), or the reason why there is no pair.

    Chosen is the best answer that the model ended itself: trained with a stop behind it, a cut one would teach to stop
    in mid-sentence. Rejected is the worst one that says something else. The first of equals is taken.
    """
    scored = [(sample, sample.score) for sample in samples if sample.score is not None and sample.text.strip()]
    ended = [(sample, score) for sample, score in scored if sample.stopped]
    if not ended:
        return NONE_STOPPED if scored else NO_SCORE
    chosen, best = max(ended, key=lambda pair: pair[1])
    others = [(sample, score) for sample, score in scored if sample.text.strip() != chosen.text.strip()]
    if not others:
        return SAME_TEXT
    rejected, worst = min(others, key=lambda pair: pair[1])
    if best - worst < margin - _ROUNDING:
        return ALL_EQUAL if abs(best - worst) < _ROUNDING else NO_MARGIN
    return chosen, rejected


class Sampler:
    """Draws and scores the answers; what lies in the log is not asked again."""

    def __init__(self, recipe: Pairs, completer: Completes, log: AnswerLog) -> None:
        self.recipe = recipe
        self.completer = completer
        self.log = log

    def sample(self, records: Sequence[Any], part: str, advance: Advance) -> Iterator[tuple[Any, list[Sample]]]:
        """(record, its samples) for every prompt, in order."""
        numbered = iter(enumerate(records))
        while batch := list(islice(numbered, PROMPTS_PER_BATCH)):
            places = [(record, number, at) for number, record in batch for at in range(self.recipe.samples_per_prompt)]
            requests = [self._request(record, part, number, at) for record, number, at in places]
            answers = iter(self.log.ask(requests, self.completer))
            for _, record in batch:
                said = list(islice(answers, self.recipe.samples_per_prompt))
                yield record, [self._score(record, answer) for answer in said]
            advance(len(batch))

    def _request(self, record: Conversation | Prompt, part: str, number: int, sample: int) -> Request:
        seed = seed_of(self.recipe.seed, part, number, sample)
        return Request(record.prompt, self.recipe.sampling, seed, model=self.completer.name)

    def _score(self, record: Conversation | Prompt, response: Response) -> Sample:
        if response.failed:
            return Sample("", False, {}, None, response.failed)
        accept = (record.accept or (record.answer,)) if isinstance(record, Conversation) else ()
        forms = tuple(form for form in accept if form)
        answer = Answer(response.text, response.stopped, record.prompt[-1].content, forms)
        scores = {name: METRICS[name](answer) for name in self.recipe.score}
        return Sample(response.text, response.stopped, scores, weighted_mean(scores, self.recipe.score))


@dataclass(slots=True)
class Cut:
    """Cuts samples into pairs, counts every prompt as kept or dropped, and keeps the lines of samples.jsonl."""

    margin: float
    ledger: Ledger
    margins: list[float] = field(default_factory=list)
    unended: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, record: Conversation | Prompt, samples: Sequence[Sample]) -> list[Preference]:
        """The pair of one prompt, or nothing; the reason goes to the ledger."""
        self.samples += [sample.to_row(record.source, at) for at, sample in enumerate(samples)]
        found = next((sample.failed for sample in samples if sample.failed), "") or pick(samples, self.margin)
        if isinstance(found, str):
            row = Prompt(record.prompt, record.source).to_row()
            self.ledger.drop(found, row | {"scores": [sample.score for sample in samples]})
            return []
        chosen, rejected = found
        self.ledger.keep()
        self.margins.append(float(chosen.score or 0) - float(rejected.score or 0))
        self.unended += not rejected.stopped
        return [Preference(record.prompt, _said(chosen), _said(rejected), record.source)]

    @property
    def metrics(self) -> dict[str, float]:
        """The mean margin, and the share of rejected answers that were cut by length."""
        count = max(1, len(self.margins))
        return {"margin": sum(self.margins) / count, "rejected_unended": self.unended / count}


def _said(sample: Sample) -> tuple[Message, ...]:
    return (Message("assistant", sample.text.strip()),)


def _means(samples: Sequence[Mapping[str, Any]], names: Mapping[str, float]) -> dict[str, float]:
    """The mean of every metric over all samples to which it applies."""
    found = {}
    for name in names:
        values = [value for sample in samples if (value := sample["scores"].get(name)) is not None]
        if values:
            found[name] = sum(values) / len(values)
    return found


def _require_some(pairs: Sequence[Preference], ledger: Ledger) -> None:
    if not pairs:
        raise DataError(
            "No pair has a margin: {read} prompts, dropped {reasons}. samples.jsonl shows all answers and scores; "
            "raise `sampling.temperature` or `samples_per_prompt`, lower `margin`, or score by other metrics.",
            read=ledger.read,
            reasons=runs.counted(sorted(ledger.dropped.items())),
        )
