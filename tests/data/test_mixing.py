"""Sides, weights and caps by content hash: adding rows reshuffles nothing."""

from __future__ import annotations

import numpy as np
import pytest

from seodang.data.agreement import same
from seodang.data.dedup import held_out, spelt
from seodang.data.fingerprints import fingerprint
from seodang.data.mixing import copies, sides, together
from seodang.records import Conversation, Message, Record


def rows(count: int, start: int = 0) -> list[Record]:
    return [
        Conversation((Message("user", f"{n}에 7을 더하면 얼마인가요?"), Message("assistant", f"{n + 7}입니다.")))
        for n in range(start, start + count)
    ]


HASHES = fingerprint(rows(4000), "prompt", near=False).exact


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_sides_are_those_of_single_records(share: float) -> None:
    assert sides(HASHES[:300], share).tolist() == [held_out(record, share) for record in rows(300)]


def test_every_source_gives_its_share() -> None:
    for part in np.split(HASHES, 4):
        assert 60 < sides(part, 0.1).sum() < 140


WEIGHTS = [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0), (2.5, 2.5), (3.0, 3.0)]


@pytest.mark.parametrize(("weight", "mean"), WEIGHTS)
def test_weight_is_how_often_a_row_is_written(weight: float, mean: float) -> None:
    times, over = copies(HASHES, weight)
    assert abs(times.mean() - mean) < 0.03
    assert set(times.tolist()) <= {int(weight), int(weight) + (weight % 1 > 0)}
    assert not over.any()


def test_adding_rows_changes_no_choice() -> None:
    few, many = copies(HASHES[:1000], 0.3)[0], copies(HASHES, 0.3)[0]
    assert few.tolist() == many[:1000].tolist()
    assert few.tolist() == copies(HASHES[:1000][::-1], 0.3)[0][::-1].tolist()


def test_a_larger_weight_takes_the_same_rows_and_more() -> None:
    small, large = copies(HASHES, 0.2)[0], copies(HASHES, 0.6)[0]
    assert (large >= small).all()


def test_a_cap_takes_the_rows_of_the_smallest_hash() -> None:
    times, over = copies(HASHES, 2.0, 100)
    assert (times > 0).sum() == 100
    assert over.sum() == len(HASHES) - 100
    assert times.sum() == 200
    fewer = copies(HASHES[:2000], 1.0, 100)[0]
    # of the rows that stay within the cap when others are added, all were within it before
    assert (fewer >= copies(HASHES, 1.0, 100)[0][:2000]).all()
    assert not copies(HASHES[:50], 1.0, 100)[1].any()


def test_side_weight_and_cap_are_drawn_apart() -> None:
    """What is held out must not be what a weight leaves out."""
    held, taken = sides(HASHES, 0.5), copies(HASHES, 0.5)[0] > 0
    within = ~copies(HASHES, 1.0, 2000)[1]
    for one, other in ((held, taken), (held, within), (taken, within)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.06


def test_near_duplicates_are_held_out_together() -> None:
    towns = [f"{chr(0xAC00 + 588 * n)}{chr(0xAC1C + 28 * n)}마을" for n in range(15)]
    texts = [f"{town}{end}" for town in towns for end in
             ("에 어떻게 가나요?", "에는 어떻게 가나요", "에 어떻게 갑니까?", "에 어떨게 가나요?")]  # fmt: skip
    records: list[Record] = [
        Conversation((Message("user", text), Message("assistant", str(n)))) for n, text in enumerate(texts)
    ]
    prints, asked = fingerprint(records, "prompt"), [spelt(record, "prompt") for record in records]
    held = sides(prints.exact, 0.2)
    apart = sum(0 < held[at : at + 4].sum() < 4 for at in range(0, 60, 4))
    assert apart > 3
    found = together(held, prints, lambda one, other: same(asked[one], asked[other]))
    assert all(found[at : at + 4].sum() in (0, 4) for at in range(0, 60, 4))
    assert (found >= held).all()
    assert together(np.zeros(60, bool), prints, lambda *_: True).sum() == 0
