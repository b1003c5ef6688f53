"""What every kind of item stands on: its slots, the forms of its answer, and the words of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from pydantic import Field

from seodang.korean import jamo
from seodang.packaged import find, load
from seodang.schema import Schema
from seodang.tasks import everyday

Slots: TypeAlias = Mapping[str, str]
Forms: TypeAlias = tuple[str, ...]


class Words(Schema):
    """data_tasks/words.yaml."""

    nouns: tuple[str, ...] = Field(min_length=1)


@cache
def nouns() -> tuple[str, ...]:
    """Everyday nouns, Hangul only."""
    return load(find("data_tasks", "words"), Words).nouns


@cache
def written() -> str:
    """The nouns in one string: a syllable drawn from it comes as often as it is written."""
    return "".join(nouns())


@cache
def syllables() -> tuple[str, ...]:
    """Every syllable of the nouns and of the verbs, sorted."""
    text = "".join(nouns()) + "".join(everyday.by_form())
    return tuple(sorted({letter for letter in text if jamo.is_syllable(letter)}))


def number_in(text: str, low: int, high: int) -> int | None:
    """The number that the text is, where it lies between the two; digits only, no zero in front."""
    return int(text) if re.fullmatch(r"[1-9]\d{0,5}", text) and low <= int(text) <= high else None


def is_hangul(word: str) -> bool:
    """Whether the word is made of Hangul syllables alone."""
    return bool(word) and all(map(jamo.is_syllable, word))


class Plain:
    """An item without further slots."""

    def more(self, slots: Slots) -> Slots:
        """Nothing."""
        return {}
