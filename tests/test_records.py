"""The nouns that travel: their JSON shapes, an instruction's input, and changing every text in them."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from seodang.records import (
    Conversation,
    Labelled,
    Message,
    Preference,
    Prompt,
    Record,
    Text,
    Unpaired,
    instruct,
    map_texts,
    turns,
)

USER = Message("user", "오늘 날씨 어때?")
GOOD = Message("assistant", "맑고 따뜻해요.")
BAD = Message("assistant", "몰라.")
SYSTEM = Message("system", "존댓말로 답하세요.")
ASKED = instruct("다음 문장을 영어로 번역하세요.", "나는 학교에 간다.")

RECORDS: list[Record] = [
    Conversation((SYSTEM, USER, GOOD), "a.jsonl:1"),
    Prompt((USER,), "a.jsonl:2"),
    Preference((USER,), (GOOD,), (BAD,), "a.jsonl:3"),
    Unpaired((USER,), (BAD,), False, "a.jsonl:4"),
    Text("봄이 왔다.", "a.jsonl:5"),
    Labelled("재미있어요", 1, "a.jsonl:6"),
]
U, G, B = ({"role": m.role, "content": m.content} for m in (USER, GOOD, BAD))
S = {"role": "system", "content": "존댓말로 답하세요."}


@pytest.mark.parametrize(
    ("record", "row"),
    list(
        zip(
            RECORDS,
            [
                {"messages": [S, U, G], "source": "a.jsonl:1"},
                {"prompt": [U], "source": "a.jsonl:2"},
                {"prompt": [U], "chosen": [G], "rejected": [B], "source": "a.jsonl:3"},
                {"prompt": [U], "completion": [B], "label": False, "source": "a.jsonl:4"},
                {"text": "봄이 왔다.", "source": "a.jsonl:5"},
                {"text": "재미있어요", "label": 1, "source": "a.jsonl:6"},
            ],
            strict=True,
        )
    ),
)
def test_the_json_shape_of_a_record(record: Record, row: dict[str, Any]) -> None:
    assert record.to_row() == row
    assert json.loads(json.dumps(record.to_row())) == row


@pytest.mark.parametrize(
    ("message", "row"),
    [
        (Message("user", "네"), {"role": "user", "content": "네"}),
        (Message("user", "가\n\n나", 3), {"role": "user", "content": "가\n\n나", "input_at": 3}),
        (Message("assistant", "네", trained=False), {"role": "assistant", "content": "네", "trained": False}),
        (Message("assistant", "네", trained=True), {"role": "assistant", "content": "네", "trained": True}),
        (Message("user", "\n\n나", 0), {"role": "user", "content": "\n\n나", "input_at": 0}),
    ],
)
def test_a_message_leaves_out_what_it_does_not_say(message: Message, row: dict[str, Any]) -> None:
    assert message.to_row() == row


def test_a_conversation_writes_accept_and_task_only_where_they_are() -> None:
    checked = Conversation((USER, GOOD), "x:1", accept=("삼십팔", "서른여덟"), task="숫자 읽기")

    assert checked.to_row()["accept"] == ["삼십팔", "서른여덟"]
    assert checked.to_row()["task"] == "숫자 읽기"
    assert not {"accept", "task"} & Conversation((USER, GOOD)).to_row().keys()


@pytest.mark.parametrize(
    ("instruction", "given", "content", "at"),
    [
        ("번역하세요.", "나는 간다.", "번역하세요.\n\n나는 간다.", 8),
        ("번역하세요.", "", "번역하세요.", None),
        ("", "나는 간다.", "\n\n나는 간다.", 2),
        ("한 줄\n\n두 줄", "입력\n\n더", "한 줄\n\n두 줄\n\n입력\n\n더", 10),
    ],
)
def test_an_instruction_and_its_input_share_one_content(
    instruction: str, given: str, content: str, at: int | None
) -> None:
    message = instruct(instruction, given)

    assert (message.content, message.input_at) == (content, at)
    assert (message.instruction, message.input) == (instruction, given)


@pytest.mark.parametrize(
    ("messages", "prompt", "answer"),
    [
        ((USER, GOOD), (USER,), "맑고 따뜻해요."),
        ((USER, GOOD, USER, BAD), (USER, GOOD, USER), "몰라."),
        ((USER, GOOD, USER), (USER, GOOD, USER), ""),
        ((), (), ""),
    ],
)
def test_a_conversation_ends_in_its_answer(
    messages: tuple[Message, ...], prompt: tuple[Message, ...], answer: str
) -> None:
    conversation = Conversation(messages)

    assert conversation.prompt == prompt
    assert conversation.answer == answer


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_changing_texts_changes_every_text_and_nothing_else(record: Record) -> None:
    changed = map_texts(record, lambda text: f"<{text}>")

    assert type(changed) is type(record)
    assert changed.source == record.source
    assert [m.content for m in turns(changed)] == [f"<{m.content}>" for m in turns(record)]
    assert [m.role for m in turns(changed)] == [m.role for m in turns(record)]
    if isinstance(record, (Text, Labelled)):
        assert isinstance(changed, (Text, Labelled))
        assert changed.text == f"<{record.text}>"


def test_changing_texts_keeps_what_else_the_record_says() -> None:
    record = Conversation((USER, Message("assistant", "네", trained=False)), "x", ("네",), "대답")

    changed = map_texts(record, str.strip)

    assert changed == record
    assert map_texts(RECORDS[5], str.upper).to_row()["label"] == 1


@pytest.mark.parametrize(
    ("change", "instruction", "given"),
    [
        (lambda text: text + "!!", "다음 문장을 영어로 번역하세요.!!", "나는 학교에 간다.!!"),
        (lambda text: text.replace("문장을 ", ""), "다음 영어로 번역하세요.", "나는 학교에 간다."),
        (lambda text: "" if "학교" in text else text, "다음 문장을 영어로 번역하세요.", ""),
    ],
)
def test_input_at_moves_with_its_text(change: Any, instruction: str, given: str) -> None:
    record = map_texts(Prompt((ASKED,)), change)

    assert isinstance(record, Prompt)
    assert (record.prompt[0].instruction, record.prompt[0].input) == (instruction, given)
    assert (record.prompt[0].input_at is None) is (given == "")


def test_a_changed_input_keeps_role_and_mask() -> None:
    message = Message("tool", "가\n\n나", 3, trained=False)

    changed = turns(map_texts(Prompt((message,)), lambda text: text * 2))[0]

    assert changed == Message("tool", "가가\n\n나나", 4, trained=False)


@pytest.mark.parametrize(
    ("record", "roles"),
    list(
        zip(
            RECORDS,
            [
                ["system", "user", "assistant"],
                ["user"],
                ["user", "assistant", "assistant"],
                ["user", "assistant"],
                [],
                [],
            ],
            strict=True,
        )
    ),
)
def test_turns_are_every_message_in_order(record: Record, roles: list[str]) -> None:
    assert [message.role for message in turns(record)] == roles


@pytest.mark.parametrize("record", [*RECORDS, USER], ids=lambda record: type(record).__name__)
def test_records_do_not_change(record: Any) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(record, "content" if record is USER else "source", "elsewhere")
