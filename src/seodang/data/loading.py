"""What a recipe's `data:` names → records, each with the place where it stands, training rows and held-out ones apart.

`read` streams, for an audit that holds no rows; `load_rows` gives lists, for stages that go over them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seodang import runs
from seodang.data import formats
from seodang.data.dedup import held_out
from seodang.data.reading import Item, open_records
from seodang.data.specs import RowData
from seodang.errors import DataError
from seodang.language import Phrase, joined
from seodang.records import Conversation, Preference, Prompt, Record, Text
from seodang.runs import Ledger

Part = Literal["train", "eval"]
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


def load_rows(data: RowData, reads: str) -> Rows:
    """Read `data.run` or `data.train` and `data.eval` as records. `reads` is a key of `READS`.

    Raises DataError for a row that cannot be read, where the recipe does not say `on_error: skip`.
    """
    rows = Rows([], [])
    for part, item in read(data, reads):
        if not isinstance(item.found, DataError):
            (rows.train if part == "train" else rows.eval).append(item.found)
        elif data.on_error == "stop":
            raise item.found
        else:
            rows.ledger.drop(item.reason, item.dropped())
    return rows


def read(data: RowData, reads: str, order: tuple[Part, Part] = ("train", "eval")) -> Iterator[tuple[Part, Item]]:
    """The rows of `data`, file by file in this order; a share held out comes as it stands in its file.

    Raises DataError where a file cannot be read at all, or holds rows of another kind than the stage reads.
    """
    files = part_files(data)
    for part in order:
        if part not in files:
            continue
        for item in _items(files[part], data, reads):
            yield ("eval" if _is_held_out(item, data) else part), item


def _is_held_out(item: Item, data: RowData) -> bool:
    """Whether a row belongs to the share of its file that is held out."""
    share = data.eval
    return isinstance(share, float) and not isinstance(item.found, DataError) and held_out(item.found, share)


def part_files(data: RowData) -> dict[Part, Path]:
    """The file of each part; a share of the training file has none of its own."""
    if data.run is None:
        named = {"train": data.train, "eval": data.eval}
        return {part: Path(path) for part, path in named.items() if isinstance(path, str)}  # type: ignore[misc]
    folder = runs.finished_run(data.run, "data.run")
    files: dict[Part, Path] = {"train": folder / runs.TRAIN}
    if not files["train"].exists():
        raise DataError(
            "data.run: the run {path} holds no {name}; it is a `{stage}` run. Name a run that makes rows.",
            path=folder,
            name=runs.TRAIN,
            stage=(runs.manifest(folder) or {}).get("stage", "?"),
        )
    held = folder / runs.EVAL
    return files | ({"eval": held} if held.exists() and held.stat().st_size else {})


def _items(path: Path, data: RowData, reads: str) -> Iterator[Item]:
    wanted = formats.Auto() if data.run else data.format
    for item in open_records(path, wanted, keeps_source=data.run is not None).items:
        found = item.found
        if not isinstance(found, DataError) and not isinstance(found, READS[reads]):
            raise _another_kind(item.place, found, reads)
        yield item


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
