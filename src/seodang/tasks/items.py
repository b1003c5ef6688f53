"""What the computed kinds of task are about: draw an item, and work out the right forms of its answer from the slots.

To add one: a class with `draw` and `solve`, and its name in `FUNCTIONS`. `solve` gives no form where the slots make no
sense, so that it also judges tasks that a model proposed.
"""

from __future__ import annotations

import random
from typing import Protocol

from seodang.tasks.number_items import (
    ClockTime,
    CountThings,
    Date,
    Larger,
    NativeAge,
    NumberOf,
    Parity,
    SinoNumber,
    SortNumbers,
    Successor,
    Weekday,
)
from seodang.tasks.sentence_items import Copy, DictionaryForm, Register, Spacing, Turned
from seodang.tasks.slots import Forms, Slots
from seodang.tasks.word_items import (
    FinalConsonant,
    Initials,
    JamoJoin,
    JamoSplit,
    Josa,
    LastLetter,
    Reverse,
    SyllableCount,
)


class Items(Protocol):
    """One computed kind of item."""

    def draw(self, draw: random.Random) -> Slots:
        """The slots of an item."""

    def solve(self, slots: Slots) -> Forms:
        """The right forms of the answer, the usual one first; empty where the slots make no sense."""

    def more(self, slots: Slots) -> Slots:
        """Further slots that follow from the item, for facts and answers."""


FUNCTIONS: dict[str, Items] = {
    "sino_number": SinoNumber(),
    "number_of": NumberOf(),
    "native_age": NativeAge(),
    "count_things": CountThings(),
    "clock_time": ClockTime(),
    "date": Date(),
    "weekday": Weekday(),
    "successor": Successor(),
    "larger": Larger(),
    "sort_numbers": SortNumbers(),
    "parity": Parity(),
    "josa_object": Josa("을/를"),
    "josa_subject": Josa("이/가"),
    "josa_with": Josa("과/와"),
    "final_consonant": FinalConsonant(),
    "jamo_split": JamoSplit(),
    "jamo_join": JamoJoin(),
    "initials": Initials(),
    "syllable_count": SyllableCount(),
    "last_letter": LastLetter(),
    "reverse": Reverse(),
    "spacing": Spacing(),
    "copy": Copy(),
    "to_polite": Turned(("hae",), ("haeyo", "hapsyo")),
    "to_casual": Turned(("haeyo", "hapsyo"), ("hae", "haera")),
    "past_tense": Turned(("haera",), ("haera",), "past"),
    "dictionary_form": DictionaryForm(),
    "register": Register(),
}
"""Name in a task file → what draws and solves its items."""
