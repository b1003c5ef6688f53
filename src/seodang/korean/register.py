"""The speech level of Korean sentences, told from how they end: `register_of(sentence)`, `is_polite(text)`.

    hapsyo   하십시오체   갑니다, 갑니까, 가십시오, 갑시다        polite
    haeyo    해요체       가요, 가죠, 가세용, 넹                  polite
    hae      해체         가 봤어, 그렇지, 갈게, 할까             plain
    haera    해라체       간다, 가라, 가자, 갔냐; written -다     plain
    hao      하오체       가오, 가시오, 있소                      neither: exam papers, signs, costume drama
    hage     하게체       가네그려, 가게나, 가세, 가는가          plain, of older speakers
    nominal  명사형       확인함, 가능할 것, 있음                 says nothing about politeness
    none     no ending    필요, "1. 사과", code, other languages  says nothing about politeness

Without an analyser, by rules over the last word; the tables are korean.endings. What looks like an ending and is a noun
or a connective stands there too (필요, 바다, 한국어; -하니까, 어머니); 아니다 is haera although it ends in 니다.
"""

from __future__ import annotations

import re
from functools import lru_cache

from seodang.korean.endings import (
    FOR_EXAMPLE,
    LOOSE,
    NO_ENDING,
    POLITE_INSIDE,
    QUESTION,
    STRONG,
    UNSURE,
    WHOLE,
    Register,
    is_nominal,
    pattern,
)
from seodang.korean.script import prose

__all__ = ["POLITE", "Register", "is_polite", "register_of", "running", "sentences"]

POLITE: dict[str, bool | None] = {"hapsyo": True, "haeyo": True, "hae": False, "haera": False, "hage": False}
"""Whether a level is 존댓말; one that is not here says nothing. 하오체 raises the hearer a little and is no 존댓말."""

_LOOKED_AT = 80
"""Characters at the end of a sentence that are looked at."""
_SHORT = 24
_LOOK_TWICE = re.compile(f"{UNSURE.pattern}|들어$|말해$")
_PLAIN_END = re.compile(r"(?<![가-힣])([가-힣]{1,12})([.!?~…]{0,3})$")
_TAIL = re.compile(r"(?:\([^()]*\)|(?<![A-Za-z])(?:[:;=]-?[DPpOo]|[xX]D|[TQ][._]?[TQ])|[^가-힣A-Za-z0-9])+$")
_LAST_WORD = re.compile(r"[가-힣]+$")
_STOP = re.compile(r"[.!?~…。！？♥♡^]|[:;=]-?[)D]|[ㅋㅎㅠㅜ]|[\U0001f300-\U0001faff]")
_BREAKS_OFF = re.compile(r"\s*[:：,;、](?!-?[)DPp])")
_MARK = r"[ \t]*(?:#{1,6}\s|>\s|[-*•·▪]\s|\(?\d{1,3}[.)]\s|[①-⑳])[ \t]*"
_ITEM = re.compile(f"^{_MARK}", re.MULTILINE)
# white space first, so that the scan stops there only
_SENTENCE_END = re.compile(r"\n+|\s(?:(?<=[.!?…。！？]\s)|(?<=[.!?…。！？][\"'”’)\]]\s))\s*")
_WORD = re.compile(r"[가-힣]+(?=[^가-힣\"'”’]|$)")
_CLAUSE_END = re.compile(r"([가-힣]+)\s?,")

# What is not said by the one who answers: quotes, and lines that are items, titles, table rows or a speaker's part.
_QUOTED = re.compile(
    r"\"[^\"\n]*\"|“[^”\n]*”|(?<![\w가-힣])'[^'\n]*'|‘[^’\n]*’|「[^」\n]*」|『[^』\n]*』|《[^》\n]*》|<[^<>\n]*>"
)
_QUOTE = re.compile(r"[\"“'‘「『《<]")
_NOT_RUNNING = re.compile(
    rf"^{_MARK}|^\s*[*_]{{2}}[^*_\n]*[*_]{{2}}[:：]?\s*$|^\s*\||^[^.?!\n]{{1,15}}[:：]\s|[:：]\s*$"
)
_ENDED = re.compile(r"[.!?~…。！？)\"'”’ㅋㅎㅠㅜ♥♡^]\s*$|[\U0001f300-\U0001faff]\s*$")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without code, LaTeX, web addresses and the marks of list items."""
    return _split(_ITEM.sub("", prose(text)))


def _split(text: str) -> list[str]:
    return [part.strip() for part in _SENTENCE_END.split(text) if part and not part.isspace()]


def running(text: str) -> list[str]:
    """The sentences that the writer says to the reader: no quotes, list items, titles, speakers' parts or code."""
    text = prose(text)
    lines = (_QUOTED.sub("", text) if _QUOTE.search(text) else text).split("\n")
    spoken = [line for line in lines if _ENDED.search(line[-4:]) and not _NOT_RUNNING.search(line)]
    return [sentence for line in spoken for sentence in _split(line)]


def register_of(sentence: str) -> Register:
    """The speech level of one sentence, judged on its last word; emoticons and marks after it are passed over.

    Where the last word ends nothing, an ending before it counts: 고맙습니다, 선생님 · 뭐예요 이게?
    """
    plain = _PLAIN_END.search(sentence[-_SHORT:])
    if plain and plain[1] not in WHOLE and "`" not in sentence and "$" not in sentence:
        # nine sentences in ten end in a word and a full stop, and most such words decide
        register = _of_word(plain[1], False, bool(plain[2]), "?" in plain[2])
        if register not in ("none", "hae") or (register == "hae" and not _LOOK_TWICE.search(plain[1])):
            return register
    return _of_body(_ITEM.sub("", prose(sentence)).strip()[-_LOOKED_AT:])


def _of_body(sentence: str) -> Register:
    body = _TAIL.sub("", sentence)
    alone = WHOLE.get(body or sentence.rstrip(" .!~?^"))
    found = _LAST_WORD.search(body)
    if alone or not found:
        return alone or _before(body) or "none"
    if FOR_EXAMPLE.search(body):
        return "none"
    register = _of_word(found[0], *_marks(sentence[len(body) :]))
    if register == "none" and is_nominal(body):
        return "nominal"
    if register == "none" or (register == "hae" and UNSURE.search(body)):
        return _before(body) or register
    return register


def _marks(tail: str) -> tuple[bool, bool, bool]:
    """Whether what stands behind the last word breaks off (a colon), stops (a full stop, a laugh), and asks."""
    return bool(_BREAKS_OFF.match(tail)), bool(_STOP.search(tail)), "?" in tail


@lru_cache(1 << 16)
def _of_word(word: str, breaks_off: bool = False, stops: bool = False, asks: bool = False) -> Register:
    if word in NO_ENDING:
        return "none"
    for register, ending in STRONG:
        if pattern(ending).search(word):
            return "none" if breaks_off and register == "hae" else register
    if breaks_off or not stops:
        return "none"
    if asks and pattern(QUESTION).search(word):
        return "haera" if word.endswith("니") else "hae"
    return next((register for register, ending in LOOSE if pattern(ending).search(word)), "none")


def _before(body: str) -> Register | None:
    """The level of an ending before the last word: at a comma, or a polite one among the last words."""
    clauses = _CLAUSE_END.findall(body)
    if clauses:
        register = _of_word(clauses[-1])
        if register in ("hapsyo", "haeyo", "hao", "hage"):
            return register
    *words, _ = _WORD.findall(body)[-5:] or [""]
    for word in reversed(words):
        if pattern(POLITE_INSIDE).search(word) and word not in NO_ENDING:
            return _of_word(word)
    return None


def is_polite(text: str) -> bool | None:
    """Whether a text speaks politely, judged on its last sentence that has an ending; None where none has.

    An ending that may trail behind either (-는데) counts where no other does.
    """
    unsure = None
    for sentence in reversed(sentences(text)):
        polite = POLITE.get(register_of(sentence))
        if polite is False and UNSURE.search(_TAIL.sub("", sentence[-_LOOKED_AT:])):
            unsure = False
        elif polite is not None:
            return polite
    return unsure
