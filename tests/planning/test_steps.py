"""Steps, tokens and padding of a loop over rows of known lengths."""

from __future__ import annotations

import pytest

from seodang.planning.steps import steps_for
from seodang.tuning.specs import Training


def test_rows_of_one_length_have_no_padding() -> None:
    found = steps_for(Training(num_train_epochs=2, per_device_train_batch_size=4), [(10,)] * 8, 3, 42)
    assert (found.rows, found.held_out, found.steps, found.epochs) == (8, 3, 4, 2)
    assert (found.tokens, found.padded, found.waste, found.even) == (80, 80, 0, True)
    assert found.tokens_per_step == 40 and found.total == 160


def test_a_batch_is_as_wide_as_its_longest_row() -> None:
    found = steps_for(Training(per_device_train_batch_size=2), [(10,), (30,)], 0, 42)
    assert (found.tokens, found.padded, found.longest, found.even) == (40, 60, 30, False)
    assert found.waste == pytest.approx(1 / 3)


def test_both_sides_of_a_pair_are_computed() -> None:
    found = steps_for(Training(per_device_train_batch_size=2), [(10, 20), (30, 5)], 0, 42)
    assert (found.rows, found.steps, found.padded) == (2, 1, 120)


@pytest.mark.parametrize(("rows", "accumulation", "steps"), [(9, 1, 5), (9, 2, 3), (1, 4, 1)])
def test_steps_are_the_trainers(rows: int, accumulation: int, steps: int) -> None:
    training = Training(per_device_train_batch_size=2, gradient_accumulation_steps=accumulation)
    assert steps_for(training, [(5,)] * rows, 0, 1).steps == steps


def test_max_steps_decide_the_epochs() -> None:
    found = steps_for(Training(max_steps=6, per_device_train_batch_size=2), [(5,)] * 8, 0, 1)
    assert (found.steps, found.epochs, found.total) == (6, 1.5, 60)


@pytest.mark.parametrize(("together", "steps", "tokens"), [(1, 8, 20.0), (2, 4, 40.0), (4, 2, 80.0), (3, 4, 40.0)])
def test_processes_share_the_rows_of_an_epoch(together: int, steps: int, tokens: float) -> None:
    found = steps_for(Training(per_device_train_batch_size=2, num_train_epochs=2), [(10,)] * 8, 0, 1, together)
    assert (found.steps, found.tokens_per_step, found.epochs) == (steps, tokens, 2)
