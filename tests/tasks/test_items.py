"""Every kind of computed item draws what it can solve, the same for the same seed, and refuses nonsense."""

from __future__ import annotations

import random

import pytest

from seodang.tasks.items import FUNCTIONS
from seodang.tasks.kinds import kind, kind_names

NONSENSE = ("", " ", "안녕?", "0", "x", "3 4", "나무가 갔다 왔다 했나")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_drawn_can_be_solved(name: str) -> None:
    one, draw = FUNCTIONS[name], random.Random(name)
    for _ in range(40):
        slots = one.draw(draw)
        forms = one.solve(slots)
        assert forms and all(forms), slots
        assert len(set(forms)) == len(forms)
        assert {"a"}.isdisjoint({*slots, *one.more(slots)})
        assert set(slots).isdisjoint(one.more(slots))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_same_seed_draws_the_same(name: str) -> None:
    def drawn(seed: int) -> list[dict[str, str]]:
        draw = random.Random(seed)
        return [dict(FUNCTIONS[name].draw(draw)) for _ in range(8)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "copy"])
def test_nonsense_has_no_answer(name: str) -> None:
    slots = FUNCTIONS[name].draw(random.Random(1))
    for nonsense in NONSENSE:
        assert FUNCTIONS[name].solve(dict.fromkeys(slots, nonsense)) == ()


def test_every_function_serves_a_kind() -> None:
    assert sorted(FUNCTIONS) == sorted(kind(name).items.function for name in kind_names() if kind(name).items.function)
