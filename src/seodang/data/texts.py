"""Plain texts for the stages that read them, `tokenizer` and `pretrain`: read, counted, and split by content."""

from __future__ import annotations

from dataclasses import dataclass, field

from seodang.data import formats
from seodang.data.dedup import held_out
from seodang.data.sources import read_rows
from seodang.data.specs import TextData
from seodang.errors import DataError
from seodang.records import Text
from seodang.runs import Ledger


@dataclass(slots=True)
class Texts:
    """Texts to train on and texts held out; every row of the file is one of them or in the ledger's dropped rows."""

    train: list[str] = field(default_factory=list)
    eval: list[str] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


def read_texts(data: TextData) -> Texts:
    """The texts of `data.train`; rows of white space are dropped. Raises DataError for a row without a text.

    A text is held out by the hash of its content, so that adding rows reshuffles nothing.
    """
    found = Texts()
    for row, source in read_rows(data.train):
        if isinstance(row, DataError):
            raise row
        record = formats.Text().parse(row, source)
        assert isinstance(record, Text)
        if not record.text.strip():
            found.ledger.drop("empty", record.to_row())
            continue
        found.ledger.keep()
        (found.eval if held_out(record, data.eval) else found.train).append(record.text)
    if not found.train:
        raise DataError(
            "{path}: no text is left to train on ({read} rows read, {held_out} held out). Give more text, or write "
            "`data.eval: 0`.",
            path=data.train,
            read=found.ledger.read,
            held_out=len(found.eval),
        )
    return found
