"""Prompts without an answer, and plain text."""

from __future__ import annotations

from typing import Any

import pytest

from seodang import records
from seodang.data.formats import Known, PromptOnly, Text
from seodang.errors import DataError
from seodang.records import Message, Prompt

Q, S = Message("user", "수도는?"), Message("system", "정중하게.")


def test_prompts_and_texts() -> None:
    assert PromptOnly().parse({"prompt": "수도는?"}, "a:1") == Prompt((Q,), "a:1")
    assert PromptOnly().parse({"prompt": [S.to_row(), Q.to_row()]}, "a:1") == Prompt((S, Q), "a:1")
    assert PromptOnly().parse({"prompt": ""}, "a:1") == Prompt((Message("user", ""),), "a:1")
    assert PromptOnly(column="질문").parse({"질문": "수도는?", "prompt": "아님"}, "a:1") == Prompt((Q,), "a:1")
    assert Text(column="sentence1").parse({"sentence1": "긴 글"}, "a:1") == records.Text("긴 글", "a:1")
    assert Text().parse({"text": "긴 글", "url": "x"}, "a:1") == records.Text("긴 글", "a:1")


FITS = [
    ({"prompt": "수도는?", "id": 1}, PromptOnly),
    ({"prompt": "수도는?", "completion_0": "서울"}, None),
    ({"prompt": "수도는?", "response_1": "서울"}, None),
    ({"prompt": "수도는?", "label": 1}, None),
    ({"text": "긴 글입니다."}, Text),
    ({"text": "질문: 이라는 말이 든 글"}, Text),
    ({"text": "### 질문: 수도는?\n\n### 답변: 서울"}, None),
    ({"text": "좋아요", "label": 1}, None),
]


@pytest.mark.parametrize(("row", "form"), FITS)
def test_which_fits(row: dict[str, Any], form: type[Known] | None) -> None:
    assert [kind for kind in (PromptOnly, Text) if kind.fits(row)] == ([form] if form else [])


@pytest.mark.parametrize(
    ("form", "row", "text"),
    [(PromptOnly(), {"prompt": None}, "`prompt` is missing"), (Text(), {"text": None}, "the row has no `text`")],
)
def test_a_row_that_cannot_be_read_names_itself(form: Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=f"seed.jsonl:17: {text}"):
        form.parse(row, "seed.jsonl:17")
