"""What `prepare` tells of its run: counts, licences, histograms, samples of every reason, and what is to be known."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seodang.data.gathered import Gathered
from seodang.data.lineage import Lineage
from seodang.data.profile import hangul_histogram, length_histogram, level_counts
from seodang.data.reading import Reading
from seodang.errors import DataError
from seodang.language import Phrase, joined
from seodang.recipe import Prepare
from seodang.runs import EVAL, TRAIN, Ledger, counted

SAMPLES, LONGEST = 3, 400
"""Rows shown for every reason, and characters shown of a text."""
CONFLICTS = "prompts_with_several_answers"
"""The metric, and the samples, of kept rows that answer one prompt otherwise."""
FORBIDDEN = {
    "commercial": Phrase("commercial use"),
    "derivatives": Phrase("passing on changed rows"),
    "redistribution": Phrase("passing on the rows"),
}
"""What a licence may forbid, in words."""


@dataclass(slots=True)
class Tally:
    """What one source gave."""

    name: str
    reading: Reading
    lineage: Lineage
    ledger: Ledger = field(default_factory=Ledger)
    repairs: Counter[str] = field(default_factory=Counter)

    def to_report(self) -> dict[str, Any]:
        """The source's entry in the report."""
        told = {"source": self.name} | self.reading.to_report()
        return told | {"rows": self.ledger.close(), "repairs": dict(sorted(self.repairs.items()))}


@dataclass(slots=True)
class Counts:
    """What is counted while the rows are written."""

    parts: Counter[str] = field(default_factory=Counter)
    """File → lines."""
    copies: int = 0
    """Lines that repeat a row on purpose."""
    lengths: Counter[int] = field(default_factory=Counter)
    hangul: Counter[int] = field(default_factory=Counter)
    levels: Counter[int] = field(default_factory=Counter)
    lineages: Counter[int] = field(default_factory=Counter)
    prompts: Counter[int] = field(default_factory=Counter)
    """Key of a prompt → kept rows with it."""
    across: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(source of a duplicate, source of the row that it repeats) → rows."""
    samples: dict[str, list[Any]] = field(default_factory=dict)
    ledgers: defaultdict[int, Ledger] = field(default_factory=lambda: defaultdict(Ledger))
    """Source → what became of its rows."""

    def keep(self, gathered: Gathered, source: int, kept: int, part: str, times: int) -> None:
        """Count a row that is written, so many times."""
        self.ledgers[source].keep()
        self.parts[part] += times
        self.copies += times - 1
        self.lengths[gathered.lengths[kept]] += 1
        self.hangul[gathered.hangul[kept]] += 1
        self.levels[gathered.levels[kept]] += 1
        self.lineages[gathered.lineages[kept]] += 1
        self.prompts[gathered.prompts[kept]] += 1

    def drop(self, source: int, reason: str, line: bytes) -> None:
        """Count a row that is dropped, and keep the first ones of each reason to be shown."""
        ledger = self.ledgers[source]
        ledger.read += 1
        ledger.dropped[reason] = ledger.dropped.get(reason, 0) + 1
        shown = self.samples.setdefault(reason, [])
        if len(shown) < SAMPLES:
            shown.append(clipped(json.loads(line)))


def clipped(value: Any) -> Any:
    """A row with its long texts cut."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST else value[:LONGEST] + " …"
    if isinstance(value, dict):
        return {key: clipped(one) for key, one in value.items()}
    return [clipped(one) for one in value[:8]] if isinstance(value, list) else value


def report(tallies: Sequence[Tally], gathered: Gathered, counts: Counts) -> dict[str, Any]:
    """The stage's report; read = kept + dropped(by reason) is asserted over all sources and for each."""
    total, repairs = Ledger(), Counter[str]()
    for tally in tallies:
        total.read += tally.ledger.read
        total.kept += tally.ledger.kept
        repairs.update(tally.repairs)
        for reason, count in tally.ledger.dropped.items():
            total.dropped[reason] = total.dropped.get(reason, 0) + count
    metrics = {
        "train": counts.parts[TRAIN],
        "eval": counts.parts[EVAL],
        **({"copies": counts.copies} if counts.copies else {}),
        "repairs": sum(repairs.values()),
        CONFLICTS: sum(count > 1 for count in counts.prompts.values()),
    }
    return {
        "rows": total.close(),
        "metrics": metrics,
        "repairs": dict(sorted(repairs.items())),
        "register": level_counts(counts.levels),
        "duplicates_across": _across(tallies, counts.across),
        "figures": {
            "answer_length": length_histogram(counts.lengths),
            "hangul_in_answers": hangul_histogram(counts.hangul),
        },
        "samples": {reason: counts.samples[reason] for reason in sorted(counts.samples)},
        "sources": [tally.to_report() for tally in tallies],
        "licenses": licenses(gathered, counts),
    }


def _across(tallies: Sequence[Tally], across: Mapping[tuple[int, int], int]) -> dict[str, int]:
    """`b.jsonl → a.jsonl`: rows of b that repeat rows of a."""
    pairs = sorted(across.items())
    return {f"{tallies[one].name} → {tallies[first].name}": count for (one, first), count in pairs if one != first}


def licenses(gathered: Gathered, counts: Counts) -> list[dict[str, Any]]:
    """Every lineage that written rows have, with how many, the most first; and what its terms forbid."""
    chains = list(gathered.chains)
    found = []
    for at, count in sorted(counts.lineages.items(), key=lambda item: (-item[1], item[0])):
        one = chains[at]
        told = {"name": one.name, "revision": one.revision, "license": one.license, "upstream": list(one.upstream)}
        found.append(told | {"terms": one.terms, "rows": count, "forbids": list(one.forbids)})
    return found


def warnings(recipe: Prepare, gathered: Gathered, counts: Counts) -> list[str]:
    """What is no error and yet to be known, a sentence each."""
    found: list[str] = []
    if recipe.eval and not counts.parts[EVAL]:
        text = (
            "No row is held out: `eval: {share:g}` of {rows} rows chose none by the hash of their prompts, so nothing "
            "measures the loss on unseen rows. Raise `eval`, or write `eval: 0`."
        )
        found.append(Phrase(text, share=recipe.eval, rows=counts.parts[TRAIN]))
    chains = list(gathered.chains)
    for at in sorted(counts.lineages):
        found += _terms(chains[at], counts.lineages[at])
    return found


def _terms(lineage: Lineage, rows: int) -> list[str]:
    """The sentence about what may not be done with the rows of a set."""
    if not lineage.forbids:
        return []
    text = (
        "{rows:,} rows come from {name} ({license}), whose terms forbid {what}. Read these terms before you give the "
        "prepared files, or what is trained on them, to others."
    )
    what = joined(", ", (FORBIDDEN[one] for one in lineage.forbids))
    license = lineage.license if not lineage.terms else f"{lineage.license}, {lineage.terms}"
    return [Phrase(text, rows=rows, name=lineage.name or Phrase("an unnamed set"), license=license, what=what)]


def nothing_left(tallies: Sequence[Tally], counts: Counts) -> DataError:
    """The error of a run that would write no training row."""
    dropped = sum((Counter(tally.ledger.dropped) for tally in tallies), Counter[str]())
    relax, none_left = Phrase("Relax the filters."), "Set `eval: 0`; there are too few rows to hold any out."
    return DataError(
        "No row is left to train on: {read} read, {eval} held out, dropped {dropped}. {way_out}",
        read=sum(tally.ledger.read for tally in tallies),
        eval=counts.parts[EVAL],
        dropped=counted(dropped.most_common()),
        way_out=Phrase(none_left) if counts.parts[EVAL] else relax,
    )
