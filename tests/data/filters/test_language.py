"""Hardly any Hangul, and answers that were never translated."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.filters import HangulShare, Untranslated
from seodang.records import Conversation, Message, Preference, Record, Text


def talk(*contents: str) -> Conversation:
    """Contents by turns: user, assistant, user, …"""
    return Conversation(tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(contents)), "a:1")


ENGLISH = "The capital of the Republic of Korea is Seoul."
KOREAN = "대한민국의 수도는 서울입니다. 서울은 한강을 끼고 있습니다."
CODE = talk("인사를 적어 줘", "이렇게 쓰세요.\n```python\nfor name in people_of_the_village:\n    print(name)\n```")
MIXED = "大韓民國의 首都는 서울特別市이며 人口는 約 九百萬名이라고 傳한다"

CASES: list[tuple[Any, Record, str | None]] = [
    (HangulShare(), talk("수도는?", KOREAN), None),
    (HangulShare(), talk("수도는?", ENGLISH), "hangul_share"),
    (HangulShare(), talk("수도는?", MIXED), None),
    (HangulShare(), talk("수도는?", "大韓民國的首都是首尔特别市人口大约有九百万名左右的样子"), "hangul_share"),
    (HangulShare(), CODE, None),
    (HangulShare(), talk("뭐라고 하지?", "I go to school."), None),  # fewer than twenty letters
    (HangulShare(min_letters=5), talk("뭐라고 하지?", "I go to school."), "hangul_share"),
    (HangulShare(min=0.0), talk("수도는?", ENGLISH), None),
    (HangulShare(), talk("다음을 영어로 옮겨 줘: 수도는 서울이다", ENGLISH), None),
    (HangulShare(), talk("정렬하는 함수를 짜 줘", "def sort(values): return sorted(values, reverse=True)"), None),
    (HangulShare(), talk("What is the capital of the Republic?", ENGLISH), None),
    (HangulShare(of="prompt"), talk("What is the capital of the Republic?", "서울입니다."), "hangul_share"),
    (HangulShare(of="prompt"), talk("수도는 어디인가요?", ENGLISH), None),
    (HangulShare(), talk("계산해 줘", "12 × 12 = 144, 144 × 12 = 1,728"), None),
    (HangulShare(), talk("값은?", "값은 $\\frac{a+b}{c} \\cdot \\operatorname{max}(x, y, z)$ 입니다."), None),
    (HangulShare(), talk("Battlefield 시리즈는?", "Battlefield 하나, Battlefield 둘, Battlefield 셋이 있습니다."), None),
    (HangulShare(), talk("오류 이름은?", "논리 오류: 전체 부정 (Sweeping generalization)"), None),
    (HangulShare(), Text(ENGLISH), "hangul_share"),
    (HangulShare(), Preference((Message("user", "수도는?"),), (Message("assistant", KOREAN),), (Message("assistant", ENGLISH),)), None),
    (Untranslated(), talk("수도는?", KOREAN), None),
    (Untranslated(), talk("수도는?", "It is Seoul."), "untranslated"),
    (Untranslated(), talk("수도는?", "首爾是韓國的首都。"), "untranslated"),
    (Untranslated(), talk("수도는?", f"{KOREAN}\n{ENGLISH} It lies on the Han River."), "untranslated"),
    (Untranslated(), talk("수도는?", f"{KOREAN * 4}\n{ENGLISH}"), None),
    (Untranslated(max_share=0.1), talk("수도는?", f"{KOREAN * 4}\n{ENGLISH}"), "untranslated"),
    (Untranslated(), talk("만든 회사는?", "OpenAI"), None),
    (Untranslated(), talk("수도를 영어로 소개해 줘", ENGLISH), None),
    (Untranslated(), talk("What is the capital?", ENGLISH), None),
    (Untranslated(), CODE, None),
    (Untranslated(), Text(ENGLISH), "untranslated"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason
