"""Rows with a label as instructions: a verbaliser puts the question, and the label into a sentence."""

from __future__ import annotations

import string
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from seodang import packaged
from seodang.data import turns
from seodang.data.formats.row_format import RowFormat, conversation
from seodang.data.turns import FORMATS, Row
from seodang.korean.josa import fill
from seodang.language import Phrase
from seodang.records import Message, Record, instruct
from seodang.schema import Schema

LABEL = "label"


class Verbaliser(Schema):
    """One entry of data_formats/verbalisers.yaml; `{column}` in a text is a column of the row, `{label}` the label."""

    ask: str
    about: str = ""
    labels: dict[str, str]
    answer: str

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that its sentences name, short of the label, each once in their order."""
        texts = (self.ask, self.about, self.answer, *self.labels.values())
        found = (name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name)
        return tuple(name for name in dict.fromkeys(found) if name != LABEL)


class Verbalisers(Schema):
    """data_formats/verbalisers.yaml."""

    verbalisers: dict[str, Verbaliser]


@lru_cache(maxsize=1)
def verbalisers() -> dict[str, Verbaliser]:
    """Every verbaliser by its name."""
    return packaged.load(packaged.find(FORMATS, "verbalisers"), Verbalisers).verbalisers


class Classification(RowFormat):
    """A text with a label, as a question and the sentence that answers it. Never found by `auto`."""

    makes: ClassVar[str] = "messages"

    kind: Literal["classification"] = "classification"
    verbaliser: str = ""
    """A name in data_formats/verbalisers.yaml: sentiment, hate, similarity, nli, boolq, copa, topic …"""
    ask: str = ""
    """The question, where it is another than the verbaliser's."""
    about: str = ""
    """What is asked about: `{text}`, or more columns."""
    labels: dict[str, str] = {}
    """Label → its words."""
    answer: str = ""
    """The sentence that answers; `{label}` in it is the label's words, (은/는) the particle that fits."""
    column_mapping: dict[str, str] = {}
    """A name in the sentences → the file's column; without it the column of that name, in any case of its letters;
    `labels.binary-label` is a key of an object."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.verbaliser and self.verbaliser not in verbalisers():
            text = "there is no verbaliser `{name}` (known: {names})"
            raise ValueError(Phrase(text, name=self.verbaliser, names=", ".join(verbalisers())))
        if not self.verbaliser and not (self.ask and self.labels and self.answer):
            names = ", ".join(verbalisers())
            raise ValueError(Phrase("give a `verbaliser` ({names}), or `ask`, `labels` and `answer`", names=names))
        for text in (self.ask, self.about, self.answer, *self.labels.values()):
            _require_names(text)
        return self

    @cached_property
    def sentences(self) -> Verbaliser:
        """The verbaliser with what the recipe says in its place."""
        own = {name: text for name in Verbaliser.model_fields if (text := getattr(self, name))}
        known = verbalisers()[self.verbaliser].model_dump() if self.verbaliser else {"about": "{text}"}
        return Verbaliser.model_validate(known | own)

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation of the question and its answer."""
        found = self.sentences
        values = {name: self._text(row, name, source) for name in found.names}
        label = _label(self._value(row, LABEL, source))
        words = found.labels.get(label)
        if words is None:
            told = "the label {label!r} has no words (known: {known})"
            raise turns.row_error(source, told, label=label, known=", ".join(found.labels))
        values[LABEL] = words.format_map(values)
        asked = instruct(fill(found.ask.format_map(values)), found.about.format_map(values))
        answer = Message("assistant", fill(found.answer.format_map(values)))
        return conversation((asked, answer), {}, source)

    def _value(self, row: Row, name: str, source: str) -> Any:
        column = self.column_mapping.get(name, name)
        if column in row:
            return row[column]
        outer, dot, inner = column.partition(".")
        if dot and isinstance(row.get(outer), dict) and inner in row[outer]:
            return row[outer][inner]
        found = [other for other in row if other.lower() == column.lower()]
        if len(found) != 1:
            told = "the row has no `{column}` (it has {keys}); name it: `column_mapping: {{{name}: …}}`"
            raise turns.row_error(source, told, column=column, keys=", ".join(row), name=name)
        return row[found[0]]

    def _text(self, row: Row, name: str, source: str) -> str:
        text = turns.text_of(self._value(row, name, source))
        if text is None or not text.strip():
            raise turns.row_error(source, "the row has no text in `{column}`", column=name)
        return text.strip()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read, in lower case and as they are mapped."""
        names = {*self.sentences.names, LABEL}
        return frozenset(names | {name.capitalize() for name in names} | set(self.column_mapping.values()))


def _require_names(text: str) -> None:
    """Raise ValueError for braces in a sentence that hold anything but the name of a column."""
    try:
        fields = [field for field in string.Formatter().parse(text) if field[1] is not None]
    except ValueError:
        fields = [("", "", "", None)]
    if any(not name or set(name) & set(".[") or spec or conversion for _, name, spec, conversion in fields):
        told = "braces must hold the name of a column, as in {example}; the text is {text!r:.60}"
        raise ValueError(Phrase(told, example="{text}", text=text))


def _label(value: Any) -> str:
    """A label as the table of labels writes it: `0` for 0, 0.0 and "0   "."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
