"""Worked examples before a question: of the same task, as context only, the same for the same seed."""

from __future__ import annotations

import pytest

from seodang.errors import DataError
from seodang.evaluation.shots import with_shots
from seodang.records import Conversation, Message, Preference, Text


def talk(number: int, task: str = "수 읽기") -> Conversation:
    said = (Message("user", f"{number} 읽어 줘"), Message("assistant", f"{number}입니다."))
    return Conversation(said, f"train.jsonl:{number}", (f"{number}",), task)


TRAIN = [talk(number, task) for task in ("수 읽기", "반대말") for number in range(8)]
HELD = [talk(number, task) for task in ("수 읽기", "반대말") for number in range(90, 93)]
PAIR = Preference((Message("user", "가"),), (Message("assistant", "나"),), (Message("assistant", "다"),))


def test_no_shots_change_nothing() -> None:
    assert with_shots(HELD, TRAIN, 0, 42) == HELD
    assert with_shots([PAIR], [], 0, 42) == [PAIR]


def test_examples_of_the_same_task_stand_before_the_question() -> None:
    for record, asked in zip(HELD, with_shots(HELD, TRAIN, 3, 42), strict=True):
        assert asked.messages[-2:] == record.messages
        assert [message.role for message in asked.messages] == ["user", "assistant"] * 4
        shown = [message.content for message in asked.messages[:-2:2]]
        assert len(set(shown)) == 3
        assert set(shown) <= {one.messages[0].content for one in TRAIN if one.task == record.task}
        # what is compared with the answer stays the row's own
        assert (asked.answer, asked.accept, asked.task, asked.source) == (
            record.answer, record.accept, record.task, record.source,
        )  # fmt: skip


def test_examples_are_context_and_cost_nothing() -> None:
    (asked,) = with_shots(HELD[:1], TRAIN, 2, 42)
    assert [message.trained for message in asked.messages] == [None, False, None, False, None, None]
    assert all(message.trained is None for one in TRAIN for message in one.messages)


def test_a_task_with_too_few_examples_takes_those_of_others() -> None:
    few = [talk(1, "덧셈"), *TRAIN]
    (asked,) = with_shots([talk(99, "덧셈")], few, 5, 42)
    assert len(asked.messages) == 12


def test_rows_that_name_no_task_take_any_row_that_names_none() -> None:
    (asked,) = with_shots([talk(99, "")], [talk(number, "") for number in range(5)] + TRAIN, 5, 42)
    assert {message.content for message in asked.messages[:-2:2]} == {f"{number} 읽어 줘" for number in range(5)}


def test_the_same_seed_draws_the_same_examples() -> None:
    assert with_shots(HELD, TRAIN, 3, 42) == with_shots(HELD, TRAIN, 3, 42)
    assert with_shots(HELD, TRAIN, 3, 42) != with_shots(HELD, TRAIN, 3, 43)


def test_every_question_has_its_own_examples() -> None:
    asked = with_shots([HELD[0]] * 4, TRAIN, 3, 42)
    assert len({one.messages for one in asked}) > 1


@pytest.mark.parametrize(
    ("records", "examples", "count"),
    [
        (HELD, [], 0),
        (HELD, TRAIN[:4], 4),
        # what has no answer, and what is no conversation, shows nothing
        (HELD, [*TRAIN[:4], Conversation((Message("user", "가"),)), PAIR, Text("글")], 4),
        ([PAIR], TRAIN, 16),
    ],
)
def test_too_few_examples_and_pairs_are_refused(
    records: list[Conversation], examples: list[Conversation], count: int
) -> None:
    with pytest.raises(DataError) as error:
        with_shots(records, examples, 5, 42)
    assert "`shots: 5` needs conversations to ask and 5 training rows with an answer as examples" in str(error.value)
    assert f"there are {count}. Give the training rows as `data.train`" in str(error.value)
