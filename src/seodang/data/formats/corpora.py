"""Dialogues between people as the public corpora of Korea hold them: AI Hub's header and body, NIKL's utterances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, Self

from seodang.data import turns
from seodang.data.formats.row_format import RowFormat, conversation, numbered
from seodang.data.turns import Row
from seodang.records import Conversation, Record


def _conversation(said: Sequence[Any], keys: tuple[str, tuple[str, ...]], answers: str, source: str) -> Conversation:
    """A conversation of utterances; `keys` are where one keeps its speaker, and where it may keep its text."""
    speaker, texts = keys
    spoken = []
    for number, utterance in enumerate(said, 1):
        found = utterance if isinstance(utterance, dict) else {}
        name = turns.text_of(found.get(speaker))
        text = next((text for key in texts if (text := turns.text_of(found.get(key))) is not None), None)
        if name is None or text is None:
            told = "utterance {number} has no `{speaker}` or no `{text}`"
            raise turns.row_error(source, told, number=number, speaker=speaker, text=texts[0])
        if text.strip():
            spoken.append((name, text))
    if len({name for name, _ in spoken}) < 2:
        raise turns.row_error(source, "fewer than two people speak in it")
    messages = turns.spoken(spoken, answers, source)
    return conversation(turns.answered(messages, texts[0], source), {}, source)


class AIHub(RowFormat):
    """A dialogue of AI Hub: `header.dialogueInfo` beside the utterances in `body`, or a file's list `data` of them."""

    makes: ClassVar[str] = "messages"

    kind: Literal["aihub"] = "aihub"
    answers: str = ""
    """The participantID who is the assistant; by default who has the last word."""

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """The dialogues of a document."""
        data = turns.listed(row.get("data"))
        yield from numbered(data, source) if data and "header" not in row else [(row, source)]

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation; what a participant says in a row is one turn."""
        said = _body(row)
        if said is None:
            raise turns.row_error(source, "`body` must be a list of utterances")
        return _conversation(said, ("participantID", ("utterance",)), self.answers, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row, or the first one in `data`, has a header and a body."""
        data = turns.listed(row.get("data"))
        first = data[0] if data and "header" not in row else row
        return cls() if isinstance(first, dict) and "header" in first and _body(first) is not None else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({"header", "body", "data"})


def _body(row: Row) -> list[Any] | None:
    body = row.get("body")
    return turns.listed(body.get("dialogue") if isinstance(body, dict) else body)


class NIKL(RowFormat):
    """A dialogue of the National Institute of Korean Language: `document[].utterance[].{form, speaker_id}`."""

    makes: ClassVar[str] = "messages"

    kind: Literal["nikl"] = "nikl"
    answers: str = ""
    """The speaker_id who is the assistant; by default who has the last word."""

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """The documents of a file."""
        documents = turns.listed(row.get("document"))
        yield from numbered(documents, source) if documents else [(row, source)]

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation; what a speaker says in a row is one turn."""
        said = turns.listed(row.get("utterance")) if isinstance(row, dict) else None
        if said is None:
            raise turns.row_error(source, "`utterance` must be a list of utterances")
        return _conversation(said, ("speaker_id", ("form", "original_form")), self.answers, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row, or its first document, has a list of utterances."""
        documents = turns.listed(row.get("document"))
        first = documents[0] if documents else row
        return cls() if isinstance(first, dict) and turns.listed(first.get("utterance")) is not None else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return frozenset({"document", "utterance"})
