"""What the audit counts over all rows of a recipe's data, one row at a time, and holds no row.

A `Tally` sees what becomes of every row (outcomes.py) and ends as figures to print and shares to hold against limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from seodang.data.findings import (
    BOS,
    BYTES,
    CONTROL,
    DUPLICATE,
    ECHO,
    EMPTY,
    LEAK,
    STOP,
    Findings,
    Vocabulary,
    faults,
    measured,
)
from seodang.data.outcomes import EQUAL_SIDES, PART_LOST, TRUNCATED, Outcome, length_of
from seodang.data.repeats import HeldOut, Lines, hash_of
from seodang.data.specs import Check
from seodang.encoding import Chat
from seodang.errors import SeodangError
from seodang.language import Phrase
from seodang.records import Record
from seodang.runs import Ledger

DROPPED = "dropped"
LIMITS = {
    DROPPED: ("max_drop_ratio", Phrase("are dropped")),
    STOP: ("min_stop_ratio", Phrase("end without a trained stop token")),
    TRUNCATED: ("max_truncated_ratio", Phrase("lost the beginning of their prompt")),
    BOS: ("max_bos_ratio", Phrase("do not begin with the bos token exactly once")),
    CONTROL: ("max_control_ratio", Phrase("hold typed control strings")),
    EMPTY: ("max_empty_ratio", Phrase("train an empty answer")),
    ECHO: ("max_echo_ratio", Phrase("answer with the turn before it")),
    EQUAL_SIDES: ("max_equal_ratio", Phrase("are pairs of two equal answers")),
    DUPLICATE: ("max_duplicate_ratio", Phrase("repeat an earlier training row")),
    LEAK: ("max_leak_ratio", Phrase("hold out a prompt that is trained on")),
    BYTES: ("max_byte_ratio", Phrase("are mostly bytes of split characters")),
}
"""Finding → the key of `check:` that limits its share, and what it says of rows."""


def allowed(check: Check) -> frozenset[str]:
    """The findings that every row may have by these limits: they are counted, and their rows are no offenders."""
    return frozenset(name for name, (key, _) in LIMITS.items() if getattr(check, key) == 1 and key.startswith("max"))


@dataclass(frozen=True, slots=True)
class Share:
    """One line of the summary: a finding, in how many of how many rows, and the largest share allowed."""

    name: str
    count: int
    of: int
    limit: float
    first: str = ""

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / max(self.of, 1)

    @property
    def problem(self) -> Phrase | None:
        """What is wrong where the share is beyond its limit."""
        if self.value <= self.limit:
            return None
        key, fault = LIMITS[self.name]
        return Phrase(
            "{count:,} of {of:,} rows ({share:.1%}) {fault}, the first is {first}; `check.{key}` allows {limit:.1%}",
            count=self.count,
            of=self.of,
            share=self.value,
            fault=fault,
            first=self.first,
            key=key,
            limit=self.limit,
        )


@dataclass
class Tally:
    """Counts of one audit. `has_eval_file` says that held-out rows come from a file of their own, and come first."""

    chat: Chat
    findings: Findings
    has_eval_file: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    kept: Counter[str] = field(default_factory=Counter)
    """Rows that are kept, by part."""
    examples: Counter[str] = field(default_factory=Counter)
    """What is made of them: a conversation may be several, by part."""
    sums: Counter[str] = field(default_factory=Counter)
    """Over training rows: tokens, trained tokens, characters, split tokens, border cuts, control strings."""
    lengths: Counter[int] = field(default_factory=Counter)
    """Tokens of a training row → how many have them."""
    begun: int = 0
    """Rows that begin with bos."""
    longest: int = 0
    """Tokens of the longest row, held-out ones too, as the trainer counts it."""
    stopping: int = 0
    """Rows that stop the run."""
    error: SeodangError | None = None
    """Why the first of them does."""
    _rows: Lines = field(default_factory=Lines)
    _held: HeldOut = field(default_factory=HeldOut)
    _names: dict[str, str] = field(default_factory=dict)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What the tokenizer's ids say of a row."""
        return Vocabulary(self.chat)

    def see(self, outcome: Outcome) -> None:
        """Count one row."""
        self.ledger.read += 1
        if outcome.error:
            self.stopping += 1
            self.error = self.error or outcome.error
        if not outcome.kept:
            self._drop(outcome)
            return
        self.ledger.kept += 1
        self.kept[outcome.part] += 1
        self.begun += self.vocabulary.begins(outcome.kept[0][1])
        self._note(outcome, self._add(outcome))
        self._remember(outcome)

    def _drop(self, outcome: Outcome) -> None:
        self.ledger.dropped[outcome.reason] = self.ledger.dropped.get(outcome.reason, 0) + 1
        said: dict[str, Any] = {"tokens": outcome.length} if outcome.length else {}
        self._find(outcome, outcome.reason, **said | ({"error": outcome.fault} if outcome.fault else {}))

    def _find(self, outcome: Outcome, name: str, **said: Any) -> None:
        source = outcome.record.source if outcome.record else ""
        more = {"source": source} if source and source != outcome.item.place else {}
        self.findings.add(name, outcome.item.place, **{"part": outcome.part} | more | said)

    def _add(self, outcome: Outcome) -> Counter[str]:
        """Add up the examples of a row that is kept; returns their sums."""
        sums: Counter[str] = Counter()
        counted: Record | None = None
        for record, row in outcome.kept:
            one = measured(record, row, self.vocabulary)
            if record is counted:  # one answer each, of the same conversation
                del one["characters"]
            counted = record
            sums += one
            self.longest = max(self.longest, length_of(row))
            if outcome.part == "train":
                self.lengths[length_of(row)] += 1
        self.examples[outcome.part] += len(outcome.kept)
        if outcome.part == "train":
            self.sums += sums
        return sums

    def _note(self, outcome: Outcome, sums: Counter[str]) -> None:
        """The findings of a row that is kept."""
        if outcome.made_to_fit == TRUNCATED:
            self._find(outcome, TRUNCATED, tokens=outcome.length)
        for part in outcome.lost:
            self._find(outcome, PART_LOST, **part.to_row())
        for name in dict.fromkeys(fault for one in outcome.kept for fault in faults(*one, self.vocabulary)):
            self._find(outcome, name, **ratios(sums))

    def _remember(self, outcome: Outcome) -> None:
        """Duplicates among training rows, and held-out prompts among them."""
        name, _, line = outcome.item.place.rpartition(":")
        self._names[outcome.part] = name
        assert outcome.record is not None
        if outcome.part == "train":
            self._rows.add(hash_of(outcome.record), int(line))
            if self.has_eval_file:
                if not self._held.order:
                    self._held.close()
                for leak in self._held.trained_in(outcome.record):
                    self.findings.add(LEAK, f"{self._names['eval']}:{leak}", part="eval", of=outcome.item.place)
        elif self.has_eval_file:
            self._held.add(outcome.record, int(line))

    def close(self) -> None:
        """Tell the duplicates, which are known once all rows were seen."""
        name = self._names.get("train", "")
        for line, first in self._rows.repeats():
            self.findings.add(DUPLICATE, f"{name}:{line}", part="train", of=f"{name}:{first}")

    def shares(self, check: Check) -> Iterator[Share]:
        """The lines of the summary, those that say something of this data."""
        counts, kept = self.findings.counts, self.ledger.kept
        bases = {DROPPED: self.ledger.read, EQUAL_SIDES: self.ledger.read}
        bases |= {DUPLICATE: self.kept["train"], LEAK: self.kept["eval"] if self.has_eval_file else 0}
        firsts = self.findings.first
        dropped = next((firsts[reason] for reason in self.ledger.dropped), "")
        for name, (key, _) in LIMITS.items():
            limit = getattr(check, key)
            count = sum(self.ledger.dropped.values()) if name == DROPPED else counts[name]
            first = dropped if name == DROPPED else firsts.get(name, "")
            yield Share(name, count, bases.get(name, kept), 1 - limit if key.startswith("min") else limit, first)

    def figures(self) -> dict[str, Any]:
        """Sums, means and extremes over training rows."""
        middle = (sum(self.lengths.values()) - 1) // 2
        lengths = min(self.lengths), _nth(self.lengths, middle), max(self.lengths)
        shared = self.sums["trained_tokens"] / self.sums["tokens"]
        sums = {name: self.sums[name] for name in ("control_strings", "border_cuts")}
        return ratios(self.sums) | sums | {"trained_share": shared, "length": lengths}


def ratios(sums: Counter[str]) -> dict[str, Any]:
    """What is said of a row, and of all: tokens, trained ones, characters per trained token, share of split tokens."""
    return {
        "tokens": sums["tokens"],
        "trained_tokens": sums["trained_tokens"],
        "chars_per_token": round(sums["characters"] / max(sums["trained_tokens"], 1), 4),
        "byte_share": round(sums["split_tokens"] / max(sums["tokens"], 1), 4),
    }


def _nth(counts: Counter[int], rank: int) -> int:
    """The value at a place, from 0, of all values in order."""
    for value in sorted(counts):
        rank -= counts[value]
        if rank < 0:
            return value
    raise IndexError(rank)
