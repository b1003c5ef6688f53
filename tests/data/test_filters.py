"""A filter says why a record is dropped, and says nothing about a good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.data import filters
from seodang.data.filters import (
    ChosenEqualsRejected,
    Contains,
    Empty,
    EndsWithColon,
    Filter,
    HangulShare,
    Length,
    PromptEqualsAnswer,
)
from seodang.records import Conversation, Labelled, Message, Preference, Prompt, Record, Text, Unpaired
from seodang.schema import check_schema


def talk(*contents: str) -> Conversation:
    """Contents by turns: user, assistant, user, …"""
    return Conversation(tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(contents)), "a:1")


def pair(prompt: str, chosen: str, rejected: str) -> Preference:
    sides = (Message("user", prompt),), (Message("assistant", chosen),), (Message("assistant", rejected),)
    return Preference(*sides, "p:1")


GOOD = talk("대한민국의 수도는 어디인가요?", "대한민국의 수도는 서울입니다. 서울은 한강을 끼고 있습니다.")
CODE = talk(
    "파이썬으로 인사해 줘", "이렇게 쓰세요.\n```python\nfor name in people_of_the_village:\n    print(name)\n```"
)

CASES: list[tuple[Any, Record, str | None]] = [
    (Empty(), GOOD, None),
    (Empty(), talk("", "답"), "empty"),
    (Empty(), talk("질문", " \n"), "empty"),
    (Empty(), talk("질문", "답", "", "답"), "empty"),
    (Empty(), Conversation((), "a:1"), "empty"),
    (Empty(), pair("질문", "답", " "), "empty"),
    (Empty(), Prompt((Message("user", "  "),)), "empty"),
    (Empty(), Prompt((Message("user", "질문"),)), None),
    (Empty(), Text(" "), "empty"),
    (Empty(), Labelled("글", 1), None),
    (Empty(), Unpaired((Message("user", "질문"),), (Message("assistant", ""),), True), "empty"),
    (Length(min=5), talk("가", "네"), "too_short"),
    (Length(min=2), talk("가", "네."), None),
    (Length(max=4), talk("가", "다섯 글자"), "too_long"),
    (Length(max=5), talk("가나다라마바사", "다섯 글자"), None),
    (Length(of="prompt", max=5), talk("가나다라마바사", "네"), "too_long"),
    (Length(min=3), talk("가", "네", "나", "아닙니다"), "too_short"),
    (Length(max=3), pair("가", "예", "아닙니다"), "too_long"),
    (Length(max=3), Text("긴 글입니다"), "too_long"),
    (Length(min=5), Prompt((Message("user", "?"),)), None),
    (Length(of="prompt", min=5), Prompt((Message("user", "?"),)), "too_short"),
    (HangulShare(), GOOD, None),
    (HangulShare(), talk("수도는?", "The capital of the Republic of Korea is Seoul."), "hangul_share"),
    (HangulShare(), talk("수도는?", "大韓民國의 首都는 서울特別市이며 人口는 約 九百萬名이라고 傳한다"), None),
    (HangulShare(), talk("수도는?", "大韓民國的首都是首尔特别市人口大约有九百万名左右的样子"), "hangul_share"),
    (HangulShare(), CODE, None),
    (HangulShare(), talk("영어로?", "I go to school."), None),  # fewer than twenty letters
    (HangulShare(min_letters=5), talk("영어로?", "I go to school."), "hangul_share"),
    (HangulShare(min=0.0), talk("수도는?", "The capital of the Republic of Korea is Seoul."), None),
    (HangulShare(of="prompt"), talk("What is the capital of the Republic?", "서울입니다."), "hangul_share"),
    (HangulShare(), talk("계산해 줘", "12 × 12 = 144, 144 × 12 = 1,728"), None),
    (PromptEqualsAnswer(), talk("수도는 어디인가요?", "수도는  어디인가요?"), "prompt_equals_answer"),
    (PromptEqualsAnswer(), GOOD, None),
    (PromptEqualsAnswer(), talk("가", "가", "나", "다"), None),
    (PromptEqualsAnswer(), pair("수도는?", "수도는?", "서울"), "prompt_equals_answer"),
    (PromptEqualsAnswer(), pair("수도는?", "서울", "수도는?"), "prompt_equals_answer"),
    (PromptEqualsAnswer(), Text("글"), None),
    (PromptEqualsAnswer(), Prompt((Message("user", "질문"),)), None),
    (EndsWithColon(), talk("세 가지만 써 줘", "세 가지는 다음과 같습니다:"), "ends_with_colon"),
    (EndsWithColon(), talk("세 가지만 써 줘", "세 가지는 다음과 같습니다：\n"), "ends_with_colon"),
    (EndsWithColon(), talk("요약해 줘:", "요약입니다."), None),
    (EndsWithColon(of="prompt"), talk("요약해 줘:", "요약입니다."), "ends_with_colon"),
    (Contains(phrases=("이미지",)), talk("그려 줘", "아래 이미지를 보세요."), "contains"),
    (Contains(phrases=("OpenAI", "챗GPT")), talk("누구니?", "저는 openai가 만들었습니다."), "contains"),
    (Contains(phrases=("이미지",)), talk("이미지를 그려 줘", "그릴 수 없습니다."), None),
    (Contains(phrases=("이미지",), of="prompt"), talk("이미지를 그려 줘", "그릴 수 없습니다."), "contains"),
    (ChosenEqualsRejected(), pair("수도는?", "서울", "서울 "), "chosen_equals_rejected"),
    (ChosenEqualsRejected(), pair("수도는?", "서울", "부산"), None),
    (ChosenEqualsRejected(), GOOD, None),
]  # fmt: skip


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason


def test_every_filter_is_tried_both_ways() -> None:
    """A filter that never drops, or always, is no filter."""
    kinds = {type(one) for one, _, _ in CASES}
    assert kinds == set(Filter.__origin__.__args__)  # type: ignore[attr-defined]
    for kind in kinds:
        assert {reason is None for one, _, reason in CASES if type(one) is kind} == {True, False}


WRITTEN = [
    ("empty", Empty()),
    ({"kind": "length", "max": 100}, Length(max=100)),
    ({"kind": "contains", "phrases": ["가"]}, Contains(phrases=("가",))),
]


@pytest.mark.parametrize(("value", "one"), WRITTEN)
def test_in_a_recipe(value: Any, one: Any) -> None:
    assert check_schema(filters.Filter, value) == (one, [])


MISTAKES = [
    ({"kind": "length", "min": 9, "max": 3}, "`max` (3) must not be smaller than `min` (9)"),
    ({"kind": "length", "maximum": 3}, "unknown key"),
    ({"kind": "contains"}, "phrases: is required"),
    ({"kind": "hangul_share", "min": 1.5}, "must be less than or equal to 1"),
    ("emtpy", "unknown kind `emtpy`, did you mean `empty`?"),
]


@pytest.mark.parametrize(("value", "text"), MISTAKES)
def test_mistakes_in_a_recipe(value: Any, text: str) -> None:
    found, mistakes = check_schema(filters.Filter, value)
    assert found is None
    assert text in " ".join(map(str, mistakes))


LOSSES = ["ko/kullm_style_conversation.jsonl", "ko/kullm_style_evol.jsonl", "ko/preference_mk4.jsonl"]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("one", [Empty(), HangulShare(), PromptEqualsAnswer(), EndsWithColon()])
def test_no_filter_loses_more_than_one_percent_of_a_real_file(shared_data: Path, name: str, one: Any) -> None:
    from seodang.data.reading import open_records
    from seodang.errors import DataError

    found = [item.found for item in open_records(shared_data / name).items if not isinstance(item.found, DataError)]
    dropped = sum(one.reason(record) is not None for record in found)
    # kullm_style_evol asks for English in places: eleven answers are meant to be English
    allowed = 0.03 if isinstance(one, HangulShare) and name.endswith("evol.jsonl") else 0.01
    assert dropped / len(found) <= allowed
