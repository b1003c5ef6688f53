"""Speech levels by how sentences end, on the endings and on what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seodang.korean.register import is_polite, register_of, sentences

HAPSYO = """
    학교에 갑니다. | 어디에 가십니까? | 어서 오십시오. | 함께 갑시다. | 그것이 아닙니다. | 감사합니당~
    | 그렇습니다만, | 확인했습니다(웃음). | "알겠습니다." | 반갑습니다!! ^^ | 밥을 먹었습니다ㅎㅎ | 무엇입니까
    | 춥습니다…
"""
HAEYO = """
    학교에 가요. | 그렇죠? | 필요해요. | 저도요. | 맛있게 드세요~ | 안녕하세용 | 네, 알겠어요ㅋㅋ | 뭐 하세여?
    | 괜찮아요 🙂 | 비가 올까요? | 그런데요. | 제 거예요. | 여기 있어요(아마도).
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
    | 네. | | 마음 | 내일부터 | 문제점 OK
"""


def _cases() -> list[tuple[str, str]]:
    groups = {"hapsyo": HAPSYO, "haeyo": HAEYO, "hae": HAE, "haera": HAERA, "nominal": NOMINAL, "none": NONE}
    return [(one.strip(), name) for name, text in groups.items() for one in text.split("|")]


@pytest.mark.parametrize(("sentence", "register"), _cases())
def test_register_of_a_sentence(sentence: str, register: str) -> None:
    assert register_of(sentence) == register


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
    ("좋은 아침이에요, 데이브.", None),
    ("사과와 배를 샀다. 필요", False),
]


@pytest.mark.parametrize(("text", "polite"), POLITE)
def test_politeness_is_that_of_the_last_sentence_with_an_ending(text: str, polite: bool | None) -> None:
    assert is_polite(text) is polite


def test_agrees_with_the_formal_and_informal_columns(shared_data: Path) -> None:
    """Human gold (SmileStyle): hardly a formal row is called plain, and hardly an informal one polite.

    About twenty rows of the informal column are polite as they stand; what has no ending at the end is left out.
    """
    lines = (shared_data / "ko" / "smilestyle.tsv").read_text(encoding="utf-8").splitlines()
    names = lines[0].split("\t")
    wrong, judged = {"formal": 0, "informal": 0}, {"formal": 0, "informal": 0}
    for line in lines[1:]:
        for name, text in zip(names, line.split("\t"), strict=False):
            polite = is_polite(text) if name in wrong and text.strip() else None
            if polite is not None:
                judged[name] += 1
                wrong[name] += polite is not (name == "formal")
    assert judged["formal"] > 3400
    assert judged["informal"] > 3000
    assert wrong["formal"] / judged["formal"] < 0.005
    assert wrong["informal"] / judged["informal"] < 0.01


def test_web_text_is_hardly_ever_called_polite(shared_data: Path) -> None:
    found = total = 0
    for line in (shared_data / "ko" / "web_text_0.jsonl").read_text(encoding="utf-8").splitlines():
        for sentence in sentences(json.loads(line)["text"]):
            total += 1
            found += register_of(sentence) in ("hapsyo", "haeyo")
    assert total > 15000
    assert found / total < 0.003
