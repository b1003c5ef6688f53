"""What Korean sentences end in, as patterns over the last word: the tables behind korean.register.

Endings and their levels are those of 표준국어대사전 (국립국어원): -는가, -네그려 and -다네 are its 하게체; -네, -지 and
-군 its 해체.
What looks like an ending and is a noun, a particle or a connective stands in `NO_ENDING`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from seodang.korean.jamo import FINALS, FIRST, LAST

Register = Literal["hapsyo", "haeyo", "hae", "haera", "hao", "hage", "nominal", "none"]


def with_final(finals: str) -> str:
    """A character class of every syllable whose final consonant is one of `finals`."""
    return "[" + "".join(chr(at) for final in finals for at in range(FIRST + FINALS.index(final), LAST + 1, 28)) + "]"


_B, _L, _SS, _N = with_final("ㅂㅄ"), with_final("ㄹ"), with_final("ㅆㅄ"), with_final("ㄴ")
# No stem ends in ㅇ, and hardly one in ㄴ.
_CLOSED = with_final("".join(final for final in FINALS if final not in ("", "ㅇ", "ㄴ")))
# Finals that end a stem and hardly ever a Sino-Korean noun: 좋아, 많아, 싫어, 같아, 높아, 밝아, 닮아.
_STEM = with_final("ㅆㅄㅎㄶㅀㅌㅍㅊㄲㄺㄻㄵㄼㅈ")
_STEMS = (
    "먹적막작죽녹썩박들알살놀길멀걸울열늘풀팔돌날달담참남숨심신안받믿걷얻묻닫쏟굳입잡씹집뽑접좁"
    "웃씻벗짓잊찢맞젖늦꽂맺싶갈물밀빌쓸줄틀굴불벌떨털끌뚫널"
)


@lru_cache
def pattern(ending: str) -> re.Pattern[str]:
    """An ending compiled, to be searched in a word. Done when it is first asked for: together they take 0.1 s."""
    return re.compile(ending if ending.endswith("$") else f"(?:{ending})$")


NO_ENDING = {
    noun
    for line in (
        # 요
        "필요 불필요 주요 소요 중요 개요 수요 강요 동요 민요 대중가요 인기가요 담요 고요 요요 긴요 법정수요 지요",
        # 다
        "바다 캐나다 르완다 우간다 소다 수다 판다 그때마다 날마다 해마다 저마다 무엇보다 앞바다 보다 마다 모두다 "
        "그보다",
        # 해, 어, 아
        "이해 오해 방해 피해 올해 동해 서해 남해 손해 새해 견해 지난해 양해 침해 화해 독해 분해 공해 저해 유해 융해 "
        "상해 무해 박해 통해 위해 대해 의해 비해 인해 관해 향해 더해 재해 북해 다음해 가해 자해 살해 항해 지중해 그해 "
        "이듬해",
        "불어 국어 한국어 외국어 숙어 검색어 육아",
        # 지
        "이미지 메시지 페이지 에너지 아버지 할아버지 강아지 송아지 망아지 돼지 편지 휴지 반지 바지 가지 먼지 잡지 "
        "토지 의지 유지 정지 금지 방지 "
        "폐지 여지 처지 단지 경지 복지 목적지 관광지 중심지 거주지 출발지 도착지 여행지 지지 감지 인지 공지 답지 "
        "묘지 패키지 소시지 빌리지 전지 "
        "건전지 무지 요지 취지 용지 봉지 일지 번지 습지 초지 농지 대지 육지 현지 산지 원산지 서식지 유적지 휴양지 "
        "한지 선지 통지 저지 까지 양지 음지 "
        "긍지 여러가지 한가지 두가지 몇가지 마찬가지 나머지 모조지 포장지 "
        "시험지 설문지 중지 해지 기지",
        # 야, 네, 데, 대, 래, 려, 워, 와, 군, 까
        "분야 시야 광야 평야 심야 재야 초야 가야",
        "동네 걔네 얘네 쟤네 너네 우리네 그네 저네",
        "가운데 그런데 근데 군데",
        "빨래 노래 미래 원래 고래 모래 거래 아래 본래 이래 유래 초래 또래 도래 왕래 장래 재래 전래",
        "고려 배려 격려 염려 우려 심려 독려 수려 화려 미려 유려",
        "파워 타워 샤워 플라워",
        "사과와 그와 너와 이와 아이와 우리와 친구와 기와",
        "반대 군대 연대 현대 근대",
        # 라, 자, 니, 냐, 나, 가
        "하자 입하자 출하자 하나 누나 바나나 그러나 언제나 누구나 어디나 혹시나",
        # ㅁ, 기, 것
        "젊음 어려움",
        "모임 게임 책임 타임 담임 프레임 선임 취임 부임 해임 전임 신임 위임 닉네임",
        "명함 군함 결함 포함 잠수함 우체통함 보관함 투표함",
        # 시오, 소, 오, 구려, 게, 세
        "바이오 니하오 고구려 가오",
        "가게 제일세",
        "무엇인가 누구인가 어디인가 언제인가 무언가 누군가 어딘가 언젠가 뭔가 인가 전문가 원가 단가 친가 한가",
    )
    for noun in line.split()
}
"""Words that end like a sentence and end none."""

_POLITE_WORDS = "넹 넵 넴 네네 네네네 네넹 넹넹 예 옙 네 아뇨 아니요 아니오 그쵸 저요"
_PLAIN_WORDS = "응 웅 웅웅 엉 응응 안녕 그래 그랭 몰랑 빨랑 아니 미안 ㅇㅇ ㅇㅋ ㄴㄴ"
WHOLE: dict[str, Register] = {word: "haeyo" for word in _POLITE_WORDS.split()}
WHOLE |= {word: "hae" for word in _PLAIN_WORDS.split()}
"""Words that are a sentence of their own."""

_BEFORE_YO = "어아해세네예에데돼봐줘까지게워져려죠군걸든잖"
_VERB_NOUN = (
    "모름|다름|빠름|느림|힘듦|만듦|끊김|생김|남김|나타남|드러남|끝남|일어남|늘어남|벗어남|태어남|떠남|놓임|보임|"
    "비쌈|바쁨|예쁨|나쁨|배고픔|고픔|걸림|들림|"
    "열림|달림|내림|흐림|가짐|지움|치움|어려움|쉬움|가벼움|무거움|추움|더움|매움|무서움|귀여움|고마움|졸림|오름|"
    "이룸|다룸|만남|꺼림|시킴|지킴|줄임|높임|붙임|"
    "[아어여러려라와워쳐가]짐|[해나가라보어아]옴|[아어여려러라]짐|[아어해여]둠|[아어해여]봄|[아어해여려]줌|"
    "[^가-힣]남|^옴|^감|^남|^둠|^씀|^큼|^삼|^샀음|^붊|^나옴|^들어감|"
    "[어아러라려]감|[어아]냄|[어아]냈음"
)

STRONG: tuple[tuple[Register, str], ...] = (
    (
        "hapsyo",
        f"(?:{_B}|[함임됨감삼])[니미](?:다|까|당|닷|닥|댜|돠|다만|다요|까요)|{_B}디[다댜까]|십시[오요]|십쇼|"
        f"{_B}시다|소서|슴[다돠당까]",
    ),
    ("hapsyo", "(?:^감삼|^고맙슴|[함됨임]미)다"),
    ("hage", "(?:네|세|구먼|구만|게나|군)그려"),
    (
        "haeyo",
        f"[요죠쥬쵸]|[{_BEFORE_YO}](?:용|염|욤|욥|효)|[해세네데해돼죠예에군어아봐줘]여|(?:{_SS}어|[해래세])유|"
        "[세네해]엽",
    ),
    ("hae", "[다라냐자]니(?:까|깐)"),
    (
        "none",
        f"니(?:까|깐)|(?:{_CLOSED}[아어]|[되이쉬쥐피뛰]어|보아|[해여돼져려와워봐줘])야만?|[아어]서|면서|지만|"
        "(?:에게|한테)서?|까지|부터|마다|보다|[은는을]지|ㄹ지|던지|든지|이라도",
    ),
    (
        "hage",
        "(?<!에)게나|(?:[하가보나으오]|두)세나|(?:하|떠나|만나|나|으|두)세|(?:^|[나어러])가세|(?:^|"
        "[해어아여가와러])보세|(?:일|아닐|릴)세|"
        "걸세|로세|[^바나]다네|[이니]라네|^말게|(?:[는던]|려는|신)가|[봄함]세",
    ),
    (
        "hao",
        f"[가-힣](?<!십)시오|(?:{_SS}|[찮않많싫좋옳렇]|[갑맙겁렵쉽덥춥곱밉]|[밝맑높깊같])소|(?:{_SS}|[렇않])소이다|"
        r"(?:[하되이으]|(?:^|[어아해])[가보주오]|(?:지|^)마|나|급하|아니|부르|모르|기다리)오|오이다|더이다|[가-힣]구려",
    ),
    ("nominal", f"{_STEM}음|[함됨임]|{_VERB_NOUN}"),
    (
        "nominal",
        f"(?:[가-힣]하|되|시키|[걷읽듣먹입잡씻찾웃믿닫받뜯]|{_STEM}|[배치지싸외]우|쓰|마시|만들|놀|살|알|잡|지키|"
        "고르|버리|그리|꾸리|가꾸|나누)기",
    ),
    ("haera", "다|냐|구나|느니|려무나|(?:주|[어아]?하|가|보)마|지어다|로다|다오|란다"),
    (
        "haera",
        "(?:[아어여거너겨와져려줘봐둬써러놔워혀쳐켜펴텨]|하|해|마|^가|[나어러려]가|^보|라|[하이]답하|서술하)라|"
        "(?:하|말|먹|놀|만들|살|알|웃|걷|읽|찾|떠나|배우|쉬|챙기|지키|만나|나누|버리|그리|고치|시키|기다리|뛰|마시|"
        "치|추|두|주|참|믿|잊|살피|아끼)자|"
        "(?:[나어러려라따]|^)가자|(?:[해아어여워와봐가서려]|^)보자",
    ),
    (
        "hae",
        f"(?:{_STEM}|[{_STEMS}])[아어]|[앗엇햇겟왓갓됏]어|(?:돼|봐|줘|춰|둬|놔|싶어|(?:^|더)커|꺼|어때|몰라|그래|"
        "더라고?|던데|졸려|잖아|거든|텐데|아냐)|해",
    ),
    ("hae", f"(?:^|[나가오져려어아녀들])와|야|{_L}(?:게|까|께|래|걸|지도)|(?:{_STEM}|[하되맞먹알르])지"),
    (
        "hae",
        f"(?:{_STEM}|[하이되구])(?:네|군)|[는던]걸|[는렇]군|(?:{_SS}|[한는이온간된간])대|거임|[하거]삼|[하시가오]셈|"
        "[는]?구먼|구만",
    ),
    (
        "hae",
        f"{_SS}(?:엉|옹|징|넹|냥)|[봤었았했]엉|구낭|[다]넹|[하되이가오]넹|그랭|^행|마웡|[봐]앙|조앙|좋앙|싫엉|없엉",
    ),
)
"""Register → what the last word ends in, asked in this order."""

LOOSE: tuple[tuple[Register, str], ...] = (
    ("hage", f"(?:{_N}|[던는])가"),
    (
        "hage",
        "(?:앉|두|받|주|보|오|시|히|믿|참|전하|말하|생각하|조심하|그만하|안심하|힘내|일어나|따라나서|기다리|돌아가|"
        "떠나|^가)게",
    ),
    ("hae", f"{_CLOSED}[아어]"),
    ("hae", f"네|지|래|(?:[는은던인운른]|{_N})데|{_N}대|(?:[는은]|{_N})(?:걸|군)"),
    (
        "hae",
        "[가-힣](?:[려겨져켜쳐펴혀텨쪄셔여]|워|궈|춰|둬|놔|러|뻐|빠|파|퍼|싸|써|와|떠)|[달놀골빨올잘말]라|"
        "[이어아안]나|[나려어아러안]가|[가-힣]차",
    ),
    ("hae", "^(?:가|와|타|사|자|나|써|서|싸|짜|펴|켜|커|쳐|져|해|줘|떠|마|둬|춰|차|나와)"),
)
"""What is an ending only where a full stop, a question mark or the like follows; a heading has none."""

QUESTION = f"{_SS}니|[하가오보이자되르으치]니|나|까|[다라냐자]고"

POLITE_INSIDE = f"(?:{_B}니[다까]|[어아에예세네지해돼봐줘까워져려와]요|죠|십시오)"
"""A word that ends a polite sentence beyond doubt: what follows it was put behind (그건 뭐예요 이게?)."""

_DUTY = f"{_L}\\s?것$"

FOR_EXAMPLE = re.compile(r"예를?\s?들어$|다시\s?말해$")
"""Fixed phrases that end in 해체 and end no sentence."""

_M_NOUNS = (
    "사람 마음 이름 그림 바람 게임 프로그램 시스템 모임 힘 점 꿈 몸 춤 봄 밤 김 짐 잠 여름 구름 기름 가슴 느낌 "
    "흐름 걸음 울음 얼음 웃음 믿음 아침 점심 "
    "관심 중심 핵심 욕심 의심 결심 안심 작품 상품 제품 식품 부품 물품 땀 섬 감 암 참 틈 알림 도움 싸움 배움 "
    "보람 남 님 손님 선생님 스님 임금님 요즘 지금 "
    "소금 현금 요금 세금 임금 조금 방금 황금 벌금 예금 입금 송금 팀 폼 룸 붐 드림 크림 아이스크림 필름 앨범 범 "
    "주름 이룸 씨름 시름 고름 보름 노름 거름 "
    "처음 다음 죽음 젊음 어둠 무덤 사슴 말씀 설움 외로움 그리움 두려움 괴로움 즐거움 새로움 아름다움 "
    "고마움 부끄러움 어려움 느림 버림 움직임 쓰임 붙임 높임 "
    "속임 책임 장난감 물감 영감 공감 자신감 책임감 부담감 만족감 기대감 위험 시험 경험 보험 실험 모험 사임 "
    "담임 취임 기쁨 슬픔 아픔 배고픔 웃김"
)
_AFTER_ARGUMENT = f"(?:[이가을를에로도서만지]|안|못|잘|더|다시|많이|거의|[가-힣]게)\\s([가-힣]*{with_final('ㅁ')})$"


def is_nominal(body: str) -> bool:
    """Whether a sentence ends nominally by its last words: 읽을 것 (좋은 것 is a thing), 소리가 남, 안 감."""
    found = pattern(_AFTER_ARGUMENT).search(body)
    return bool(pattern(_DUTY).search(body)) or bool(found and found[1] not in _M_NOUN)


_M_NOUN = frozenset(_M_NOUNS.split())

UNSURE = re.compile("데$|뿐이지$")
"""Ends of 해체 that also trail behind a polite sentence: 아쉽네요. 표가 두 장 있었는데."""
