"""Lists of turns: roles and contents, ShareGPT with its third role, and plain texts that take turns."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import Alternating, Known, Messages, Numbered, ShareGPT
from seodang.errors import DataError
from seodang.records import Conversation, Message, instruct

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
S = Message("system", "정중하게.")
Q_ROW, A_ROW, B_ROW = Q.to_row(), A.to_row(), B.to_row()


def said(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": name, "value": text} for name, text in turns]


SHAPES = [
    (Messages(), {"messages": [Q_ROW, A_ROW]}, (Q, A)),
    (Messages(), {"messages": [S.to_row(), Q_ROW, A_ROW, Q_ROW, B_ROW]}, (S, Q, A, Q, B)),
    (Messages(column="dialog"), {"dialog": [{"speaker": "1_Apprentice", "text": "수도는?"},
                                            {"speaker": "0_Wizard", "text": "서울입니다."}]}, (Q, A)),
    (Messages(column="dialogue"), {"dialogue": [{"speaker": "내담자", "utterance": "수도는?"},
                                                {"speaker": "상담사", "utterance": "서울입니다."}]}, (Q, A)),
    (ShareGPT(), {"conversations": said(("human", "수도는?"), ("gpt", "서울입니다."))}, (Q, A)),
    (ShareGPT(), {"conversations": [Q_ROW, A_ROW], "system": "정중하게."}, (S, Q, A)),
    (ShareGPT(), {"conversations": [Q_ROW, A_ROW], "system_prompt": "정중하게."}, (S, Q, A)),
    # the third role of heegyu/aulm-0809, after its question or before it
    (ShareGPT(), {"conversations": said(("human", "옮겨."), ("input", "간다."), ("gpt", "서울입니다."))},
     (instruct("옮겨.", "간다."), A)),
    (ShareGPT(), {"conversations": said(("input", "간다."), ("human", "옮겨."), ("gpt", "서울입니다."))},
     (instruct("옮겨.", "간다."), A)),
    (ShareGPT(), {"conversations": said(("human", "수도는?"), ("input", "입력없음"), ("gpt", "서울입니다."))}, (Q, A)),
    # heegyu/glaive-function-calling-v2-ko: JSON in a text, a list in a list, roles in Korean
    (ShareGPT(), {"conversations": '[[{"from": "사용자", "value": "수도는?"}, {"from": "조수", "value": "서울입니다."}]]'},
     (Q, A)),
    (ShareGPT(), {"conversations": said(("사용자", "수도는?"), ("함수 호출", "f()"), ("함수_응답", "{}"), ("보조", "서울입니다."))},
     (Q, Message("assistant", "f()"), Message("tool", "{}"), A)),
    (Alternating(), {"conversations": ["수도는?", "서울입니다."]}, (Q, A)),
    (Alternating(), {"conversations": ["수도는?", "서울입니다.", "수도는?", "부산입니다."]}, (Q, A, Q, B)),
    (Alternating(first="assistant"), {"conversations": ["서울입니다.", "수도는?", "부산입니다."]}, (A, Q, B)),
    (Alternating(column="turns"), {"turns": ("수도는?", "서울입니다.")}, (Q, A)),
    (Numbered(), {"번호": 1, "감정_대분류": "기쁨", "사람문장1": "수도는?", "시스템문장1": "서울입니다.", "사람문장2": None,
                  "시스템문장2": ""}, (Q, A)),
    (Numbered(assistant="시스템응답{n}"), {"사람문장1": "수도는?", "시스템응답1": "부산입니다.", "사람문장2": "수도는?",
                                      "시스템응답2": "서울입니다."}, (Q, B, Q, A)),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "expected"), SHAPES)
def test_conversations(form: Known, row: dict[str, Any], expected: tuple[Message, ...]) -> None:
    assert form.parse(row, "a.jsonl:1") == Conversation(expected, "a.jsonl:1")
    assert type(form).fits(row) is not None


def test_every_turn_of_a_long_dialogue_is_kept() -> None:
    talk = [{"from": ("human", "gpt")[i % 2], "value": f"{i}번째"} for i in range(40)]
    record = ShareGPT().parse({"conversations": talk}, "a:1")
    assert isinstance(record, Conversation)
    assert [m.content for m in record.messages] == [f"{i}번째" for i in range(40)]


class Array:
    """What a list column is when pandas reads parquet: no list, but it has `tolist`."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def tolist(self) -> list[Any]:
        return self.values


def test_numpy_arrays_out_of_parquet_are_lists() -> None:
    row = {"conversations": Array(said(("human", "수도는?"), ("gpt", "서울입니다.")))}
    assert ShareGPT.fits(row) == ShareGPT()
    assert ShareGPT().parse(row, "a:1") == Conversation((Q, A), "a:1")


FITS = [
    ({"conversations": []}, [ShareGPT]),
    ({"conversations": ["수도는?"]}, [Alternating]),
    ({"conversations": said(("human", "수도는?"))}, [ShareGPT]),
    ({"messages": [Q_ROW]}, [Messages]),
    ({"dialog": [Q_ROW]}, [Messages]),
    ({"conversations": said(("human", "수도는?")), "chosen": A_ROW}, []),
    ({"conversations": "수도는?"}, []),
    ({"turns": 3}, []),
]


@pytest.mark.parametrize(("row", "forms"), FITS)
def test_which_fit(row: dict[str, Any], forms: list[type[Known]]) -> None:
    assert [form for form in (Messages, ShareGPT, Alternating) if form.fits(row)] == forms


WRONG = [
    (Messages(), {"messages": [Q_ROW]}, "the row has no answer: the last turn of `messages` is the user's"),
    (Messages(), {"messages": [Q_ROW, {"role": "assistant", "content": ""}]}, "`messages` ends with an empty one"),
    (ShareGPT(), {"conversations": []}, "`conversations` must be a list with at least one turn"),
    (ShareGPT(), {"conversations": said(("bing", "안녕"))}, "unknown role 'bing'"),
    (ShareGPT(), {"conversations": said(("input", "글"), ("gpt", "답"))}, "an input stands beside no question: '글'"),
    (Alternating(), {"conversations": ["수도는?", "서울", "왜?"]}, "the last turn of `conversations` is the user's"),
    (Alternating(), {"conversations": ["수도는?", None]}, "`conversations` must be a list of texts"),
    (Alternating(), {"conversations": []}, "`conversations` must be a list of texts"),
    (Numbered(), {"사람문장1": None}, "the row has no `사람문장1`"),
    (Numbered(), {"사람문장1": "수도는?", "시스템문장1": ""}, "the last turn of `시스템문장{n}` is the user's"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)
