"""tuning/losses.py: each kind has only its own knobs and says what TRL's DPOTrainer needs to run it."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest

from seodang.schema import check_schema
from seodang.tuning.losses import Hinge, Ipo, Loss, Sigmoid

KINDS = (Sigmoid, Ipo, Hinge)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("sigmoid", Sigmoid()),
        ("ipo", Ipo()),
        ({"kind": "sigmoid", "beta": 0.3, "label_smoothing": 0.1}, Sigmoid(beta=0.3, label_smoothing=0.1)),
        ({"kind": "hinge", "beta": 2}, Hinge(beta=2.0)),
    ],
)
def test_a_loss_is_written_by_name_or_with_its_knobs(data: Any, wanted: Any) -> None:
    assert check_schema(Loss, data) == (wanted, [])


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"kind": "sigmoid", "beta": 0}, "beta: must be greater than 0, got 0"),
        ({"kind": "sigmoid", "label_smoothing": 0.5}, "label_smoothing: must be less than 0.5, got 0.5"),
        (
            {"kind": "ipo", "label_smoothing": 0.1},
            "label_smoothing: unknown key here; `label_smoothing` belongs to `kind: sigmoid`",
        ),
        ({"kind": "sigmoid", "beat": 1}, "beat: unknown key, did you mean `beta`?"),
        ("sigmod", "unknown kind `sigmod`, did you mean `sigmoid`? (known: sigmoid, ipo, hinge)"),
    ],
)
def test_a_wrong_loss_is_one_clear_line(data: Any, wanted: str) -> None:
    found, mistaken = check_schema(Loss, data)
    assert found is None
    assert [str(mistake) for mistake in mistaken] == [wanted]


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_names_its_trainer_its_rows_and_whether_it_needs_a_reference(kind: Any) -> None:
    assert (kind.trainer, kind.needs_reference, kind.reads) == ("dpo", True, "preference")


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_to_trl_is_known_there_and_holds_every_knob(kind: Any) -> None:
    from trl import DPOConfig

    loss = kind(beta=0.7)
    given = loss.to_trl()
    upstream = {field.name for field in dataclasses.fields(DPOConfig)}
    assert given.keys() <= upstream
    assert given["loss_type"] == [loss.kind] and given["beta"] == 0.7
    assert kind.model_fields.keys() - {"kind"} <= given.keys()


def test_the_smoothing_of_dpo_reaches_trl() -> None:
    assert Sigmoid(label_smoothing=0.2).to_trl()["label_smoothing"] == 0.2


def test_every_kind_is_in_the_union() -> None:
    union = get_args(get_args(Loss)[0])
    assert set(union) == set(KINDS)
