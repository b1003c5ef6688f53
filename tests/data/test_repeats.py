"""Duplicates and leaks in a few bytes per row: exact against a plain set, on random rows."""

from __future__ import annotations

import random

import pytest

from seodang.data import repeats
from seodang.data.repeats import HeldOut, Lines, hash_of, prompts
from seodang.records import Conversation, Message, Preference


def talk(*contents: str) -> Conversation:
    roles = ["user", "assistant"] * len(contents)
    return Conversation(tuple(Message(r, c) for r, c in zip(roles, contents, strict=False)))


@pytest.mark.parametrize("shard", [1 << 16, 16, 1])
def test_repeats_are_those_of_a_plain_dictionary(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "SHARD", shard)
    rng = random.Random(7)
    values = [rng.choice([rng.getrandbits(64), rng.randrange(40)]) for _ in range(300)]
    lines, first, expected = Lines(), {}, []
    for line, value in enumerate(values, 1):
        lines.add(value, line)
        if value in first:
            expected.append((line, first[value]))
        first.setdefault(value, line)
    assert expected and sorted(lines.repeats()) == expected


def test_a_row_takes_twelve_bytes() -> None:
    lines = Lines()
    for line in range(1, 50_001):
        lines.add(line << 32, line)
    room = lines.hashes.buffer_info()[1] * lines.hashes.itemsize + lines.lines.buffer_info()[1] * lines.lines.itemsize
    assert room == 12 * 50_000


def test_two_rows_are_one_by_the_whole_conversation_without_spacing() -> None:
    assert hash_of(talk("가나 다", "라")) == hash_of(talk("가나다.", "라"))
    assert hash_of(talk("가", "라")) != hash_of(talk("가", "마"))
    assert 0 <= hash_of(talk("가", "라")) < 1 << 64


@pytest.mark.parametrize("shard", [1 << 16, 2])
def test_a_held_out_prompt_is_found_in_any_turn_and_told_once(shard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "SHARD", shard)
    held = HeldOut()
    for line, record in enumerate(
        [talk("하나", "일"), talk("둘", "이"), talk("하나", "1"), talk("둘", "이", "셋", "삼")], 1
    ):
        held.add(record, line)
    held.close()
    assert held.trained_in(talk("넷", "사")) == []
    assert held.trained_in(talk("둘", "다른 답", "다섯", "오")) == [2]
    assert sorted(held.trained_in(talk("하나", "하나예요"))) == [1, 3]
    assert held.trained_in(talk("하나", "일")) == []
    assert held.trained_in(talk("둘", "이", "셋", "3")) == [4]


def test_of_a_pair_the_prompt_is_asked_for() -> None:
    pair = Preference((Message("user", "하나"),), (Message("assistant", "일"),), (Message("assistant", "이"),))
    assert prompts(pair) == prompts(talk("하나", "일")) == [hash_of(pair, "prompt")]


def test_without_held_out_rows_there_is_no_leak() -> None:
    held = HeldOut()
    held.close()
    assert held.trained_in(talk("가", "나")) == []
