"""Programs that judge tasks made by somebody else."""

from __future__ import annotations

import random

import pytest

from seodang.records import Conversation, Message
from seodang.tasks.kinds import draw_item, kind, kind_names
from seodang.tasks.verify import asks_of_held_out, solve, verdict, verified

JUDGED = [
    ("38을 한글로 읽으면 뭐야?", "'38'은 '삼십팔'이라고 읽어요.", "right"),
    ("38을 한글로 읽으면 뭐야?", "서른여덟", "right"),
    ("38을 한글로 읽으면 뭐야?", "삼십팔입니다", "right"),
    ("38을 한글로 읽으면 뭐야?", "'38'은 '삼십칠'이라고 읽어요.", "wrong"),
    ("38을 한글로 읽으면 뭐야?", "'37'은 '삼십칠'이라고 읽어요.", "wrong"),
    ("'크다'의 반대말을 알려 주세요.", "'크다'의 반대말은 '작다'입니다.", "right"),
    ("오늘 점심 메뉴를 추천해 줘", "비빔밥이요", "unknown"),
    ("", "비빔밥이요", "unknown"),
]


@pytest.mark.parametrize(("prompt", "answer", "expected"), JUDGED)
def test_verdicts(prompt: str, answer: str, expected: str) -> None:
    assert verdict(prompt, answer) == expected


def test_white_space_of_a_prompt_does_not_matter() -> None:
    assert [found.kind for found in solve("38을  한글로\n읽으면 뭐야? ")] == ["number_reading"]


def test_slots_that_make_no_sense_are_no_task() -> None:
    assert solve("013을 한글로 읽으면 뭐야?") == []
    assert solve("사과를 한글로 읽으면 뭐야?") == []


def test_the_counts_sum() -> None:
    records = [
        Conversation((Message("user", prompt), Message("assistant", answer))) for prompt, answer, _ in JUDGED if prompt
    ]

    found = verified(records)

    assert found["right"] + found["wrong"] + found["unknown"] == len(records)
    assert found["kinds"] == {"antonym": 1, "number_reading": 3}
    assert found["right_ratio"] == 4 / 6


def test_nothing_recognised_is_no_division_by_zero() -> None:
    assert verified([])["right_ratio"] == 0


AMBIGUOUS = {("age_reading", "나이 '{n}살'을 한글로 적어 주세요."): ["counting"]}
"""Phrasings that are right of two kinds, with the same reading: 나이 31살 can be counted too."""


@pytest.mark.parametrize("name", kind_names())
def test_every_phrasing_is_recognised_as_its_own_item(name: str) -> None:
    one, draw = kind(name), random.Random(name)
    for phrasing in one.all_prompts():
        for _ in range(5):
            item = draw_item(name, draw)
            found = solve(one.said(phrasing, item))
            own = [each for each in found if each.item == item]
            assert [each.accept for each in own] == [one.accept(item)], one.said(phrasing, item)
            assert [each.kind for each in found if each not in own] == AMBIGUOUS.get((name, phrasing), [])


@pytest.mark.parametrize(
    ("prompt", "kind", "slots"),
    [
        # the counter of sixteen is 켤레, not of one 6켤레
        ("구두16켤레 한글로 써줘", "counting", {"w": "구두", "n": "16", "u": "켤레"}),
        ("'7시 5분' 한글로", "clock", {"t": "7시 5분"}),
        ("4월 7일 한글로좀", "date_reading", {"d": "4월 7일"}),
        ("나는 밥을 먹는다\n이 문장을 과거 시제로 바꿔 줄래?", "past_tense", {"s": "나는 밥을 먹는다"}),
        ("크다 반대말 뭐야?", "antonym", {"w": "크다"}),
        ("'크다' 반대말 뭐야?", "antonym", {"w": "크다"}),
    ],
)
def test_what_people_type_is_read_as_meant(prompt: str, kind: str, slots: dict[str, str]) -> None:
    assert [(found.kind, found.item.slots) for found in solve(prompt)] == [(kind, slots)]


def test_a_particle_may_be_either_form() -> None:
    for particle in ("을", "를"):
        assert [found.kind for found in solve(f"38{particle} 한글로 읽으면 뭐야?")] == ["number_reading"]
    assert solve("38도 한글로 읽으면 뭐야?") == []


def test_a_prompt_about_an_item_kept_for_evaluation_is_told() -> None:
    draw = random.Random(3)
    for side in (True, False):
        about = draw_item("capital", draw, held_out=side)
        assert asks_of_held_out(f"{about.slots['w']}의 수도를 알려 주세요.") is side
    assert not asks_of_held_out("여름 과일을 말해 줘")
