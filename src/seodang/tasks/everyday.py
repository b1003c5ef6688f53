"""A small grammar of everyday Korean: sentences of known verbs in five forms, and what each form turns into.

The words lie in data_tasks/everyday.yaml. A sentence is [time] subject [phrase] verb, with one space between words.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from seodang.packaged import find, load
from seodang.schema import Schema

Form: TypeAlias = Literal["hae", "haeyo", "hapsyo", "haera"]
Tense: TypeAlias = Literal["present", "past"]

NEAR_TWO = 0.5
"""Share of sentences that begin with a time."""


class Verb(Schema):
    """A predicate: dictionary form, present in 해체, 합쇼체 and 해라체, past stem, and what goes before it."""

    lemma: str
    hae: str
    past: str
    hapsyo: str
    haera: str
    takes: Literal["person", "animal", "thing"] = "person"
    subjects: tuple[str, ...] = ()
    """Subjects of its own, instead of those it takes."""
    phrases: tuple[str, ...] = ("",)

    def said(self, form: Form, tense: Tense) -> str:
        """The verb in this form: 먹어, 먹어요, 먹습니다, 먹는다; 먹었어, 먹었어요, 먹었습니다, 먹었다."""
        if tense == "past":
            return self.past + {"hae": "어", "haeyo": "어요", "hapsyo": "습니다", "haera": "다"}[form]
        return {"hae": self.hae, "haeyo": f"{self.hae}요", "hapsyo": self.hapsyo, "haera": self.haera}[form]


class Time(Schema):
    """A time that a sentence may begin with."""

    text: str
    tense: Literal["past", "present", "any"] = "any"


class Subjects(Schema):
    """Who or what acts, with its particle."""

    person: tuple[str, ...] = Field(min_length=1)
    animal: tuple[str, ...] = Field(min_length=1)
    thing: tuple[str, ...] = Field(min_length=1)


class Everyday(Schema):
    """data_tasks/everyday.yaml."""

    verbs: tuple[Verb, ...] = Field(min_length=1)
    subjects: Subjects
    times: tuple[Time, ...]
    mentions: tuple[str, ...]
    """What an item {x} appears in before something is said of it."""
    topics: tuple[str, ...]
    """What is being learnt: {t} is the title of a kind of task."""
    paragraphs: tuple[str, ...]

    @model_validator(mode="after")
    def _verbs_once(self) -> Self:
        names = [verb.lemma for verb in self.verbs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"verbs stand twice: {', '.join(twice)}")
        return self


@cache
def everyday() -> Everyday:
    """The grammar, read once."""
    return load(find("data_tasks", "everyday"), Everyday)


@cache
def by_form() -> dict[str, list[tuple[Verb, Form, Tense]]]:
    """Every conjugated word → the verbs, forms and tenses it can be."""
    found: dict[str, list[tuple[Verb, Form, Tense]]] = {}
    forms: tuple[Form, ...] = ("hae", "haeyo", "hapsyo", "haera")
    tenses: tuple[Tense, ...] = ("present", "past")
    for verb in everyday().verbs:
        for form in forms:
            for tense in tenses:
                found.setdefault(verb.said(form, tense), []).append((verb, form, tense))
    return found


def sentence(draw: random.Random, form: Form, tense: Tense | None = None, any_time: bool = False) -> str:
    """A sentence without its full stop; `any_time` leaves out times such as 지금, which go with one tense only."""
    grammar = everyday()
    verb = draw.choice(grammar.verbs)
    often_past: tuple[Tense, ...] = ("present", "past", "past")
    chosen: Tense = tense if tense else draw.choice(often_past)
    subject = draw.choice(verb.subjects or getattr(grammar.subjects, verb.takes))
    fitting = ("any",) if any_time else ("any", chosen)
    times = [time.text for time in grammar.times if time.tense in fitting]
    time = draw.choice(times) if draw.random() < NEAR_TWO else ""
    return " ".join(filter(None, (time, subject, draw.choice(verb.phrases), verb.said(form, chosen))))


def turned(text: str, given: tuple[Form, ...], wanted: tuple[Form, ...], tense: Tense | None = None) -> tuple[str, ...]:
    """The sentence with its verb in the `wanted` forms (and `tense`), where it stands in one of the `given` ones."""
    *before, last = text.split(" ")
    found = [
        verb.said(form, tense or its_tense)
        for verb, its_form, its_tense in by_form().get(last, ())
        if its_form in given and (tense is None or its_tense != tense)
        for form in wanted
    ]
    return tuple(dict.fromkeys(" ".join([*before, word]) for word in found))


@cache
def _words() -> frozenset[str]:
    grammar = everyday()
    subjects = [*grammar.subjects.person, *grammar.subjects.animal, *grammar.subjects.thing]
    phrases = [phrase for verb in grammar.verbs for phrase in (*verb.phrases, *verb.subjects)]
    pieces = [*subjects, *phrases, *(time.text for time in grammar.times), *by_form()]
    return frozenset(word for piece in pieces for word in piece.split())


def spaced(text: str) -> str:
    """A sentence of the grammar written without spaces, with them; "" where its words are not known."""
    best: list[list[str] | None] = [[]] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            before, word = best[start], text[start:end]
            # fewer words win: 할머니가 is not 할 머니가
            shorter = before is not None and (best[end] is None or len(before) + 1 < len(best[end] or ()))
            if shorter and word in _words():
                best[end] = [*(before or ()), word]
    return " ".join(best[-1] or ())
