"""Items about sentences of the everyday grammar."""

from __future__ import annotations

import random
from functools import cache

from seodang.tasks import everyday
from seodang.tasks.slots import Forms, Plain, Slots

MARK = "∨"
"""The proofreading mark for a missing space (교정 부호)."""


class Spacing(Plain):
    """{s} is a sentence without spaces; ∨ marks where they belong: 나는학교에갔다 → 나는∨학교에∨갔다."""

    def draw(self, draw: random.Random) -> Slots:
        return {"s": everyday.sentence(draw, "haera").replace(" ", "")}

    def solve(self, slots: Slots) -> Forms:
        text = everyday.spaced(slots["s"])
        return (text.replace(" ", MARK),) if " " in text else ()


class Copy(Plain):
    """{s} is a short sentence that comes back unchanged."""

    def draw(self, draw: random.Random) -> Slots:
        return {"s": everyday.sentence(draw, draw.choice(("hae", "haeyo", "haera")))}

    def solve(self, slots: Slots) -> Forms:
        return (slots["s"],) if slots["s"] else ()


class Turned(Plain):
    """{s} is an everyday sentence; its verb goes into another form."""

    def __init__(
        self, given: tuple[everyday.Form, ...], wanted: tuple[everyday.Form, ...], tense: everyday.Tense | None = None
    ) -> None:
        self.given, self.wanted, self.tense = given, wanted, tense

    def draw(self, draw: random.Random) -> Slots:
        if self.tense:
            return {"s": everyday.sentence(draw, draw.choice(self.given), "present", any_time=True)}
        return {"s": everyday.sentence(draw, draw.choice(self.given))}

    def solve(self, slots: Slots) -> Forms:
        return everyday.turned(slots["s"], self.given, self.wanted, self.tense)


class DictionaryForm(Plain):
    """{s} is a conjugated verb: 먹었어요 → 먹다."""

    def draw(self, draw: random.Random) -> Slots:
        # 예뻐 and 예쁘다: a form that is the dictionary's own asks nothing
        return {"s": draw.choice([form for form, found in _conjugated() if form != found])}

    def solve(self, slots: Slots) -> Forms:
        return tuple(dict.fromkeys(verb.lemma for verb, _, _ in everyday.by_form().get(slots["s"], ())))


@cache
def _conjugated() -> tuple[tuple[str, str], ...]:
    return tuple((form, found[0][0].lemma) for form, found in everyday.by_form().items())


class Register(Plain):
    """{s} is a sentence in 존댓말 or 반말."""

    def draw(self, draw: random.Random) -> Slots:
        return {"s": everyday.sentence(draw, draw.choice(("haeyo", "hapsyo", "hae", "hae")))}

    def solve(self, slots: Slots) -> Forms:
        found = everyday.by_form().get(slots["s"].split(" ")[-1], ())
        polite = {form in ("haeyo", "hapsyo") for _, form, _ in found}
        return ("존댓말" if polite.pop() else "반말",) if len(polite) == 1 else ()
