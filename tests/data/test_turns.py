"""Role names of every kind become four roles, no turn is lost, and a turn that is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data import turns
from seodang.errors import DataError
from seodang.records import ROLES, Message

NAMES = [
    ("human", "user"),
    ("user", "user"),
    ("사람", "user"),
    ("사용자", "user"),
    ("client", "user"),
    (" Human ", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("bot", "assistant"),
    ("챗봇", "assistant"),
    ("어시스턴트", "assistant"),
    ("ChatGPT", "assistant"),
    ("bard", "assistant"),
    ("system", "system"),
    ("시스템", "system"),
    ("developer", "system"),
    ("observation", "tool"),
    ("함수-호출", "assistant"),
    ("함수_호출", "assistant"),
    ("함수 호출", "assistant"),
    ("함수-응답", "tool"),
    ("0_Wizard", "assistant"),
    ("1_Apprentice", "user"),
]


@pytest.mark.parametrize(("name", "role"), NAMES)
def test_role_names(name: str, role: str) -> None:
    row = {"conversations": [{"from": name, "value": "안녕"}]}
    assert turns.turns_of(row, "conversations", "a.jsonl:1") == (Message(role, "안녕"),)


def test_the_table_knows_only_the_records_roles_and_the_input() -> None:
    assert set(turns.role_names().values()) == {*ROLES, turns.INPUT}
    assert all(name == turns.plain(name) for name in turns.role_names())


def test_an_error_tells_only_the_main_names() -> None:
    told = turns._TOLD.split(", ")
    assert len(told) <= 10
    assert {turns.role_of(name) for name in told} == set(ROLES)


CONTENTS = [
    ({"role": "user", "content": "질문"}, Message("user", "질문")),
    ({"from": "human", "value": "질문"}, Message("user", "질문")),
    ({"role": "user", "content": ""}, Message("user", "")),
    ({"role": "user", "content": 42}, Message("user", "42")),
    ({"role": "user", "content": 1.5}, Message("user", "1.5")),
    (
        {"role": "user", "content": [{"type": "text", "text": "앞"}, {"type": "text", "text": "뒤"}]},
        Message("user", "앞뒤"),
    ),
    ({"role": "user", "content": "가\n\n나", "input_at": 3}, Message("user", "가\n\n나", 3)),
    ({"role": "assistant", "content": "예", "trained": False}, Message("assistant", "예", trained=False)),
    ({"role": "user", "content": "질문", "weight": 1, "input_at": None}, Message("user", "질문")),
]


@pytest.mark.parametrize(("turn", "message"), CONTENTS)
def test_contents(turn: dict[str, Any], message: Message) -> None:
    assert turns.turns_of({"messages": [turn]}, "messages", "a:1") == (message,)


WRONG = [
    (
        {"role": "bing", "content": "안녕"},
        "unknown role 'bing' (known: user, human, 사용자, assistant, gpt, 챗봇, system, 시스템, tool).",
    ),
    ({"role": None, "content": "안녕"}, "unknown role None"),
    ({"role": 1, "content": "안녕"}, "unknown role 1"),
    ({"role": "user", "content": None}, "the user turn has no text in `content`"),
    ({"role": "user", "content": True}, "the user turn has no text in `content`"),
    ({"role": "user", "content": float("nan")}, "the user turn has no text in `content`"),
    ({"from": "gpt", "value": {"text": "x"}}, "the assistant turn has no text in `value`"),
    ({"role": "user", "content": [{"type": "image", "url": "x"}]}, "the user turn has no text"),
    ({"role": "user", "contenI": "안녕"}, "neither role and content nor from and value (it has role, contenI)"),
    ("안녕하세요", "a turn must be an object with role and content, got '안녕하세요'"),
    ({"role": "user", "content": "가 나", "input_at": 2}, "`input_at` is 2, but no input begins there"),
    ({"role": "user", "content": "가\n\n나", "input_at": "3"}, "`input_at` is '3'"),
    ({"role": "assistant", "content": "예", "trained": "no"}, "`trained` must be true or false, got 'no'"),
]


@pytest.mark.parametrize(("turn", "text"), WRONG)
def test_a_wrong_turn_names_its_row(turn: Any, text: str) -> None:
    with pytest.raises(DataError) as caught:
        turns.turns_of({"messages": [{"role": "user", "content": "안녕"}, turn]}, "messages", "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)
    assert str(caught.value).endswith("Mend or remove the row, or let `prepare` drop and count such rows with "
                                      "`on_error: skip`.")  # fmt: skip


@pytest.mark.parametrize("value", [None, [], "글", {}])
def test_a_column_without_turns(value: Any) -> None:
    with pytest.raises(DataError, match=r"a:1: `messages` must be a list with at least one turn\."):
        turns.turns_of({"messages": value}, "messages", "a:1")


USER, ANSWER = Message("user", "질문"), Message("assistant", "답")
SIDES = [
    ("질문", (USER,)),
    ({"role": "user", "content": "질문"}, (USER,)),
    ({"value": "질문"}, (USER,)),
    ([{"from": "human", "value": "질문"}, {"from": "gpt", "value": "답"}], (USER, ANSWER)),
]


@pytest.mark.parametrize(("value", "expected"), SIDES)
def test_a_side_is_a_text_a_turn_or_turns(value: Any, expected: tuple[Message, ...]) -> None:
    assert turns.side_of({"prompt": value}, "prompt", "a:1", "user") == expected


@pytest.mark.parametrize("row", [{}, {"prompt": None}, {"prompt": True}])
def test_a_missing_side(row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="a:1: `prompt` is missing"):
        turns.side_of(row, "prompt", "a:1", "user")


NO_ANSWERS = [
    ("  ", "the row has no answer: `chosen` ends with an empty one"),
    ([{"role": "user", "content": "질문"}], "the row has no answer: the last turn of `chosen` is the user's"),
]


@pytest.mark.parametrize(("value", "text"), NO_ANSWERS)
def test_an_answer_must_say_something(value: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        turns.answer_of({"chosen": value}, "chosen", "a:1")


def test_a_dialogue_ends_with_an_answer() -> None:
    talk = [
        {"from": "gpt", "value": "무엇을 도울까요?"},
        {"from": "human", "value": "질문"},
        {"from": "gpt", "value": "답"},
    ]
    assert turns.dialogue_of({"conversations": talk}, "conversations", "a:1")[1:] == (USER, ANSWER)
    with pytest.raises(DataError, match="the last turn of `conversations` is the user's"):
        turns.dialogue_of({"conversations": talk[:2]}, "conversations", "a:1")


QUESTIONS = [
    ("옮기세요.", "나는 간다.", Message("user", "옮기세요.\n\n나는 간다.", 7)),
    ("옮기세요.", "", Message("user", "옮기세요.")),
    ("옮기세요.", None, Message("user", "옮기세요.")),
    ("옮기세요.", "입력없음", Message("user", "옮기세요.")),
    ("옮기세요.", " 입력 없음\n", Message("user", "옮기세요.")),
    ("옮기세요.", "<noinput>", Message("user", "옮기세요.")),
    ("옮기세요.", "<NoInput>", Message("user", "옮기세요.")),
    ("옮기세요.", float("nan"), Message("user", "옮기세요.")),
    ("더하세요.", 12, Message("user", "더하세요.\n\n12", 7)),
    ("", "대한민국의 수도는?", Message("user", "대한민국의 수도는?")),
    ("", "", Message("user", "")),
]


@pytest.mark.parametrize(("instruction", "given", "message"), QUESTIONS)
def test_an_instruction_with_its_input(instruction: str, given: Any, message: Message) -> None:
    assert turns.question(instruction, given) == message


def test_system_and_history_come_first() -> None:
    assert turns.with_system((USER,), {"system": "정중하게."}) == (Message("system", "정중하게."), USER)
    assert turns.with_system((USER,), {"system": " "}) == (USER,)
    own = (Message("system", "짧게."), USER)
    assert turns.with_system(own, {"system": "정중하게."}) == own
    assert turns.history_of([["질문", "답"]], "a:1") == (USER, ANSWER)
    assert turns.history_of(None, "a:1") == ()


@pytest.mark.parametrize("value", ["글", [["질문"]], [["질문", "답", "?"]], [{"q": "질문"}], [["질문", None]]])
def test_a_wrong_history(value: Any) -> None:
    with pytest.raises(DataError, match=r"a:1: `history` must be a list of \[question, answer\]"):
        turns.history_of(value, "a:1")


LISTS = [
    ([1, 2], [1, 2]),
    ((1, 2), [1, 2]),
    ([], []),
    ("[1, 2]", [1, 2]),
    (' [{"from": "human"}]', [{"from": "human"}]),
    ([[1, 2]], [1, 2]),
    ([[1], [2]], [1, 2]),
    ("[1, 2", None),
    ("[" * 100_000, None),
    ("글", None),
    (None, None),
    ({"from": "human"}, None),
    (3, None),
]


@pytest.mark.parametrize(("value", "expected"), LISTS)
def test_how_sets_write_a_list(value: Any, expected: list[Any] | None) -> None:
    assert turns.listed(value) == expected


GIVEN = Message(turns.INPUT, "간다.")
ASKED = Message("user", "질문\n\n간다.", 4)
INPUTS = [
    ((USER, GIVEN, ANSWER), (ASKED, ANSWER)),
    ((GIVEN, USER, ANSWER), (ASKED, ANSWER)),
    ((USER, ANSWER, USER, GIVEN, ANSWER), (USER, ANSWER, ASKED, ANSWER)),
    ((USER, ANSWER, GIVEN, USER, ANSWER), (USER, ANSWER, ASKED, ANSWER)),
    ((USER, Message(turns.INPUT, "입력없음"), ANSWER), (USER, ANSWER)),
    ((GIVEN, Message(turns.INPUT, "온다."), USER, ANSWER), (Message("user", "질문\n\n간다.\n\n온다.", 4), ANSWER)),
]


@pytest.mark.parametrize(("messages", "expected"), INPUTS)
def test_an_input_joins_its_question(messages: tuple[Message, ...], expected: tuple[Message, ...]) -> None:
    assert turns.with_inputs(messages, "a:1") == expected


def test_an_input_without_a_question_is_an_error() -> None:
    with pytest.raises(DataError, match=r"a:1: an input stands beside no question: '간다\.'\."):
        turns.with_inputs((ANSWER, GIVEN), "a:1")


def test_what_one_says_in_a_row_is_one_turn() -> None:
    said = [("가", "안녕"), ("가", "뭐 해?"), ("나", "공부해"), ("가", "그래"), ("나", "응")]
    found = turns.spoken(said, "", "a:1")
    assert [(m.role, m.content) for m in found] == [
        ("user", "안녕\n뭐 해?"), ("assistant", "공부해"), ("user", "그래"), ("assistant", "응"),
    ]  # fmt: skip
    assert [m.role for m in turns.spoken(said, "가", "a:1")] == ["assistant", "user", "assistant", "user"]
