"""Rows that say the same, and rows that only look as if they did."""

from __future__ import annotations

import pytest

from seodang.data.agreement import guards, resembles, same
from seodang.data.dedup import canonical, spelt
from seodang.records import Conversation, Message, Prompt


def asked(text: str) -> str:
    return spelt(Prompt((Message("user", text),)))


SAME = [
    ("오늘 날씨 어때?", "오늘 날씨는 어때"),
    ("서울의 인구를 알려 줘", "서울의 인구를 알려주세요."),
    ("왜 안먹어", "왜 안 먹어요?"),
    ("python을 설명해 줘", "Python을 설명해주세요"),
    ("내일 서울에 갑니다", "서울에 내일 갑니다"),
    ("건강을 지키는 방법을 설명하시오.", "건강을 지키는 방법 설명해 줘"),
    ("이 문장을 영어로 번역해 주십시오", "이 문장을 영어로 좀 번역해줘"),
    ("커피의 효능을 설명해 주세요", "커피의 효능을 설명헤 주세요"),
    ("1,000원으로 무엇을 살 수 있나요?", "1000원으로 무엇을 살 수 있습니까?"),
    ("'사랑'의 뜻은?", "사랑의 뜻은"),
]
DIFFERENT = [
    ("38을 한글로 읽어 주세요", "47을 한글로 읽어 주세요"),
    ("방법 세 가지를 써 줘", "방법 네 가지를 써 줘"),
    ("3 + 5는 얼마인가요?", "3 - 5는 얼마인가요?"),
    ("왜 먹지 않나요?", "왜 먹나요?"),
    ("왜 안 먹어?", "왜 먹어?"),
    ("문이 없습니다", "문이 있습니다"),
    ("여기서 담배를 피우세요", "여기서 담배를 피우지 마세요"),
    ("서울의 인구를 알려 줘", "부산의 인구를 알려 줘"),
    ("민수는 어디에 갔나요", "지영이는 어디에 갔나요"),
    ("Python을 설명해 줘", "Java를 설명해 줘"),
    ("'사랑'의 뜻은?", "'사람'의 뜻은?"),
    ("'가다'를 넣어 문장을 지어 줘", "'갑니다'를 넣어 문장을 지어 줘"),
    ("사과를 먹고 배를 버렸다", "배를 먹고 사과를 버렸다"),
    ("철수가 영희를 좋아한다", "영희가 철수를 좋아한다"),
    ("밥을 먹었다", "밥을 먹는다"),
    ("밥을 먹었다", "밥을 먹었니"),
    ("A와 B 중에 고르세요", "a와 b 중에 고르세요"),
    ("가게에서 사과를 샀습니다", "가게에서 샀습니다"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_they_say_the_same(left: str, right: str) -> None:
    assert same(asked(left), asked(right))
    assert same(asked(right), asked(left))


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_they_do_not(left: str, right: str) -> None:
    assert not same(asked(left), asked(right))
    assert not same(asked(right), asked(left))


def test_in_a_long_text_one_word_is_still_another_row() -> None:
    rest = " 그 도시의 역사와 문화, 음식과 교통을 차례로 소개하고 가 볼 만한 곳을 추천해 주세요. 여행 일정도 짜 주세요."
    assert same(asked("서울에 대해 알려 줘." + rest), asked("서울에 대해 알려 주세요." + rest))
    assert not same(asked("서울에 대해 알려 줘." + rest), asked("대구에 대해 알려 줘." + rest))


def test_turns_are_compared_one_by_one() -> None:
    def said(*turns: tuple[str, str]) -> str:
        return spelt(Conversation(tuple(Message(*turn) for turn in turns)))

    one = said(("user", "수도는?"), ("assistant", "서울입니다."))
    assert same(one, said(("user", "수도는"), ("assistant", "서울이에요")))
    assert not same(one, said(("user", "수도는?"), ("assistant", "부산입니다.")))
    assert not same(one, said(("user", "수도는? 서울입니다.")))
    assert not same(one, said(("system", "수도는?"), ("assistant", "서울입니다.")))


GUARDS = [
    ("3개와 3.5개", "3 3.5"),
    ("값은 1,000원", "1000"),
    ("Python과 A와 a", "python A a"),
    ("x != 3", "x ! = 3"),
    ("하지 않고 못 가고 없다", "!no !no !no"),
    ("지금 안내를 제안하다", ""),
    ("좋아하는 음식", ""),
]


@pytest.mark.parametrize(("text", "wanted"), GUARDS)
def test_what_two_texts_must_share(text: str, wanted: str) -> None:
    assert guards(canonical(text)) == wanted


def test_a_threshold_of_one_asks_for_equal_texts() -> None:
    text = "이 도시의 역사와 문화를 자세히 알려 주고 가 볼 만한 곳도 추천해 "
    left, right = text + "줘", text + "주세요"
    assert same(asked(left), asked(right), 0.6)
    assert not same(asked(left), asked(right), 1.0)


def test_resembles_lets_a_word_differ_but_no_number() -> None:
    question = "다음 중 조선 시대에 일어난 일이 아닌 것을 고르세요"
    assert resembles(asked(question), asked(question.replace("고르세요", "찾으세요")), 0.8)
    assert not resembles(asked(question), asked(question.replace("아닌", "맞는")), 0.8)
    assert not resembles(asked("3번 " + question), asked("4번 " + question), 0.8)
