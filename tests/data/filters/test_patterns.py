"""The patterns of data_filters/: every list compiles, finds what it is for, and is quick to pass over a text."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from seodang.data.filters import patterns
from seodang.data.filters.patterns import List, any_of, marks


@pytest.mark.parametrize("name", get_args(List))
def test_every_list_is_one_pattern_that_finds_no_empty_text(name: List) -> None:
    assert isinstance(any_of(name), re.Pattern)
    assert not any_of(name).search("")


def test_the_schema_and_the_lists_are_the_same() -> None:
    assert set(get_args(List)) == set(patterns.Patterns.model_fields) - {"heading", "mark", "opening"}


def test_every_mark_begins_with_a_sign_that_is_looked_for_first() -> None:
    assert all(mark.lstrip("\\")[0] in "#<[" for mark in patterns._patterns().mark)


MARKS = [
    "### 답변:",
    "### Response(응답):",
    "<|im_end|>",
    "</s>",
    "[/INST]",
    "<noinput>",
    "<unk>",
    "</끝>",
    "[|endofturn|]",
]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_are_found(mark: str) -> None:
    anywhere, _, ends = marks()
    assert anywhere.search(f"서울입니다. {mark} 부산")
    assert ends.sub("", f"서울입니다. {mark}") == "서울입니다."


@pytest.mark.parametrize(
    "text", ["## 서울", "C# 언어", "<b>굵게</b>", "[1] 각주", "a < b", "#서울 #여행", "답변이 늦었습니다."]
)
def test_what_is_meant_is_no_mark(text: str) -> None:
    anywhere, opening, ends = marks()
    assert not anywhere.search(text) and not opening.match(text) and ends.sub("", text) == text
