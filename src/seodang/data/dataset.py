"""The encoded rows of a recipe, in memory: what `preview` shows and the trainers train on, with the ledger of all rows.

The encoding of the last recipe is kept in the process, so that `run` trains on exactly the rows that its check has
counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.chats import make_chat
from seodang.data.outcomes import EQUAL_SIDES, OVER_LENGTH, PART_LOST, EncodedPair, Outcome, outcomes
from seodang.data.specs import TrainData
from seodang.encoding import IGNORED, Chat, Encoded
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.recipe import DPO, SFT
from seodang.records import Record
from seodang.runs import Ledger
from seodang.served import require_trained_template
from seodang.tokenization import load_light
from seodang.tuning.specs import locate


@dataclass(slots=True)
class TrainingRows:
    """Encoded rows of a recipe with the records they came from, in the same order.

    A conversation that became several rows stands in `records` once for each; the ledger counts it as one row.
    """

    chat: Chat
    train: list[Any] = field(default_factory=list)
    eval: list[Any] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    held_out: list[Record] = field(default_factory=list)
    """The records of `eval`, in its order."""
    ledger: Ledger = field(default_factory=Ledger)
    lengths: Counter[int] = field(default_factory=Counter)
    """Tokens of a row before it was made to fit → how many training and held-out rows have them."""
    made_to_fit: Counter[str] = field(default_factory=Counter)
    """`truncated` and `split` → rows; `over_length_part` → parts of split conversations that were lost."""

    def add(self, outcome: Outcome) -> None:
        """Keep what became of a row. Raises its error where it stops the run."""
        if outcome.error:
            raise outcome.error
        if outcome.length:
            self.lengths[outcome.length] += 1
        if outcome.reason:
            self.ledger.drop(outcome.reason, outcome.dropped())
            return
        self.ledger.keep()
        (self.train if outcome.part == "train" else self.eval).extend(row for _, row in outcome.kept)
        records = self.records if outcome.part == "train" else self.held_out
        records += [record for record, _ in outcome.kept]
        self.made_to_fit[outcome.made_to_fit] += bool(outcome.made_to_fit)
        self.made_to_fit[PART_LOST] += len(outcome.lost)
        self.ledger.rows += [{"reason": PART_LOST} | record.to_row() for record in outcome.lost]

    def over_length(self, mode: str) -> dict[str, Any]:
        """The `over_length` entry of a report: the mode, and how many rows it met in which way."""
        dropped = {"dropped": self.ledger.dropped.get(OVER_LENGTH, 0)}
        return {"mode": mode} | dropped | {name: count for name, count in self.made_to_fit.items() if count}

    def warnings(self) -> list[str]:
        """What is no error and yet to be known of these rows, a sentence each."""
        typed = sum(bool(row.control_strings) for row in self.train)
        text = (
            "{rows:,} training rows hold typed control strings. Here they stay text, in training and whenever the "
            "model is asked; other servers do not do this yet and read them as control tokens."
        )
        return [Phrase(text, rows=typed)] if typed else []


_last: dict[str, TrainingRows] = {}


def training_rows(recipe: SFT | DPO) -> TrainingRows:
    """The encoded rows of an `sft` or `dpo` recipe.

    Raises DataError where none is left to train on, and the error of a row that stops the run.
    """
    rows = _last.get(_key(recipe))
    if rows is None:
        rows = _training_rows(recipe)
        remember(recipe, rows)
    return rows


def remember(recipe: SFT | DPO, rows: TrainingRows) -> None:
    """Keep these as the rows of a recipe, in place of the last recipe's."""
    _last.clear()
    _last[_key(recipe)] = rows


def _key(recipe: SFT | DPO) -> str:
    """What the rows of a recipe depend on."""
    said = recipe.model_dump(
        mode="json", include={"stage", "model", "template", "template_override", "thinking", "data"}
    )
    return runs.dump_json([said, _stamps(recipe)])


def _stamps(recipe: SFT | DPO) -> list[list[Any]]:
    """Size and time of the files behind a recipe's rows, so that a changed file is read again."""
    named = [Path(p) for p in (recipe.data.run, recipe.data.train, recipe.data.eval) if isinstance(p, str)]
    folders = [*named, Path(tokenizer_path(recipe))]
    found = [file for path in folders for file in ([path] if path.is_file() else sorted(path.glob("*.json*")))]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in found if file.is_file()]


def _training_rows(recipe: SFT | DPO) -> TrainingRows:
    found = collect(recipe.data, recipe_chat(recipe), recipe.reads)
    require_some(found.ledger, bool(found.train))
    return found


def collect(data: TrainData, chat: Chat, reads: str) -> TrainingRows:
    """Every row of `data`, encoded or dropped. `reads` is a key of `loading.READS`.

    Raises the error of a row that stops the run.
    """
    found = TrainingRows(chat)
    for outcome in outcomes(data, chat, reads):
        found.add(outcome)
    return found


def require_some(ledger: Ledger, is_any_left: bool) -> None:
    """Raise DataError where no row is left to train on."""
    if not is_any_left:
        raise DataError(
            "No row is left to train on: {read} read, dropped {dropped}. {way_out}",
            read=ledger.read,
            dropped=runs.counted(sorted(ledger.dropped.items())),
            way_out=_empty_way_out(ledger),
        )


def _empty_way_out(ledger: Ledger) -> Phrase:
    if EQUAL_SIDES in ledger.dropped:
        text = "Where chosen equals rejected there is nothing to prefer; look at the file with `seodang inspect`."
        return Phrase(text)
    if OVER_LENGTH in ledger.dropped:
        return Phrase("Raise `data.max_length`.")
    return Phrase("Look at the file with `seodang inspect`.")


def recipe_chat(recipe: SFT | DPO) -> Chat:
    """The chat of a recipe's model and template, without torch.

    Raises TemplateError where the template of the run that the recipe continues was changed since.
    """
    path = tokenizer_path(recipe)
    tokenizer = load_light(path, recipe.model.revision)
    require_trained_template(path, tokenizer)
    own = recipe.template in (None, "model")
    return make_chat(tokenizer, None if own else recipe.template, recipe.template_override, recipe.thinking)


def tokenizer_path(recipe: Any) -> str:
    """Where the tokenizer of a recipe's model lies: beside the run's or the adapter's weights, or the model's own."""
    named = str(recipe.model.name_or_path)
    if recipe.model.run or (Path(named) / "adapter_config.json").is_file():
        return locate(recipe.model).tokenizer
    return named


MOST_SHOWN = 8
"""Of so many rows with one source there is something to see; a generator may name one source for thousands."""


def sample_rows(rows: TrainingRows, source: str | None = None) -> list[tuple[str, Encoded]]:
    """The first training row to look at, or those with this source: (title, row).

    A pair is two rows, and a conversation that was split is several.
    """
    sources = (record.source for record in rows.records)
    found = [row for name, row in zip(sources, rows.train, strict=True) if name == source]
    found = rows.train[:1] if source is None else found[:MOST_SHOWN]
    if not found:
        raise DataError(
            "There is no training row with the source {source}{why}. `--row` takes a source as `file.jsonl:17`.",
            source=source,
            why=_why_not(rows, source),
        )
    if isinstance(found[0], EncodedPair):
        return _two_sides(found[0])
    if len(found) == 1:
        return [("", found[0])]
    title = "{number} of {count} with this source"
    return [(Phrase(title, number=number, count=len(found)), row) for number, row in enumerate(found, 1)]


def _two_sides(pair: EncodedPair) -> list[tuple[str, Encoded]]:
    unseen = [IGNORED] * len(pair.prompt)
    sides = (("chosen", pair.chosen), ("rejected", pair.rejected))
    return [(title, Encoded(pair.prompt + ids, unseen + ids, source=pair.source)) for title, ids in sides]


def _why_not(rows: TrainingRows, source: str | None) -> Phrase:
    dropped = next((row["reason"] for row in rows.ledger.rows if row.get("source") == source), None)
    if dropped:
        return Phrase(": it is dropped ({reason})", reason=dropped)
    is_held_out = any(row.source == source for row in rows.eval)
    return Phrase(": it is held out for evaluation") if is_held_out else Phrase("")
