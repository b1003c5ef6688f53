"""Instruction rows: by their common names, by named columns, as seeds with instances, as prompt and completion."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import Alpaca, ByColumns, Instances, Known, PromptCompletion, expand
from seodang.errors import DataError
from seodang.records import Conversation, Message, instruct

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
S = Message("system", "정중하게.")
HRC = "상담례, 결정례 기반 답변"

SHAPES = [
    # (format, row, turns of the conversation)
    (Alpaca(), {"instruction": "수도는?", "input": "", "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "input": None, "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "output": "서울입니다.", "url": "https://kin.example"}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "input": "입력없음", "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "input": "<noinput>", "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "옮겨.", "input": "간다.", "output": "서울입니다."}, (instruct("옮겨.", "간다."), A)),
    (Alpaca(), {"instruction": "2+3?", "output": 5}, (Message("user", "2+3?"), Message("assistant", "5"))),
    (Alpaca(), {"instruction": "강은?", "output": "서울입니다.", "history": [["수도는?", "부산입니다."]]},
     (Q, B, Message("user", "강은?"), A)),
    (Alpaca(), {"instruction": "수도는?", "output": "서울입니다.", "system": "정중하게."}, (S, Q, A)),
    (Alpaca(), {"system prompt": "정중하게.", "instruction": "수도는?", "output": "서울입니다."},
     (S, Q, A)),
    (Alpaca(instruction="질문", output="답변, 근거"), {"질문": "수도는?", "답변, 근거": "서울입니다."}, (Q, A)),
    (ByColumns(instruction="질의", output=HRC), {"질의": "수도는?", HRC: "서울입니다.", "번호": 1}, (Q, A)),
    (ByColumns(instruction="Q", output="A", input="본문"), {"Q": "수도는?", "A": "서울입니다.", "본문": "지리 책"},
     (instruct("수도는?", "지리 책"), A)),
    (ByColumns(instruction="Q", output="A", input=("제목", "본문")),
     {"Q": "수도는?", "A": "서울입니다.", "제목": "지리", "본문": "한 나라의 으뜸 도시"},
     (instruct("수도는?", "지리\n\n한 나라의 으뜸 도시"), A)),
    (ByColumns(instruction="Q", output="A", input=("제목", "본문"), system="말투"),
     {"Q": "수도는?", "A": "서울입니다.", "제목": None, "본문": "입력없음", "말투": "정중하게."}, (S, Q, A)),
    (PromptCompletion(), {"prompt": "수도는?", "completion": "서울입니다."}, (Q, A)),
    (PromptCompletion(), {"prompt": [S.to_row(), Q.to_row()], "completion": [A.to_row()]}, (S, Q, A)),
    (Instances(), {"instruction": "수도는?", "instances": [{"input": "", "output": "서울입니다."}]}, (Q, A)),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "expected"), SHAPES)
def test_conversations(form: Known, row: dict[str, Any], expected: tuple[Message, ...]) -> None:
    assert form.parse(row, "a.jsonl:1") == Conversation(expected, "a.jsonl:1")


NAMES = [
    # the columns of public sets → the format that reads them; None where it is not for this one
    ("instruction context response category", Alpaca(input="context", output="response")),
    ("custom_id question answer", Alpaca(instruction="question", output="answer")),
    ("input output", Alpaca(instruction="input", input="")),
    ("user chip2 index user_translated chip2_translated",
     Alpaca(instruction="user_translated", output="chip2_translated")),
    ("질의 " + HRC.replace(" ", "_"), None),
    ("Q A", Alpaca(instruction="Q", output="A")),
    ("text url", None),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "form"), NAMES)
def test_common_names_are_known(columns: str, form: Alpaca | None) -> None:
    assert Alpaca.fits({name: "글" for name in columns.split()}) == form


def test_a_column_name_may_hold_a_comma_and_spaces() -> None:
    assert Alpaca.fits({"질의": "수도는?", HRC: "서울"}) == Alpaca(instruction="질의", output=HRC)


def test_the_system_text_of_openorca_is_found_by_its_name() -> None:
    found = Alpaca.fits({"id": "1", "system prompt": "짧게.", "question": "수도는?", "response": "서울"})
    assert found == Alpaca(instruction="question", output="response")


def test_the_input_of_a_set_without_instructions_is_asked_once() -> None:
    form = Alpaca.fits({"input": "수도는?", "output": "서울입니다."})
    assert form is not None
    assert form.parse({"input": "수도는?", "output": "서울입니다."}, "a:1") == Conversation((Q, A), "a:1")


def test_every_instance_of_a_seed_is_a_row() -> None:
    seed = {
        "id": "seed_1",
        "instruction": "반대말은?",
        "instances": [{"input": "위", "output": "아래"}, {"input": "앞", "output": "뒤"}],
    }
    parts = list(expand(Instances(), seed, "seed.jsonl:3"))
    assert [place for _, place in parts] == ["seed.jsonl:3#1", "seed.jsonl:3#2"]
    found = [Instances().parse(row, place) for row, place in parts]  # type: ignore[arg-type]
    assert found == [
        Conversation((instruct("반대말은?", given), Message("assistant", answer)), place)
        for (given, answer), (_, place) in zip([("위", "아래"), ("앞", "뒤")], parts, strict=True)
    ]


def test_a_seed_with_one_instance_keeps_its_place() -> None:
    seed = {"instruction": "수도는?", "instances": [{"input": "", "output": "서울"}]}
    assert [place for _, place in expand(Instances(), seed, "seed.jsonl:3")] == ["seed.jsonl:3"]


@pytest.mark.parametrize("instances", [[], "없음", [1], None])
def test_a_seed_without_instances_is_one_row_that_names_itself(instances: Any) -> None:
    seed = {"instruction": "수도는?", "instances": instances}
    (row, place) = next(expand(Instances(), seed, "seed.jsonl:3"))
    with pytest.raises(DataError, match="seed.jsonl:3: `instances` must be a list of objects with input and output"):
        Instances().parse(row, place)  # type: ignore[arg-type]


WRONG = [
    (Alpaca(), {"instruction": "수도는?"}, "the row has no answer: `output` is missing"),
    (Alpaca(), {"instruction": "수도는?", "output": None}, "the row has no answer: `output` is missing"),
    (Alpaca(), {"instruction": "수도는?", "output": " \n"}, "the row has no answer: `output` is empty"),
    (Alpaca(output="답변"), {"instruction": "수도는?", "output": "서울"}, "the row has no answer: `답변` is missing"),
    (Alpaca(), {"output": "서울"}, "the row has no `instruction`"),
    (
        Alpaca(),
        {"instruction ": "수도는?", "output": "서울"},
        "the row has no `instruction` (it has instruction , output)",
    ),
    (
        ByColumns(instruction="질믄", output="답변"),
        {"질문": "수도는?", "답변": "서울"},
        "the row has no `질믄` (it has 질문, 답변)",
    ),
    (
        ByColumns(instruction="질문", output="답변"),
        {"질문": "수도는?", "해답": "서울"},
        "the row has no `답변` (it has 질문, 해답)",
    ),
    (
        ByColumns(instruction="질문", output="답변"),
        {"질문": "수도는?", "답변": ""},
        "the row has no answer: `답변` is empty",
    ),
    (PromptCompletion(), {"prompt": "수도는?", "completion": ""}, "the row has no answer"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)


def test_foreign_accept_and_task_columns_do_no_harm() -> None:
    row = {"instruction": "수도는?", "output": "서울입니다.", "accept": "yes", "task": {"id": 3}}
    assert Alpaca().parse(row, "a:1") == Conversation((Q, A), "a:1")
