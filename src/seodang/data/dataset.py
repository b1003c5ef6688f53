"""What a recipe's `data:` names → records → encoded rows, with a ledger: every row is kept or dropped for a reason.

`training_rows(recipe)` is what `check`, `preview` and the trainers share; the encoding of the last recipe is kept in
the process, so that `run` trains on exactly the rows that its check has counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.chats import make_chat
from seodang.data import formats
from seodang.data.dedup import held_out
from seodang.data.reading import open_records
from seodang.encoding import IGNORED, Chat, Encoded, asks
from seodang.errors import DataError
from seodang.language import Phrase, joined
from seodang.recipe import DPO, SFT, TrainData
from seodang.records import Conversation, Preference, Prompt, Record, Text, turns
from seodang.runs import Ledger
from seodang.tokenization import load_light
from seodang.tuning.specs import locate

READS: dict[str, tuple[type, ...]] = {
    "messages": (Conversation,),
    "preference": (Preference,),
    "prompts": (Conversation, Prompt),
    "answers": (Conversation, Preference),
}
"""What a stage can read → the nouns that serve it."""


@dataclass(slots=True)
class Rows:
    """The records of a recipe's data, and the ledger with those dropped so far; whoever uses a row counts it kept."""

    train: list[Record]
    eval: list[Record]
    ledger: Ledger = field(default_factory=Ledger)


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A preference pair in ids; chosen and rejected each end in their stop."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    source: str = ""

    @property
    def length(self) -> int:
        """Tokens of the longer side with its prompt."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(slots=True)
class TrainingRows:
    """Encoded rows of a recipe with the records they came from, in the same order."""

    chat: Chat
    train: list[Any]
    eval: list[Any]
    records: list[Record]
    ledger: Ledger


def load_rows(data: TrainData, reads: str) -> Rows:
    """Read `data.run` or `data.train` and `data.eval` as records. `reads` is a key of `READS`."""
    rows = Rows([], [])
    if data.run:
        folder = runs.finished_run(data.run, "data.run")
        _require_rows(folder)
        rows.train = _records(folder / runs.TRAIN, data, reads, rows.ledger)
        if (folder / runs.EVAL).exists() and (folder / runs.EVAL).stat().st_size:
            rows.eval = _records(folder / runs.EVAL, data, reads, rows.ledger)
        return rows
    train = _records(Path(str(data.train)), data, reads, rows.ledger)
    if isinstance(data.eval, str):
        rows.train, rows.eval = train, _records(Path(data.eval), data, reads, rows.ledger)
        return rows
    for record in train:
        (rows.eval if held_out(record, data.eval or 0.0) else rows.train).append(record)
    return rows


def _require_rows(folder: Path) -> None:
    if not (folder / runs.TRAIN).exists():
        raise DataError(
            "data.run: the run {path} holds no {name}; it is a `{stage}` run. Name a run that makes rows.",
            path=folder,
            name=runs.TRAIN,
            stage=(runs.manifest(folder) or {}).get("stage", "?"),
        )


def _records(path: Path, data: TrainData, reads: str, ledger: Ledger) -> list[Record]:
    found: list[Record] = []
    wanted = formats.Auto() if data.run else data.format
    for item in open_records(path, wanted, keeps_source=data.run is not None).items:
        if isinstance(item.found, DataError):
            if data.on_error == "stop":
                raise item.found
            ledger.drop(item.reason, item.dropped())
        elif isinstance(item.found, READS[reads]):
            found.append(item.found)
        else:
            raise _another_kind(item.place, item.found, reads)
    return found


def _another_kind(place: str, record: Record, reads: str) -> DataError:
    return DataError(
        "{source}: this stage reads {wanted}, and the row is a {found}. {way_out}",
        source=place,
        wanted=joined(" or ", (_NAMES[noun][1] for noun in READS[reads])),
        found=_NAMES[type(record)][0],
        way_out=_WAY_OUT[reads],
    )


_NAMES: dict[type, tuple[Phrase, Phrase]] = {
    Conversation: (Phrase("conversation"), Phrase("conversations")),
    Preference: (Phrase("preference"), Phrase("preferences")),
    Prompt: (Phrase("prompt"), Phrase("prompts")),
    Text: (Phrase("text"), Phrase("texts")),
}
"""A row, and rows, of every kind that a file can hold."""
_WAY_OUT = {
    "messages": Phrase(
        "Every row needs an answer: `messages` that end with an assistant turn, or instruction and output."
    ),
    "preference": Phrase("It needs `prompt`, `chosen` and `rejected` in every row."),
    "prompts": Phrase("It needs a `prompt` or `messages` in every row."),
    "answers": Phrase("Every row needs an answer to compare with: `messages`, or `prompt`, `chosen` and `rejected`."),
}


def encode_rows(rows: Rows, chat: Chat, data: TrainData) -> TrainingRows:
    """Conversations → training rows under `max_length`; a longer one is dropped and counted, or stops the run."""

    def encode(record: Any) -> tuple[Encoded, int]:
        row = chat.encode(record)
        return row, len(row.input_ids)

    return _encode(rows, chat, data, encode)


def encode_pairs(rows: Rows, chat: Chat, data: TrainData) -> TrainingRows:
    """Preference pairs → ids under `max_length`; pairs whose two sides are one text are dropped and counted."""

    def encode(record: Any) -> tuple[EncodedPair, int]:
        pair = EncodedPair(*chat.encode_preference(record), source=record.source)
        return pair, pair.length

    return _encode(rows, chat, data, encode)


def _encode(rows: Rows, chat: Chat, data: TrainData, encode: Callable[[Any], tuple[Any, int]]) -> TrainingRows:
    found = TrainingRows(chat, [], [], [], rows.ledger)
    for part, records in ((found.train, rows.train), (found.eval, rows.eval)):
        for record in records:
            if not asks(turns(record)):
                rows.ledger.drop("no_question", record.to_row())
                continue
            row, length = encode(record)
            if isinstance(row, EncodedPair) and row.chosen == row.rejected:
                rows.ledger.drop("chosen_equals_rejected", record.to_row())
            elif _fits(length, record, data, rows.ledger):
                part.append(row)
                if part is found.train:
                    found.records.append(record)
    return found


def _fits(length: int, record: Record, data: TrainData, ledger: Ledger) -> bool:
    if length <= data.max_length:
        ledger.keep()
        return True
    if data.over_length == "error":
        raise DataError(
            "{source}: the row has {length} tokens and `data.max_length` is {limit}. Raise it, or write "
            "`data.over_length: drop` to drop and count such rows; an answer is never cut.",
            source=record.source,
            length=length,
            limit=data.max_length,
        )
    ledger.drop("over_length", record.to_row() | {"tokens": length})
    return False


_last: dict[str, TrainingRows] = {}


def training_rows(recipe: SFT | DPO) -> TrainingRows:
    """The encoded rows of an `sft` or `dpo` recipe. Raises DataError where none is left to train on."""
    said = recipe.model_dump(
        mode="json", include={"stage", "model", "template", "template_override", "thinking", "data"}
    )
    key = runs.dump_json([said, _stamps(recipe)])
    if key not in _last:
        _last.clear()
        _last[key] = _training_rows(recipe)
    return _last[key]


def _stamps(recipe: SFT | DPO) -> list[list[Any]]:
    """Size and time of the files behind a recipe's rows, so that a changed file is read again."""
    named = [Path(p) for p in (recipe.data.run, recipe.data.train, recipe.data.eval) if isinstance(p, str)]
    folders = [*named, Path(tokenizer_path(recipe))]
    found = [file for path in folders for file in ([path] if path.is_file() else sorted(path.glob("*.json*")))]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in found if file.is_file()]


def _training_rows(recipe: SFT | DPO) -> TrainingRows:
    chat = recipe_chat(recipe)
    rows = load_rows(recipe.data, recipe.reads)
    encode = encode_pairs if isinstance(recipe, DPO) else encode_rows
    found = encode(rows, chat, recipe.data)
    if not found.train:
        raise DataError(
            "No row is left to train on: {read} read, dropped {dropped}. {way_out}",
            read=found.ledger.read,
            dropped=runs.counted(sorted(found.ledger.dropped.items())),
            way_out=_empty_way_out(found.ledger),
        )
    return found


def _empty_way_out(ledger: Ledger) -> Phrase:
    if "chosen_equals_rejected" in ledger.dropped:
        text = "Where chosen equals rejected there is nothing to prefer; look at the file with `seodang inspect`."
        return Phrase(text)
    if "over_length" in ledger.dropped:
        return Phrase("Raise `data.max_length`.")
    return Phrase("Look at the file with `seodang inspect`.")


def recipe_chat(recipe: SFT | DPO) -> Chat:
    """The chat of a recipe's model and template, without torch."""
    tokenizer = load_light(tokenizer_path(recipe), recipe.model.revision)
    own = recipe.template in (None, "model")
    return make_chat(tokenizer, None if own else recipe.template, recipe.template_override, recipe.thinking)


def tokenizer_path(recipe: Any) -> str:
    """Where the tokenizer of a recipe's model lies: beside the run's or the adapter's weights, or the model's own."""
    named = str(recipe.model.name_or_path)
    if recipe.model.run or (Path(named) / "adapter_config.json").is_file():
        return locate(recipe.model).tokenizer
    return named


def sample_rows(rows: TrainingRows, source: str | None = None) -> list[tuple[str, Encoded]]:
    """One training row to look at, the first or the one with this source: (title, row); a pair is two rows."""
    for index, record in enumerate(rows.records):
        if source is None or record.source == source:
            row = rows.train[index]
            return [("", row)] if isinstance(row, Encoded) else _two_sides(row)
    raise DataError(
        "There is no training row with the source {source}{why}. `--row` takes a source as `file.jsonl:17`.",
        source=source,
        why=_why_not(rows, source),
    )


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
