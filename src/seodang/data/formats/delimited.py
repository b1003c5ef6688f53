"""Rows that hold a whole dialogue in one text, with a marker before each turn: `### 질문: … ### 답변: …`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator

from seodang import packaged
from seodang.data import turns
from seodang.data.formats.row_format import RowFormat, column_names, conversation, numbered, together
from seodang.data.turns import FORMATS, INPUT, Row
from seodang.language import Phrase
from seodang.records import Message, Record
from seodang.schema import Schema

ENDS = ("<|endoftext|>", "<|im_end|>", "<|eot_id|>", "</s>", "</끝>", "[EOS]", "<eos>")
"""What closes a turn in the texts of some sets, and is no part of it."""


class Layout(Schema):
    """One layout of data_formats/layouts.yaml: the markers of each role."""

    at: Literal["anywhere", "line"] = "anywhere"
    start: str = ""
    unless: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    user: tuple[str, ...]
    input: tuple[str, ...] = ()
    assistant: tuple[str, ...]

    @property
    def markers(self) -> dict[str, str]:
        """Marker → role."""
        return {marker: role for role in ("system", "user", INPUT, "assistant") for marker in getattr(self, role)}


class Layouts(Schema):
    """data_formats/layouts.yaml."""

    layouts: dict[str, Layout]


@lru_cache(maxsize=1)
def layouts() -> dict[str, Layout]:
    """Every layout by its name, in the order of the file."""
    return packaged.load(packaged.find(FORMATS, "layouts"), Layouts).layouts


@lru_cache(maxsize=64)
def _pattern(markers: tuple[str, ...], at: str) -> re.Pattern[str]:
    """Any of the markers; a space in one may be there or not, or stand before its colon (`A :`)."""
    longest = sorted(markers, key=len, reverse=True)
    each = "|".join(re.sub(r"(\\ )+", r"[ \\t]*", re.escape(marker)).replace(":", r"[ \t]*:") for marker in longest)
    return re.compile(rf"(?m)^[ \t]*({each})" if at == "line" else f"({each})")


def _holds(layout: Layout, text: str) -> bool:
    return all(_has_any(markers, layout.at, text) for markers in (layout.user, layout.assistant))


def _has_any(markers: tuple[str, ...], at: str, text: str) -> bool:
    # a word is looked for much faster than a pattern, and most texts have none of the words
    return any(word in text for word in _words(markers)) and _pattern(markers, at).search(text) is not None


@lru_cache(maxsize=64)
def _words(markers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(marker.strip("# :") for marker in markers)


def layout_of(texts: Sequence[str]) -> str | None:
    """The name of the layout that fits most of the texts, the first of equals; None where none fits any of them.

    `<sys>` answers in KoGPT2's layout and is context in heegyu's, where `<bot>` answers: so a `<bot>` in any of the
    texts decides for all of them.
    """
    best, most = None, 0
    for name, layout in layouts().items():
        if any(marker in text for marker in layout.unless for text in texts):
            continue
        count = sum(_holds(layout, text) for text in texts)
        if count > most:
            best, most = name, count
    return best


def split(text: str, markers: Mapping[str, str], at: str, source: str) -> tuple[Message, ...]:
    """The turns of a text by its markers, inputs joined to their questions; what stands before the first is a system
    turn. Raises DataError where there is no marker."""
    parts = _pattern(tuple(markers), at).split(text)
    if len(parts) < 3:
        told = "the text has none of the markers {markers}"
        raise turns.row_error(source, told, markers=", ".join(markers))
    roles = {_bare(marker): role for marker, role in markers.items()}
    found = [Message("system", head)] if (head := parts[0].strip()) else []
    for marker, content in zip(parts[1::2], parts[2::2], strict=True):
        found.append(Message(roles[_bare(marker)], _content(content)))
    return turns.with_inputs(found, source)


def _bare(marker: str) -> str:
    return re.sub(r"\s+", "", marker)


def _content(text: str) -> str:
    text = text.strip()
    while end := next((end for end in ENDS if text.endswith(end)), None):
        text = text[: -len(end)].rstrip()
    return text


class Delimited(RowFormat):
    """A dialogue in one text, with a marker before each turn."""

    makes: ClassVar[str] = "messages"

    kind: Literal["delimited"] = "delimited"
    column: str = "text"
    """The column of the text."""
    layout: str = ""
    """A name in data_formats/layouts.yaml; by default the one that fits."""
    markers: dict[str, Literal["system", "user", "input", "assistant"]] = Field({})
    """Markers of your own, each with its role: `{"### Human:": user, "### Assistant:": assistant}`."""

    @field_validator("layout")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name and name not in layouts():
            text = "there is no layout `{name}` (known: {names})"
            raise ValueError(Phrase(text, name=name, names=", ".join(layouts())))
        return name

    @field_validator("markers")
    @classmethod
    def _are_whole(cls, markers: dict[str, str]) -> dict[str, str]:
        if markers and (not {"user", "assistant"} <= set(markers.values()) or not all(map(str.strip, markers))):
            raise ValueError(Phrase("name a marker of the user and one of the assistant, none of them empty"))
        return markers

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """The dialogues of a text in which a line parts them."""
        text = row.get(self.column)
        start = layouts()[self.layout].start if self.layout else ""
        if not isinstance(text, str) or not start or start not in text:
            yield row, source
            return
        talks = [talk.strip() for talk in text.split(start) if talk.strip()]
        for talk, place in numbered(talks, source):
            yield {**row, self.column: talk}, place

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        text = turns.text_of(row.get(self.column))
        if text is None:
            raise turns.row_error(source, "the row has no `{column}`", column=self.column)
        markers, at = self._markers(text, source)
        messages = turns.answered(split(text, markers, at, source), self.column, source)
        return conversation(messages, row, source)

    def _markers(self, text: str, source: str) -> tuple[Mapping[str, str], str]:
        if self.markers:
            return self.markers, "anywhere"
        name = self.layout or layout_of([text])
        if name is None:
            told = "`{column}` is written in no known layout ({names}); give its `markers`"
            raise turns.row_error(source, told, column=self.column, names=", ".join(layouts()))
        layout = layouts()[name]
        return layout.markers, layout.at

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where a text of the row has the markers of a question and of an answer."""
        return cls.settled([row])

    @classmethod
    def settled(cls, rows: Sequence[Row]) -> Self | None:
        """The column and the layout that fit most of the rows."""
        for column in column_names().text:
            texts = [text for row in rows if isinstance(text := row.get(column), str)]
            if (name := layout_of(texts)) is not None and "label" not in rows[0]:
                return cls(column=column, layout=name)
        return None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return together() | {self.column}
