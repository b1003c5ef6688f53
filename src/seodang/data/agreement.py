"""Whether two texts that look alike say the same: numbers, negation, Latin and quoted words agree, and all the others.

What may differ: spacing, punctuation, particles, endings of the same use, a typing error, the order of words. A number,
a name, a negation or the word in a template's slot makes another row, however alike the rest is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz.distance import Indel

from seodang.data.dedup import TURN, canonical
from seodang.korean.stems import PARTICLES, bare, is_inflection, is_typo

_SIGNS = r"+=<>^×÷±−√%&|@\\$€₩²³"
# Each begins with a set of characters, which the engine looks for quickly, and then asks which of them it met.
_TOLD = re.compile(
    rf"[0-9A-Za-z{_SIGNS}\-*/#~()\[\]{{}}!'](?:"
    r"(?<=[0-9])[0-9]*(?:[.,:/][0-9]+)*"
    r"|(?<=[A-Za-z])[A-Za-z]*"
    rf"|(?<=[{_SIGNS}])"
    r"|(?<=[-*/#~()\[\]{}])(?=[0-9A-Za-z])"
    r"|(?<=[0-9A-Za-z][()\[\]{}!']))"
)
"""Numbers, Latin words, and signs where they do something: 3-2, (a+b), 5!, C++."""
_NEGATION = re.compile(
    "[않없지아안못](?:(?<=[않없])|(?<=지)(?:는|도|를)?[못마말]|(?<=아)[니닌닙녜]"
    "|(?<=안)(?<![동방제대불편평위초미현]안)(?=[하했해할한함합되돼됐될된됨됩먹가갔갈온와왔오봐봤보좋나날사살들])"
    "|(?<=못)(?=[하했해할한함합되됐됩먹가갔왔봐본]))"
)
_QUOTED = re.compile(r"[“\"‘'「『《〈]([^“”\"‘’'「」『』《》〈〉\n]{1,40})[”\"’'」』》〉]")
WORDS = re.compile("[가-힣]+|[㐀-鿿豈-﫿]+|[ぁ-ヿ]+|[ㄱ-ㅣ]+")
FEW = 20
"""Of so few syllables one ending is half: only the words are compared."""
_POLITE = (
    "좀 꼭 한번 부디 혹시 제발 줘 줘요 주세요 주십시오 주시오 줄래 줄래요 봐 봐요 보세요 보십시오 보시오 바랍니다 요"
)
ADDED = PARTICLES.union(_POLITE.split())
"""Words of politeness that may stand in one text and not in the other."""


@lru_cache(maxsize=1 << 12)
def guards(text: str) -> str:
    """What two texts must share, of a canonical text: numbers, Latin words and signs in order, how often it says no.

    A capital counts only in a letter that stands alone, as variables do: A is not a, and Python is python.
    """
    told = [word.replace(",", "") if word[0].isdigit() else word if len(word) == 1 else word.lower()
            for word in _TOLD.findall(text)]  # fmt: skip
    return " ".join(told + ["!no"] * len(_NEGATION.findall(text)))


def same(left: str, right: str, threshold: float = 0.6) -> bool:
    """Whether two rows, as `dedup.spelt` writes them, say the same; `threshold` is the least syllable ROUGE-L."""
    one, other = left.split(TURN), right.split(TURN)
    if len(one) != len(other) or one[::2] != other[::2]:
        return False
    return all(_agree(a, b, threshold) for a, b in zip(one[1::2], other[1::2], strict=True))


def resembles(left: str, right: str, threshold: float) -> bool:
    """Whether two rows ask alike, though a word may differ: what they must share is guarded, the rest is `threshold`.

    Stricter than likeness and laxer than `same`: for questions of an evaluation, which must not be trained on.
    """
    one, other = (TURN.join(text.split(TURN)[1::2]) for text in (left, right))
    first, second = canonical(one), canonical(other)
    if first == second:
        return True
    alike = Indel.normalized_similarity(first, second, score_cutoff=threshold) >= threshold
    return alike and guards(first) == guards(second) and quotes_agree(one, other)


def _agree(left: str, right: str, threshold: float) -> bool:
    if left == right:
        return True
    if not _words_agree(WORDS.findall(left), WORDS.findall(right)):  # first, for most pairs end here
        return False
    one, other = canonical(left), canonical(right)
    if one == other:
        return True
    if not one or not other or guards(one) != guards(other):
        return False
    if len(one) > FEW and Indel.normalized_similarity(one, other, score_cutoff=threshold) == 0:
        return False
    return quotes_agree(left, right)


def quotes_agree(left: str, right: str) -> bool:
    """Whether what stands in quotation marks in one text stands, quoted or not, in the other."""
    return _holds(left, right) and _holds(right, left)


def _holds(text: str, other: str) -> bool:
    found = _QUOTED.findall(text)
    return not found or all(canonical(word) in canonical(other) for word in found)


def _words_agree(left: list[str], right: list[str]) -> bool:
    if "".join(left) == "".join(right):
        return True
    one, other, only_left, only_right = _unmatched(left, right)
    if not set(only_left).isdisjoint(only_right):
        if not _may_move(one, other, only_left, only_right):
            return False
        moved = Counter(only_left) & Counter(only_right)
        only_left, only_right = _without(only_left, moved), _without(only_right, moved)
    if len(only_left) + len(only_right) > max(6, len(left)):
        return False
    return _pair_up(only_left, only_right)


def _unmatched(left: list[str], right: list[str]) -> tuple[list[str], list[str], list[str], list[str]]:
    """Both without what they begin and end with in common; and of these, the words that have no partner in place."""
    start, most = 0, min(len(left), len(right))
    while start < most and left[start] == right[start]:
        start += 1
    end = 0
    while end < most - start and left[-1 - end] == right[-1 - end]:
        end += 1
    one, other = left[start : len(left) - end], right[start : len(right) - end]
    if len(one) < 2 or len(other) < 2:
        return one, other, one, other
    gone = [code for code in Indel.opcodes(one, other) if code.tag != "equal"]
    only_left = [word for code in gone for word in one[code.src_start : code.src_end]]
    return one, other, only_left, [word for code in gone for word in other[code.dest_start : code.dest_end]]


def _without(words: Sequence[str], left_out: Counter[str]) -> list[str]:
    left, kept = left_out.copy(), []
    for word in words:
        if left[word] > 0:
            left[word] -= 1
        else:
            kept.append(word)
    return kept


def _may_move(one: list[str], other: list[str], only_left: list[str], only_right: list[str]) -> bool:
    """Whether no word changed places with another one of its particle; neighbours may.

    사과를 먹고 배를 버렸다 is not 배를 먹고 사과를 버렸다.
    """
    if len(one) == len(other) == 2 or len(only_left) == len(only_right) == 1:
        at = one.index(only_left[0])
        return (len(one) == len(other) and abs(at - other.index(only_left[0])) == 1) or _keeps_order(one, other)
    return _keeps_order(one, other)


def _keeps_order(one: Sequence[str], other: Sequence[str]) -> bool:
    left, right = _by_particle(one), _by_particle(other)
    return all(sorted(left[each]) != sorted(right[each]) or left[each] == right[each] for each in left.keys() & right)


def _by_particle(words: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for word in words:
        stem = bare(word)
        if len(stem) < len(word):
            groups.setdefault(word[len(stem) :], []).append(stem)
    return groups


def _pair_up(left: list[str], right: list[str]) -> bool:
    """Whether the words that differ are one another's inflections and slips, joined where spacing parted them."""
    at, to, slips = 0, 0, 0
    while at < len(left) or to < len(right):
        found = _next_pair(left[at : at + 8], right[to : to + 8])
        if found is None:
            return False
        at, to, slips = at + found[0], to + found[1], slips + found[2]
    return slips <= 1 + (len(left) + len(right)) // 8


def _next_pair(left: list[str], right: list[str]) -> tuple[int, int, int] | None:
    """How many words of each side are one word, and whether that is a slip; None where they are two."""
    used = [min(1, len(left)), min(1, len(right))]
    while all(used):
        one, other = "".join(left[: used[0]]), "".join(right[: used[1]])
        if is_inflection(one, other):
            return used[0], used[1], 0
        if is_typo(one, other):
            return used[0], used[1], 1
        side = 0 if len(one) < len(other) else 1
        if used[side] == len((left, right)[side]):
            break
        used[side] += 1
    if left and left[0] in ADDED:
        return 1, 0, 0
    return (0, 1, 0) if right and right[0] in ADDED else None
