"""Dialogues in one text: every layout, the collision of `<sys>`, own markers, and what closes a turn."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import Delimited, expand
from seodang.data.formats.delimited import layout_of, layouts
from seodang.errors import DataError
from seodang.records import Conversation, Message, instruct
from seodang.schema import check_schema

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
IN = instruct("옮겨.", "간다.")

TEXTS = [
    # (layout, text, turns)
    ("koalpaca", "### 질문: 수도는?\n\n### 답변: 서울입니다.<|endoftext|>", (Q, A)),
    ("koalpaca", "### 질문: 옮겨.\n\n### 맥락: 간다.\n\n### 답변:서울입니다.", (IN, A)),
    ("koalpaca", "### 이전 질문: 수도는?\n### 이전 답변: 부산입니다.\n### 질문: 수도는?\n### 답변: 서울입니다.", (Q, B, Q, A)),
    ("koalpaca", "###질문 : 수도는?\n###답변 : 서울입니다.", (Q, A)),
    ("koalpaca-1.0", "### Instruction(명령어):\n옮겨.\n\n### Input(입력):\n간다.\n\n### Response(응답):\n서울입니다.", (IN, A)),
    ("kullm", "### 명령어:\n수도는?\n\n### 응답:\n서울입니다.", (Q, A)),
    ("alpaca", "### Instruction:\n옮겨.\n\n### Input:\n<noinput>\n\n### Response:\n서울입니다.</s>",
     (Message("user", "옮겨."), A)),
    ("guanaco", "### Human: 수도는?### Assistant: 서울입니다.### Human: 수도는?### Assistant: 부산입니다.", (Q, A, Q, B)),
    ("open-korean-instructions", "<usr> 옮겨.\n<sys> 간다.\n<bot> 서울입니다.", (IN, A)),
    ("open-korean-instructions", "<sys> 간다.\n<usr> 옮겨.\n<bot> 서울입니다.", (IN, A)),
    ("open-korean-instructions", "<usr> 수도는?\n<bot> 부산입니다.\n<usr> 수도는?\n<bot> 서울입니다.", (Q, B, Q, A)),
    ("kogpt2", "<usr> 수도는?<sys> 서울입니다.</s>", (Q, A)),
    ("kochatgpt", "<사람>: 수도는?\n<챗봇>: 서울입니다.\n<사람>: 수도는?\n<챗봇>: 부산입니다.", (Q, A, Q, B)),
    ("42dot", "<human>:\n수도는?\n<bot>:\n서울입니다.<|endoftext|>", (Q, A)),
    ("midm", "###System;정중하게.\n###User;수도는?\n###Midm;서울입니다.", (Message("system", "정중하게."), Q, A)),
    ("human-assistant", "\n\nHuman: 수도는?\n\nAssistant: 서울입니다.", (Q, A)),
    ("user-assistant", "User: 수도는?\nAssistant: 서울입니다.", (Q, A)),
    ("speakers", "고객: 수도는?\n상담원: 서울입니다.", (Q, A)),
    ("speakers", "Q. 수도는?\nA. 서울입니다.", (Q, A)),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "text", "expected"), TEXTS)
def test_every_layout(layout: str, text: str, expected: tuple[Message, ...]) -> None:
    row = {"text": text, "id": 1}
    assert Delimited.fits(row) == Delimited(layout=layout)
    for form in (Delimited(), Delimited(layout=layout)):
        assert form.parse(row, "a.jsonl:1") == Conversation(expected, "a.jsonl:1")


def test_every_layout_is_tested() -> None:
    assert {layout for layout, _, _ in TEXTS} == set(layouts())


def test_sys_answers_unless_any_row_of_the_file_has_a_bot() -> None:
    """KoGPT2's `<sys>` is the answer, heegyu's is context: one row cannot tell, the file can."""
    torn = "<usr> 옮겨.\n<sys> 간다."
    assert layout_of([torn]) == "kogpt2"
    whole = "<usr> 수도는?\n<bot> 서울입니다."
    form = Delimited.settled([{"text": torn}] * 3 + [{"text": whole}])
    assert form == Delimited(layout="open-korean-instructions")
    with pytest.raises(DataError, match="a:1: the row has no answer: the last turn of `text` is the user's"):
        form.parse({"text": torn}, "a:1")


def test_a_marker_inside_a_line_is_text_where_markers_begin_lines() -> None:
    text = "Human: Assistant: 라는 말이 무슨 뜻이에요?\nAssistant: 돕는 사람입니다."
    record = Delimited().parse({"text": text}, "a:1")
    assert isinstance(record, Conversation)
    assert [m.content for m in record.messages] == ["Assistant: 라는 말이 무슨 뜻이에요?", "돕는 사람입니다."]


def test_a_preamble_is_a_system_turn() -> None:
    text = "아래는 작업을 설명하는 명령어입니다.\n\n### 명령어:\n수도는?\n\n### 응답:\n서울입니다."
    system = Message("system", "아래는 작업을 설명하는 명령어입니다.")
    assert Delimited().parse({"text": text}, "a:1") == Conversation((system, Q, A), "a:1")


def test_own_markers() -> None:
    form = Delimited(column="대화", markers={"[문]": "user", "[답]": "assistant", "[글]": "input"})
    assert form.parse({"대화": "[문]옮겨.[글]간다.[답]서울입니다."}, "a:1") == Conversation((IN, A), "a:1")


def test_the_dialogues_of_one_text_are_rows() -> None:
    one, two = "<사람>: 수도는?\n<챗봇>: 서울입니다.", "<사람>: 수도는?\n<챗봇>: 부산입니다."
    row = {"text": f"<<start conversation>>\n{one}\n<<start conversation>>\n{two}\n"}
    parts = list(expand(Delimited(layout="kochatgpt"), row, "a:1"))
    assert parts == [({"text": one}, "a:1#1"), ({"text": two}, "a:1#2")]


NOT = [
    {"text": "그냥 긴 글입니다. 질문: 없음"},
    {"text": "### 질문: 답이 없는 글"},
    {"text": "<usr> 수도는?\n<bot> 서울입니다.", "label": 1},
    {"text": 3},
    {},
]


@pytest.mark.parametrize("row", NOT)
def test_what_is_no_dialogue(row: dict[str, Any]) -> None:
    assert Delimited.fits(row) is None


WRONG = [
    (Delimited(), {"text": "그냥 글"}, "`text` is written in no known layout (koalpaca, "),
    (Delimited(layout="kogpt2"), {"text": "그냥 글"}, "the text has none of the markers <usr>, <sys>"),
    (Delimited(column="대화"), {"text": "그냥 글"}, "the row has no `대화`"),
    (Delimited(), {"text": "### 질문: 수도는?### 답변: "}, "the row has no answer: `text` ends with an empty one"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: Delimited, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)


@pytest.mark.parametrize("markers", [{"[문]": "user"}, {"": "user", "[답]": "assistant"}])
def test_markers_name_both_sides(markers: dict[str, str]) -> None:
    _, mistakes = check_schema(Delimited, {"kind": "delimited", "markers": markers})
    assert str(mistakes[0]) == "markers: name a marker of the user and one of the assistant, none of them empty"


def test_an_unknown_layout_is_a_mistake_of_the_recipe() -> None:
    _, mistakes = check_schema(Delimited, {"kind": "delimited", "layout": "koalpacca"})
    assert str(mistakes[0]).startswith("layout: there is no layout `koalpacca` (known: koalpaca, koalpaca-1.0, ")
