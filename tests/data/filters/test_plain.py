"""Empty, length, a phrase, a colon at the end, and two texts that are one."""

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
    (Length(max=2, unit="eojeol"), talk("가", "아주  긴 낱말입니다"), "too_long"),
    (Length(max=2, unit="eojeol"), talk("가", "띄어쓰기없이쓰면길어도 둘이다"), None),
    (Length(min=2, unit="eojeol"), talk("가", "하나"), "too_short"),
    (PromptEqualsAnswer(), talk("수도는 어디인가요?", "수도는  어디인가요?"), "prompt_equals_answer"),
    (PromptEqualsAnswer(), talk("수도는 어디인가요?", "\n수도는어디인가요?"), "prompt_equals_answer"),
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
]


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason


def test_length_in_tokens_is_counted_by_the_tokenizer_that_is_named(tokenizer_dir: Path, tokenizer: Any) -> None:
    answer = "나는 아침에 학교에 갑니다."
    count = len(tokenizer.encode(answer, add_special_tokens=False))
    kept = Length(unit="tokens", tokenizer=str(tokenizer_dir), min=count, max=count)
    assert kept.reason(talk("언제?", answer)) is None
    assert kept.reason(talk("언제?", answer + " 그리고")) == "too_long"


WRITTEN = [
    ("empty", Empty()),
    ({"kind": "length", "max": 100}, Length(max=100)),
    ({"kind": "contains", "phrases": ["가"]}, Contains(phrases=("가",))),
    *((kind.model_fields["kind"].default, kind()) for kind in Filter.__origin__.__args__ if kind is not Contains),  # type: ignore[attr-defined]
]


@pytest.mark.parametrize(("value", "one"), WRITTEN)
def test_in_a_recipe(value: Any, one: Any) -> None:
    assert check_schema(filters.Filter, value) == (one, [])


TOGETHER = "`unit: tokens` and `tokenizer` belong together: give both, or neither"
MISTAKES = [
    ({"kind": "length", "min": 9, "max": 3}, "`max` (3) must not be smaller than `min` (9)"),
    ({"kind": "length", "maximum": 3}, "unknown key"),
    ({"kind": "length", "unit": "tokens"}, TOGETHER),
    ({"kind": "length", "tokenizer": "model"}, TOGETHER),
    ({"kind": "length", "unit": "words"}, "unit"),
    ({"kind": "pii", "action": "hide"}, "action"),
    ({"kind": "pii", "kinds": ["name"]}, "kinds"),
    ({"kind": "contains"}, "phrases: is required"),
    ({"kind": "hangul_share", "min": 1.5}, "must be less than or equal to 1"),
    ("emtpy", "unknown kind `emtpy`, did you mean `empty`?"),
]


@pytest.mark.parametrize(("value", "text"), MISTAKES)
def test_mistakes_in_a_recipe(value: Any, text: str) -> None:
    found, mistakes = check_schema(filters.Filter, value)
    assert found is None
    assert text in " ".join(map(str, mistakes))


LOSSES = [
    "ko/chatbot_data.csv",
    "ko/kullm_style_conversation.jsonl",
    "ko/kullm_style_evol.jsonl",
    "ko/kochatgpt_ppo.jsonl",
    "ko/preference_mk4.jsonl",
    "ko/preference_mk6_eval.json",
    "en/alpaca_en_demo.json",
    "en/dpo_en_demo.json",
]


@pytest.mark.parametrize("name", LOSSES)
def test_no_filter_loses_more_than_one_percent_of_a_real_file(shared_data: Path, name: str) -> None:
    from seodang.data.judge import judge, mended
    from seodang.data.reading import open_records
    from seodang.errors import DataError

    read = [item.found for item in open_records(shared_data / name).items]
    found = [judge(one, ())[0] for one in read if not isinstance(one, DataError)]
    for kind in Filter.__origin__.__args__:  # type: ignore[attr-defined]
        if kind is not Contains:
            one = kind()
            dropped = sum(one.reason(mended(record, one)[0]) is not None for record in found)
            assert dropped / len(found) <= 0.01, kind
