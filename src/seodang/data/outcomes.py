"""What becomes of every row of a recipe's data, in one pass that holds a batch at a time: encoded, or why not.

    read → asks something? → encoded in batches → fits `max_length`, or is made to fit → kept or dropped for a reason

`training_rows` collects what comes out of here, and the audit counts it, so that both see the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from seodang.data.loading import Part, read
from seodang.data.over_length import Turns, parted, shortened, trains
from seodang.data.reading import Item
from seodang.data.specs import TrainData
from seodang.encoding import Chat, Encoded, asks
from seodang.errors import DataError, SeodangError
from seodang.records import Conversation, Message, Preference, Record, turns

BATCH = 256
"""Rows encoded at once: enough to keep two cores busy, few enough to be a small part of the memory."""
OVER_LENGTH, EQUAL_SIDES, NO_QUESTION, REFUSED = "over_length", "chosen_equals_rejected", "no_question", "refused"
TRUNCATED, SPLIT, PART_LOST = "truncated", "split", "over_length_part"


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A preference pair in ids; chosen and rejected each end in their stop."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    source: str = ""
    control_strings: int = 0
    border_cuts: int = 0

    @property
    def length(self) -> int:
        """Tokens of the longer side with its prompt."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


EncodedRow = Encoded | EncodedPair


def length_of(row: EncodedRow) -> int:
    """Tokens of a row as the trainer counts it; of a pair, those of the longer side."""
    return row.length if isinstance(row, EncodedPair) else len(row.input_ids)


@dataclass(slots=True)
class Outcome:
    """What became of one row. It is kept where `kept` holds something, else dropped for `reason`."""

    part: Part
    item: Item
    length: int = 0
    """Tokens of the row before it was made to fit; 0 where it was not encoded."""
    kept: list[tuple[Record, EncodedRow]] = field(default_factory=list)
    """What is trained on, each with its record: the row's own, what was left of it, or its parts."""
    reason: str = ""
    fault: str = ""
    """What is wrong with a row that cannot be read or rendered, in English."""
    error: SeodangError | None = None
    """What stops a run at this row; the audit goes on and counts it."""
    made_to_fit: str = ""
    """`truncated` or `split` where the row was longer than `max_length`."""
    lost: list[Record] = field(default_factory=list)
    """Parts of a split conversation that are too long by themselves."""

    @property
    def record(self) -> Record | None:
        """The record as it was read; None where the row could not be read."""
        return None if isinstance(self.item.found, DataError) else self.item.found

    def dropped(self) -> dict[str, Any]:
        """The entry for dropped.jsonl."""
        if self.record is None:
            return self.item.dropped()
        tokens = {"tokens": self.length} if self.reason == OVER_LENGTH else {}
        return self.record.to_row() | tokens | ({"error": self.fault} if self.fault else {})


def outcomes(
    data: TrainData, chat: Chat, reads: str, order: tuple[Part, Part] = ("train", "eval")
) -> Iterator[Outcome]:
    """What becomes of every row of `data`, in the order of its files.

    Raises DataError where a file cannot be read at all, or holds rows of another kind than the stage `reads`.
    """
    items = read(data, reads, order)
    while batch := [Outcome(part, item) for part, item in islice(items, BATCH)]:
        yield from settle(batch, chat, data)


def settle(batch: Sequence[Outcome], chat: Chat, data: TrainData) -> Sequence[Outcome]:
    """Fill in what becomes of these rows; returns them."""
    asked: list[tuple[Outcome, Record]] = []
    for outcome in batch:
        found = outcome.item.found
        if isinstance(found, DataError):
            _refuse(outcome, outcome.item.reason, found, data)
        elif not asks(turns(found)):
            outcome.reason = NO_QUESTION
        else:
            asked.append((outcome, _masked(found, data)))
    encoded = encode(chat, [record for _, record in asked])
    for (outcome, record), rows in zip(asked, encoded, strict=True):
        if isinstance(rows, SeodangError):
            _refuse(outcome, REFUSED, rows, data)
        else:
            _place(outcome, record, rows, _Fitting(chat, record, data))
    return batch


def _masked(record: Record, data: TrainData) -> Record:
    """The record with its earlier assistant turns as context, where only the last one is to be trained."""
    if data.trained_turns == "every" or not isinstance(record, Conversation):
        return record
    *earlier, _last = [n for n, message in enumerate(record.messages) if message.role == "assistant"] or [0]
    given = {n for n in earlier if record.messages[n].trained is None}
    kept = (replace(m, trained=False) if n in given else m for n, m in enumerate(record.messages))
    return replace(record, messages=tuple(kept))


def _refuse(outcome: Outcome, reason: str, error: SeodangError, data: TrainData) -> None:
    """A row that cannot be read or rendered stops the run, unless the recipe says to skip it."""
    outcome.reason = reason
    outcome.fault = outcome.item.fault or error.phrase
    outcome.error = error if data.on_error == "stop" else None


def encode(chat: Chat, records: Sequence[Record]) -> Iterator[list[EncodedRow] | SeodangError]:
    """The rows of every record, or the error that it is; a record is a Conversation or a Preference."""
    encoded = chat.encode_many(side for record in records for side in _sides(chat, record))
    for record in records:
        if isinstance(record, Preference):
            yield _paired(chat, record, next(encoded), next(encoded))
        else:
            rows = next(encoded)
            yield rows if isinstance(rows, SeodangError) else list(rows)


def _sides(chat: Chat, record: Record) -> Sequence[Conversation]:
    if isinstance(record, Preference):
        return chat.sides(record)
    assert isinstance(record, Conversation)
    return (record,)


def _paired(
    chat: Chat, pair: Preference, chosen: list[Encoded] | SeodangError, rejected: list[Encoded] | SeodangError
) -> list[EncodedRow] | SeodangError:
    if isinstance(chosen, SeodangError):
        return chosen
    if isinstance(rejected, SeodangError):
        return rejected
    good, bad = chosen[-1], rejected[-1]
    try:
        ids = chat.paired(pair, good, bad)
    except SeodangError as error:
        return error
    typed, cuts = max(good.control_strings, bad.control_strings), max(good.border_cuts, bad.border_cuts)
    return [EncodedPair(*ids, source=pair.source, control_strings=typed, border_cuts=cuts)]


def _place(outcome: Outcome, record: Record, rows: list[EncodedRow], fitting: _Fitting) -> None:
    """Keep encoded rows, make them fit, or drop them."""
    outcome.length = max(map(length_of, rows))
    if any(isinstance(row, EncodedPair) and row.chosen == row.rejected for row in rows):
        outcome.reason = EQUAL_SIDES
    elif outcome.length <= fitting.data.max_length:
        outcome.kept = [(record, row) for row in rows]
    else:
        fitting.make_fit(outcome)
        outcome.reason = "" if outcome.kept else OVER_LENGTH


@dataclass(frozen=True, slots=True)
class _Fitting:
    """One record that is too long, and what the recipe says of such."""

    chat: Chat
    record: Record
    data: TrainData

    def make_fit(self, outcome: Outcome) -> None:
        """Fill in what is kept of the record, and what is lost."""
        way = self.data.over_length
        if way == "error":
            outcome.error = _too_long(self.record.source, outcome.length, self.data.max_length)
        elif way == "truncate_prompt":
            left = shortened(self._turns(), self.fits)
            outcome.kept = self._encoded([left] if left else [])
            outcome.made_to_fit = TRUNCATED if left else ""
        elif way == "split_turns":
            good, lost = parted(self._turns(), self.fits)
            outcome.kept = self._encoded(good)
            outcome.lost = [self._with(part) for part in lost] if good else []
            outcome.made_to_fit = SPLIT if good else ""

    def fits(self, messages: Turns) -> bool:
        """Whether the record with these turns is short enough."""
        if not trains(messages):  # a conversation is measured as if it were trained
            messages = tuple(replace(message, trained=None) for message in messages)
        rows = next(encode(self.chat, [self._with(messages)]))
        return not isinstance(rows, SeodangError) and max(map(length_of, rows)) <= self.data.max_length

    def _turns(self) -> Turns:
        if isinstance(self.record, Preference):
            return (*self.record.prompt, _ANSWER)
        return turns(self.record)

    def _with(self, messages: Turns) -> Record:
        if isinstance(self.record, Preference):
            return replace(self.record, prompt=messages[:-1])
        assert isinstance(self.record, Conversation)
        return replace(self.record, messages=messages)

    def _encoded(self, found: Sequence[Turns]) -> list[tuple[Record, EncodedRow]]:
        records = [self._with(messages) for messages in found]
        encoded = zip(records, encode(self.chat, records), strict=True)
        return [(record, row) for record, rows in encoded if not isinstance(rows, SeodangError) for row in rows]


_ANSWER = Message("assistant", "")
"""Stands for the two answers of a pair while its prompt is made shorter."""


def _too_long(source: str, length: int, limit: int) -> DataError:
    return DataError(
        "{source}: the row has {length} tokens and `data.max_length` is {limit}. Raise it, or write "
        "`data.over_length: drop` to drop and count such rows; an answer is never cut.",
        source=source,
        length=length,
        limit=limit,
    )
