"""How a row is written: one class per format, each with `parse(row, source) -> Record`, and `auto`, which decides.

    alpaca              {"instruction", "input"?, "output"}             → Conversation
    messages            {"messages": [{"role", "content"}, …]}          → Conversation
    sharegpt            {"conversations": [{"from", "value"}, …]}       → Conversation
    prompt_completion   {"prompt", "completion"}                        → Conversation
    pair                {"prompt", "chosen", "rejected"}                → Preference
    prompt              {"prompt"}                                      → Prompt
    text                {"text"}                                        → Text

All turns are kept, a role that is not in `ROLE_NAMES` is an error, and so is a row without the answer it should have.
Columns that a format does not name (id, url, …) never become part of a prompt.

To add one: a class with `parse`, `fits` and `columns`, and its name in the union at the bottom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from seodang import records
from seodang.data import turns
from seodang.data.turns import Row
from seodang.errors import DataError
from seodang.language import Phrase, joined
from seodang.records import Conversation, Message, Preference, Record
from seodang.schema import Schema, by_name

_COLUMNS = {
    "instruction": ("instruction", "question", "prompt", "query", "질문", "지시문"),
    "input": ("input", "context", "입력", "맥락"),
    "output": ("output", "response", "answer", "답변", "응답"),
}


def _conversation(messages: tuple[Message, ...], row: Row, source: str) -> Conversation:
    accept, task = row.get("accept"), row.get("task")
    forms = tuple(form for form in accept if isinstance(form, str)) if isinstance(accept, list) else ()
    return Conversation(turns.with_system(messages, row), source, forms, task if isinstance(task, str) else "")


class Alpaca(Schema):
    """An instruction, an optional input, and the answer (Taori et al. 2023), whatever the columns are called."""

    makes: ClassVar[str] = "messages"

    kind: Literal["alpaca"] = "alpaca"
    instruction: str = "instruction"
    """The column of the instruction."""
    input: str = "input"
    """The column of the input; `""`, null, `입력없음` and `<noinput>` in it mean that there is none."""
    output: str = "output"
    """The column of the answer."""

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation; turns in `history` ([[question, answer], …]) and a `system` text come first."""
        instruction, answer = turns.text_of(row.get(self.instruction)), turns.text_of(row.get(self.output))
        if instruction is None:
            raise turns.row_error(source, "the row has no `{column}`", column=self.instruction)
        if answer is None or not answer.strip():
            what = Phrase("missing") if answer is None else Phrase("empty")
            raise turns.row_error(source, "the row has no answer: `{column}` is {what}", column=self.output, what=what)
        asked = turns.question(instruction, row.get(self.input))
        messages = (*turns.history_of(row.get("history"), source), asked, Message("assistant", answer))
        return _conversation(messages, row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format with the row's own column names, where the row has an instruction and a place for an answer."""
        named = {key: next((name for name in names if name in row), None) for key, names in _COLUMNS.items()}
        if not isinstance(row.get(named["instruction"] or ""), str):
            return None
        if named["output"] is None or not isinstance(row[named["output"]], str | None):
            return None
        return cls(**{key: name for key, name in named.items() if name})

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({self.instruction, self.input, self.output, "history", "system", "accept", "task"})


class Messages(Schema):
    """A list of turns with role and content, as transformers and TRL write it; this project's own shape too."""

    makes: ClassVar[str] = "messages"
    columns: ClassVar[frozenset[str]] = frozenset({"messages", "system", "accept", "task"})

    kind: Literal["messages"] = "messages"

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        return _conversation(turns.dialogue_of(row, "messages", source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a list `messages`."""
        return cls() if isinstance(row.get("messages"), list) else None


class ShareGPT(Schema):
    """A list of turns with from and value (human, gpt), as ShareGPT and Vicuna write it."""

    makes: ClassVar[str] = "messages"
    columns: ClassVar[frozenset[str]] = frozenset({"conversations", "system", "accept", "task"})

    kind: Literal["sharegpt"] = "sharegpt"

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        return _conversation(turns.dialogue_of(row, "conversations", source), row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a list `conversations` and no pair of answers beside it."""
        return cls() if isinstance(row.get("conversations"), list) and "chosen" not in row else None


class PromptCompletion(Schema):
    """A prompt and its completion, as texts or as turns (TRL's prompt-completion)."""

    makes: ClassVar[str] = "messages"
    columns: ClassVar[frozenset[str]] = frozenset({"prompt", "completion", "system", "accept", "task"})

    kind: Literal["prompt_completion"] = "prompt_completion"

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        prompt = turns.side_of(row, "prompt", source, "user")
        completion = turns.answer_of(row, "completion", source)
        return _conversation(prompt + completion, row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has both columns and no `label` that says whether the completion is good."""
        return cls() if "prompt" in row and "completion" in row and "label" not in row else None


class Pair(Schema):
    """A prompt with a chosen and a rejected answer: texts, turns, lists of turns, or beside ShareGPT turns."""

    makes: ClassVar[str] = "preference"
    columns: ClassVar[frozenset[str]] = frozenset(
        {"prompt", "instruction", "input", "question", "conversations", "chosen", "rejected", "system"}
    )

    kind: Literal["pair"] = "pair"

    def parse(self, row: Row, source: str) -> Record:
        """A Preference. Where both answers are whole conversations, the turns that they share are the prompt."""
        chosen = turns.answer_of(row, "chosen", source)
        rejected = turns.answer_of(row, "rejected", source)
        prompt = self._prompt(row, source)
        shared = _shared(chosen, rejected)
        if shared and prompt != shared:
            prompt = shared if shared[-len(prompt) :] == prompt else prompt + shared
        if not prompt:
            raise turns.row_error(source, "the row has no `{column}`", column="prompt")
        return Preference(turns.with_system(prompt, row), chosen[len(shared) :], rejected[len(shared) :], source)

    def _prompt(self, row: Row, source: str) -> tuple[Message, ...]:
        if "conversations" in row:
            return turns.turns_of(row, "conversations", source)
        if isinstance(row.get("instruction"), str):
            return (turns.question(row["instruction"], row.get("input")),)
        name = next((name for name in ("prompt", "question") if row.get(name) is not None), None)
        return turns.side_of(row, name, source, "user") if name else ()

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has both answers."""
        return cls() if "chosen" in row and "rejected" in row else None


def _shared(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> tuple[Message, ...]:
    """The turns with which both sides begin, short of their last answers."""
    both = zip(chosen[:-1], rejected[:-1], strict=False)
    return tuple(left for left, _ in takewhile(lambda pair: pair[0] == pair[1], both))


class Chosen(Pair):
    """The better side of a preference pair, as a conversation: SFT on `chosen`. Never found by `auto`."""

    makes: ClassVar[str] = "messages"

    kind: Literal["chosen"] = "chosen"  # type: ignore[assignment]

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation of the prompt and the chosen answer."""
        pair = super().parse(row, source)
        assert isinstance(pair, Preference)
        return Conversation((*pair.prompt, *pair.chosen), source)


class PromptOnly(Schema):
    """A prompt that waits for an answer."""

    makes: ClassVar[str] = "prompt"
    columns: ClassVar[frozenset[str]] = frozenset({"prompt", "system"})

    kind: Literal["prompt"] = "prompt"

    def parse(self, row: Row, source: str) -> Record:
        """A Prompt."""
        return records.Prompt(turns.with_system(turns.side_of(row, "prompt", source, "user"), row), source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a prompt and nothing that could be its answer."""
        answers = {"chosen", "rejected", "completion", "messages", "conversations", "label", *_COLUMNS["output"]}
        return cls() if isinstance(row.get("prompt"), str | list) and not answers & row.keys() else None


class Text(Schema):
    """Plain text without turns, for tokenizers and pretraining."""

    makes: ClassVar[str] = "text"
    columns: ClassVar[frozenset[str]] = frozenset({"text"})

    kind: Literal["text"] = "text"

    def parse(self, row: Row, source: str) -> Record:
        """A Text."""
        text = turns.text_of(row.get("text"))
        if text is None:
            raise turns.row_error(source, "the row has no `{column}`", column="text")
        return records.Text(text, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has a text and no label for it."""
        return cls() if isinstance(row.get("text"), str) and "label" not in row else None


class Auto(Schema):
    """Decided from many rows, and refused where none or two of the others fit."""

    kind: Literal["auto"] = "auto"

    def parse(self, row: Row, source: str) -> Record:
        """The record of one row, decided from this row alone; over a file, `settle` decides once."""
        return decide([row], source).parse(row, source)


Known = Alpaca | Messages | ShareGPT | PromptCompletion | Pair | Chosen | PromptOnly | Text
Format = Annotated[Auto | Known, Field(discriminator="kind"), by_name]

_KNOWN: tuple[type[Known], ...] = (Alpaca, Messages, ShareGPT, PromptCompletion, Pair, PromptOnly, Text)
MOST, FEW = 0.5, 0.1
"""A format fits a file where it fits more than `MOST` of the rows looked at, and where less than `FEW` of them are
rows of another one. The rows that it does not fit are named one by one when they are read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which format a file has, and why: how many of the rows looked at each format fits."""

    format: Known
    fits: dict[str, int]
    looked_at: int
    unread: tuple[str, ...]
    """Columns that the format does not read."""

    def __str__(self) -> str:
        return str(self.phrase)

    @property
    def phrase(self) -> Phrase:
        """The evidence: `alpaca (12 of 12 rows fit; not read: id)`."""
        unread = Phrase("; not read: {columns}", columns=", ".join(self.unread)) if self.unread else ""
        kind, told = self.format.kind, "{kind} ({fit} of {rows} rows fit{unread})"
        return Phrase(told, kind=kind, fit=self.fits.get(kind, 0), rows=self.looked_at, unread=unread)


def settle(wanted: Format, rows: Sequence[Row], where: str = "the rows") -> Decision:
    """The format to read rows with: the one that is wanted, or for `auto` the only one that fits `rows`.

    Raises DataError, naming the columns, where none fits or two do.
    """
    found = [{form.kind: form for form in (kind.fits(row) for kind in _KNOWN) if form} for row in rows]
    fits: Counter[str] = Counter(kind for forms in found for kind in forms)
    if isinstance(wanted, Auto):
        fitting = [kind for kind, count in fits.items() if count > MOST * len(rows)]
        others = sum(bool(forms) and fitting[0] not in forms for forms in found) if fitting else 0
        if len(fitting) != 1 or others >= FEW * len(rows):
            raise _undecided(rows, fits, fitting if not others else [], where)
        # An optional column may be missing in most rows, so the names are taken from all columns together.
        fitted = [row for row, forms in zip(rows, found, strict=True) if fitting[0] in forms]
        joined = {name: row[name] for row in reversed(fitted) for name in row}
        wanted = next(form for form in (kind.fits(joined) for kind in _KNOWN) if form and form.kind == fitting[0])
    columns = dict.fromkeys(name for row in rows for name in row)
    return Decision(wanted, dict(fits), len(rows), tuple(name for name in columns if name not in wanted.columns))


def decide(rows: Sequence[Row], where: str = "the rows") -> Known:
    """The only format that fits `rows`. Raises DataError where none fits or two do."""
    return settle(Auto(), rows, where).format


def _undecided(rows: Sequence[Row], fits: Counter[str], fitting: list[str], where: str) -> DataError:
    columns = Counter(name for row in rows for name in row)
    kinds = " · ".join(kind.model_fields["kind"].default for kind in _KNOWN)
    if fitting:
        what = Phrase("{formats} both fit", formats=joined(" and ", fitting))
    else:
        told = "{kind} fits {count} of {rows} rows"
        some = [Phrase(told, kind=kind, count=count, rows=len(rows)) for kind, count in fits.most_common()]
        fits_none = Phrase("no known format fits")
        what = Phrase("{what} ({some})", what=fits_none, some=joined(", ", some)) if some else fits_none
    return DataError(
        "{where}: {what}. The columns are {columns}. Name the format with `format:` ({kinds}); for an alpaca file "
        "with other column names: `format: {{kind: alpaca, instruction: …, output: …}}`.",
        where=where,
        what=what,
        columns=", ".join(columns) or Phrase("none"),
        kinds=kinds,
    )
