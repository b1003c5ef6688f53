"""Each format reads its shapes into the same records; `auto` decides from many rows and refuses to guess."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from seodang import records
from seodang.data import formats
from seodang.data.formats import (
    Alpaca,
    Auto,
    Chosen,
    Format,
    Messages,
    Pair,
    PromptCompletion,
    PromptOnly,
    ShareGPT,
    Text,
    decide,
)
from seodang.errors import DataError
from seodang.records import Conversation, Message, Preference, Prompt, instruct
from seodang.schema import check_schema

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
S = Message("system", "정중하게.")
Q_ROW, A_ROW, B_ROW = Q.to_row(), A.to_row(), B.to_row()

SHAPES = [
    # (format, row, turns of the conversation)
    (Alpaca(), {"instruction": "수도는?", "input": "", "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "output": "서울입니다.", "url": "https://kin.example"}, (Q, A)),
    (Alpaca(), {"instruction": "수도는?", "input": "입력없음", "output": "서울입니다."}, (Q, A)),
    (Alpaca(), {"instruction": "옮겨.", "input": "간다.", "output": "서울입니다."}, (instruct("옮겨.", "간다."), A)),
    (Alpaca(), {"instruction": "2+3?", "output": 5}, (Message("user", "2+3?"), Message("assistant", "5"))),
    (Alpaca(), {"instruction": "강은?", "output": "서울입니다.", "history": [["수도는?", "부산입니다."]]},
     (Q, B, Message("user", "강은?"), A)),
    (Alpaca(), {"instruction": "수도는?", "output": "서울입니다.", "system": "정중하게."}, (S, Q, A)),
    (Alpaca(instruction="질문", output="답변, 근거"), {"질문": "수도는?", "답변, 근거": "서울입니다."}, (Q, A)),
    (Messages(), {"messages": [Q_ROW, A_ROW]}, (Q, A)),
    (Messages(), {"messages": [S.to_row(), Q_ROW, A_ROW, Q_ROW, B_ROW]}, (S, Q, A, Q, B)),
    (ShareGPT(), {"conversations": [{"from": "human", "value": "수도는?"}, {"from": "gpt", "value": "서울입니다."}]},
     (Q, A)),
    (ShareGPT(), {"conversations": [Q_ROW, A_ROW], "system": "정중하게."}, (S, Q, A)),
    (PromptCompletion(), {"prompt": "수도는?", "completion": "서울입니다."}, (Q, A)),
    (PromptCompletion(), {"prompt": [S.to_row(), Q_ROW], "completion": [A_ROW]}, (S, Q, A)),
]  # fmt: skip


@pytest.mark.parametrize(("form", "row", "expected"), SHAPES)
def test_conversations(form: formats.Known, row: dict[str, Any], expected: tuple[Message, ...]) -> None:
    assert form.parse(row, "a.jsonl:1") == Conversation(expected, "a.jsonl:1")


def test_every_turn_of_a_long_dialogue_is_kept() -> None:
    talk = [{"from": ("human", "gpt")[i % 2], "value": f"{i}번째"} for i in range(40)]
    record = ShareGPT().parse({"conversations": talk}, "a:1")
    assert isinstance(record, Conversation)
    assert [m.content for m in record.messages] == [f"{i}번째" for i in range(40)]


PAIRS = [
    ({"prompt": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}, (Q,)),
    ({"question": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}, (Q,)),
    ({"instruction": "옮겨.", "input": "간다.", "chosen": "서울입니다.", "rejected": "부산입니다."},
     (instruct("옮겨.", "간다."),)),
    ({"prompt": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다.", "system": "정중하게."}, (S, Q)),
    ({"prompt": [Q_ROW], "chosen": [A_ROW], "rejected": [B_ROW]}, (Q,)),
    # whole conversations on both sides, with and without the prompt said again
    ({"chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (Q,)),
    ({"prompt": "수도는?", "chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (Q,)),
    ({"prompt": "수도는?", "chosen": [S.to_row(), Q_ROW, A_ROW], "rejected": [S.to_row(), Q_ROW, B_ROW]}, (S, Q)),
    ({"prompt": [S.to_row()], "chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (S, Q)),
    # ShareGPT turns with one object per side
    ({"conversations": [{"from": "human", "value": "수도는?"}], "chosen": {"from": "gpt", "value": "서울입니다."},
      "rejected": {"from": "gpt", "value": "부산입니다."}}, (Q,)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "prompt"), PAIRS)
def test_preferences(row: dict[str, Any], prompt: tuple[Message, ...]) -> None:
    assert Pair().parse(row, "p.json:1") == Preference(prompt, (A,), (B,), "p.json:1")


def test_sides_that_are_equal_keep_their_answers() -> None:
    """What the sides share ends before the answer, so nothing of a useless pair is hidden."""
    record = Pair().parse({"chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, A_ROW]}, "p:1")
    assert record == Preference((Q,), (A,), (A,), "p:1")


def test_prompts_and_texts() -> None:
    assert PromptOnly().parse({"prompt": "수도는?"}, "a:1") == Prompt((Q,), "a:1")
    assert PromptOnly().parse({"prompt": [S.to_row(), Q_ROW]}, "a:1") == Prompt((S, Q), "a:1")
    assert PromptOnly().parse({"prompt": ""}, "a:1") == Prompt((Message("user", ""),), "a:1")
    assert Text().parse({"text": "긴 글", "url": "x"}, "a:1") == records.Text("긴 글", "a:1")


WRONG = [
    (Alpaca(), {"instruction": "수도는?"}, "the row has no answer: `output` is missing"),
    (Alpaca(), {"instruction": "수도는?", "output": None}, "the row has no answer: `output` is missing"),
    (Alpaca(), {"instruction": "수도는?", "output": " \n"}, "the row has no answer: `output` is empty"),
    (Alpaca(output="답변"), {"instruction": "수도는?", "output": "서울"}, "the row has no answer: `답변` is missing"),
    (Alpaca(), {"output": "서울"}, "the row has no `instruction`"),
    (Messages(), {"messages": [Q_ROW]}, "the row has no answer: the last turn of `messages` is the user's"),
    (Messages(), {"messages": [Q_ROW, {"role": "assistant", "content": ""}]}, "`messages` ends with an empty one"),
    (ShareGPT(), {"conversations": []}, "`conversations` must be a list with at least one turn"),
    (ShareGPT(), {"conversations": [{"from": "bing", "value": "안녕"}]}, "unknown role 'bing'"),
    (PromptCompletion(), {"prompt": "수도는?", "completion": ""}, "the row has no answer"),
    (Pair(), {"chosen": "서울", "rejected": "부산"}, "the row has no `prompt`"),
    (Pair(), {"prompt": "수도는?", "chosen": "서울"}, "`rejected` is missing"),
    (
        Pair(),
        {"prompt": "수도는?", "chosen": "", "rejected": "부산"},
        "the row has no answer: `chosen` ends with an empty",
    ),
    (PromptOnly(), {"prompt": None}, "`prompt` is missing"),
    (Text(), {"text": None}, "the row has no `text`"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: formats.Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)


ROUND_TRIPS = [
    Conversation((Q, A), "seed.jsonl:1"),
    Conversation((S, instruct("옮겨.", "간다."), A), "a:1", accept=("서울", "서울특별시"), task="capital"),
    Conversation((Q, Message("assistant", "서울", trained=False), Q, A), "a:2"),
    Preference((S, Q), (A,), (B,), "p:1"),
    Prompt((Q,), "q:1"),
    records.Text("글", "t:1"),
]


@pytest.mark.parametrize("record", ROUND_TRIPS)
def test_our_own_rows_come_back_as_they_were(record: records.Record) -> None:
    assert Auto().parse(record.to_row(), record.source) == record


def test_foreign_accept_and_task_columns_do_no_harm() -> None:
    row = {"instruction": "수도는?", "output": "서울입니다.", "accept": "yes", "task": {"id": 3}}
    assert Alpaca().parse(row, "a:1") == Conversation((Q, A), "a:1")


DECISIONS = [
    ({"instruction": "수도는?", "input": None, "output": "서울"}, Alpaca()),
    ({"instruction": "수도는?", "context": "지리", "response": "서울", "category": "qa"},
     Alpaca(input="context", output="response")),
    ({"question": "수도는?", "answer": "서울", "question_en": "x"}, Alpaca(instruction="question", output="answer")),
    ({"질문": "수도는?", "답변": "서울"}, Alpaca(instruction="질문", output="답변")),
    ({"messages": [Q_ROW, A_ROW], "prompt": "수도는?", "prompt_id": "1"}, Messages()),
    ({"conversations": [Q_ROW, A_ROW], "id": "1"}, ShareGPT()),
    ({"conversations": [Q_ROW], "chosen": A_ROW, "rejected": B_ROW}, Pair()),
    ({"prompt": "수도는?", "chosen": "서울", "rejected": "부산"}, Pair()),
    ({"prompt": "수도는?", "completion": "서울"}, PromptCompletion()),
    ({"prompt": "수도는?", "id": 1}, PromptOnly()),
    ({"text": "긴 글"}, Text()),
]  # fmt: skip


@pytest.mark.parametrize(("row", "form"), DECISIONS)
def test_auto_decides(row: dict[str, Any], form: formats.Known) -> None:
    assert formats.decide([row] * 3) == form


def test_auto_decides_from_evidence_over_many_rows() -> None:
    """A few bad rows do not change what the file is; they are named when they are read."""
    good = {"instruction": "수도는?", "output": "서울", "id": 1}
    found = formats.settle(Auto(), [*[good] * 19, {"prompt": "다른 것"}], "a.jsonl")
    assert formats.decide([good, good, {"instruction": "답이 없다"}]) == Alpaca()
    assert (found.format, found.fits, found.looked_at) == (Alpaca(), {"alpaca": 19, "prompt": 1}, 20)
    assert found.unread == ("id", "prompt")
    assert str(found) == "alpaca (19 of 20 rows fit; not read: id, prompt)"


def test_auto_sees_an_optional_column_that_most_rows_lack() -> None:
    plain, context = (
        {"instruction": "수도는?", "response": "서울"},
        {"instruction": "?", "context": "글", "response": "예"},
    )
    assert formats.decide([*[plain] * 9, context]) == Alpaca(input="context", output="response")


def test_a_named_format_is_not_doubted_but_its_evidence_is_told() -> None:
    found = formats.settle(PromptOnly(), [{"prompt": "수도는?", "completion": "서울"}])
    assert found.format == PromptOnly()
    assert str(found) == "prompt (0 of 1 rows fit; not read: completion)"


REFUSED = [
    ([{"id": 1, "questions": [], "references": []}],
     "no known format fits. The columns are id, questions, references."),
    ([{"guid": 1, "premise": "가", "hypothesis": "나"}], "no known format fits."),
    ([{"instruction": "가", "output": "나"}, {"text": "다"}],
     "no known format fits (alpaca fits 1 of 2 rows, text fits 1 of 2 rows)."),
    ([*[{"instruction": "가", "output": "나"}] * 3, {"text": "다"}],
     "no known format fits (alpaca fits 3 of 4 rows, text fits 1 of 4 rows)."),
    ([{"instruction": "가", "output": "나", "text": "다"}], "alpaca and text both fit."),
    ([{"prompt": "가", "chosen": "나", "rejected": "다", "messages": [Q_ROW, A_ROW]}], "messages and pair both fit."),
    ([{"text": "좋아요", "label": 1}], "no known format fits. The columns are text, label."),
    ([{"prompt": "가", "completion": "나", "label": True}], "no known format fits."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "text"), REFUSED)
def test_auto_refuses_to_guess(rows: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(DataError) as caught:
        formats.decide(rows, "a.jsonl")
    assert str(caught.value).startswith(f"a.jsonl: {text}")
    assert "Name the format with `format:` (alpaca · messages · sharegpt" in str(caught.value)
    assert "`format: {kind: alpaca, instruction: …, output: …}`" in str(caught.value)


WRITTEN = [
    ("alpaca", Alpaca()),
    ("auto", Auto()),
    ("pair", Pair()),
    ("prompt", PromptOnly()),
    ({"kind": "alpaca", "instruction": "질문"}, Alpaca(instruction="질문")),
]


@pytest.mark.parametrize(("value", "form"), WRITTEN)
def test_in_a_recipe(value: Any, form: Format) -> None:
    assert check_schema(Annotated[Format, Field()], value) == (form, [])


def test_a_format_that_does_not_exist() -> None:
    found, mistakes = check_schema(Format, {"kind": "alpacca"})
    assert found is None
    assert "unknown kind `alpacca`, did you mean `alpaca`?" in str(mistakes[0])


SHARED = {
    "en/alpaca_en_demo.json": Alpaca(),
    "en/dpo_en_demo.json": Pair(),
    "ko/kochatgpt_ppo.jsonl": PromptOnly(),
    "ko/kochatgpt_seed.txt": Text(),
    "ko/kullm_style_conversation.jsonl": Alpaca(),
    "ko/kullm_style_evol.jsonl": Alpaca(),
    "ko/preference_mk4.jsonl": Pair(),
    "ko/preference_mk6_eval.json": Pair(),
    "ko/web_text_0.jsonl": Text(),
}


@pytest.mark.parametrize("name", SHARED)
def test_decides_real_files(shared_data: Any, name: str) -> None:
    from seodang.data.sources import read_rows

    rows = [row for row, _ in read_rows(shared_data / name)]
    assert formats.decide(rows[:500], name) == SHARED[name]  # type: ignore[arg-type]


def test_the_chosen_side_is_a_conversation_and_never_guessed() -> None:
    row = {"prompt": "안녕?", "chosen": "안녕하세요!", "rejected": "뭐."}

    found = Chosen().parse(row, "pairs.jsonl:1")

    assert isinstance(found, Conversation)
    assert [(m.role, m.content) for m in found.messages] == [("user", "안녕?"), ("assistant", "안녕하세요!")]
    assert decide([row], "pairs.jsonl").kind == "pair"
