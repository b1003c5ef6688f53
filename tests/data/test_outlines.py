"""Many texts at once have the canonical form that each has by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seodang.data.dedup import canonical
from seodang.data.outlines import canonicals

TEXTS = [
    "안녕하세요? 반갑습니다.",
    "값은 1.5와 3,000원, 그리고 .5입니다!",
    "x != 3이면 f'(x)는 5! … '서울'과 “부산”",
    "  앞뒤 빈칸  ",
    "Hello, world. C++ now here",
    "🙂 그림 🙂🙂",
    "",
    "?",
    "漢字와 ひらがな、전각　빈칸",
    "둘\x03로 나뉜 글",
    "lone \ud800 surrogate",
]


@pytest.mark.parametrize("text", TEXTS)
def test_one_text(text: str) -> None:
    assert canonicals([text]) == [canonical(text)]


def test_all_texts_and_none() -> None:
    assert canonicals(TEXTS) == [canonical(text) for text in TEXTS]
    assert canonicals(TEXTS[:9]) == [canonical(text) for text in TEXTS[:9]]
    assert canonicals([]) == []


@given(st.lists(st.text(alphabet="가나 1A.,-+!=?~·'\"(\n\x03🙂…\u3000", max_size=30), max_size=6))
def test_any_texts(texts: list[str]) -> None:
    assert canonicals(texts) == [canonical(text) for text in texts]


@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_characters(texts: list[str]) -> None:
    assert canonicals(texts) == [canonical(text) for text in texts]
