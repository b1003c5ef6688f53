"""What rows are like: lengths, shares of Hangul and speech levels, and the histograms of them."""

from __future__ import annotations

from collections import Counter

import pytest

from seodang.data.profile import (
    LEVELS,
    NO_LETTERS,
    hangul_bin,
    hangul_histogram,
    length_histogram,
    level,
    level_counts,
    measured,
)
from seodang.records import Conversation, Message, Preference, Prompt, Record, Text


def talk(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(("user", "assistant")[at % 2], text) for at, text in enumerate(texts))


MEASURED: list[tuple[Record, int, float | None, str]] = [
    (Conversation(talk("몇 시예요?", "세 시입니다.")), 7, 1.0, "hapsyo"),
    (Conversation(talk("몇 시예요?", "세 시예요.", "고마워", "뭘요. 언제든 물어봐요.")), 19, 1.0, "haeyo"),
    (Conversation(talk("영어로?", "It is three.")), 12, 0.0, "none"),
    (Conversation(talk("몇 더하기 몇?", "3 + 5")), 5, None, "none"),
    (
        Preference(talk("몇 시?"), (Message("assistant", "세 시 됐어."),), (Message("assistant", "모릅니다."),)),
        7,
        1.0,
        "hae",
    ),
    (Prompt(talk("몇 시인지 알려 주세요.")), 13, 1.0, "haeyo"),
    (Text("서당은 마을의 학교였다."), 13, 1.0, "haera"),
    (Conversation(()), 0, None, "none"),
]


@pytest.mark.parametrize(("record", "length", "share", "register"), MEASURED)
def test_what_a_record_teaches_is_measured(record: Record, length: int, share: float | None, register: str) -> None:
    assert measured(record) == (length, share, register)


def test_shares_and_levels_are_small_numbers() -> None:
    assert [hangul_bin(share) for share in (0.0, 0.049, 0.05, 0.99, 1.0, None)] == [0, 0, 1, 19, 19, NO_LETTERS]
    assert [LEVELS[level(name)] for name in LEVELS] == list(LEVELS)


def test_long_answers_stand_in_the_last_bin() -> None:
    found = length_histogram(Counter({10: 500, 20: 499, 100_000: 1}))
    assert sum(found["counts"]) == 1000
    assert found["edges"][-1] < 100
    assert len(found["edges"]) == len(found["counts"]) + 1


@pytest.mark.parametrize("lengths", [{}, {0: 3}, {5: 1}, {n: 1 for n in range(3000)}])
def test_every_row_is_in_the_histogram(lengths: dict[int, int]) -> None:
    found = length_histogram(lengths)
    assert sum(found["counts"]) == sum(lengths.values())
    assert found["edges"] == sorted(found["edges"])
    assert len(found["counts"]) <= 30


def test_counts_by_share_and_level() -> None:
    found = hangul_histogram({19: 2, 3: 1, NO_LETTERS: 1})
    assert (found["counts"][19], found["counts"][3], sum(found["counts"])) == (2, 1, 3)
    assert level_counts({level("haeyo"): 2, level("none"): 1}) == {"haeyo": 2, "none": 1}
