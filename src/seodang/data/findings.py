"""What is wrong with rows, found one row at a time: counted, and written to a file of offenders as it is found.

    Vocabulary    what token ids say of a row: bos, bytes of split characters
    faults        what is wrong with one row that is kept
    Findings      counts, first places, and the file of offenders

What is wrong with a row that is dropped, its `Outcome` says.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from seodang.data.filters import PromptEqualsAnswer
from seodang.data.outcomes import EncodedPair, EncodedRow
from seodang.encoding import IGNORED, Chat
from seodang.errors import RunError
from seodang.records import Conversation, Message, Preference, Record
from seodang.runs import dump_json
from seodang.tokenization import added_bos

STOP, BOS, CONTROL, EMPTY = "stop_untrained", "bos", "control_string", "empty_answer"
ECHO, BYTES, DUPLICATE, LEAK = "prompt_equals_answer", "byte_fallback", "duplicate", "leak"
MOSTLY = 0.5
"""A row is spelt in bytes where more than this share of its tokens are bytes of split characters."""
ECHOES = PromptEqualsAnswer()


@dataclass(frozen=True)
class Vocabulary:
    """What the ids of a chat's tokenizer say of a row."""

    chat: Chat

    @cached_property
    def wants_bos(self) -> bool:
        """Whether a row must begin with bos: the tokenizer puts one before a text, and the template is ours.

        A model's own template decides for itself; what it renders is what a server sends.
        """
        return self.chat.renderer.name != "model" and bool(added_bos(self.chat.tokenizer))

    @cached_property
    def split(self) -> bytes:
        """Per id 1 where it is no character: a byte of one, as byte-level and byte-fallback tokenizers have them, or
        the unknown token."""
        backend = self.chat.tokenizer.backend_tokenizer
        size = backend.get_vocab_size(with_added_tokens=True)
        texts = backend.decode_batch([[token] for token in range(size)], skip_special_tokens=False)
        unknown = self.chat.tokenizer.unk_token_id
        return bytes("\ufffd" in text or token == unknown for token, text in enumerate(texts))

    def begins(self, row: EncodedRow) -> bool:
        """Whether a row begins with bos."""
        return all_ids(row)[:1] == [self.chat.tokenizer.bos_token_id]

    def has_bos_fault(self, ids: list[int]) -> bool:
        """Whether bos is missing at the start, doubled, or stands where no turn ended before."""
        bos, stops = self.chat.tokenizer.bos_token_id, self.chat.stop_ids
        if bos is None:
            return False
        if (self.wants_bos and ids[:1] != [bos]) or ids[:2] == [bos, bos]:
            return True
        if bos in stops or ids.count(bos) == (ids[:1] == [bos]):
            return False
        return any(token == bos and before not in stops for before, token in pairwise(ids))

    def split_tokens(self, ids: Sequence[int]) -> int:
        """How many of these tokens are no character of their own."""
        return sum(map(self.split.__getitem__, ids))


def measured(record: Record, row: EncodedRow, vocabulary: Vocabulary) -> Counter[str]:
    """What one row adds to the sums: tokens, trained ones, those that are no character, and characters of answers."""
    ids = all_ids(row)
    return Counter(
        tokens=len(ids),
        trained_tokens=trained_tokens(row),
        split_tokens=vocabulary.split_tokens(ids),
        characters=sum(len(answer.content) for answer in answers_of(record)),
        border_cuts=row.border_cuts,
        control_strings=row.control_strings,
    )


def faults(record: Record, row: EncodedRow, vocabulary: Vocabulary) -> Iterator[str]:
    """What is wrong with one row that is kept, each by its name."""
    ids = row.prompt if isinstance(row, EncodedPair) else row.input_ids
    if vocabulary.has_bos_fault(ids):
        yield BOS
    if not _stops(row, vocabulary.chat.stop_ids):
        yield STOP
    if row.control_strings:
        yield CONTROL
    if not all(answer.content.strip() for answer in answers_of(record)):
        yield EMPTY
    if _echoes(record):
        yield ECHO
    every = all_ids(row)
    if vocabulary.split_tokens(every) > MOSTLY * len(every):
        yield BYTES


def all_ids(row: EncodedRow) -> list[int]:
    """Every id of a row, of a pair both answers behind one prompt."""
    return row.prompt + row.chosen + row.rejected if isinstance(row, EncodedPair) else row.input_ids


def trained_tokens(row: EncodedRow) -> int:
    """How many tokens get a loss; of a pair both answers."""
    if isinstance(row, EncodedPair):
        return len(row.chosen) + len(row.rejected)
    return len(row.labels) - row.labels.count(IGNORED)


def _stops(row: EncodedRow, stops: Sequence[int]) -> bool:
    if isinstance(row, EncodedPair):
        return row.chosen[-1] in stops and row.rejected[-1] in stops
    return row.stop_trained


def answers_of(record: Record) -> list[Message]:
    """The turns that are trained."""
    messages = getattr(record, "messages", ())
    if isinstance(record, Preference):
        messages = record.chosen + record.rejected
    return [message for message in messages if message.role == "assistant" and message.trained is not False]


def _echoes(record: Record) -> bool:
    """Whether the good answer is the turn before it; a rejected one may well be."""
    if isinstance(record, Preference):
        record = Conversation(record.prompt + record.chosen)
    return ECHOES.reason(record) is not None


@dataclass
class Findings:
    """Counts by name, the place of the first, and the open file of offenders.

    Without a path none is written, and never a line of a finding that is `allowed`.
    """

    path: Path | None = None
    allowed: frozenset[str] = frozenset()
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    _file: IO[str] | None = None

    def add(self, name: str, place: str, **said: Any) -> None:
        """Count a finding and write its line."""
        self.counts[name] += 1
        self.first.setdefault(name, place)
        if self.path is None or name in self.allowed:
            return
        if self._file is None:
            self._file = _open(_unfinished(self.path))
        self._file.write(dump_json({"row": place, "reason": name} | said) + "\n")

    @property
    def written(self) -> bool:
        """Whether there are offenders."""
        return self._file is not None

    @contextmanager
    def closing(self) -> Iterator[None]:
        """The file appears whole, in place of an older one, or not at all; without findings there is none."""
        try:
            yield
        except BaseException:
            if self._file and self.path:
                self._file.close()
                _unfinished(self.path).unlink()
            raise
        if self._file and self.path:
            self._file.close()
            os.replace(_unfinished(self.path), self.path)
        elif self.path:
            self.path.unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise RunError(
            "The list of rows with findings cannot be written to {folder}: {why}. Give another `output_dir`; the list "
            "lies beside it.",
            folder=path.parent,
            why=error.strerror or error,
        ) from None
