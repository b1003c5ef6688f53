"""Stage `generate`: grow a seed set with a model's own proposals (Self-Instruct, Wang et al. 2023, arXiv:2212.10560).

seeds → prompt → completer → requests.jsonl → parse → the recipe's filters → novelty → train.jsonl or dropped.jsonl

Requests go in rounds, whose prompts are drawn from the state at the end of the round before, and answers are judged in
the order of their requests: the outcome does not depend on timing. Every raw answer lies in requests.jsonl before it is
judged, and all that follows is computed anew when a run is resumed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.data.judge import judge
from seodang.data.reading import open_records
from seodang.data.specs import Source
from seodang.errors import DataError, ModelError
from seodang.language import Phrase
from seodang.progress import progress
from seodang.recipe import Generate
from seodang.records import Conversation, Record
from seodang.runs import Ledger, Run
from seodang.self_instruct.completers import AnswerLog, Completer, Completes, Local, Request, Response, seed_of
from seodang.self_instruct.ledger import Growth
from seodang.self_instruct.novelty import NoveltyIndex
from seodang.self_instruct.prompts import (
    NO_OUTPUT,
    TRUNCATED,
    PromptFile,
    Proposal,
    build,
    exchange,
    find_prompt,
    load_prompt,
    parse,
    stops,
)
from seodang.tasks.verify import asks_of_held_out, verdict, verified
from seodang.tuning.specs import ModelSpec, spec_of_run

REQUESTS = "requests.jsonl"
OVER_TARGET = "over_target"
UNVERIFIED = {"wrong": "answer_wrong", "unknown": "not_recognised", "right": "held_out"}
"""Why a record is not kept where programs must vouch for it: its answer is wrong, its prompt of no known kind, or about
an item that is kept for evaluation."""


def run(recipe: Generate, folder: Run) -> dict[str, Any]:
    """Do the stage; returns the report. Raises DataError where there are no seeds or nothing was kept."""
    seeds, read = read_seeds(recipe.seeds)
    path = find_prompt(recipe.prompt)
    prompt, name = load_prompt(path), f"{path.stem}@{runs.hash_file(path)[:12]}"
    completer = completer_of(recipe.completer)
    if prompt.instruction_only and not completer.chats:
        raise ModelError(
            "The prompt file {name} asks for instructions alone, which are then answered in chat turns, and this model "
            "continues a text. Name a run that was tuned with a chat template, or another `prompt`.",
            name=path.stem,
        )
    growing = Growing(recipe, Asking(prompt, name, completer, AnswerLog(folder.file(REQUESTS))), seeds)
    logged = len(list(folder.read_log()))
    with progress("generate", recipe.target) as advance:
        while growing.goes_on:
            before = growing.ledger.kept
            growing.round()
            advance(growing.ledger.kept - before, note=growing.note)
            if growing.rounds > logged:
                folder.log({"step": growing.rounds, **growing.counts})
    folder.write_rows(runs.DROPPED, [*read.rows, *growing.ledger.rows])
    _require_some(growing.ledger)
    folder.write_rows(runs.TRAIN, growing.rows)
    told: dict[str, Any] = {"seeds": read.close(), "stopped_by": growing.stopped_by, "metrics": growing.metrics}
    if recipe.verify:
        told["metrics"]["verified"] = verified(growing.kept)
    return growing.ledger.close() | told | {"figures": {"nearest": growing.nearest}}


def read_seeds(source: Source) -> tuple[list[Conversation], Ledger]:
    """The seed tasks, each with a user turn and its answer, and the ledger of the rows they came from.

    A row keeps the `source` that an earlier run gave it. Raises DataError for a row that cannot be read (unless
    `on_error: skip`), and where no seed is left.
    """
    path = runs.finished_run(source.run, "seeds.run") / runs.TRAIN if source.run else Path(str(source.path))
    ledger, seeds = Ledger(), []
    for item in open_records(path, source.format, keeps_source=bool(source.run)).items:
        found = _seed(item.found, item.place)
        if isinstance(found, Conversation):
            ledger.keep()
            seeds.append(found)
        elif source.on_error == "skip":
            ledger.drop("no_seed", item.dropped() | {"error": found.phrase})
        else:
            raise found
    if not seeds:
        raise DataError("{path}: no seed task is left. Give rows with an instruction and its answer.", path=path)
    return seeds, ledger


def _seed(found: Record | DataError, place: str) -> Conversation | DataError:
    if isinstance(found, DataError) or (isinstance(found, Conversation) and exchange(found)):
        return found
    return DataError(
        "{where}: a seed task needs an instruction and its answer, and this row has none. Give rows with `instruction` "
        "and `output`, or `messages` that begin with a user and an assistant turn; `on_error: skip` drops the others.",
        where=place,
    )


def completer_of(spec: Completer) -> Completes:
    """The completer of a recipe; `local` is loaded here. Raises ModelError where it does not say which model."""
    if not isinstance(spec, Local):
        return spec
    if (spec.run is None) == (spec.name_or_path is None):
        raise ModelError(
            "completer: `local` needs to know which model proposes. Give `run: X`, a finished run that trained one, or "
            "`name_or_path: …`, one of the two; `completer: fake` makes a dry run without any."
        )
    from seodang.generation import load_completer

    model = spec_of_run(spec.run) if spec.run else ModelSpec(name_or_path=spec.name_or_path)
    return load_completer(model, spec.batch_size, spec.style)


def _require_some(ledger: Growth) -> None:
    if ledger.kept:
        return
    reasons = {**ledger.failed, **ledger.rejected}
    raise DataError(
        "Nothing was kept of {parsed} records in {answered} answers to {sent} requests ({reasons}). dropped.jsonl and "
        "requests.jsonl show them; try a stronger model, shorter seeds, or another `novelty.threshold`.",
        parsed=ledger.parsed,
        answered=ledger.answered,
        sent=ledger.sent,
        reasons=runs.counted(sorted(reasons.items())) if reasons else Phrase("no records"),
    )


@dataclass(frozen=True, slots=True)
class Asking:
    """Who is asked, and how: the prompt file with its name and hash, the completer, and the log of its answers."""

    prompt: PromptFile
    prompt_name: str
    completer: Completes
    log: AnswerLog


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the examples that its prompt shows."""

    number: int
    request: Request
    seeds: tuple[str, ...]
    parents: tuple[str, ...]


class Growing:
    """The state of a growing set: what was kept, in order, and what became of everything else."""

    def __init__(self, recipe: Generate, asking: Asking, seeds: list[Conversation]) -> None:
        self.recipe = recipe
        self.asking = asking
        self.seeds = seeds
        self.kept: list[Conversation] = []
        self.rows: list[dict[str, Any]] = []
        self.ledger = Growth()
        self.rounds = 0
        self.nearest: list[float] = []
        """The score of the nearest neighbour of every record that came as far as novelty."""
        self.index = NoveltyIndex(recipe.novelty, (_novel_text(seed) for seed in seeds))

    @property
    def goes_on(self) -> bool:
        """Whether the target is not reached and the budget not spent."""
        return self.ledger.kept < self.recipe.target and self.ledger.sent < self.recipe.max_requests

    @property
    def stopped_by(self) -> str:
        """What ended it: `target` or `max_requests`."""
        return "target" if self.ledger.kept >= self.recipe.target else "max_requests"

    @property
    def counts(self) -> dict[str, int]:
        """The totals so far."""
        return {"sent": self.ledger.sent, "parsed": self.ledger.parsed, "kept": self.ledger.kept}

    @property
    def note(self) -> Phrase:
        """The totals in words, for the progress bar."""
        return Phrase("{kept} kept of {parsed} records, {sent} requests", **self.counts)

    @property
    def metrics(self) -> dict[str, float]:
        """Kept records per request sent, and per record parsed."""
        kept = self.ledger.kept
        return {"kept_per_request": kept / max(1, self.ledger.sent), "yield": kept / max(1, self.ledger.parsed)}

    def round(self) -> None:
        """Send one round of requests and judge the answers in the order of the requests."""
        self.rounds += 1
        left = self.recipe.max_requests - self.ledger.sent
        asked = [self._draw(self.ledger.sent + at) for at in range(min(self.recipe.requests_per_round, left))]
        answers = self.asking.log.ask([one.request for one in asked], self.asking.completer)
        found = [(one, self._proposals(answer)) for one, answer in zip(asked, answers, strict=True)]
        if self.asking.prompt.instruction_only:
            found = self._followed(found)
        for one, proposals in found:
            self._judge_all(one, proposals)

    def _proposals(self, answer: Response) -> list[Proposal]:
        self.ledger.request(answer.failed)
        if answer.failed:
            return []
        return parse(self.asking.prompt, answer.text, chat=self.asking.completer.chats, stopped=answer.stopped)

    def _followed(self, found: list[tuple[Asked, list[Proposal]]]) -> list[tuple[Asked, list[Proposal]]]:
        """The proposed instructions with the model's own answers: a second request each, at temperature 0."""
        open_ones = [one for _, proposals in found for one in proposals if not one.reason]
        sampling = self.recipe.sampling.model_copy(update={"temperature": 0.0})
        name = self.asking.completer.name
        requests = [Request((one.prompt,), sampling, self.recipe.seed, model=name) for one in open_ones]
        said = {one.raw: answer for one, answer in zip(open_ones, self._ask(requests), strict=True)}
        return [(one, [self._answered(proposal, said) for proposal in proposals]) for one, proposals in found]

    def _ask(self, requests: list[Request]) -> list[Response]:
        answers = self.asking.log.ask(requests, self.asking.completer)
        for answer in answers:
            self.ledger.request(answer.failed)
        return answers

    @staticmethod
    def _answered(proposal: Proposal, said: dict[str, Response]) -> Proposal:
        answer = said.get(proposal.raw)
        if proposal.reason or answer is None:
            return proposal
        reason = NO_OUTPUT if answer.failed or not answer.text.strip() else "" if answer.stopped else TRUNCATED
        return replace(proposal, output=answer.text.strip(), reason=reason)

    def _draw(self, number: int) -> Asked:
        """A request of its own seed, with machine examples as far as there are any, else human ones in their place."""
        draw, wanted = random.Random(seed_of(self.recipe.seed, "examples", number)), self.recipe.in_context
        machine = draw.sample(self.kept, min(wanted.machine, len(self.kept)))
        missing = wanted.seeds + wanted.machine - len(machine)
        human = draw.sample(self.seeds, min(missing, len(self.seeds)))
        examples = [*human, *machine]
        draw.shuffle(examples)
        prompt, completer = self.asking.prompt, self.asking.completer
        request = Request(
            prompt=build(prompt, examples, completer.chats),
            sampling=self.recipe.sampling,
            seed=seed_of(self.recipe.seed, "answer", number),
            stop=stops(prompt, len(examples)),
            model=completer.name,
        )
        return Asked(number, request, tuple(s.source for s in human), tuple(s.source for s in machine))

    def _judge_all(self, asked: Asked, proposals: list[Proposal]) -> None:
        for at, proposal in enumerate(proposals, 1):
            record, _, reason = judge(proposal.to_conversation(""), self.recipe.filters)
            assert isinstance(record, Conversation)
            why = self._why_not(record, proposal.reason or reason)
            if why:
                place = {"source": f"request:{asked.number:06d}.{at}", "request": asked.request.key}
                self.ledger.reject(why.pop("reason"), place | why | _shown(proposal))
            else:
                self._keep(record, asked)

    def _why_not(self, record: Conversation, reason: str | None) -> dict[str, Any]:
        """Empty where the record is kept; else the `reason`, and for an old one the neighbour and its score."""
        if reason:
            return {"reason": reason}
        found = self.index.check(_novel_text(record))
        self.nearest.append(round(found.score, 4))
        if found.reason:
            return {"reason": found.reason, "score": round(found.score, 4), "nearest": found.nearest}
        if self.recipe.verify == "require":
            said = verdict(_novel_text(record), record.answer)
            if said != "right" or asks_of_held_out(_novel_text(record)):
                return {"reason": UNVERIFIED[said]}
        return {} if self.ledger.kept < self.recipe.target else {"reason": OVER_TARGET}

    def _keep(self, record: Conversation, asked: Asked) -> None:
        record = replace(record, source=f"generate:{self.ledger.kept + 1:06d}")
        lineage = {"seeds": list(asked.seeds), "parents": list(asked.parents), "request": asked.request.key}
        made_by = {"prompt_file": self.asking.prompt_name, "model": self.asking.completer.name}
        self.kept.append(record)
        self.index.add(_novel_text(record))
        self.rows.append(record.to_row() | lineage | made_by)
        self.ledger.keep(self.rows[-1])


def _novel_text(record: Conversation) -> str:
    """What novelty compares: the whole user turn, so that one instruction may stand with many inputs."""
    shown = exchange(record)
    return shown[0].content if shown else ""


def _shown(proposal: Proposal) -> dict[str, str]:
    if proposal.reason:
        return {"raw": proposal.raw}
    return {"instruction": proposal.instruction, "input": proposal.input, "output": proposal.output}
