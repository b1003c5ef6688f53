"""Preference rows: two sides in every shape, two answers with a better id, ranked completions."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import BetterId, Chosen, Known, Pair, Ranked, decide, expand
from seodang.errors import DataError
from seodang.records import Conversation, Message, Preference, instruct

Q, A, B = Message("user", "수도는?"), Message("assistant", "서울입니다."), Message("assistant", "부산입니다.")
S = Message("system", "정중하게.")
Q_ROW, A_ROW, B_ROW = Q.to_row(), A.to_row(), B.to_row()

PAIRS = [
    ({"prompt": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}, (Q,)),
    ({"question": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}, (Q,)),
    ({"instruction": "옮겨.", "input": "간다.", "chosen": "서울입니다.", "rejected": "부산입니다."},
     (instruct("옮겨.", "간다."),)),
    ({"prompt": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다.", "system": "정중하게."}, (S, Q)),
    ({"prompt": [Q_ROW], "chosen": [A_ROW], "rejected": [B_ROW]}, (Q,)),
    ({"question": "옮겨.", "context": "간다.", "chosen": "서울입니다.", "rejected": "부산입니다."},
     (instruct("옮겨.", "간다."),)),
    ({"system_prompt": "정중하게.", "question": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}, (S, Q)),
    # whole conversations on both sides, with and without the prompt said again
    ({"chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (Q,)),
    ({"prompt": "수도는?", "chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (Q,)),
    ({"prompt": "수도는?", "chosen": [S.to_row(), Q_ROW, A_ROW], "rejected": [S.to_row(), Q_ROW, B_ROW]}, (S, Q)),
    ({"prompt": [S.to_row()], "chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, B_ROW]}, (S, Q)),
    # ShareGPT turns with one object per side
    ({"conversations": [{"from": "human", "value": "수도는?"}], "chosen": {"from": "gpt", "value": "서울입니다."},
      "rejected": {"from": "gpt", "value": "부산입니다."}}, (Q,)),
    # hh-rlhf-ko: turns before, and objects without a speaker
    ({"context": [], "instruction": {"value": "수도는?"}, "chosen": {"value": "서울입니다."},
      "rejected": {"value": "부산입니다."}}, (Q,)),
    ({"context": [{"from": "human", "value": "수도는?"}, {"from": "gpt", "value": "부산입니다."}],
      "instruction": {"value": "수도는?"}, "chosen": {"value": "서울입니다."}, "rejected": {"value": "부산입니다."}},
     (Q, B, Q)),
    # hh-rlhf: whole transcripts, the prompt in both
    ({"chosen": "\n\nHuman: 수도는?\n\nAssistant: 서울입니다.", "rejected": "\n\nHuman: 수도는?\n\nAssistant: 부산입니다."},
     (Q,)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "prompt"), PAIRS)
def test_preferences(row: dict[str, Any], prompt: tuple[Message, ...]) -> None:
    assert Pair.fits(row) == Pair()
    assert Pair().parse(row, "p.json:1") == Preference(prompt, (A,), (B,), "p.json:1")


def test_the_columns_of_a_pair_can_be_named() -> None:
    form = Pair(prompt="물음", chosen="좋은 답", rejected="나쁜 답")
    row = {"물음": "수도는?", "좋은 답": "서울입니다.", "나쁜 답": "부산입니다.", "prompt": "아님"}
    assert form.parse(row, "p:1") == Preference((Q,), (A,), (B,), "p:1")
    assert form.columns >= {"물음", "좋은 답", "나쁜 답"} and "prompt" not in form.columns


def test_sides_that_are_equal_keep_their_answers() -> None:
    """What the sides share ends before the answer, so nothing of a useless pair is hidden."""
    record = Pair().parse({"chosen": [Q_ROW, A_ROW], "rejected": [Q_ROW, A_ROW]}, "p:1")
    assert record == Preference((Q,), (A,), (A,), "p:1")


def test_the_chosen_side_is_a_conversation_and_never_guessed() -> None:
    row = {"prompt": "수도는?", "chosen": "서울입니다.", "rejected": "부산입니다."}
    assert Chosen().parse(row, "p:1") == Conversation((Q, A), "p:1")
    assert decide([row], "pairs.jsonl").kind == "pair"


PKU = {"prompt_k": "수도는?", "response_0_ko": "부산입니다.", "response_1_ko": "서울입니다.", "prompt": "?",
       "response_0": "Busan.", "response_1": "Seoul.", "better_response_id": 1, "safer_response_id": 0}  # fmt: skip
IN_KOREAN = BetterId(prompt="prompt_k", responses=("response_0_ko", "response_1_ko"))
BETTER = [
    (PKU, IN_KOREAN, (A, B)),
    (PKU, IN_KOREAN.model_copy(update={"better": "safer_response_id"}), (B, A)),
    (PKU | {"better_response_id": "0"}, IN_KOREAN, (B, A)),
    ({"prompt": "수도는?", "response_0": "서울입니다.", "response_1": "부산입니다.", "better_response_id": 0},
     BetterId(), (A, B)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "form", "sides"), BETTER)
def test_two_answers_and_the_better_ones_number(
    row: dict[str, Any], form: BetterId, sides: tuple[Message, ...]
) -> None:
    chosen, rejected = sides
    assert form.parse(row, "p:1") == Preference((Q,), (chosen,), (rejected,), "p:1")


def test_a_translation_is_read_before_its_original() -> None:
    assert BetterId.fits(PKU) == IN_KOREAN
    english = {name: value for name, value in PKU.items() if not name.endswith(("_k", "_ko"))}
    assert BetterId.fits(english) == BetterId()
    assert BetterId.fits({"prompt": "?", "response_0": "a", "response_1": "b"}) is None


RM = {"prompt": "수도는?", "completion_0": "부산입니다.", "completion_1": "서울입니다.", "completion_2": "대구요.",
      "ranking": [2, 0, 1]}  # fmt: skip


def test_the_best_and_the_worst_of_ranked_completions() -> None:
    """ranking[i] is the rank of completion_i, 0 the best."""
    assert Ranked.fits(RM) == Ranked()
    assert Ranked().parse(RM, "rm:1") == Preference((Q,), (A,), (B,), "rm:1")


def test_every_two_of_ranked_completions() -> None:
    form = Ranked(pairs="all")
    records = [form.parse(row, place) for row, place in expand(form, RM, "rm:1")]  # type: ignore[arg-type]
    third = Message("assistant", "대구요.")
    sides = [((A,), (B,)), ((third,), (B,)), ((A,), (third,))]
    assert records == [Preference((Q,), *pair, f"rm:1#{number}") for number, pair in enumerate(sides, 1)]


WRONG = [
    (Pair(), {"chosen": "서울", "rejected": "부산"}, "the row has no `prompt`"),
    (Pair(), {"prompt": "수도는?", "chosen": "서울"}, "`rejected` is missing"),
    (
        Pair(),
        {"prompt": "수도는?", "chosen": "", "rejected": "부산"},
        "the row has no answer: `chosen` ends with an empty",
    ),
    (IN_KOREAN, PKU | {"better_response_id": 2}, "`better_response_id` must be 0 or 1, got 2"),
    (IN_KOREAN, PKU | {"better_response_id": None}, "`better_response_id` must be 0 or 1, got None"),
    (IN_KOREAN, PKU | {"better_response_id": True}, "`better_response_id` must be 0 or 1, got True"),
    (IN_KOREAN, PKU | {"response_0_ko": " "}, "the row has no answer: `response_0_ko` ends with an empty one"),
    (Ranked(), RM | {"ranking": [0, 1]}, "`ranking` must hold a rank for each of the 3 completions, got [0, 1]"),
    (Ranked(), RM | {"ranking": [1, 1, 1]}, "`ranking` ranks all completions alike"),
    (Ranked(), RM | {"ranking": ["가", "나", "다"]}, "`ranking` must hold a rank for each of the 3 completions"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)
