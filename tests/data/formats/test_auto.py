"""Each format reads its shapes into the same records; `auto` decides from many rows and refuses to guess."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from seodang import records
from seodang.data import formats
from seodang.data.formats import (
    NIKL,
    Alpaca,
    Alternating,
    Auto,
    BetterId,
    ByColumns,
    Classification,
    Delimited,
    Format,
    Messages,
    Pair,
    PromptCompletion,
    PromptOnly,
    Ranked,
    ShareGPT,
    Text,
)
from seodang.data.reading import open_records
from seodang.errors import DataError
from seodang.records import Conversation, Message, Preference, Prompt, instruct
from seodang.schema import check_schema

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
S = Message("system", "정중하게.")
Q_ROW, A_ROW, B_ROW = Q.to_row(), A.to_row(), B.to_row()

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
    ({"prompt": "수도는?", "completion_0": "서울", "completion_1": "부산", "ranking": [0, 1]}, Ranked()),
    ({"prompt": "?", "response_0": "가", "response_1": "나", "better_response_id": 0}, BetterId()),
    ({"conversations": ["수도는?", "서울"]}, Alternating()),
    ({"document": [{"utterance": [{"speaker_id": "1", "form": "네."}]}]}, NIKL()),
    ({"source": "kor", "text": "<usr> 수도는?\n<bot> 서울"}, Delimited(layout="open-korean-instructions")),
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


def test_a_format_with_names_of_ones_own_is_tried_on_the_rows() -> None:
    rows = [{"물음": "수도는?", "답": "서울", "번호": 1}, {"물음": "강은?", "답": ""}]
    for form in (ByColumns(instruction="물음", output="답"), Alpaca(instruction="물음", output="답")):
        told = f"{{kind: {form.kind}, instruction: 물음, output: 답}} (1 of 2 rows fit; not read: 번호)"
        assert str(formats.settle(form, rows)) == told


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


def test_it_says_what_to_write() -> None:
    """Where two fit, these two; where none does, columns of one's own, or words for labels."""
    with pytest.raises(DataError, match=r"Name the format with `format:` \(alpaca · text\); for other column names"):
        formats.decide([{"instruction": "가", "output": "나", "text": "다"}], "a.jsonl")
    with pytest.raises(DataError) as none:
        formats.decide([{"sentence": "가", "번역": "나"}], "a.jsonl")
    assert str(none.value) == (
        "a.jsonl: no known format fits. The columns are sentence, 번역. Name the format with `format:` (alpaca · messages "
        "· sharegpt · alternating · numbered · delimited · instances · prompt_completion · aihub · nikl · pair · better_id · ranked · "
        "prompt · text); for other column names: `format: {kind: columns, instruction: …, output: …}`."
    )
    with pytest.raises(
        DataError, match="for rows with labels: `format: {kind: classification, verbaliser: sentiment}`"
    ):
        formats.decide([{"Text": "좋아요", "Label": "1"}], "a.tsv")


@pytest.mark.parametrize("labels", [(0, 1), ("0", "1 "), (True, False)])
def test_a_label_of_two_values_may_judge_the_answers(labels: tuple[Any, Any]) -> None:
    rows = [{"question": "수도는?", "answer": "서울", "label": label} for label in labels]
    with pytest.raises(DataError, match="a.jsonl: the rows fit `alpaca`, but their `label` has two values"):
        formats.decide(rows, "a.jsonl")
    assert formats.decide([*rows, rows[0] | {"label": "2   "}]) == Alpaca(instruction="question", output="answer")


AS_WRITTEN = [
    (Alpaca(), "alpaca"),
    (Alpaca(instruction="질문", output="답변"), "{kind: alpaca, instruction: 질문, output: 답변}"),
    (
        Alpaca(instruction="Q", output="답변, 근거", input=""),
        '{kind: alpaca, instruction: Q, input: "", output: "답변, 근거"}',
    ),
    (Delimited(layout="koalpaca-1.0"), '{kind: delimited, layout: "koalpaca-1.0"}'),
    (
        Classification(verbaliser="nli", column_mapping={"label": "gold label"}),
        '{kind: classification, verbaliser: nli, column_mapping: {label: "gold label"}}',
    ),
    (BetterId(responses=("response_0_ko", "no")), '{kind: better_id, responses: [response_0_ko, "no"]}'),
]


@pytest.mark.parametrize(("form", "text"), AS_WRITTEN)
def test_evidence_is_written_as_a_recipe_writes_it(form: formats.Known, text: str) -> None:
    assert formats.written(form) == text
    assert check_schema(Format, yaml.safe_load(text)) == (form, [])


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
    "en/alpaca_en_demo.json": "alpaca",
    "en/dpo_en_demo.json": "pair",
    "en/self_instruct_seed_tasks.jsonl": "instances",
    "ko/chatbot_data.csv": "{kind: alpaca, instruction: Q, output: A}",
    "ko/kochatgpt_ppo.jsonl": "prompt",
    "ko/kochatgpt_seed.txt": "text",
    "ko/kochatgpt_sft_conversation.jsonl": "{kind: delimited, layout: kochatgpt}",
    "ko/kullm_style_conversation.jsonl": "alpaca",
    "ko/kullm_style_evol.jsonl": "alpaca",
    "ko/preference_mk4.jsonl": "pair",
    "ko/preference_mk6_eval.json": "pair",
    "ko/web_text_0.jsonl": "text",
}


@pytest.mark.parametrize("name", SHARED)
def test_decides_real_files(shared_data: Any, name: str) -> None:
    assert formats.written(open_records(shared_data / name).decision.format) == SHARED[name]


NAMED = {
    # files that `auto` refuses, for nobody can know what is asked of them → a format that says it
    "ko/kobest_sentineg_train.tsv": "{kind: classification, verbaliser: sentiment}",
    "ko/kobest_sentineg_test.tsv": "{kind: classification, verbaliser: sentiment}",
    "ko/kobest_boolq_dev.tsv": "{kind: classification, verbaliser: boolq, column_mapping: {label: Answer}}",
    "ko/klue_sts_dev.json": "{kind: classification, verbaliser: similarity, column_mapping: {label: labels.binary-label}}",
    "ko/korsts_test.tsv": "{kind: text, column: sentence1}",
}


@pytest.mark.parametrize("name", NAMED)
def test_reads_real_files_in_a_named_format(shared_data: Any, name: str) -> None:
    form, mistakes = check_schema(Format, yaml.safe_load(NAMED[name]))
    assert mistakes == []
    faults = [str(item.fault) for item in open_records(shared_data / name, form).items if item.reason and item.fault]
    assert faults == []
    with pytest.raises(DataError, match="no known format fits"):
        open_records(shared_data / name)
