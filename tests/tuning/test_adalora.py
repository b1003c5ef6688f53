"""tuning/adalora.py: its schedule, its penalty, the ranks it takes away, and how it goes on in a later run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seodang.errors import ModelError
from seodang.tuning.adalora import AdaLora
from seodang.tuning.model import Aim, Loaded, load_for_training
from seodang.tuning.specs import ModelSpec


def fresh(model_dir: Path, folder: Path, method: Any, steps: int = 20) -> Loaded:
    return load_for_training(ModelSpec(name_or_path=str(model_dir)), method, Aim(7, steps, folder))


def test_adalora_takes_ranks_away_and_weighs_its_penalty(model_dir: Path, tmp_path: Path) -> None:
    method = AdaLora(init_r=6, target_r=2, orth_reg_weight=0.5)
    loaded = fresh(model_dir, tmp_path, method)
    ids = torch.tensor([[5, 17, 40, 301, 77, 9]])
    optimizer = torch.optim.AdamW([w for w in loaded.model.parameters() if w.requires_grad], lr=1e-2)
    penalties = []
    for step in range(20):
        penalty = method.penalty(loaded.model)
        (loaded.model(input_ids=ids).logits.logsumexp(-1).mean() + penalty).backward()
        optimizer.step()
        method.on_step(loaded.model, step)
        optimizer.zero_grad()
        penalties.append(penalty.item())
    ranks = [sum(kept) for kept in loaded.model.peft_config["default"].rank_pattern.values()]
    assert sum(ranks) == 2 * len(ranks) and len(set(ranks)) > 1
    assert penalties[-1] < penalties[0] > 0.1
    assert AdaLora(orth_reg_weight=0).penalty(loaded.model) is None
    halved = AdaLora(orth_reg_weight=0.25).penalty(loaded.model)
    assert halved.item() == pytest.approx(method.penalty(loaded.model).item() / 2)


def test_the_penalty_is_pefts_own(model_dir: Path, tmp_path: Path) -> None:
    method = AdaLora(init_r=6, target_r=2, orth_reg_weight=3.0)
    loaded = fresh(model_dir, tmp_path, method)
    ids = torch.tensor([[5, 17, 40, 301, 77, 9]])
    with torch.no_grad():
        inside = loaded.model(input_ids=ids, labels=ids).loss
        bare = loaded.model.base_model.model(input_ids=ids, labels=ids).loss
        assert (inside - bare).item() == pytest.approx(method.penalty(loaded.model).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "steps", "wanted"),
    [(AdaLora(), 20, (2, 6)), (AdaLora(), 3, (0, 1)), (AdaLora(tinit=5, tfinal=4), 20, (5, 4))],
)
def test_the_schedule_follows_the_steps(method: AdaLora, steps: int, wanted: tuple[int, int]) -> None:
    assert method.schedule(steps) == wanted
    config: Any = method.to_peft(steps)
    assert (config.tinit, config.tfinal, config.total_step) == (*wanted, steps)


def test_too_few_steps_for_a_schedule_are_refused_before_any_weight_is_read(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seodang.tuning.model.load_base", lambda *_: pytest.fail("weights were read"))
    with pytest.raises(
        ModelError, match=r"adapter: PEFT refuses it: 6 optimizer steps leave none between `tinit` \(4\)"
    ):
        fresh(model_dir, tmp_path, AdaLora(tinit=4, tfinal=2), steps=6)
