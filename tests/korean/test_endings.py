"""The tables of endings hold together: they compile, name known levels, and their nouns would else be endings."""

from __future__ import annotations

from typing import get_args

import pytest

from seodang.korean.endings import (
    FOR_EXAMPLE,
    LOOSE,
    NO_ENDING,
    POLITE_INSIDE,
    QUESTION,
    STRONG,
    UNSURE,
    WHOLE,
    Register,
    is_nominal,
    pattern,
    with_final,
)


def test_every_ending_names_a_level() -> None:
    assert {register for register, _ in (*STRONG, *LOOSE)} <= set(get_args(Register))
    assert set(WHOLE.values()) <= set(get_args(Register))


@pytest.mark.parametrize(("register", "ending"), [*STRONG, *LOOSE], ids=lambda part: part[:12])
def test_every_ending_compiles_and_matches_at_the_end_alone(register: str, ending: str) -> None:
    assert pattern(ending).pattern.endswith("$")
    assert not pattern(ending).search("")


def test_a_class_of_syllables_by_their_final_consonant() -> None:
    assert set("갑밥업없값") <= set(with_final("ㅂㅄ"))
    assert not set("가각나강") & set(with_final("ㅂㅄ"))
    assert len(with_final("ㄹ")) == 399 + 2


def test_every_noun_would_else_be_an_ending() -> None:
    """A noun that no pattern takes for an ending has no business in the table."""
    patterns = [pattern(ending) for ending in (*(ending for _, ending in (*STRONG, *LOOSE)), QUESTION, POLITE_INSIDE)]
    assert len(NO_ENDING) > 200
    assert [noun for noun in NO_ENDING if not any(one.search(noun) for one in patterns)] == []


@pytest.mark.parametrize(
    ("body", "nominal"),
    [
        ("영수증을 버리지 말 것", True),
        ("반드시 읽을 것", True),
        ("내가 좋아하는 것", False),
        ("값이 크게 오름", True),
        ("끝내 말을 못 함", True),
        ("먼 나라에서 온 사람", False),
        ("나의 마음", False),
        ("그 사람이 힘", False),
    ],
)
def test_nominal_ends(body: str, nominal: bool) -> None:
    assert is_nominal(body) is nominal


def test_small_patterns() -> None:
    assert FOR_EXAMPLE.search("예를 들어")
    assert UNSURE.search("있었는데") and not UNSURE.search("있었어")
    assert pattern(QUESTION).search("갔니") and not pattern(QUESTION).search("갔다")
    assert pattern(POLITE_INSIDE).search("갔어요") and not pattern(POLITE_INSIDE).search("정지용")
