"""Is a proposed task new? Exact ROUGE-L against all seeds and all accepted tasks, in units that work on Hangul.

With beta = 1, ROUGE-L F1 = 2·LCS/(m+n) is `Indel.normalized_similarity` of rapidfuzz (bit-parallel, C++): the measure
of Self-Instruct (Wang et al. 2023, arXiv:2212.10560), some two thousand times faster. Its reference tokeniser keeps
`[a-z0-9]` alone: two identical Korean sentences score 0.0 there, and two unrelated ones that share "100" score 1.0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from seodang.korean.morphemes import content_words
from seodang.schema import Schema

THRESHOLDS = {"syllable": 0.75, "jamo": 0.8, "eojeol": 0.7, "word": 0.7, "morpheme": 0.7}
"""Unit → the score from which two tasks are the same.

Measured on KorSTS-test and KLUE-STS-dev: of pairs rated as different (at most 2 of 5), 3.0 % and 0 % reach syllable
0.75, and 1.1 % and 0 % once slot variants are set apart; at 0.65 it is 9.6 % and 3.8 %. Of 5,000 real Korean prompts
1.7 % have a neighbour at 0.75, nearly all of them the same question again; 0.85 would let three quarters of these pass.
Jamo behave alike at 0.8. Morphemes without particles and endings, at 0.7, tell most apart: 0.4 % and 0 % once slot
variants are set apart, while they find 51 % and 33 % of the pairs rated 4.5 or more. The paper's 0.7 is for words.
Data of another kind may need a `threshold` of its own.
"""

ALIKE = 0.5
"""Two words more similar than this are one with another ending or spelling, not two fillings of a slot."""
UNSCORABLE, NOT_NOVEL = "unscorable", "not_novel"


class Novelty(Schema):
    """How a proposal is compared with what there is."""

    unit: Literal["syllable", "jamo", "eojeol", "word", "morpheme"] = "syllable"
    """`syllable`: letters and digits without spaces; `jamo`: the same, decomposed; `eojeol`: what stands between
    spaces; `word`: runs of letters and digits; `morpheme`: dictionary forms without particles and endings, which needs
    the extra `[ko]`."""
    threshold: float | None = Field(None, gt=0, le=1)
    """A proposal with a neighbour at or above it is not novel; unset takes the unit's own."""

    @property
    def limit(self) -> float:
        """The threshold in force."""
        return THRESHOLDS[self.unit] if self.threshold is None else self.threshold


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is empty where the text is new; `score` and `nearest` say what it was closest to."""

    reason: str
    score: float
    nearest: str


class NoveltyIndex:
    """All texts so far. Decisions depend on the order in which texts are added, on nothing else."""

    def __init__(self, novelty: Novelty, texts: Iterable[str] = ()) -> None:
        self.novelty = novelty
        self.texts: list[str] = []
        self._units: list[str] = []
        self._codes: dict[str, str] = {}
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Make a text one that later ones are compared with. One without letters or digits has nothing to compare."""
        units = self._encode(text)
        if units:
            self.texts.append(text)
            self._units.append(units)

    def nearest(self, text: str) -> tuple[float, str]:
        """(ROUGE-L F1, text) of the closest one, the first of equals; (0.0, "") where there is none."""
        from rapidfuzz import process
        from rapidfuzz.distance import Indel

        found = process.extractOne(self._encode(text), self._units, scorer=Indel.normalized_similarity)
        return (0.0, "") if found is None else (found[1], self.texts[found[2]])

    def check(self, text: str) -> Verdict:
        """New, or why not: `not_novel` with the nearest text that it repeats, `unscorable` without letters or digits.

        Neighbours that differ only in the filling of a slot (`is_slot_variant`) do not make a text old.
        """
        from rapidfuzz import process
        from rapidfuzz.distance import Indel

        units, limit = self._encode(text), self.novelty.limit - 1e-9
        if not units:
            return Verdict(UNSCORABLE, 0.0, "")
        score, nearest = self.nearest(text)
        if score < limit:
            return Verdict("", score, nearest)
        # rapidfuzz 3.14.6 loses scores that equal its cutoff (0.6 at 0.6), so it is given a lower one.
        close = process.extract(
            units, self._units, scorer=Indel.normalized_similarity, score_cutoff=limit - 0.01, limit=None
        )
        for _, same, at in close:
            if same >= limit and not is_slot_variant(text, self.texts[at]):
                return Verdict(NOT_NOVEL, same, self.texts[at])
        return Verdict("", score, nearest)

    def _encode(self, text: str) -> str:
        """The text's units as characters, words under a character of their own, so that one scorer serves all units."""
        found = units(text, self.novelty.unit)
        if self.novelty.unit in ("syllable", "jamo"):
            return "".join(found)
        return "".join(self._codes.setdefault(word, chr(len(self._codes))) for word in found)


def units(text: str, unit: str) -> list[str]:
    """The units that are compared, in lower case and NFC (NFD for jamo); punctuation and spaces are none.

    Raises ModelError for morphemes where their analyser is not installed.
    """
    text = unicodedata.normalize("NFC", text).lower()
    if unit == "morpheme":
        return content_words(text)
    if unit == "word":
        return re.findall(r"\w+", text)
    if unit == "eojeol":
        return _words(text)
    return [c for c in (unicodedata.normalize("NFD", text) if unit == "jamo" else text) if c.isalnum()]


def _words(text: str) -> list[str]:
    return [word for word in (_EDGES.sub("", part) for part in text.split()) if word]


_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,:/]\d+)*")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?![a-z])|\"([^\"]+)\"|[‘“「『《〈]([^’”」』》〉]+)[’”」』》〉]")
_LATIN = re.compile(r"[a-z]+")
_HANGUL = re.compile("[가-힣]")
_NEGATION = re.compile(r"(?<!\w)(?:안|못)(?=\s)|지\s?(?:않|못|마|말)|없|아니|\b(?:not|no|never)\b|n['’]t\b")
_SENTENCE_END = re.compile(r"(?<=[.?!:])\s+|\n+")


def is_slot_variant(one: str, other: str) -> bool:
    """Whether two similar texts are fillings of one template ("38을 한글로 읽어 주세요", "47을 …"), not one task twice.

    They are where their numbers, quoted words, negations or, within Korean, Latin words differ; where a sentence is
    equal and another beside it is not the same again ("존댓말로 바꾸세요. 밥 먹었어", "… 집에 갔어"); and in Korean
    where other words stand in the same places and the last one, the verb, stays ("서울의 인구는 …?", "부산의 …?").
    """
    one, other = (unicodedata.normalize("NFC", text).lower() for text in (one, other))
    if _marks(one) != _marks(other):
        return True
    left, right = ([words for part in _SENTENCE_END.split(text) if (words := _words(part))] for text in (one, other))
    changed = [pair for pair in zip(left, right, strict=False) if pair[0] != pair[1]]
    if len(left) != len(right) or not changed:
        return False
    if len(changed) < len(left):
        return all(_refilled(a, b) or not _alike("".join(a), "".join(b)) for a, b in changed)
    return bool(_HANGUL.search(one)) and all(_refilled(a, b) and a[-1] == b[-1] for a, b in changed)


def _marks(text: str) -> tuple[list[str], list[str], list[str], int]:
    quoted = ["".join(groups) for groups in _QUOTED.findall(text)]
    latin = _LATIN.findall(text) if _HANGUL.search(text) else []
    return _NUMBER.findall(text), quoted, latin, len(_NEGATION.findall(text))


def _refilled(one: list[str], other: list[str]) -> bool:
    if len(one) != len(other):
        return False
    changed = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    moved = {a for a, _ in changed} & {b for _, b in changed}
    return not moved and not any(_alike(a, b) for a, b in changed)


def _alike(one: str, other: str) -> bool:
    from rapidfuzz.distance import Indel

    return Indel.normalized_similarity(one, other) > ALIKE
