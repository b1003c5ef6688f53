"""The speech level of Korean sentences, told from how they end: `register_of(sentence)`, `is_polite(text)`.

    hapsyo   하십시오체   갑니다, 갑니까, 가십시오, 갑시다        polite
    haeyo    해요체       가요, 가죠, 가세용                      polite
    hae      해체         가 봤어, 그렇지, 갈게, 할까             plain
    haera    해라체       간다, 가라, 가자, 갔냐; written -다     plain
    nominal  명사형       확인함, 가능할 것, 있음                 says nothing about politeness
    none     no ending    필요, "1. 사과", code, other languages  says nothing about politeness

Without an analyser, by rules over the last word. What looks like an ending and is a noun or a connective stands in
tables (필요, 바다, 한국어; -하니까, 어머니); 아니다 is haera although it ends in 니다.
"""

from __future__ import annotations

import re
from typing import Literal

from seodang.korean.script import prose

Register = Literal["hapsyo", "haeyo", "hae", "haera", "nominal", "none"]
POLITE: dict[str, bool | None] = {"hapsyo": True, "haeyo": True, "hae": False, "haera": False}


def _with_final(finals: str) -> str:
    """A character class of every syllable whose final consonant is one of `finals`."""
    order = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
    places = {order.index(final) for final in finals}
    return "[" + "".join(chr(0xAC00 + i) for i in range(11172) if i % 28 in places) + "]"


_B, _L, _SS = _with_final("ㅂㅄ"), _with_final("ㄹ"), _with_final("ㅆㅄ")
# Finals that end a stem and hardly ever a Sino-Korean noun: 좋아, 많아, 싫어, 같아, 높아, 밝아, 닮아.
_STEM = _with_final("ㅆㅄㅎㄶㅀㅌㅍㅊㄲㄺㄻㄵ")
_STEMS = (
    "먹적막작죽녹썩박들알살놀길멀걸울열늘풀팔돌날달담참남숨심신안받믿걷얻묻닫쏟굳입잡씹집뽑접좁웃씻벗짓잊찢맞젖늦꽂맺싶"
)

_NOUNS = {
    "요": "필요 불필요 주요 소요 중요 개요 수요 강요 동요 민요 대중가요 담요 고요 요요 긴요 법정수요",
    "다": "바다 캐나다 르완다 우간다 소다 수다 판다 그때마다 날마다 해마다 저마다 무엇보다 앞바다",
    "해": "이해 오해 방해 피해 올해 동해 서해 남해 손해 새해 견해 지난해 양해 침해 화해 독해 분해 공해 저해 유해 "
    "무해 박해 통해 위해 대해 의해 비해 인해 관해 향해 더해 재해 북해 다음해",
    "어": "불어 연어 상어 장어 문어 고등어",
    "아": "동아 남아 고아",
    "지": "이미지 메시지 페이지 에너지 거지",
    "야": "분야 시야 광야 평야",
    "네": "동네",
    "데": "가운데 한데 그런데 인데",
    "래": "빨래 노래 미래 원래 고래 모래 거래 아래 본래",
    "군": "장군 공군 해군 육군",
    "라": "나라 우리나라",
    "시다": "접시다 몹시다 맵시다",
    "음": "마음 다음 처음 웃음 얼음 믿음 젊음 소음 발음 모음 녹음",
    "임": "모임 게임 책임 타임 담임",
    "함": "명함 군함 결함",
    "것": "",
    "와": "",
    "자": "하자 입하자 출하자",
}
_NO_ENDING = {noun for nouns in _NOUNS.values() for noun in nouns.split()}

_ENDINGS: tuple[tuple[Register, str], ...] = (
    ("hapsyo", f"{_B}니(?:다|까|당|닷|다만|까요)|십시[오요]|{_B}시다"),
    ("haeyo", "[요죠쥬]|[해세네예데돼봐줘까]용|[에어]용|[세네데해돼죠예에군]여"),
    ("none", "니까|[해아어여돼]야(?:만)?|[아어]서|면서|지만|에게서?|까지|부터|마다|보다"),
    ("nominal", f"{_STEM}음|[함됨임]|것|[하되]기"),
    ("haera", "다|냐|구나|느니|(?:[아어여거너와져려줘봐둬써]|하|해|마|^가|[나어러려]가|^보)라|려무나"),
    (
        "haera",
        "(?:하|말|먹|놀|만들|살|알|웃|걷|읽|찾|떠나|배우|쉬)자|(?:[나어러려라따]|^)가자|(?:[해아어여워와봐가서려]|^)보자",
    ),
    (
        "hae",
        f"(?:{_STEM}|[{_STEMS}])[아어]|(?:해|돼|봐|줘|워|져|려|겨|켜|쳐|써|(?:^|더)커|꺼|어때|몰라|그래|더라고|잖아|거든|텐데|더라|아냐)",
    ),
    ("hae", f"(?:^|[나가오져려어아녀들])와|야|{_L}(?:게|까|래|걸|지도)|(?:{_STEM}|[하되맞먹알르])지"),
    ("hae", f"(?:{_STEM}|[하이되구])(?:네|군)|[는던]걸|[는렇]군|(?:{_SS}|[한는이온간된])대|거임|[하거]삼"),
)
_RULES = tuple((register, re.compile(f"(?:{ending})$")) for register, ending in _ENDINGS)
_QUESTION = re.compile(f"(?:{_SS}|[하가오보이자되])니$|[는은인한가]가$|나$|까$")

_TAIL = re.compile(r"(?:\([^()]*\)|[^가-힣A-Za-z0-9])+$")
_LAST_WORD = re.compile(r"[가-힣]+$")
_ITEM = re.compile(r"^[ \t]*(?:#{1,6}\s|>\s|[-*•·▪]\s|\(?\d{1,3}[.)]\s|[①-⑳])[ \t]*", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?:(?<=[.!?…。！？])|(?<=[.!?…。！？][\"'”’)\]]))\s+|\n+")


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without code, LaTeX, web addresses and the marks of list items."""
    parts = _SENTENCE_END.split(_ITEM.sub("", prose(text)))
    return [part.strip() for part in parts if part.strip()]


def register_of(sentence: str) -> Register:
    """The speech level of one sentence, judged on its last word; emoticons and marks after it are passed over."""
    body = _TAIL.sub("", sentence)
    found = _LAST_WORD.search(body)
    if not found or found[0] in _NO_ENDING:
        return "none"
    word = found[0]
    for register, ending in _RULES:
        if ending.search(word):
            return register
    if "?" in sentence[len(body) :] and _QUESTION.search(word):
        return "haera" if word.endswith("니") else "hae"
    return "none"


def is_polite(text: str) -> bool | None:
    """Whether a text speaks politely, judged on its last sentence that has an ending; None where none has."""
    for sentence in reversed(sentences(text)):
        polite = POLITE.get(register_of(sentence))
        if polite is not None:
            return polite
    return None
