"""Dialogues between people: AI Hub's header and body, NIKL's utterances; what one says in a row is one turn."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.data.formats import NIKL, AIHub, Known, decide, expand
from seodang.errors import DataError
from seodang.records import Conversation, Message

TALK = [
    ("P01", "뭐 해?"),
    ("P01", "저녁 먹었어?"),
    ("P02", "응, 국수 먹었어."),
    ("P01", "맛있었겠다."),
    ("P02", "다음에 같이 가자."),
]
TURNS = (
    Message("user", "뭐 해?\n저녁 먹었어?"),
    Message("assistant", "응, 국수 먹었어."),
    Message("user", "맛있었겠다."),
    Message("assistant", "다음에 같이 가자."),
)


def aihub(talk: list[tuple[str, str]]) -> dict[str, Any]:
    """A dialogue as AI Hub's messenger corpus holds one."""
    people = {name for name, _ in talk}
    info = {
        "dialogueID": "d-1",
        "numberOfParticipants": len(people),
        "numberOfUtterances": len(talk),
        "topic": "식음료",
    }
    body = [
        {"utteranceID": f"U{n}", "turnID": f"T{n}", "participantID": name, "utterance": text}
        for n, (name, text) in enumerate(talk, 1)
    ]
    return {"header": {"dialogueInfo": info}, "body": body}


def nikl(talk: list[tuple[str, str]]) -> dict[str, Any]:
    """A document as 모두의 말뭉치 holds one."""
    said = [{"id": f"d.{n}", "form": text, "speaker_id": name} for n, (name, text) in enumerate(talk, 1)]
    return {"id": "d", "metadata": {"topic": "식음료"}, "utterance": said}


FIRST = nikl([("1", "여보세요?"), ("2", "네.")])
FILES = [
    (AIHub(), aihub(TALK), 1),
    (AIHub(), {"numberOfItems": 2, "data": [aihub(TALK), aihub(TALK)]}, 2),
    (AIHub(), aihub(TALK) | {"body": {"dialogue": aihub(TALK)["body"], "summary": "저녁 이야기"}}, 1),
    (NIKL(), nikl(TALK), 1),
    (NIKL(), {"id": "file", "metadata": {}, "document": [nikl(TALK), nikl(TALK), nikl(TALK)]}, 3),
]


@pytest.mark.parametrize(("form", "row", "count"), FILES)
def test_every_dialogue_of_a_file(form: Known, row: dict[str, Any], count: int) -> None:
    assert decide([row]) == form
    parts = list(expand(form, row, "f.json:1"))
    assert [place for _, place in parts] == (
        ["f.json:1"] if count == 1 else [f"f.json:1#{n + 1}" for n in range(count)]
    )
    for part, place in parts:
        assert form.parse(part, place) == Conversation(TURNS, place)  # type: ignore[arg-type]


def test_who_has_the_last_word_is_the_assistant_so_no_turn_is_lost() -> None:
    record = AIHub().parse(aihub(TALK[:-1]), "f:1")
    assert isinstance(record, Conversation)
    assert [(m.role, m.content) for m in record.messages] == [
        ("assistant", "뭐 해?\n저녁 먹었어?"), ("user", "응, 국수 먹었어."), ("assistant", "맛있었겠다."),
    ]  # fmt: skip


def test_of_several_people_one_is_named() -> None:
    several = [*TALK, ("P03", "나도 갈래."), ("P02", "좋아.")]
    with pytest.raises(DataError, match=r"f:1: 3 people speak in it \(P01, P02, P03\); name the one who answers with"):
        AIHub().parse(aihub(several), "f:1")
    record = AIHub(answers="P02").parse(aihub(several), "f:1")
    assert isinstance(record, Conversation)
    assert [m.role for m in record.messages] == ["user", "assistant", "user", "assistant", "user", "assistant"]


def test_the_form_as_it_was_spoken_stands_in_where_there_is_no_other() -> None:
    row = {"utterance": [{"speaker_id": 1, "original_form": "여보세요?"}, {"speaker_id": 2, "form": "네."}]}
    record = NIKL().parse(row, "f:1")
    assert record == Conversation((Message("user", "여보세요?"), Message("assistant", "네.")), "f:1")


WRONG = [
    (AIHub(), {"header": {}, "body": "요약"}, "`body` must be a list of utterances"),
    (AIHub(), aihub(TALK[:2]), "fewer than two people speak in it"),
    (AIHub(), aihub([]), "fewer than two people speak in it"),
    (
        AIHub(),
        {"header": {}, "body": [{"participantID": "P01"}]},
        "utterance 1 has no `participantID` or no `utterance`",
    ),
    (AIHub(answers="P01"), aihub(TALK), "the row has no answer: the last turn of `utterance` is the user's"),
    (NIKL(), {"metadata": {}}, "`utterance` must be a list of utterances"),
    (NIKL(), {"utterance": ["네."]}, "utterance 1 has no `speaker_id` or no `form`"),
]


@pytest.mark.parametrize(("form", "row", "text"), WRONG)
def test_a_row_that_cannot_be_read_names_itself(form: Known, row: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        form.parse(row, "seed.jsonl:17")
    assert str(caught.value).startswith("seed.jsonl:17: ")
    assert text in str(caught.value)


def test_a_part_that_is_no_object_is_an_error_with_its_place() -> None:
    ((first, _), (second, place)) = expand(AIHub(), {"data": [aihub(TALK), "글"]}, "f:1")
    assert isinstance(first, dict) and isinstance(second, DataError)
    assert (str(second), place) == ("f:1#2: a row must be an object, got '글'.", "f:1#2")
