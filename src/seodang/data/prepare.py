"""The stage `prepare`: files in any known format → train.jsonl, eval.jsonl, dropped.jsonl, and what became of each row.

A row is read, parsed, repaired, judged by the filters, looked up among those before it, and put on one side by the hash
of its prompt. Parsing and judging are pure functions of one row; counts of several sources add up.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from seodang import runs
from seodang.data.dedup import DedupIndex, held_out, key
from seodang.data.judge import SAME_SIDES, judge
from seodang.data.reading import MALFORMED, UNREADABLE, Item, Reading
from seodang.data.survey import named, open_source
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.progress import progress
from seodang.recipe import Prepare, Source
from seodang.records import Conversation, Record
from seodang.runs import Ledger, Run

DUPLICATE = "duplicate"
KINDS = {
    "messages": Phrase("conversations"),
    "preference": Phrase("preference pairs"),
    "prompt": Phrase("prompts"),
    "text": Phrase("plain texts"),
}


@dataclass(slots=True)
class Tally:
    """What one source gave."""

    name: str
    reading: Reading
    ledger: Ledger = field(default_factory=Ledger)
    repairs: Counter[str] = field(default_factory=Counter)

    def to_report(self) -> dict[str, Any]:
        """The source's entry in the report."""
        container, decision = self.reading.container, self.reading.decision
        return {
            "source": self.name,
            "container": container.kind,
            "encoding": container.encoding,
            "line_ends": container.line_ends,
            "format": decision.format.model_dump(),
            "evidence": str(decision),
            "rows": self.ledger.close(),
            "repairs": dict(sorted(self.repairs.items())),
        }


@dataclass(slots=True)
class Prepared:
    """The records that are kept, by side, and everything that was counted on the way."""

    train: list[Record] = field(default_factory=list)
    eval: list[Record] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """Kept conversations by their prompt."""


def run(recipe: Prepare, folder: Run) -> dict[str, Any]:
    """Do the stage in an open run folder. Returns the report: rows, metrics, repairs, and the sources one by one."""
    prepared = prepare(recipe)
    folder.write_rows(runs.TRAIN, (record.to_row() for record in prepared.train))
    folder.write_rows(runs.EVAL, (record.to_row() for record in prepared.eval))
    folder.write_rows(runs.DROPPED, (row for tally in prepared.tallies for row in tally.ledger.rows))
    return report(prepared) | {"warnings": warnings(recipe, prepared)}


def prepare(recipe: Prepare) -> Prepared:
    """Read and judge every row of every source. Raises DataError where nothing would be left, or kinds are mixed."""
    prepared = Prepared()
    index = DedupIndex(recipe.dedup.on) if recipe.dedup else None
    with progress("prepare") as advance:
        for source, name in named(recipe.sources):
            tally = Tally(name, open_source(source, name))
            prepared.tallies.append(tally)
            _require_one_kind(prepared.tallies)
            for item in tally.reading.items:
                _take(item, recipe, source, prepared, index)
                advance()
            _require_a_preference(tally)
    _require_rows(prepared)
    if recipe.shuffle_answers:
        prepared.train = shuffled(prepared.train, recipe.seed)
    return prepared


def shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    """The conversations with their last answers moved on along a random ring: none keeps its own place's answer.

    `accept` goes with the prompt, so that a program still knows what is right.
    """
    places = [at for at, record in enumerate(records) if isinstance(record, Conversation) and record.answer]
    random.Random(seed).shuffle(places)
    found = list(records)
    for at, other in zip(places, [*places[1:], *places[:1]], strict=True):
        mine, theirs = records[at], records[other]
        assert isinstance(mine, Conversation) and isinstance(theirs, Conversation)
        found[at] = replace(mine, messages=(*mine.messages[:-1], theirs.messages[-1]))
    return found


def _take(item: Item, recipe: Prepare, source: Source, prepared: Prepared, index: DedupIndex | None) -> None:
    tally = prepared.tallies[-1]
    if isinstance(item.found, DataError):
        if source.on_error == "stop":
            raise item.found
        tally.ledger.drop(item.reason, item.dropped())
        return
    record, repairs, reason = judge(item.found, recipe.filters, recipe.normalize)
    tally.repairs.update(repairs)
    if reason:
        tally.ledger.drop(reason, record.to_row())
        return
    earlier = index.add(record) if index else None
    if earlier:
        tally.ledger.drop(DUPLICATE, record.to_row() | {"duplicate_of": earlier})
        return
    tally.ledger.keep()
    (prepared.eval if recipe.eval and held_out(record, recipe.eval) else prepared.train).append(record)
    if isinstance(record, Conversation):
        prepared.answers[key(record, "prompt")] += 1


def _require_one_kind(tallies: Sequence[Tally]) -> None:
    first, last = tallies[0], tallies[-1]
    kinds = [KINDS[tally.reading.decision.format.makes] for tally in (first, last)]
    if kinds[0] != kinds[1]:
        raise DataError(
            "{first} holds {kind} and {last} holds {other}; one run holds one kind of rows. Write a recipe for each, "
            "or name the `format` of the file that was taken for something else.",
            first=first.name,
            kind=kinds[0],
            last=last.name,
            other=kinds[1],
        )


def _require_a_preference(tally: Tally) -> None:
    same = tally.ledger.dropped.get(SAME_SIDES, 0)
    others = sum(n for reason, n in tally.ledger.dropped.items() if reason in (SAME_SIDES, UNREADABLE, MALFORMED))
    if same and others == tally.ledger.read:
        raise DataError(
            "{name}: chosen equals rejected in all {rows} rows, so there is nothing to prefer. Look at how the file "
            "was made (`seodang inspect`); usually one column was written twice.",
            name=tally.name,
            rows=same,
        )


def _require_rows(prepared: Prepared) -> None:
    if prepared.train:
        return
    dropped = sum((Counter(tally.ledger.dropped) for tally in prepared.tallies), Counter())
    relax, none_left = Phrase("Relax the filters."), "Set `eval: 0`; there are too few rows to hold any out."
    raise DataError(
        "No row is left to train on: {read} read, {eval} held out, dropped {dropped}. {way_out}",
        read=sum(tally.ledger.read for tally in prepared.tallies),
        eval=len(prepared.eval),
        dropped=runs.counted(dropped.most_common()),
        way_out=Phrase(none_left) if prepared.eval else relax,
    )


def report(prepared: Prepared) -> dict[str, Any]:
    """The stage's report; read = kept + dropped(by reason) is asserted over all sources and for each."""
    total, repairs = Ledger(), Counter[str]()
    for tally in prepared.tallies:
        total.read += tally.ledger.read
        total.kept += tally.ledger.kept
        repairs.update(tally.repairs)
        for reason, count in tally.ledger.dropped.items():
            total.dropped[reason] = total.dropped.get(reason, 0) + count
    return {
        "rows": total.close(),
        "metrics": {
            "train": len(prepared.train),
            "eval": len(prepared.eval),
            "repairs": sum(repairs.values()),
            "prompts_with_several_answers": sum(count > 1 for count in prepared.answers.values()),
        },
        "repairs": dict(sorted(repairs.items())),
        "sources": [tally.to_report() for tally in prepared.tallies],
    }


def warnings(recipe: Prepare, prepared: Prepared) -> list[str]:
    """What is no error and yet not what the recipe seems to want, a sentence each."""
    if not recipe.eval or prepared.eval:
        return []
    text = (
        "No row is held out: `eval: {share:g}` of {rows} rows chose none by the hash of their prompts, so nothing "
        "measures the loss on unseen rows. Raise `eval`, or write `eval: 0`."
    )
    return [Phrase(text, share=recipe.eval, rows=len(prepared.train))]
