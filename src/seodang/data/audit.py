"""`seodang check`: the audit of a recipe and its whole data set before anything is paid for. No torch in here.

For a stage that trains on conversations or pairs every row is encoded as the trainer will see it; for `prepare` every
row is read and parsed. An input that another
stage has not made yet is said and is no failure; a broken threshold is a problem, and `check` and `run` end with 1.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.data.dataset import TrainingRows, training_rows
from seodang.data.survey import named, open_source
from seodang.encoding import Encoded
from seodang.errors import CheckFailed, DataError
from seodang.language import Phrase, joined, label, padded, say
from seodang.recipe import DPO, SFT, Prepare, Pretrain, Source, Stage
from seodang.tuning.preflight import problems_before_loading, require_positions, stored_positions

NAMED = ("path", "run", "train", "name_or_path", "tokenizer")
"""Keys that name what a stage reads."""


@dataclass(slots=True)
class Audit:
    """What the check found: facts to print, inputs that are not made yet, and problems."""

    stage: str
    facts: dict[str, str] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The summary: a line per fact, then what is missing, then the problems."""
        lines = [f"  {padded(label(name), 10)} {say(value)}" for name, value in self.facts.items()]
        lines += [say("  not made yet: {text}", text=text) for text in self.pending]
        problems = [say("  PROBLEM: {text}", text=text) for text in self.problems]
        return "\n".join([say("check ({stage}):", stage=self.stage), *lines, *problems])

    def require(self) -> None:
        """Raise CheckFailed where a threshold is broken."""
        if self.problems:
            lines = joined("\n", (Phrase("  {text}", text=text) for text in self.problems))
            raise CheckFailed("The check found problems:\n{lines}", lines=lines)


def check(recipe: Stage) -> Audit:
    """Audit a recipe. Raises the error of what is plainly wrong (a missing file, a template that does not fit)."""
    audit = Audit(recipe.stage)
    audit.pending = [Phrase("{run} (run its recipe first)", run=run) for run in missing_runs(recipe)]
    _require_files(recipe)
    if not isinstance(recipe, (SFT, DPO)):
        audit.facts["reads"] = ", ".join(dict.fromkeys(_values(recipe.model_dump(mode="json"), NAMED)))
    if isinstance(recipe, Prepare):
        _audit_sources(recipe, audit)
    if isinstance(recipe, (SFT, DPO, Pretrain)):
        problems_before_loading(recipe)
    if isinstance(recipe, (SFT, DPO)) and not audit.pending:
        rows = training_rows(recipe)
        require_positions(stored_positions(recipe.model), _longest(rows))
        _audit_rows(recipe, rows, audit)
    return audit


def _longest(rows: TrainingRows) -> int:
    """Tokens of the longest row, held-out ones too, as the trainer counts it."""
    return max(len(row.input_ids) if isinstance(row, Encoded) else row.length for row in [*rows.train, *rows.eval])


def missing_runs(recipe: Stage) -> list[str]:
    """The runs that a recipe names and that are not finished."""
    named = dict.fromkeys(_values(recipe.model_dump(mode="json"), ("run",)))
    return [run for run in named if not runs.is_finished(Path(run))]


def _require_files(recipe: Stage) -> None:
    missing = [p for p in _values(recipe.model_dump(mode="json"), ("path", "train")) if not Path(p).exists()]
    if missing:
        raise DataError(
            "The file {paths} does not exist. A relative path starts at the working directory, one that starts with "
            "`./` at the recipe's folder.",
            paths=", ".join(missing),
        )


def _values(data: Any, keys: Sequence[str]) -> list[str]:
    if isinstance(data, dict):
        own = [value for key, value in data.items() if key in keys and isinstance(value, str)]
        return own + [found for value in data.values() for found in _values(value, keys)]
    return [found for value in data for found in _values(value, keys)] if isinstance(data, list) else []


def _audit_sources(recipe: Prepare, audit: Audit) -> None:
    missing = missing_runs(recipe)
    for number, (source, name) in enumerate(named(recipe.sources), 1):
        if source.run not in missing:
            audit.facts[Phrase("source {number}", number=number)] = _source_fact(source, name)


def _source_fact(source: Source, name: str) -> Phrase:
    """What one source of `prepare` holds. Raises the error of a row that its run would stop at."""
    reading = open_source(source, name)
    rows, bad, first = 0, 0, ""
    for item in reading.items:
        rows += 1
        if isinstance(item.found, DataError):
            if source.on_error == "stop":
                raise item.found
            bad, first = bad + 1, first or item.fault
    told = Phrase("{name}: {rows:,} rows, {evidence}", name=name, rows=rows, evidence=reading.decision.phrase)
    if not bad:
        return told
    text = "{told}; {bad:,} cannot be read and are dropped, the first: {first}"
    return Phrase(text, told=told, bad=bad, first=first)


def _split(recipe: SFT | DPO, rows: TrainingRows) -> Phrase:
    told, share = Phrase("{train} train, {eval} eval", train=len(rows.train), eval=len(rows.eval)), recipe.data.eval
    if rows.eval or not isinstance(share, float) or not share:
        return told
    text = "{told} (the share {share:g} of {rows} rows held out none)"
    return Phrase(text, told=told, share=share, rows=len(rows.train))


def _audit_rows(recipe: SFT | DPO, rows: TrainingRows, audit: Audit) -> None:
    ledger, facts = rows.ledger.close(), supervision(rows)
    low, middle, high = facts["length"]
    limit, stops = recipe.data.max_length, ", ".join(rows.chat.renderer.stops)
    audit.facts["rows"] = runs.ledger_line(ledger)
    audit.facts["split"] = _split(recipe, rows)
    audit.facts["tokens"] = Phrase("{tokens:,} of which trained {trained_tokens:,} ({trained_share:.0%})", **facts)
    text = "{low} … {middle} … {high} tokens (shortest, median, longest; limit {limit})"
    audit.facts["length"] = Phrase(text, low=low, middle=middle, high=high, limit=limit)
    audit.facts["stop"] = Phrase(
        "trained in {stop_share:.1%} of rows ({stops}); {control_strings} typed control strings kept as text; "
        "{border_cuts} borders cut",
        stops=stops,
        **facts,
    )
    _thresholds(recipe, ledger, facts, audit)


def _thresholds(recipe: SFT | DPO, ledger: dict[str, Any], facts: dict[str, Any], audit: Audit) -> None:
    share = 1 - ledger["kept"] / max(ledger["read"], 1)
    if share > recipe.check.max_drop_ratio:
        text = "{share:.1%} of rows are dropped; check.max_drop_ratio is {limit}"
        audit.problems.append(Phrase(text, share=share, limit=recipe.check.max_drop_ratio))
    if facts["stop_share"] < recipe.check.min_stop_ratio:
        text = "the stop token is trained in {share:.1%} of rows; check.min_stop_ratio is {limit}"
        audit.problems.append(Phrase(text, share=facts["stop_share"], limit=recipe.check.min_stop_ratio))


def supervision(rows: TrainingRows) -> dict[str, Any]:
    """What is trained, over all training rows: tokens, trained tokens, lengths, stops, typed control strings."""
    encoded = [row for row in rows.train if isinstance(row, Encoded)]
    if not encoded:  # pairs: both answers are trained, each ends in its stop
        lengths = [row.length for row in rows.train]
        trained = sum(len(row.chosen) + len(row.rejected) for row in rows.train)
        total = trained + sum(len(row.prompt) for row in rows.train)
        stops = [row.chosen[-1] in rows.chat.stop_ids and row.rejected[-1] in rows.chat.stop_ids for row in rows.train]
        return _facts(lengths, total, trained, stops)
    lengths = [len(row.input_ids) for row in encoded]
    facts = _facts(lengths, sum(lengths), sum(row.trained for row in encoded), [row.stop_trained for row in encoded])
    facts["border_cuts"] = sum(row.border_cuts for row in encoded)
    facts["control_strings"] = sum(row.control_strings for row in encoded)
    return facts


def _facts(lengths: list[int], total: int, trained: int, stops: list[bool]) -> dict[str, Any]:
    return {
        "tokens": total,
        "trained_tokens": trained,
        "trained_share": trained / total,
        "length": (min(lengths), int(statistics.median(lengths)), max(lengths)),
        "stop_share": sum(stops) / len(stops),
        "border_cuts": 0,
        "control_strings": 0,
    }
