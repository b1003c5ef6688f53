"""`seodang check`: the audit of a recipe and its whole data set before anything is paid for. No torch in here.

For a stage that trains on conversations or pairs every row is encoded as the trainer will see it, counted and let go
(tally.py); rows with findings are written beside the run folder. For `prepare` every row is read and parsed. An input
that another stage has not made yet is said and is no failure; a broken threshold is a problem, and `check` and `run`
end with 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.data.dataset import TrainingRows, recipe_chat, remember, require_some
from seodang.data.findings import STOP, Findings
from seodang.data.loading import part_files
from seodang.data.outcomes import outcomes
from seodang.data.specs import Source
from seodang.data.survey import named, open_source
from seodang.data.tally import Share, Tally, allowed
from seodang.errors import CheckFailed, DataError
from seodang.language import Phrase, columns, joined, label, padded, say
from seodang.recipe import DPO, SFT, Prepare, Pretrain, Stage
from seodang.tuning.preflight import (
    problems_before_loading,
    require_held_out,
    require_positions,
    stored_positions,
)

NAMED = ("path", "run", "train", "eval", "name_or_path", "tokenizer")
"""Keys that name what a stage reads."""


@dataclass(slots=True)
class Audit:
    """What the check found: facts to print, inputs that are not made yet, and problems."""

    stage: str
    facts: dict[str, str] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)
    """What rows were looked at for, found or not."""
    offenders: Path | None = None
    """The list of rows with findings; None where there are none, or the recipe has no `output_dir`."""
    pending: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The summary: a line per fact, the table of findings, then what is missing, then the problems."""
        lines = [f"  {padded(label(name), 10)} {say(value)}" for name, value in self.facts.items()]
        lines += [f"  {line}" for line in table(self.shares)]
        lines += [say("  rows with findings: {path}", path=self.offenders)] if self.offenders else []
        lines += [say("  not made yet: {text}", text=text) for text in self.pending]
        problems = [say("  PROBLEM: {text}", text=text) for text in self.problems]
        return "\n".join([say("check ({stage}):", stage=self.stage), *lines, *problems])

    def require(self) -> None:
        """Raise CheckFailed where a threshold is broken."""
        if self.problems:
            lines = joined("\n", (Phrase("  {text}", text=text) for text in self.problems))
            raise CheckFailed("The check found problems:\n{lines}", lines=lines)


def table(shares: Sequence[Share]) -> list[str]:
    """The findings as lines of a table, in the user's language."""
    if not shares:
        return []
    heads = [say("finding"), say("rows"), say("share"), say("allowed"), say("first")]
    cells = [
        [label(one.name), f"{one.count:,}", f"{one.value:.1%}", f"{one.limit:.1%}", one.first if one.count else ""]
        for one in shares
    ]
    wide = [max(map(columns, column)) for column in zip(heads, *cells, strict=True)]
    return [
        "  ".join([padded(name, wide[0]), *map(_right, numbers, wide[1:4]), first]).rstrip()
        for name, *numbers, first in [heads, *cells]
    ]


def _right(text: str, width: int) -> str:
    return " " * (width - columns(text)) + text


def check(recipe: Stage, keep: bool = False) -> Audit:
    """Audit a recipe; with `keep` its encoded rows stay in memory for the run that follows.

    Raises the error of what is plainly wrong: a missing file, a template that does not fit, no row left to train on.
    """
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
        _audit_rows(recipe, audit, keep)
    return audit


def missing_runs(recipe: Stage) -> list[str]:
    """The runs that a recipe names and that are not finished."""
    named = dict.fromkeys(_values(recipe.model_dump(mode="json"), ("run",)))
    return [run for run in named if not runs.is_finished(Path(run))]


def _require_files(recipe: Stage) -> None:
    missing = [p for p in _values(recipe.model_dump(mode="json"), ("path", "train", "eval")) if not Path(p).exists()]
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


def _audit_rows(recipe: SFT | DPO, audit: Audit, keep: bool) -> None:
    chat = recipe_chat(recipe)
    findings = Findings(offenders_path(recipe), allowed(recipe.check))
    tally = Tally(chat, findings, has_eval_file="eval" in part_files(recipe.data))
    rows = TrainingRows(chat) if keep else None
    with findings.closing():
        for outcome in outcomes(recipe.data, chat, recipe.reads, order=("eval", "train")):
            tally.see(outcome)
            if rows is not None and not outcome.error:
                rows.add(outcome)
        tally.close()
    audit.offenders = findings.path if findings.written else None
    if not tally.error:
        require_some(tally.ledger, bool(tally.kept["train"]))
        taken = getattr(recipe.adapter, "num_virtual_tokens", 0)
        require_positions(stored_positions(recipe.model), tally.longest, taken)
        require_held_out(recipe.training, tally.kept["eval"])
        if rows is not None:
            remember(recipe, rows)
    _tell(recipe, tally, audit)


def offenders_path(recipe: Stage) -> Path | None:
    """Where the rows with findings are written: beside the run folder, which there may not be yet."""
    return Path(f"{recipe.output_dir}.offenders.jsonl") if recipe.output_dir else None


def _tell(recipe: SFT | DPO, tally: Tally, audit: Audit) -> None:
    """Facts, table and problems of what was counted."""
    audit.facts["rows"] = runs.ledger_line(tally.ledger.close())
    audit.facts["split"] = _split(recipe, tally)
    if tally.lengths:
        audit.facts |= _figures(recipe, tally)
    for number, note in enumerate(tally.chat.notes, 1):
        audit.facts[Phrase("note {number}", number=number)] = note
    audit.shares = [share for share in tally.shares(recipe.check) if share.of]
    audit.problems += [share.problem for share in audit.shares if share.problem]
    density = tally.figures()["chars_per_token"] if tally.lengths else recipe.check.min_chars_per_token
    if density < recipe.check.min_chars_per_token:
        text = "answers have {density:.2f} characters per trained token; `check.min_chars_per_token` is {limit}"
        audit.problems.append(Phrase(text, density=density, limit=recipe.check.min_chars_per_token))
    if tally.error:
        text = "{count:,} rows stop the run, the first of them: {error}"
        audit.problems.append(Phrase(text, count=tally.stopping, error=tally.error.phrase))


def _split(recipe: SFT | DPO, tally: Tally) -> Phrase:
    train, held, share = tally.kept["train"], tally.kept["eval"], recipe.data.eval
    told = Phrase("{train} train, {eval} eval", train=train, eval=held)
    if tally.examples != tally.kept:
        text = "{told}; {train_examples:,} and {eval_examples:,} examples"
        examples = {f"{part}_examples": tally.examples[part] for part in ("train", "eval")}
        told = Phrase(text, told=told, **examples)
    if held or not isinstance(share, float) or not share:
        return told
    text = "{told} (the share {share:g} of {rows} rows held out none)"
    return Phrase(text, told=told, share=share, rows=train)


def _figures(recipe: SFT | DPO, tally: Tally) -> dict[str, Phrase]:
    """What is trained: tokens, lengths, stops, and how the tokenizer writes it."""
    facts = tally.figures()
    low, middle, high = facts["length"]
    text = "{low} … {middle} … {high} tokens (shortest, median, longest; limit {limit})"
    stopped = 1 - tally.findings.counts[STOP] / tally.ledger.kept
    return {
        "tokens": Phrase("{tokens:,} of which trained {trained_tokens:,} ({trained_share:.0%})", **facts),
        "length": Phrase(text, low=low, middle=middle, high=high, limit=recipe.data.max_length),
        "stop": Phrase(
            "trained in {share:.1%} of rows ({stops}); {control_strings} typed control strings kept as text; "
            "{border_cuts} borders cut",
            share=stopped,
            stops=", ".join(tally.chat.renderer.stops),
            **facts,
        ),
        "bos": _bos(tally),
        "text": Phrase(
            "{chars_per_token:.2f} characters per trained token; {byte_share:.1%} of tokens are bytes of split "
            "characters",
            **facts,
        ),
    }


def _bos(tally: Tally) -> Phrase:
    """What stands at the beginning of a row."""
    bos = tally.chat.tokenizer.bos_token
    if not bos:
        return Phrase("the tokenizer has none")
    if not tally.begun:
        return Phrase("the template writes none ({bos})", bos=bos)
    text = "{bos} begins {share:.1%} of rows"
    return Phrase(text, bos=bos, share=tally.begun / tally.ledger.kept)
