"""Kinds of checkable task: one file each in data_tasks/, with what people type, how it is answered, and the facts.

    item = draw_item("number_reading", random.Random(1))
    kind(item.kind).said("{n} 읽는 법", item), kind(item.kind).accept(item) → a prompt, all right answers

The item of a task is trained or held out by its hash, so that no held-out item is ever among the training items.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Self

from pydantic import Field, model_validator

from seodang.errors import DataError
from seodang.korean.josa import fill
from seodang.packaged import find, load, names
from seodang.runs import hash_text
from seodang.schema import Schema
from seodang.tasks.items import FUNCTIONS
from seodang.tasks.slots import Forms, Slots

FOLDER = "data_tasks"
NOT_KINDS = ("everyday", "words")
HELD_OUT = 15
"""Per cent of a kind's items that are held out."""
ENDINGS = {
    "polite": ("{a}입니다", "{a}(이에요/예요)", "{a}요"),
    "casual": ("{a}(이야/야)", "{a}", "{a}(이다/다)", "{a}(이지/지)"),
}
"""A short answer that does not restate the item is right too."""
SAME = (
    ("입니다", "(이에요/예요)", "(이야/야)", "(이다/다)", "(이지/지)"),
    ("씁니다", "써요", "써", "쓴다", "쓰지"),
    ("됩니다", "돼요", "돼", "된다", "되지"),
    ("합니다", "해요", "해", "한다", "하지"),
    ("읽습니다", "읽어요", "읽어", "읽는다", "읽지"),
    ("있습니다", "있어요", "있어", "있다", "있지"),
    ("찾습니다", "찾아요", "찾아", "찾는다", "찾지"),
    ("끝납니다", "끝나요", "끝나", "끝난다", "끝나지"),
)
"""Endings that say the same in another speech level: an answer is right with any of them."""
_WRITTEN_OUT = re.compile(r"(이에요|예요|이야|이다|이지)$")
_SLOT = re.compile(r"\{(\w)\}")


class Prompts(Schema):
    """What people type: 해줘체 and 반말, 해요체, noun phrases, and hasty lines with a slip."""

    plain: tuple[str, ...] = Field(min_length=1)
    polite: tuple[str, ...] = Field(min_length=1)
    nominal: tuple[str, ...] = Field(min_length=1)
    sloppy: tuple[str, ...] = Field(min_length=1)


class Answers(Schema):
    """The same statement in 존댓말 and in 반말."""

    polite: tuple[str, ...] = Field(min_length=1)
    casual: tuple[str, ...] = Field(min_length=1)
    short: tuple[str, ...] = ()
    """Further right answers, which are not trained: the answer without its question."""


class ItemsOf(Schema):
    """Where items come from: the columns of the table in the same file, or a function of `seodang.tasks.items`."""

    table: tuple[str, ...] = ()
    function: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.table) == bool(self.function):
            raise ValueError("give `table` or `function`, one of the two")
        if self.function and self.function not in FUNCTIONS:
            raise ValueError(f"there is no function `{self.function}` (known: {', '.join(FUNCTIONS)})")
        return self


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a kind: its slots, the right forms of the answer, and whether it is held out."""

    kind: str
    slots: dict[str, str]
    forms: Forms
    held_out: bool


class Kind(Schema):
    """A file in data_tasks/."""

    title: str
    items: ItemsOf
    computed: bool
    """The answer follows from the item by a rule; else it is knowledge that stands in the table."""
    classification: bool = False
    twin: str = ""
    """The kind that asks the other way round: what is held out there is held out here."""
    chance: float | None = Field(None, ge=0, le=1)
    """The share that guessing gets right; unset: that of the commonest answer."""
    prompts: Prompts
    answers: Answers
    cues: tuple[str, ...] = ()
    """Prose that names the item and what is done with it, without the answer: it may lead to a fact."""
    facts: tuple[str, ...] = Field(min_length=1)
    rows: tuple[tuple[str | tuple[str, ...], ...], ...] = ()

    @cached_property
    def table(self) -> list[dict[str, Forms]]:
        """The rows, each cell as its forms, the usual one first."""
        cells = ([(cell,) if isinstance(cell, str) else cell for cell in row] for row in self.rows)
        return [dict(zip(self.items.table, row, strict=True)) for row in cells]

    @cached_property
    def _by_slots(self) -> dict[tuple[str, ...], Forms]:
        slots = [name for name in self.items.table if name != "a"]
        return {tuple(row[name][0] for name in slots): row["a"] for row in self.table}

    def solve(self, slots: Slots) -> Forms:
        """The right forms of the answer; empty where the slots are no item of this kind."""
        if self.items.function:
            return FUNCTIONS[self.items.function].solve(slots)
        return self._by_slots.get(tuple(slots[name] for name in self.items.table if name != "a"), ())

    def all_prompts(self) -> tuple[str, ...]:
        """Every phrasing."""
        return (*self.prompts.plain, *self.prompts.polite, *self.prompts.nominal, *self.prompts.sloppy)

    def said(self, pattern: str, item: Item) -> str:
        """A phrasing, answer or fact about this item, with its particles."""
        return self.said_with(pattern, item, item.forms[0])

    def said_with(self, pattern: str, item: Item, form: str) -> str:
        """The same with another of the right forms."""
        return _said(pattern, self.slots_of(item, form))

    def slots_of(self, item: Item, form: str) -> dict[str, str]:
        """All slots that a pattern may name."""
        more = FUNCTIONS[self.items.function].more(item.slots) if self.items.function else {}
        return {**item.slots, **more, "a": form}

    def accept(self, item: Item) -> Forms:
        """Every right answer: all sentences in both registers, all facts and the bare forms, over all right forms."""
        sentences = (*self.answers.polite, *self.answers.casual, *self.facts)
        levelled = (one for pattern in sentences for one in _at_every_level(pattern))
        return tuple(dict.fromkeys((*self.answered(item), *self._all(item, (*self.facts, *levelled)))))

    def answered(self, item: Item) -> Forms:
        """The right answers as the file writes them: its sentences in both registers, and the bare forms."""
        own = (*self.answers.polite, *self.answers.casual, *self.answers.short)
        return self._all(item, (*own, *ENDINGS["polite"], *ENDINGS["casual"]))

    def _all(self, item: Item, patterns: Sequence[str]) -> Forms:
        found = [_said(pattern, self.slots_of(item, form)) for form in item.forms for pattern in patterns]
        return tuple(dict.fromkeys(found))


def _at_every_level(pattern: str) -> Iterator[str]:
    """The sentence with every ending that says the same."""
    text = _WRITTEN_OUT.sub("입니다", pattern.removesuffix("."))
    for endings in SAME:
        for ending in endings:
            if text.endswith(ending):
                yield from (f"{text.removesuffix(ending)}{other}." for other in endings)


def _said(pattern: str, slots: Slots) -> str:
    return fill(_SLOT.sub(lambda found: slots[found[1]], pattern))


@cache
def kind(name: str) -> Kind:
    """The kind of this name. Raises TemplateError where there is none, RecipeError where its file is not one."""
    return load(find(FOLDER, name), Kind)


@cache
def kind_names() -> tuple[str, ...]:
    """Every kind, sorted."""
    return tuple(name for name in names(FOLDER) if name not in NOT_KINDS)


def item(name: str, slots: Slots) -> Item | None:
    """The item with these slots, or None where they make no sense."""
    forms = kind(name).solve(slots)
    return Item(name, dict(slots), forms, is_held_out(name, slots, forms)) if forms else None


def is_held_out(name: str, slots: Slots, forms: Forms) -> bool:
    """Whether the item is one to be asked about only. The order of its parts does not count (크다–작다, 3 + 5)."""
    one = kind(name)
    parts = list(slots.values()) if one.computed or one.classification else [*slots.values(), forms[0]]
    if one.twin:
        name, parts = one.twin, [forms[0]]
    words = " ".join(parts).replace(",", " ").split()
    return int(hash_text(f"{name} {' '.join(sorted(words))}")[:8], 16) % 100 < HELD_OUT


def draw_item(name: str, draw: random.Random, held_out: bool | None = None) -> Item:
    """A random item, of one side where `held_out` says which. Raises DataError where that side has none."""
    one = kind(name)
    for _ in range(10_000):
        if one.items.function:
            slots = dict(FUNCTIONS[one.items.function].draw(draw))
        else:
            row = draw.choice(one.table)
            slots = {column: cell[0] for column, cell in row.items() if column != "a"}
        found = item(name, slots)
        if found and held_out in (None, found.held_out):
            return found
    raise DataError("The task kind {name} has no item of this side (held out: {side}).", name=name, side=held_out)
