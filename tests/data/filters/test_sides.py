"""Which texts of a record are asked, answered and taught."""

from __future__ import annotations

import pytest

from seodang.data.filters.sides import asked, map_answers, prompt, taught, texts
from seodang.records import Conversation, Labelled, Message, Preference, Prompt, Record, Text, Unpaired

ASK, SAY, WORSE = Message("user", "물음"), Message("assistant", "답"), Message("assistant", "나쁜 답")
PAIR = Preference((ASK,), (SAY,), (WORSE,))
CASES: list[tuple[Record, list[str], list[str], str]] = [
    # record, every answer, what is taught, what is asked
    (Conversation((ASK, SAY, ASK, WORSE)), ["답", "나쁜 답"], ["답", "나쁜 답"], "물음\n답\n물음"),
    (PAIR, ["답", "나쁜 답"], ["답"], "물음"),
    (Unpaired((ASK,), (SAY,), True), ["답"], ["답"], "물음"),
    (Unpaired((ASK,), (WORSE,), False), ["나쁜 답"], [], "물음"),
    (Prompt((ASK,)), [], [], "물음"),
    (Text("글"), ["글"], ["글"], ""),
    (Labelled("글", 1), ["글"], ["글"], ""),
]


@pytest.mark.parametrize(("record", "answers", "good", "question"), CASES)
def test_what_is_judged(record: Record, answers: list[str], good: list[str], question: str) -> None:
    assert texts(record, "answer") == answers
    assert taught(record) == good
    assert asked(record) == question
    assert [message.content for message in prompt(record)] == question.split("\n") * bool(question)


def test_answers_change_and_nothing_else() -> None:
    assert map_answers(PAIR, lambda text: text + "!") == Preference(
        (ASK,), (Message("assistant", "답!"),), (Message("assistant", "나쁜 답!"),)
    )
    assert map_answers(Text("글"), lambda text: text + "!") == Text("글")
    assert map_answers(Prompt((ASK,)), lambda text: text + "!") == Prompt((ASK,))
