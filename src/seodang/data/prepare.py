"""The stage `prepare`: files in any known format → train.jsonl, eval.jsonl, dropped.jsonl, and what became of each row.

    read       the rows of every source, in order                                      reading
    judge      parsed, repaired, filtered, fingerprinted, in batches and processes     batches, workers
    spill      their lines to disk, a few numbers to memory                            spill, gathered
    decide     what repeats other rows or an evaluation's, sides, weights              deciding
    write      every line to its file, in the order of reading                         writing

The bytes written depend on the recipe and its files alone: not on how many processes there are, and not on whether the
run was killed on its way and resumed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from seodang import runs
from seodang.data.batches import SIZE, Batch, Judged, Task, judge_batch
from seodang.data.deciding import decide
from seodang.data.formats import Messages, Pair, PromptOnly, Text
from seodang.data.gathered import Gathered, KeptRows
from seodang.data.judge import SAME_SIDES
from seodang.data.lineage import Lineage
from seodang.data.prepare_report import CONFLICTS, SAMPLES, Counts, Tally, clipped, nothing_left, report, warnings
from seodang.data.reading import MALFORMED, UNREADABLE, Reading
from seodang.data.specs import Source
from seodang.data.spill import Spill
from seodang.data.survey import named, open_source
from seodang.data.workers import mapped
from seodang.data.writing import moved_answers, write
from seodang.errors import DataError, RunError, SeodangError
from seodang.language import Phrase
from seodang.machine import versions
from seodang.progress import progress
from seodang.recipe import Prepare
from seodang.runs import Run

KINDS = {
    "messages": (Phrase("conversations"), Messages()),
    "preference": (Phrase("preference pairs"), Pair()),
    "prompt": (Phrase("prompts"), PromptOnly()),
    "text": (Phrase("plain texts"), Text()),
}
"""The kinds of rows: what they are called, and the format in which they are written."""
HERE = 8
"""So many batches of a source are judged in this process, so that a small file is done before others have started."""
MOST_PROCESSES = 8


def run(recipe: Prepare, folder: Run) -> dict[str, Any]:
    """Do the stage in an open run folder. Returns the report: rows, metrics, repairs, and the sources one by one.

    A run that is resumed takes over what an earlier attempt has judged. Raises DataError where nothing would be left,
    or kinds of rows are mixed.
    """
    spill = Spill(folder.path, _header(recipe))
    if not folder.resumed:
        spill.discard()
    try:
        with spill:
            gathered, tallies = judged(recipe, spill)
            rows = KeptRows(gathered, spill, KINDS[tallies[0].reading.decision.format.makes][1])
            counts = _written(recipe, folder, rows, tallies)
    except SeodangError as error:
        if not isinstance(error, RunError):
            spill.discard()
        raise
    spill.discard()
    return report(tallies, gathered, counts) | {"warnings": warnings(recipe, gathered, counts)}


def _written(recipe: Prepare, folder: Run, rows: KeptRows, tallies: list[Tally]) -> Counts:
    verdict = decide(recipe, rows)
    answers = moved_answers(rows, verdict, recipe.seed) if recipe.shuffle_answers else {}
    counts = write(folder.path, rows, verdict, answers)
    if conflicts := verdict.conflicts(rows.gathered.prompts, SAMPLES):
        counts.samples[CONFLICTS] = [clipped(rows.row(kept)) for kept in conflicts[: 2 * SAMPLES]]
    for number, tally in enumerate(tallies):
        tally.ledger = counts.ledgers[number]
    if not counts.parts[runs.TRAIN]:
        for name in (runs.TRAIN, runs.EVAL, runs.DROPPED):
            folder.file(name).unlink()
        raise nothing_left(tallies, counts)
    return counts


def _header(recipe: Prepare) -> str:
    """What the judged rows depend on: the keys of the recipe, and the version of this package."""
    keys = recipe.model_dump(mode="json", exclude={"output_dir", "processes"})
    return runs.hash_text(runs.dump_json([keys, versions().get("seodang")]))


def judged(recipe: Prepare, spill: Spill) -> tuple[Gathered, list[Tally]]:
    """Every row of every source read and judged one by one; what an earlier attempt has stored is not judged again."""
    gathered, tallies, done = Gathered(), list[Tally](), Counter[int]()
    for number, batch in spill.restored():
        gathered.add(number, batch)
        done[number] += 1
    with progress("prepare") as advance:
        for number, (source, name) in enumerate(named(recipe.sources)):
            reading = open_source(source, name)
            tallies.append(Tally(name, reading, _lineage(source, reading)))
            _require_one_kind(tallies)
            for batch in _judged(recipe, source, tallies[-1], done[number]):
                count = len(batch.reasons)
                if batch.error is not None:
                    raise batch.error
                spill.add(number, batch)
                gathered.add(number, batch)
                advance(count)
            _require_a_preference(tallies[-1], gathered, number)
    for number, repairs in gathered.repairs.items():
        tallies[number].repairs = repairs
    return gathered, tallies


def _lineage(source: Source, reading: Reading) -> Lineage:
    name = source.name or (source.hub.name if source.hub else "")
    commit = str(getattr(reading.rows, "commit", ""))
    return Lineage.of_set(name, source.revision or commit, source.license, source.upstream)


def _judged(recipe: Prepare, source: Source, tally: Tally, done: int) -> Iterator[Judged]:
    """The batches of a source, judged, without the first `done`, which are only read."""
    dedup = recipe.dedup
    task = Task(
        format=tally.reading.decision.format,
        keeps_source=tally.reading.keeps_source,
        filters=recipe.filters,
        normalize=recipe.normalize,
        skips=source.on_error == "skip",
        lineage=tally.lineage,
        allow_licenses=recipe.allow_licenses,
        on=dedup.on if dedup else None,
        near=bool(dedup and dedup.near),
        prompts=bool(recipe.decontaminate or (recipe.eval and dedup and dedup.near)),
    )
    batches: Iterator[Batch] = ((task, rows) for rows in iter(partial(_next, tally.reading.found), []))
    for _ in islice(batches, done):
        pass
    here = islice(batches, HERE)
    yield from chain(map(judge_batch, here), mapped(judge_batch, batches, recipe.processes or _processors()))


def _next(rows: Iterator[Any]) -> list[Any]:
    return list(islice(rows, SIZE))


def _processors() -> int:
    """Processors that this process may use, at most MOST_PROCESSES."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, MOST_PROCESSES)


def _require_one_kind(tallies: Sequence[Tally]) -> None:
    first, last = tallies[0], tallies[-1]
    kinds = [KINDS[tally.reading.decision.format.makes][0] for tally in (first, last)]
    if kinds[0] != kinds[1]:
        raise DataError(
            "{first} holds {kind} and {last} holds {other}; one run holds one kind of rows. Write a recipe for each, "
            "or name the `format` of the file that was taken for something else.",
            first=first.name,
            kind=kinds[0],
            last=last.name,
            other=kinds[1],
        )


def _require_a_preference(tally: Tally, gathered: Gathered, number: int) -> None:
    dropped = gathered.dropped(number)
    same, read = dropped[SAME_SIDES], gathered.counts[number]
    others = sum(dropped[reason] for reason in (SAME_SIDES, UNREADABLE, MALFORMED))
    if same and others == read:
        raise DataError(
            "{name}: chosen equals rejected in all {rows} rows, so there is nothing to prefer. Look at how the file "
            "was made (`seodang inspect`); usually one column was written twice.",
            name=tally.name,
            rows=same,
        )
