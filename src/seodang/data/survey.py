"""What is in a file, in one pass: columns, lengths, scripts, defects, samples. `inspect` shows it, `init` uses it.

Here too: the sources of a `prepare` recipe as `prepare` opens them, so that its check reads what its run will read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.data.containers import Container
from seodang.data.dedup import DedupIndex
from seodang.data.files import nfc
from seodang.data.filters import Empty, EndsWithColon, PromptEqualsAnswer
from seodang.data.formats import Decision
from seodang.data.hub import open_hub
from seodang.data.judge import judge
from seodang.data.reading import MALFORMED, UNREADABLE, Item, Reading, open_records, read_records
from seodang.data.sources import Rows, open_rows
from seodang.data.specs import Source
from seodang.errors import DataError
from seodang.korean.register import is_polite
from seodang.korean.script import Shares, shares
from seodang.language import Phrase
from seodang.records import Conversation, Labelled, Preference, Record, Text, Unpaired, turns

FILTERS = (Empty(), PromptEqualsAnswer(), EndsWithColon())
"""What is counted as a defect; counting drops nothing."""
SAMPLE = 2000
"""At least so many records are kept, evenly over the file, for what is too slow to do on all."""
SHOWN = 3
KOREAN = 0.3
"""Share of Hangul among the letters of a Korean text; code and foreign words make up much of some answers."""


@dataclass(slots=True)
class Sample:
    """Every n-th record, n growing as the file goes on."""

    records: list[Record] = field(default_factory=list)
    stride: int = 1
    seen: int = 0

    def add(self, record: Record) -> None:
        """Keep the record if its turn has come."""
        if self.seen % self.stride == 0:
            self.records.append(record)
        self.seen += 1
        if len(self.records) > 2 * SAMPLE:
            self.records = self.records[::2]
            self.stride *= 2


@dataclass(slots=True)
class Survey:
    """What one pass over a file found. Lengths are characters."""

    path: Path
    source: Rows
    """The path as it was opened: what its files are, and with which evidence."""
    decision: Decision | None = None
    undecided: str = ""
    """Why no format was chosen; empty where one was."""
    rows: int = 0
    columns: dict[str, Counter[str]] = field(default_factory=dict)
    """Column → how often it holds which type."""
    prompts: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    defects: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    """Defect → where it was met first."""
    repairs: Counter[str] = field(default_factory=Counter)
    shown: list[Mapping[str, Any]] = field(default_factory=list)
    sample: Sample = field(default_factory=Sample)

    @property
    def container(self) -> Container:
        """What the file is; of many, the first."""
        return self.source.container

    @property
    def unusable(self) -> int:
        """Rows that are no record at all, which `prepare` stops at by default."""
        return self.defects[UNREADABLE] + self.defects[MALFORMED]

    def note(self, defect: str, place: str) -> None:
        """Count a defect."""
        self.defects[defect] += 1
        self.first.setdefault(defect, place)

    def scripts(self) -> Shares:
        """Shares of the scripts in the sampled answers."""
        return shares("\n".join(text for record in self.sample.records for text in answers_of(record)))

    def languages(self) -> dict[str, int]:
        """How many of the sampled answers are Korean, English, another language, or have no letters."""
        return dict(Counter(language_of(text) for record in self.sample.records for text in answers_of(record)))

    def politeness(self) -> dict[str, int]:
        """How many of the sampled answers end politely, plainly, or without a sentence ending."""
        found = Counter(is_polite(text) for record in self.sample.records for text in answers_of(record))
        return {"polite": found[True], "plain": found[False], "none": found[None]}


def survey(path: str | Path) -> Survey:
    """Look at every row of a file. Raises DataError only where the file cannot be read at all, or none of its rows."""
    found = Survey(Path(path), open_rows(path))
    index = DedupIndex()
    for item in _items(found):
        found.rows += 1
        if len(found.shown) < SHOWN and item.row is not None:
            found.shown.append(item.row)
        for name, value in (item.row or {}).items():
            found.columns.setdefault(name, Counter())[_type(value)] += 1
        if isinstance(item.found, DataError):
            if item.row is None or found.decision:
                found.note(item.reason, item.fault)
        else:
            _judge(item.found, item.place, found, index)
    if found.rows == found.defects[UNREADABLE]:
        raise DataError("{why}", why=found.undecided)
    return found


def _items(found: Survey) -> Iterator[Item]:
    """The rows as records; where no format can be decided, as they are."""
    try:
        reading = read_records(found.source)
    except DataError as error:
        found.undecided = error.phrase
        found.source = open_rows(found.path)
        for row, place in found.source:
            yield Item(row if isinstance(row, DataError) else error, place, None if isinstance(row, DataError) else row)
        return
    found.decision = reading.decision
    yield from reading.items


def _judge(record: Record, place: str, found: Survey, index: DedupIndex) -> None:
    record, repairs, reason = judge(record, FILTERS)
    found.repairs.update(repairs)
    earlier = index.add(record)
    if reason:
        found.note(reason, place)
    if earlier:
        found.note("duplicate", Phrase("{place} repeats {earlier}", place=place, earlier=earlier))
    answers = answers_of(record)
    found.answers += [len(text) for text in answers]
    if messages := turns(record):
        found.prompts.append(sum(len(message.content) for message in messages) - sum(map(len, answers)))
    found.sample.add(record)


def answers_of(record: Record) -> list[str]:
    """Every text that a model would be trained to write; the text itself where there are no turns."""
    if isinstance(record, (Text, Labelled)):
        return [record.text]
    if isinstance(record, Conversation):
        return [message.content for message in record.messages if message.role == "assistant"]
    if isinstance(record, Preference):
        return [message.content for message in record.chosen + record.rejected]
    return [message.content for message in record.completion] if isinstance(record, Unpaired) else []


def language_of(text: str) -> str:
    """The language that most letters of a text tell: `ko`, `en` (any in Latin letters), `other`, or `none`."""
    found = shares(text)
    if not found.letters:
        return "none"
    return "ko" if found.hangul >= KOREAN else "en" if found.latin > max(found.han, found.kana) else "other"


def _type(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    names = {str: "text", bool: "bool", int: "number", float: "number", list: "list", dict: "object"}
    return names.get(type(value), type(value).__name__)


def percentiles(values: Sequence[int]) -> dict[str, int]:
    """p5, p50, p95, p99 and the largest; empty for no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    ranks = {"p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(rank * len(ordered)))] for name, rank in ranks.items()}


def named(sources: Sequence[Source]) -> list[tuple[Source, str]]:
    """Each source with the name of its places: that of its file, its path where two share one, its run or its set."""
    names = [os.path.basename(nfc(source.path or "").rstrip("/")) for source in sources]
    files = Counter(name for name in names if name)
    return [
        (source, source.hub.name if source.hub else str(source.run or (source.path if files[name] > 1 else name)))
        for source, name in zip(sources, names, strict=True)
    ]


def open_source(source: Source, name: str) -> Reading:
    """A source of `prepare`, open. Raises DataError where it cannot be read, or its run holds no rows."""
    if source.hub:
        return read_records(open_hub(source.hub), source.format)
    if source.path:
        return open_records(source.path, source.format, name)
    path = runs.finished_run(str(source.run), "sources.run") / runs.TRAIN
    if not path.exists():
        raise DataError(
            "sources: the run {run} holds no {file}. Name a run that makes rows (prepare, generate, pairs).",
            run=source.run,
            file=runs.TRAIN,
        )
    return open_records(path, source.format, f"{name}/{path.name}", keeps_source=True)
