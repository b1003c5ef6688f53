"""Rows whose columns are an instruction, perhaps an input, and the answer, whatever their names; seeds too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from seodang.data import turns
from seodang.data.formats.row_format import RowFormat, column_names, conversation, first_of, numbered, together
from seodang.data.turns import Row
from seodang.errors import DataError
from seodang.language import Phrase
from seodang.records import Message, Record


def _missing(row: Row, column: str, source: str) -> DataError:
    keys = ", ".join(map(str, row))
    return turns.row_error(source, "the row has no `{column}` (it has {keys:.200})", column=column, keys=keys)


def _answer(row: Row, column: str, source: str) -> Message:
    answer = turns.text_of(row.get(column))
    if answer is None or not answer.strip():
        what = Phrase("missing") if answer is None else Phrase("empty")
        raise turns.row_error(source, "the row has no answer: `{column}` is {what}", column=column, what=what)
    return Message("assistant", answer)


class Alpaca(RowFormat):
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
        """A Conversation; turns in `history` ([[question, answer], …]) and a system text come first."""
        instruction = turns.text_of(row.get(self.instruction))
        if instruction is None:
            raise _missing(row, self.instruction, source)
        answer = _answer(row, self.output, source)
        asked = turns.question(instruction, row.get(self.input))
        messages = (*turns.history_of(row.get("history"), source), asked, answer)
        return conversation(messages, row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format with the row's own column names, where the row has an instruction and a place for an answer."""
        known = column_names()
        instruction, output = first_of(known.instruction, row), first_of(known.output, row)
        given = first_of(known.input, row)
        if instruction is None and given == "input":
            # lcw99/evolve-instruct and CounselGPT call the question itself `input`
            instruction, given = given, ""
        if not isinstance(row.get(instruction or ""), str) or output is None:
            return None
        if not isinstance(row[output], str | None):
            return None
        names = {"instruction": instruction, "input": given, "output": output}
        return cls(**{key: name for key, name in names.items() if name is not None})

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return together() | {self.instruction, self.input, self.output, "history"}


class ByColumns(RowFormat):
    """Named columns, for rows whose names nobody knows: `{kind: columns, instruction: 질의, output: 답변}`."""

    makes: ClassVar[str] = "messages"

    kind: Literal["columns"] = "columns"
    instruction: str
    """The column of the question. A name may hold anything, commas too."""
    output: str
    """The column of the answer."""
    input: str | tuple[str, ...] = ()
    """The column or columns of what the question is about; several are joined by an empty line."""
    system: str = ""
    """The column of a system text, where it is not called system or system_prompt."""

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation of one question and its answer."""
        instruction = turns.text_of(row.get(self.instruction))
        if instruction is None:
            raise _missing(row, self.instruction, source)
        if self.output not in row:
            raise _missing(row, self.output, source)
        asked = turns.question(instruction, "\n\n".join(self._given(row)))
        return conversation((asked, _answer(row, self.output, source)), row, source, self.system)

    def _given(self, row: Row) -> Iterator[str]:
        for name in self._inputs:
            text = (turns.text_of(row.get(name)) or "").strip()
            if text.lower() not in turns.NO_INPUT:
                yield text

    @property
    def _inputs(self) -> tuple[str, ...]:
        return (self.input,) if isinstance(self.input, str) else self.input

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return together() | {self.instruction, self.output, self.system, *self._inputs}


class Instances(RowFormat):
    """Seed tasks of self-instruct (Wang et al. 2022): an instruction with a list of inputs and outputs, a row each."""

    makes: ClassVar[str] = "messages"

    kind: Literal["instances"] = "instances"

    def expand(self, row: Row, source: str) -> Iterator[tuple[Row, str]]:
        """A row for each instance: the task's own columns with the instance's input and output."""
        instances = turns.listed(row.get("instances"))
        if not instances or not all(isinstance(instance, dict) for instance in instances):
            yield row, source
            return
        task = {name: value for name, value in row.items() if name != "instances"}
        for instance, place in numbered(instances, source):
            yield task | {"input": instance.get("input"), "output": instance.get("output")}, place

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation of one instance."""
        if "instances" in row:
            if len(parts := list(self.expand(row, source))) != 1 or "instances" in parts[0][0]:
                text = "`instances` must be a list of objects with input and output"
                raise turns.row_error(source, text)
            row = parts[0][0]
        return Alpaca().parse(row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has an instruction and a list of instances."""
        is_list = turns.listed(row.get("instances")) is not None
        return cls() if isinstance(row.get("instruction"), str) and is_list else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return together() | {"instruction", "instances"}


class PromptCompletion(RowFormat):
    """A prompt and its completion, as texts or as turns (TRL's prompt-completion)."""

    makes: ClassVar[str] = "messages"

    kind: Literal["prompt_completion"] = "prompt_completion"

    def parse(self, row: Row, source: str) -> Record:
        """A Conversation that ends with an answer."""
        prompt = turns.side_of(row, "prompt", source, "user")
        completion = turns.answer_of(row, "completion", source)
        return conversation(prompt + completion, row, source)

    @classmethod
    def fits(cls, row: Row) -> Self | None:
        """This format, where the row has both columns and no `label` that says whether the completion is good."""
        return cls() if "prompt" in row and "completion" in row and "label" not in row else None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that are read."""
        return together() | {"prompt", "completion"}
