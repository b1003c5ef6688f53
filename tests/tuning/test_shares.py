"""How rows are dealt out to processes: every row once, whole batches, and fillers that teach nothing."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import SequentialSampler

from seodang.tuning.shares import COUNT, FILLER, Dealt, Filled, filler, first_before_others, is_first, without_fillers

SFT_ROW = {"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}
PAIR = {
    "prompt_ids": [1],
    "chosen_ids": [2, 3],
    "rejected_ids": [4],
    "ref_chosen_logps": -1.0,
    "ref_rejected_logps": -2.0,
}


def dealt(rows: int, batch: int, processes: int, evenly: bool) -> list[list[list[int]]]:
    """Per step and process the rows of its batch, fillers left out."""
    order = list(Dealt(SequentialSampler(range(rows)), rows, (batch, processes), evenly))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    assert all(len(one) == batch for one in batches) and len(batches) % processes == 0
    real = [[row for row in one if row < rows] for one in batches]
    return [real[start : start + processes] for start in range(0, len(real), processes)]


@pytest.mark.parametrize(
    ("shape", "evenly", "last"),
    [
        ((8, 2, 2), True, [[4, 5], [6, 7]]),
        ((7, 2, 2), True, [[4, 6], [5]]),
        ((6, 2, 2), True, [[4], [5]]),
        ((5, 2, 2), True, [[4], []]),
        ((7, 2, 2), False, [[4, 5], [6]]),
        ((6, 2, 2), False, [[4, 5], []]),
        ((3, 4, 2), True, [[0, 2], [1]]),
        ((11, 2, 4), True, [[8], [9], [10], []]),
    ],
)
def test_every_row_is_dealt_once(shape: tuple[int, int, int], evenly: bool, last: list[list[int]]) -> None:
    steps = dealt(*shape, evenly)
    assert sorted(row for step in steps for batch in step for row in batch) == list(range(shape[0]))
    assert steps[-1] == last


def test_a_step_holds_the_rows_that_one_process_would_take() -> None:
    together = [sorted(row for batch in step for row in batch) for step in dealt(11, 2, 2, True)]
    assert together == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_its_length_is_that_of_whole_batches() -> None:
    assert [len(Dealt(SequentialSampler(range(n)), n, (2, 2), True)) for n in (1, 4, 5, 8)] == [4, 4, 8, 8]


@pytest.mark.parametrize("row", [SFT_ROW, PAIR])
def test_a_filler_teaches_nothing(row: dict[str, Any]) -> None:
    made = filler(row)
    assert made[FILLER] and made.keys() == row.keys() | {FILLER}
    if "labels" in row:
        assert made["labels"] == [-100, -100, -100]
    else:
        assert made["chosen_ids"] == made["rejected_ids"] and made["ref_chosen_logps"] == made["ref_rejected_logps"]


def test_the_filler_stands_after_the_last_row() -> None:
    rows = Filled([SFT_ROW, SFT_ROW])
    assert len(rows) == 2 and FILLER not in rows[1] and rows[2][FILLER]


def test_fillers_do_not_reach_the_collator_where_there_is_a_row() -> None:
    seen: list[Any] = []
    collate = without_fillers(lambda rows: seen.append(rows) or {"rows": len(rows)})
    assert collate([SFT_ROW, filler(SFT_ROW)]) == {"rows": 1, COUNT: 1} and seen[-1] == [SFT_ROW]
    assert collate([filler(SFT_ROW), filler(SFT_ROW)]) == {"rows": 1, COUNT: 0}
    assert seen[-1][0]["labels"] == [-100] * 3 and FILLER not in seen[-1][0]


def test_one_process_is_the_first_and_waits_for_nobody() -> None:
    assert is_first()
    with first_before_others():
        pass
