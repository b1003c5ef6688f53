"""What a recipe says about its rows is one thing and not two."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from seodang.data.specs import Check, RowData, TrainData

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "give `run` or `train`, one of the two"),
    ({"run": "runs/a", "train": "a.jsonl"}, "give `run` or `train`, one of the two"),
    ({"run": "runs/a", "eval": 0.1}, "`eval` belongs to `train`"),
    ({"train": "a.jsonl", "eval": 1.0}, "below 1, got 1.0"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_one_source_and_its_own_held_out_rows(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RowData.model_validate(given)
    assert said in str(caught.value)


def test_a_share_or_a_file_is_held_out() -> None:
    assert RowData(train="a.jsonl", eval=0.1).eval == 0.1
    assert RowData(train="a.jsonl", eval="b.jsonl").eval == "b.jsonl"


def test_long_rows_are_dropped_unless_told() -> None:
    assert TrainData(train="a.jsonl").over_length == "drop"


def test_shares_are_shares() -> None:
    for name in (name for name in Check.model_fields if name.endswith("_ratio")):
        with pytest.raises(ValidationError):
            Check.model_validate({name: 1.5})
