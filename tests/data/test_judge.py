"""One record: repaired in every text, judged in order, and never changed where nothing was wrong."""

from __future__ import annotations

from seodang.data.filters import Contains, Empty, Leftover, Length, Pii
from seodang.data.judge import SAME_SIDES, judge
from seodang.records import Conversation, Message, Preference, Text, instruct

CLEAN = Conversation(
    (Message("user", "수도는?"), Message("assistant", "서울입니다.")), "a:1", accept=("서울",), task="t"
)
ZERO = "\u200b"


def test_a_clean_record_is_handed_back_itself() -> None:
    record, repairs, reason = judge(CLEAN, (Empty(),))
    assert record is CLEAN
    assert (dict(repairs), reason) == ({}, None)


def test_every_text_is_repaired_and_counted() -> None:
    messages = (Message("system", " 짧게. "), Message("user", f"수{ZERO}도는?\r\n"), Message("assistant", "서울"))
    record, repairs, reason = judge(Conversation(messages, "a:1", task="t"), ())
    assert isinstance(record, Conversation)
    assert [message.content for message in record.messages] == ["짧게.", "수도는?", "서울"]
    assert (record.source, record.task) == ("a:1", "t")
    assert dict(repairs) == {"outer_space": 2, "zero_width": 1, "line_end": 1}
    assert reason is None


def test_the_place_of_an_input_moves_with_its_text() -> None:
    record, _, _ = judge(Conversation((instruct("옮기세요. ", f"{ZERO}나는 간다."), Message("assistant", "I go."))), ())
    assert isinstance(record, Conversation)
    assert (record.messages[0].instruction, record.messages[0].input) == ("옮기세요.", "나는 간다.")


def test_an_input_that_was_only_invisible_is_none() -> None:
    record, _, _ = judge(Conversation((instruct("옮기세요.", ZERO), Message("assistant", "I go."))), ())
    assert isinstance(record, Conversation)
    assert record.messages[0] == Message("user", "옮기세요.")


def test_without_repair_the_record_is_as_it_was() -> None:
    record, repairs, _ = judge(Text(" 글 "), (), repair=False)
    assert (record, dict(repairs)) == (Text(" 글 "), {})


def test_filters_see_the_repaired_record_and_the_first_reason_counts() -> None:
    invisible = Conversation((Message("user", "수도는?"), Message("assistant", ZERO)))
    assert judge(invisible, (Empty(),))[2] == "empty"
    assert judge(invisible, (Empty(),), repair=False)[2] is None
    long = Conversation((Message("user", "수도는?"), Message("assistant", "아주 긴 답")))
    assert judge(long, (Length(max=3), Contains(phrases=("긴",))))[2] == "too_long"
    assert judge(long, (Contains(phrases=("긴",)), Length(max=3)))[2] == "contains"


def test_what_a_filter_can_mend_is_mended_and_counted_before_any_is_asked() -> None:
    left = Conversation((Message("user", "수도는?"), Message("assistant", "### 답변: 서울입니다.\u200b")), "a:1")
    record, repairs, reason = judge(left, (Length(max=6), Leftover()))
    assert isinstance(record, Conversation)
    assert (record.answer, reason) == ("서울입니다.", None)
    assert dict(repairs) == {"zero_width": 1, "leftover": 1}
    told = Conversation((Message("user", "번호?"), Message("assistant", "990231-1234567")))
    assert judge(told, (Pii(),))[1:] == ({}, "pii")
    masked, repairs, reason = judge(told, (Pii(action="mask"),))
    assert isinstance(masked, Conversation)
    assert (masked.answer, dict(repairs), reason) == ("990231-*******", {"pii": 1}, None)


def test_an_answer_that_was_only_template_words_is_empty() -> None:
    bare = Conversation((Message("user", "수도는?"), Message("assistant", "### 답변:")))
    assert judge(bare, (Empty(), Leftover()))[2] == "empty"


def test_a_pair_without_a_difference_is_dropped_whatever_the_filters() -> None:
    same = Preference((Message("user", "?"),), (Message("assistant", "답"),), (Message("assistant", f"답{ZERO} "),))
    assert judge(same, ())[2] == SAME_SIDES == "chosen_equals_rejected"
