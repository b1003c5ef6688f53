"""Rows that are too long: what is left of them, whole turns, no answer cut, no character torn."""

from __future__ import annotations

import pytest

from seodang.data.over_length import cut, exchanges, parted, shortened, trains
from seodang.records import Message, instruct


def user(text: str) -> Message:
    return Message("user", text)


def says(text: str, trained: bool | None = None) -> Message:
    return Message("assistant", text, trained=trained)


SYSTEM = Message("system", "짧게")
TALK = (SYSTEM, user("하나는?"), says("일"), user("둘은?"), says("이"), user("셋은?"), says("삼"))


def within(limit: int):  # type: ignore[no-untyped-def]
    return lambda messages: sum(len(message.content) for message in messages) <= limit


class TestExchanges:
    @pytest.mark.parametrize(
        ("messages", "head", "sizes"),
        [
            (TALK, 1, [2, 2, 2]),
            (TALK[1:], 0, [2, 2, 2]),
            ((user("가"), user("나"), says("다")), 0, [3]),
            ((user("가"), says("나"), Message("tool", "다"), says("라"), user("마"), says("바")), 0, [4, 2]),
            ((user("가"), says("나"), user("다")), 0, [3]),
            ((SYSTEM, says("가")), 2, []),
            ((), 0, []),
        ],
    )
    def test_a_head_and_questions_with_all_that_follows(self, messages, head, sizes) -> None:  # type: ignore[no-untyped-def]
        first, rest = exchanges(messages)
        assert (len(first), [len(turns) for turns in rest]) == (head, sizes)
        assert first + tuple(message for turns in rest for message in turns) == tuple(messages)


class TestShortened:
    @pytest.mark.parametrize(
        ("limit", "kept"),
        [
            (15, TALK),
            (14, TALK[:1] + TALK[3:]),
            (10, TALK[:1] + TALK[3:]),
            (9, TALK[:1] + TALK[5:]),
            (6, TALK[:1] + TALK[5:]),
        ],
    )
    def test_the_oldest_exchanges_go_and_the_head_stays(self, limit: int, kept: tuple[Message, ...]) -> None:
        assert shortened(TALK, within(limit)) == kept

    def test_then_the_beginning_of_the_question(self) -> None:
        talk = (SYSTEM, user("아주 긴 글이 있고 마지막에 이것을 요약해 주세요."), says("요약"))
        left = shortened(talk, within(20))
        assert left == (SYSTEM, user("이것을 요약해 주세요."), says("요약"))

    def test_of_an_instruction_with_an_input_the_beginning_of_the_input(self) -> None:
        asked = instruct("다음 글을 요약하세요.", "처음 문장입니다. 가운데 문장입니다. 끝 문장입니다.")
        left = shortened((asked, says("요약")), within(30))
        assert left is not None
        assert (left[0].instruction, left[0].input) == ("다음 글을 요약하세요.", "끝 문장입니다.")
        assert left[0].content == "다음 글을 요약하세요.\n\n끝 문장입니다."

    def test_an_answer_that_does_not_fit_after_a_word_of_its_question_is_none(self) -> None:
        assert shortened((SYSTEM, user("질문 하나"), says("아주 긴 대답입니다")), within(12)) is None
        assert shortened((instruct("옮기세요.", "나는 간다."), says("I go.")), within(12)) is None

    def test_nor_are_turns_of_which_none_is_trained(self) -> None:
        talk = (user("가"), says("나"), user("다"), says("라", trained=False))
        assert shortened(talk, within(2)) is None
        assert shortened(talk, within(4)) == talk


class TestParted:
    @pytest.mark.parametrize(
        ("limit", "sizes"),
        [
            (15, [(0, 1, 2)]),
            (11, [(0, 1), (2,)]),
            (10, [(0,), (1, 2)]),
            (9, [(0,), (1,), (2,)]),
            (7, [(0,), (1,), (2,)]),
        ],
    )
    def test_as_many_whole_turns_as_fit_each_after_the_head(self, limit: int, sizes: list[tuple[int, ...]]) -> None:
        head, rest = exchanges(TALK)
        good, lost = parted(TALK, within(limit))
        assert good == [head + tuple(message for at in part for message in rest[at]) for part in sizes]
        assert lost == []
        assert all(part[-1].role == "assistant" for part in good)

    def test_a_part_that_is_too_long_by_itself_is_lost_and_its_neighbours_are_not_joined(self) -> None:
        talk = (user("가"), says("나"), user("다" * 20), says("라"), user("마"), says("바"))
        good, lost = parted(talk, within(10))
        assert good == [talk[:2], talk[4:]]
        assert lost == [talk[2:4]]

    def test_a_part_without_a_trained_turn_is_neither(self) -> None:
        talk = (user("가"), says("나", trained=False), user("다"), says("라"))
        assert parted(talk, within(2)) == ([talk[2:]], [])
        assert parted(talk, within(1)) == ([], [talk[2:]])
        assert parted(talk, within(4)) == ([talk], [])


@pytest.mark.parametrize(
    ("text", "keep", "left"),
    [
        ("가나 다라 마바", 20, "가나 다라 마바"),
        ("가나 다라 마바", 5, "다라 마바"),
        ("가나 다라 마바", 4, "마바"),
        ("가나 다라 마바", 6, "다라 마바"),
        ("가나다라마바", 4, "다라마바"),
        ("가나 다라 마바", 0, ""),
        ("가나 ", 1, ""),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", 5, "\u1100\u1173\u11af"),
        ("ab👨\u200d👩\u200d👧c", 4, "c"),
        ("👍🏽끝", 2, "끝"),
        ("e\u0301끝", 2, "끝"),
        ("가" * 40 + " 나", 36, "가" * 34 + " 나"),
    ],
)  # fmt: skip
def test_a_cut_begins_with_a_word_or_with_a_whole_character(text: str, keep: int, left: str) -> None:
    assert cut(text, keep) == left


def test_a_system_turn_alone_trains_nothing() -> None:
    assert not trains((SYSTEM, user("가"), says("나", trained=False)))
    assert trains(TALK)
