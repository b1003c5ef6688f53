"""Speech levels by how sentences end, on the endings and on what only looks like one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from seodang.korean.register import is_polite, register_of, running, sentences

HAPSYO = """
    학교에 갑니다. | 어디에 가십니까? | 어서 오십시오. | 함께 갑시다. | 그것이 아닙니다. | 감사합니당~
    | 그렇습니다만, | 확인했습니다(웃음). | "알겠습니다." | 반갑습니다!! ^^ | 밥을 먹었습니다ㅎㅎ | 무엇입니까
    | 춥습니다…
"""
HAEYO = """
    학교에 가요. | 그렇죠? | 필요해요. | 저도요. | 맛있게 드세요~ | 안녕하세용 | 네, 알겠어요ㅋㅋ | 뭐 하세여?
    | 네. | 넹 | 넵! | 했어용 | 괜찮아요 🙂 | 비가 올까요? | 그런데요. | 제 거예요. | 여기 있어요(아마도).
"""
HAE = """
    나 집에 갔어. | 진짜 좋아! | 그건 아니야. | 뭐 먹을까? | 내가 할게. | 같이 갈래? | 나도 알지. | 있잖아 | 그렇더라고.
    | 사랑해 | 이거 먹어 봐. | 밥 먹었어? | 비 온대. | 맛있네ㅋㅋ | 고마워~ | 그건 싫어
"""
HAERA = """
    나는 학교에 간다. | 서울은 대한민국의 수도이다. | 그것은 사실이 아니다. | 어서 가라. | 이제 그만하자. | 밥은 먹었냐?
    | 참 좋구나! | 문제를 풀어라. | 다음을 보라. | 집에 가자. | 너도 갔니? | 그 결과는 다음과 같다(표 1).
"""
NOMINAL = "확인했음. | 변동 없음 | 제출 완료함 | 가능할 것 | 내일까지 제출하기"
NONE = """
    필요. | 사용자의 필요 | 푸른 바다 | 한국어 | 1. 사과 | 대한민국 | 서울, 부산, 대구 | 그러니까 | 어머니
    | 비가 와서 | 학교에 가면서 | Hello, world. | x = 3 | 123 | 이해 | 메시지 | 우리나라
    | | 마음 | 내일부터 | 문제점 OK
"""


HAO = "문제를 푸시오. | 무엇을 하고 있소? | 나는 괜찮소. | 나는 그런 사람이 아니오. | 참으로 아름답구려. | 처음 뵙겠소이다."
HAGE = "이리 와서 앉게. | 자네도 한잔하게나. | 그만 가세. | 밥은 먹었는가? | 나도 늙었다네. | 내 아들일세. | 자네 덕에 살았네그려."


def _cases() -> list[tuple[str, str]]:
    groups = {"hapsyo": HAPSYO, "haeyo": HAEYO, "hae": HAE, "haera": HAERA, "nominal": NOMINAL, "none": NONE}
    groups |= {"hao": HAO, "hage": HAGE}
    return [(one.strip(), name) for name, text in groups.items() for one in text.split("|")]


@pytest.mark.parametrize(("sentence", "register"), _cases())
def test_register_of_a_sentence(sentence: str, register: str) -> None:
    assert register_of(sentence) == register


@pytest.mark.parametrize("sentence", ["```\n끝났다.", "`끝났다.", "'끝'이라는 `말`", "식은 \\(x = 1\\)"])
def test_what_stands_in_code_ends_nothing(sentence: str) -> None:
    """An open fence is code to its end; an open backtick is none."""
    assert register_of(sentence) == ("haera" if sentence == "`끝났다." else "none")


@pytest.mark.parametrize(
    ("said", "register"), [("'가능하다'야.", "hae"), ("'물'이다.", "haera"), ("답은 '물'임.", "nominal")]
)
def test_an_ending_may_follow_a_quote(said: str, register: str) -> None:
    assert register_of(said) == register


def test_anida_is_written_style_and_no_polite_ending() -> None:
    """니다 without a ㅂ before it: 62 % of what a one-line rule calls polite on web text is this word."""
    assert register_of("사실이 아니다.") == "haera"
    assert register_of("사실이 아닙니다.") == "hapsyo"


SPLITS = [
    ("안녕하세요. 반갑습니다!", ["안녕하세요.", "반갑습니다!"]),
    ("원주율은 3.14입니다. 끝.", ["원주율은 3.14입니다.", "끝."]),
    ("제목\n첫 줄입니다.\n\n둘째 줄", ["제목", "첫 줄입니다.", "둘째 줄"]),
    ('"가자." 그가 말했다.', ['"가자."', "그가 말했다."]),
    ("1. 사과를 씻습니다.\n2) 껍질을 벗깁니다.\n- 먹습니다.", ["사과를 씻습니다.", "껍질을 벗깁니다.", "먹습니다."]),
    ("## 요약\n좋습니다.", ["요약", "좋습니다."]),
    ("이렇게 씁니다.\n```python\nprint('했어')\n```", ["이렇게 씁니다."]),
    ("", []),
]


@pytest.mark.parametrize(("text", "found"), SPLITS)
def test_sentences(text: str, found: list[str]) -> None:
    assert sentences(text) == found


POLITE = [
    ("안녕하세요. 만나서 반갑습니다.", True),
    ("오늘은 날씨가 맑아요", True),
    ("어제는 산에 갔다. 오늘은 쉬겠습니다.", True),
    ("반갑습니다. 응, 나도 갔어.", False),
    ("응, 알겠어.", False),
    ("서울은 대한민국의 수도이다.", False),
    ("서른여덟", None),
    ("38", None),
    ("I go to school.", None),
    ("", None),
    ("답은 다음과 같습니다.\n1. 사과\n2. 배", True),
    ("먼저 확인해 주세요.\n```\nif 했다: 간다\n```", True),
    ("알겠습니다! ^^", True),
    ("좋은 아침이에요, 데이브.", True),
    ("아쉽네요. 표가 두 장 있었는데.", True),
    ("아쉽네. 표가 두 장 있었는데.", False),
    ("먹을 게 많지요 추석에는.", True),
    ("문제를 푸시오.", None),
    ("네.", True),
    ("사과와 배를 샀다. 필요", False),
]


@pytest.mark.parametrize(("text", "polite"), POLITE)
def test_politeness_is_that_of_the_last_sentence_with_an_ending(text: str, polite: bool | None) -> None:
    assert is_polite(text) is polite


HERE = Path(__file__).parent
SENTENCES = [line.split("\t") for line in (HERE / "register_sentences.tsv").read_text(encoding="utf-8").splitlines()]


def test_the_sentences_are_six_hundred_of_eight_classes() -> None:
    assert set(Counter(register for register, _ in SENTENCES).values()) == {75}
    assert len({sentence for _, sentence in SENTENCES}) == 600


@pytest.mark.parametrize("half", [0, 1], ids=["developed on", "reported"])
def test_macro_f1_on_the_sentences(half: int) -> None:
    """97 % on the half that was not looked at while the rules were made, and on the other."""
    judged = [
        (true, register_of(sentence))
        for true, sentence in SENTENCES
        if hashlib.blake2b(sentence.encode(), digest_size=8).digest()[-1] % 2 == half
    ]
    right = Counter(true for true, found in judged if true == found)
    trues, founds = Counter(true for true, _ in judged), Counter(found for _, found in judged)
    assert sum(2 * right[one] / (trues[one] + founds[one]) for one in trues) / 8 >= 0.97


RUNNING = [
    ('그는 "빨리 가"라고 말했습니다.', ["그는 라고 말했습니다."]),
    ("좋습니다.\n- 물을 마셔.\n1. 잠을 자.\n이상입니다.", ["좋습니다.", "이상입니다."]),
    ("## 제목이야\n본문입니다.", ["본문입니다."]),
    ("제목 없는 줄\n본문입니다.", ["본문입니다."]),
    ("민수: 밥 먹었어?\n영희: 응, 먹었어.\n둘은 친구입니다.", ["둘은 친구입니다."]),
    ("다음과 같습니다:\n```\n했어.\n```\n끝입니다.", ["끝입니다."]),
    ("| 했어 | 갔어 |\n표입니다.", ["표입니다."]),
    ("> 인용이야.\n본문입니다.", ["본문입니다."]),
    ("**주의해**\n본문입니다! 그렇죠?", ["본문입니다!", "그렇죠?"]),
]


@pytest.mark.parametrize(("text", "said"), RUNNING)
def test_what_the_writer_says_himself(text: str, said: list[str]) -> None:
    assert running(text) == said


def test_agrees_with_the_formal_and_informal_columns(shared_data: Path) -> None:
    """Human gold (SmileStyle), on rows of odd hash: formal ones are called polite, informal ones are not.

    Fourteen informal rows of that half are polite as they stand ("이름이 어떻게 되세요?"), as benchmarks/register.py
    shows; with them no rule can reach 99.5 %.
    """
    lines = (shared_data / "ko" / "smilestyle.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    right, n = Counter[str](), Counter[str]()
    for line in lines[1:]:
        if hashlib.blake2b(line.encode(), digest_size=8).digest()[-1] % 2 == 0:
            continue
        row = dict(zip(names, line.split("\t"), strict=False))
        for name in ("formal", "informal"):
            if row.get(name, "").strip():
                n[name] += 1
                right[name] += (is_polite(row[name]) is True) is (name == "formal")
    assert min(n.values()) > 1700
    assert right["formal"] / n["formal"] >= 0.995
    assert (right["informal"] + 14) / n["informal"] >= 0.995


def test_web_text_is_hardly_ever_called_polite(shared_data: Path) -> None:
    """36 of 17,869 sentences of news, all of which are polite: quotes, letters, an office's greeting."""
    found = total = 0
    for line in (shared_data / "ko" / "web_text_0.jsonl").read_text(encoding="utf-8").splitlines():
        for sentence in sentences(json.loads(line)["text"]):
            total += 1
            found += register_of(sentence) in ("hapsyo", "haeyo")
    assert total > 15000
    assert found <= 40
