"""Items about words, syllables and the letters they are made of."""

from __future__ import annotations

import random

from seodang.korean import jamo
from seodang.korean.josa import josa
from seodang.tasks.slots import Forms, Plain, Slots, is_hangul, nouns, written

COUNTED = (*"한두세네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")


class _OfWord:
    def draw(self, draw: random.Random) -> Slots:
        return {"w": draw.choice(nouns())}

    def more(self, slots: Slots) -> Slots:
        return {}


class Josa(_OfWord):
    """Which particle of a pair follows {w}: 사과 → 를."""

    def __init__(self, pair: str) -> None:
        self.pair = pair

    def solve(self, slots: Slots) -> Forms:
        return (josa(slots["w"], self.pair),) if is_hangul(slots["w"]) else ()

    def more(self, slots: Slots) -> Slots:
        return {"j": slots["w"] + josa(slots["w"], self.pair)}


class FinalConsonant(_OfWord):
    """Whether the last syllable of {w} has a final consonant: 있 or 없, as a stem."""

    def solve(self, slots: Slots) -> Forms:
        if not is_hangul(slots["w"]):
            return ()
        return ("있" if jamo.final_consonant(slots["w"][-1]) else "없",)

    def more(self, slots: Slots) -> Slots:
        return {"l": slots["w"][-1]}


class JamoSplit(Plain):
    """{s} is a syllable: 강 → ㄱ, ㅏ, ㅇ."""

    def draw(self, draw: random.Random) -> Slots:
        return {"s": draw.choice(written())}

    def solve(self, slots: Slots) -> Forms:
        return (", ".join(jamo.split(slots["s"])),) if jamo.is_syllable(slots["s"]) else ()


class JamoJoin(Plain):
    """{j} are letters: ㄱ, ㅏ, ㅇ → 강."""

    def draw(self, draw: random.Random) -> Slots:
        return {"j": ", ".join(jamo.split(draw.choice(written())))}

    def solve(self, slots: Slots) -> Forms:
        try:
            return (jamo.join(*slots["j"].split(", ")),)
        except ValueError:
            return ()


class Initials(_OfWord):
    """The first letters of the syllables of {w}: 학교 → ㅎㄱ."""

    def solve(self, slots: Slots) -> Forms:
        return (jamo.initials(slots["w"]),) if is_hangul(slots["w"]) else ()


class SyllableCount(_OfWord):
    """How many letters (글자) {w} has: 학교 → 두 글자."""

    def draw(self, draw: random.Random) -> Slots:
        length = draw.randint(2, 4)
        return {"w": draw.choice([word for word in nouns() if len(word) == length])}

    def solve(self, slots: Slots) -> Forms:
        count = len(slots["w"])
        if not is_hangul(slots["w"]) or count > len(COUNTED):
            return ()
        return f"{COUNTED[count - 1]} 글자", f"{count}글자", f"{count}"


class LastLetter(_OfWord):
    """The last syllable of {w}."""

    def solve(self, slots: Slots) -> Forms:
        return (slots["w"][-1],) if is_hangul(slots["w"]) else ()


class Reverse(_OfWord):
    """{w} from the back: 나무 → 무나."""

    def solve(self, slots: Slots) -> Forms:
        return (slots["w"][::-1],) if is_hangul(slots["w"]) and len(slots["w"]) > 1 else ()
