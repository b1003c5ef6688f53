"""What a Korean word is without its particle or ending, and whether two words are one: by a table, no analyser.

A word may be read in several ways (먹이 is a noun, or 먹 with 이), so `readings` gives them all; two words are one
where they share a reading. Endings are grouped by what a sentence does with them: to tell, to ask, to wonder, to have
done. 설명해 줘, 설명하세요 and 설명하시오 are one; 갔다 and 갔니 are not. Tense (았, 겠) belongs to the stem.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

from seodang.korean.jamo import FINALS, FIRST, INITIALS, VOWELS, is_syllable

_AFTER_VOWEL = "는 가 를 와 로 랑"
_AFTER_CONSONANT = "은 이 을 과 으로 이랑"
_AFTER_ANY = "의 에 에서 에게 에게서 한테 한테서 께 께서 하고 로서 으로서 로써 으로써 에는 에서는 에게는"
PARTICLES = frozenset(f"{_AFTER_VOWEL} {_AFTER_CONSONANT} {_AFTER_ANY}".split())
"""Case and topic. 만, 도, 까지, 부터, 보다 say something of their own and are no change of particle."""

_TELLS = (
    "습니다 ㅂ니다 습니당 답니다 다 ㄴ다 는다 단다 아요 어요 여요 요 아 어 여 아용 어용 지 지요 죠 네 네요 음 ㅁ 군"
    " 군요 구나 구요 고요 거든 거든요 는데 는데요 ㄴ데 ㄴ데요 은데 은데요"
    " 이다 입니다 이에요 예요 에요 이야 야 임 이지 이지요 이죠 이네 이네요 이란다"
)
_ASKS = (
    "습니까 ㅂ니까 나 나요 니 냐 느냐 는가 는가요 ㄴ가 ㄴ가요 은가 은가요 아요 어요 여요 요 아 어 여 지 지요 죠"
    " 는지요 ㄴ지요 입니까 인가 인가요 이야 야 이에요 예요 에요 이니 이냐 이죠 이지 이지요"
)
_WONDERS = "을까 을까요 ㄹ까 ㄹ까요 일까 일까요 을래 을래요 ㄹ래 ㄹ래요"
_HAS_DONE = (
    "세요 으세요 셔요 십시오 으십시오 시오 으시오 라 으라 거라 시기바랍니다 기바랍니다 시길바랍니다 길바랍니다"
    " 기 자 ㅂ시다 읍시다"
)
_FOR_ME = (
    "주세요 주십시오 주시오 주어 주어요 주라 줄래 줄래요 주시겠어요 주시겠습니까 주실래요 주실수있나요 주실수있을까요"
    " 줄수있나요 줄수있어 주길바랍니다 주시기바랍니다 주기바랍니다 라 요"
    " 보세요 보십시오 보시오 보아 보아요 보아라 보자 봅시다"
)
_CONTRACTIONS = {"해": "하여", "ᅯ": "ᅮ어", "ᅪ": "ᅩ아", "ᅧ": "ᅵ어", "ᅫ": "ᅬ어"}
_FINALS = {"ㄴ": "ᆫ", "ㄹ": "ᆯ", "ㅁ": "ᆷ", "ㅂ": "ᆸ"}
_HONORIFIC = ("으시", "시")


def _letters(text: str) -> str:
    """Jamo, contractions undone: 줘 is 주어, 해 is 하여."""
    found = unicodedata.normalize("NFD", text)
    for short, long in _WRITTEN_OUT:
        found = found.replace(short, long)
    return found


_WRITTEN_OUT = [tuple(unicodedata.normalize("NFD", one) for one in pair) for pair in _CONTRACTIONS.items()]


def _endings() -> dict[str, str]:
    """Letters of an ending → the letters of what a sentence does with it: T, A, W or D."""
    for_me = " ".join(vowel + rest for vowel in "아어여" for rest in ("", *_FOR_ME.split()))
    uses = {"T": _TELLS, "A": _ASKS, "W": _WONDERS, "D": f"{_HAS_DONE} {for_me}"}
    found: dict[str, str] = {}
    for does, forms in uses.items():
        for form in forms.split():
            letters = _FINALS[form[0]] + _letters(form[1:]) if form[0] in _FINALS else _letters(form)
            found[letters] = found.get(letters, "") + does
    return found


_ENDINGS = _endings()
_LONGEST = max(map(len, _ENDINGS))
_LAST_LETTERS = frozenset(ending[-1] for ending in _ENDINGS)
_SURNAMES = frozenset("김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진나")
_SAYS_NO = frozenset("안못불비미무")
_COUNTS = frozenset("일이삼사오육칠팔구십백천만억조영공")
_UNITS = re.compile(
    "[일이삼사오육칠팔구십백천만억조영공]+"
    "(?:개|명|번|시|년|월|일|원|살|권|회|층|호|도|분|초|세|대|위|배|점|조|항|장|학년)$"
)
_COUNT_WORDS = re.compile(
    "(?:하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|열|스물|서른|마흔|쉰|예순|일흔|여든|아흔|첫|(?:한|두|세|네)"
    "(?=가지|개|명|번|시|달|살|장|권|마리|잔|병|대|줄|칸|쪽|배|사람|문장|단어))"
)


def _ends_in_consonant(letter: str) -> bool:
    return is_syllable(letter) and (ord(letter) - FIRST) % 28 != 0


@lru_cache(maxsize=1 << 16)
def bare(word: str) -> str:
    """The word without its particle; after a single syllable only where the particle fits its last sound."""
    return next(iter(_without_particle(word)), word)


def _without_particle(word: str) -> Iterator[str]:
    for length in (3, 2, 1):
        stem, particle = word[:-length], word[-length:]
        if stem and particle in PARTICLES and (len(stem) > 1 or _fits(stem, particle)):
            yield stem


def _fits(stem: str, particle: str) -> bool:
    if particle in _AFTER_ANY.split():
        return particle != "하고"  # 정하고 is a verb
    return (particle in _AFTER_CONSONANT.split()) == _ends_in_consonant(stem[-1])


@lru_cache(maxsize=1 << 16)
def readings(word: str) -> frozenset[str]:
    """Every stem the word may have, marked with what it is: N a noun; T, A, W, D a verb that tells, asks, and so on."""
    found = {"N" + _letters(noun) for noun in (word, *_without_particle(word))}
    letters = _letters(word)
    if word.endswith("요") and len(word) > 2:
        found.add("N" + _letters(word[:-1]))
    if letters[-1:] not in _LAST_LETTERS:
        return frozenset(found)
    for length in range(1, min(_LONGEST, len(letters) - 2) + 1):
        for does in _ENDINGS.get(letters[-length:], ""):
            stem = letters[:-length]
            found.add(does + stem)
            found.update(does + stem.removesuffix(one) for one in _HONORIFICS if stem.endswith(one) and stem != one)
    return frozenset(found)


_HONORIFICS = [_letters(one) for one in _HONORIFIC]


@lru_cache(maxsize=1 << 16)
def shortest(word: str) -> str:
    """The shortest of the stems that the word may have, as letters: one key for most inflections of a word."""
    return min((reading[1:] for reading in readings(word)), key=lambda stem: (len(stem), stem))


def is_inflection(left: str, right: str) -> bool:
    """Whether two words differ in nothing but particle, politeness or an ending of the same use."""
    if left == right:
        return True
    begin_alike = not is_syllable(left[:1]) or not is_syllable(right[:1]) or _initial(left) == _initial(right)
    return begin_alike and not readings(left).isdisjoint(readings(right))


def _initial(word: str) -> int:
    """The place of its first consonant, which every stem of the word has."""
    return (ord(word[0]) - FIRST) // 588


# The Korean keyboard (KS X 5002), row by row; the keys that a finger misses stand beside, above and below.
_KEYBOARD = ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ")
_ALIKE = (
    "ㅐㅔ ㅒㅖ ㅐㅒ ㅔㅖ ㅙㅚ ㅙㅞ ㅚㅞ ㅓㅗ ㅡㅜ ㅢㅣ ㅢㅡ ㄱㄲ ㄷㄸ ㅂㅃ ㅅㅆ ㅈㅉ ㄱㅋ ㄷㅌ ㅂㅍ ㅈㅊ ㄲㅋ ㄸㅌ ㅃㅍ"
    " ㅉㅊ ㄶㄴ ㄶㅎ ㅄㅂ ㄺㄱ ㅀㄹ ㅎㅅ ㅆㅎ"
)


def _slips() -> frozenset[frozenset[str]]:
    beside = [row[at : at + 2] for row in _KEYBOARD for at in range(len(row) - 1)]
    below = [above + key for row, lower in pairwise(_KEYBOARD) for above, key in zip(row, lower, strict=False)]
    return frozenset(frozenset(pair) for pair in [*beside, *below, *_ALIKE.split()])


_SLIPS = _slips()


@lru_cache(maxsize=1 << 16)
def _jamo(word: str) -> str:
    """Three letters a syllable, `_` where it has no final consonant, so that a letter keeps its place."""
    found = []
    for char in word:
        at = ord(char) - FIRST
        if is_syllable(char):
            found += [INITIALS[at // 588], VOWELS[at % 588 // 28], FINALS[at % 28] or "_"]
        else:
            found.append(char)
    return "".join(found)


def _counts(word: str) -> bool:
    stem = bare(word)
    return bool(_COUNT_WORDS.match(word)) or (
        len(stem) > 1 and (set(stem) <= _COUNTS or _UNITS.match(stem) is not None)
    )


@lru_cache(maxsize=1 << 12)
def _is_in_use(letter: str) -> bool:
    """Whether a syllable is among the 2,350 of KS X 1001: 헸, 샆 and 넚 are not, and stand in no word."""
    return len(letter.encode("euc_kr", "ignore")) <= 2  # others are written as four letters


def _syllables(word: str) -> int:
    """Of the shortest stem."""
    return len(unicodedata.normalize("NFC", shortest(word)))


def is_typo(left: str, right: str) -> bool:
    """Whether one word is a slip of the other: one letter, or two syllables that changed places.

    In a short word, and in what may be a person's name, only the letters that a hand or an ear takes for each other
    count: 민수 and 민주 are two people. Number words are never slips of one another.
    """
    one, other = _jamo(left), _jamo(right)
    is_one_letter = OSA.distance(one, other, score_cutoff=1) == 1
    is_turned = len(left) == len(right) and sorted(left) == sorted(right)
    if not is_one_letter and not is_turned and abs(len(left) - len(right)) != 1:  # most pairs end here
        return False
    stems = bare(left), bare(right)
    if min(map(len, stems)) < 2 or _counts(left) or _counts(right):
        return False
    if is_turned:
        return stems[0] != stems[1][::-1] and OSA.distance(left, right) == 1
    if not is_one_letter:
        return min(map(len, stems)) > 3 and _is_one_more(left, right)
    if len(one) != len(other):
        return min(map(len, stems)) > 2
    return _is_slip(left, right, [at for at, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]])


def _is_one_more(left: str, right: str) -> bool:
    """Whether one word has a syllable more, which does not turn its meaning round."""
    if abs(len(left) - len(right)) != 1 or OSA.distance(left, right, score_cutoff=1) != 1:
        return False
    extra = (Counter(left) - Counter(right)) + (Counter(right) - Counter(left))
    return not _SAYS_NO & extra.keys()


def _is_slip(left: str, right: str, places: list[int]) -> bool:
    """Of two words that differ in the letters at `places`, one or two neighbours that changed places."""
    if len(left) == len(right) and not all(map(_is_in_use, left + right)):
        return True
    if places[0] < 2 and min(map(_syllables, (left, right))) < 2:  # 가다 and 사다, 먹는다 and 막는다
        return False
    stem, length = bare(left), min(len(bare(left)), len(bare(right)))
    if len(places) > 1 or length > 3 or (length == 3 and stem[0] not in _SURNAMES):
        return True
    pair = _jamo(left)[places[0]] + _jamo(right)[places[0]]
    return "_" in pair or frozenset(pair) in _SLIPS
