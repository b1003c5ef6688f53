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
    Leftover,
    Length,
    Pii,
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
    (Leftover(), talk("수도는?", "서울입니다.\n\n### 질문: 인구는?\n### 답변: 천만 명입니다."), "leftover"),
    (Leftover(), talk("수도는?", "서울입니다.<|im_end|>\n부산은 항구입니다."), "leftover"),
    (Leftover(), talk("### 질문: 수도는?", "## 서울\n수도입니다. 질문: 더 있나요?"), None),
    (Leftover(), pair("수도는?", "서울", "몰라 ### Response(응답): 서울"), "leftover"),
    (Leftover(), Prompt((Message("user", "### 답변:"),)), None),
    (Pii(), talk("내 번호 990231-1234567 기억해", "네, 기억할게요."), "pii"),
    (Pii(), talk("번호를 지어 줘", "990231-1234567"), "pii"),
    (Pii(action="mask"), talk("번호를 지어 줘", "990231-1234567"), "pii"),  # not mended: `judge` asks `mend` first
    (Pii(), pair("번호?", "없습니다.", "990231-1234567"), "pii"),
    (Pii(), Text("번호는 990231-1234567"), "pii"),
    (Pii(), talk("전화 010-1234-5678", "2026-11-20에 걸게요."), None),
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


ENDS = [
    ("### 답변: 서울입니다.", "서울입니다."),
    ("### 응답:\n서울입니다.\n\n### 질문:", "서울입니다."),
    ("서울입니다.<|im_end|>", "서울입니다."),
    ("<bot> ### Response: 서울입니다. </s>\n", "서울입니다."),
    ("### 답변:", ""),
    ("서울입니다.", "서울입니다."),
    ("서울입니다.\n### 질문: 인구는?", "서울입니다.\n### 질문: 인구는?"),
    ("### 답변은 서울입니다:", "### 답변은 서울입니다:"),
]


@pytest.mark.parametrize(("answer", "clean"), ENDS)
def test_leftover_words_go_from_both_ends_of_an_answer(answer: str, clean: str) -> None:
    given = talk("### 질문: 수도는?", answer)
    record, times = Leftover().mend(given)
    assert record == talk("### 질문: 수도는?", clean)
    assert times == (answer != clean)
    assert Leftover().mend(record) == (record, 0)


def test_leftover_words_go_from_every_answer_of_any_record() -> None:
    said, clean = Message("assistant", "### 답변: 네."), Message("assistant", "네.")
    asked = Message("user", "### 답변: 라고 써 줘")
    assert Leftover().mend(Conversation((asked, said, asked, said))) == (Conversation((asked, clean, asked, clean)), 2)
    assert Leftover().mend(Preference((asked,), (said,), (clean,))) == (Preference((asked,), (clean,), (clean,)), 1)
    assert Leftover().mend(Unpaired((asked,), (said,), True)) == (Unpaired((asked,), (clean,), True), 1)
    assert Leftover().mend(Text("### 답변: 네.")) == (Text("### 답변: 네."), 0)


def test_personal_data_is_masked_where_the_action_says_so() -> None:
    given = talk("내 번호 990231-1234567", "990231-1234567 맞지요?")
    assert Pii().mend(given) == (given, 0)
    record, times = Pii(action="mask").mend(given)
    assert (record, times) == (talk("내 번호 990231-*******", "990231-******* 맞지요?"), 2)
    assert Pii().reason(record) is None


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
    ({"kind": "pii", "action": "hide"}, "action"),
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
@pytest.mark.parametrize("one", [Empty(), HangulShare(), PromptEqualsAnswer(), EndsWithColon(), Leftover(), Pii()])
def test_no_filter_loses_more_than_one_percent_of_a_real_file(shared_data: Path, name: str, one: Any) -> None:
    from seodang.data.reading import open_records
    from seodang.errors import DataError

    found = [item.found for item in open_records(shared_data / name).items if not isinstance(item.found, DataError)]
    dropped = sum(one.reason(record) is not None for record in found)
    # kullm_style_evol asks for English in places: eleven answers are meant to be English
    allowed = 0.03 if isinstance(one, HangulShare) and name.endswith("evol.jsonl") else 0.01
    assert dropped / len(found) <= allowed
