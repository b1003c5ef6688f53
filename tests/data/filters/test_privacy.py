"""Personal data drops a record, or is masked or named in its place."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.filters import Pii
from seodang.records import Conversation, Labelled, Message, Preference, Record, Text, instruct


def talk(*contents: str) -> Conversation:
    """Contents by turns: user, assistant, user, …"""
    return Conversation(tuple(Message(("user", "assistant")[i % 2], text) for i, text in enumerate(contents)), "a:1")


CASES: list[tuple[Any, Record, str | None]] = [
    (Pii(), talk("내 번호 990231-1234567 기억해", "네, 기억할게요."), "pii"),
    (Pii(), talk("번호를 지어 줘", "990231-1234567"), "pii"),
    (Pii(action="mask"), talk("번호를 지어 줘", "990231-1234567"), "pii"),  # not mended: `judge` asks `mend` first
    (Pii(), Preference((Message("user", "번호?"),), (Message("assistant", "없음"),), (Message("assistant", "990231-1234567"),)), "pii"),
    (Pii(), Text("번호는 990231-1234567"), "pii"),
    (Pii(), Labelled("010-1234-5678", 1), "pii"),
    (Pii(), talk("전화는?", "010-1234-5678로 하세요."), "pii"),
    (Pii(), talk("언제?", "2026-11-20에 걸게요."), None),
    (Pii(kinds=("email",)), talk("전화는?", "010-1234-5678로 하세요."), None),
    (Pii(kinds=("email",)), talk("주소는?", "hong@seodang.kr로 보내세요."), "pii"),
    (Pii(), talk("사업자는?", "123-45-67891입니다."), None),
    (Pii(kinds=("business_number",)), talk("사업자는?", "123-45-67891입니다."), "pii"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "record", "reason"), CASES)
def test_reasons(one: Any, record: Record, reason: str | None) -> None:
    assert one.reason(record) == reason


def test_data_is_masked_or_named_where_the_action_says_so() -> None:
    given = talk("내 번호 990231-1234567", "990231-1234567 맞지요?")
    assert Pii().mend(given) == (given, 0)
    record, times = Pii(action="mask").mend(given)
    assert (record, times) == (talk("내 번호 990231-*******", "990231-******* 맞지요?"), 2)
    assert Pii().reason(record) is None
    assert Pii(action="tag").mend(given) == (talk("내 번호 [주민등록번호]", "[주민등록번호] 맞지요?"), 2)


def test_a_record_without_personal_data_is_handed_back_itself() -> None:
    given = talk("1 + 1은?", "2입니다.")
    assert Pii(action="mask").mend(given)[0] is given


def test_the_place_of_an_input_moves_with_a_name_that_is_put_there() -> None:
    given = Conversation(
        (instruct("010-1234-5678에 거는 글을 고쳐 줘", "hong@seodang.kr"), Message("assistant", "네."))
    )
    record, times = Pii(action="tag").mend(given)
    assert isinstance(record, Conversation)
    asked = record.messages[0]
    assert (asked.instruction, asked.input, times) == ("[전화번호]에 거는 글을 고쳐 줘", "[이메일]", 2)
