"""tuning/quantized.py: what quantisation cost is measured on the bases alone, and nothing is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seodang.tuning import quantized
from seodang.tuning.adapters import Lora
from seodang.tuning.model import Aim, Loaded, load_for_training, load_model
from seodang.tuning.quantized import quantization_cost
from seodang.tuning.specs import ModelSpec

ROWS = [([5, 17, 40, 301, 77, 9], [-100, -100, 40, 301, 77, 9]), ([5, 60, 61, 90], [-100, 60, 61, 90])]


def spec(model_dir: Path, kind: str | None) -> ModelSpec:
    return ModelSpec.model_validate({"name_or_path": str(model_dir), "quantization": kind})


def loaded_with_an_adapter(model_dir: Path, kind: str | None, folder: Path) -> Loaded:
    """An adapter that says something: the bases must be measured without it."""
    loaded = load_for_training(spec(model_dir, kind), Lora(r=4), Aim(7, 1, folder))
    for name, weight in loaded.model.named_parameters():
        if "lora_B" in name:
            weight.data = 0.2 * torch.randn_like(weight)
    return loaded


def plain_loss(model_dir: Path, kind: str | None) -> float:
    """Token by token, with no code of the module's."""
    model, found = load_model(spec(model_dir, kind)).model, []
    for ids, labels in ROWS:
        with torch.no_grad():
            scores = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)
        found += [-float(scores[at - 1, label]) for at, label in enumerate(labels) if label != -100]
    return sum(found) / len(found)


@pytest.mark.parametrize("kind", ["nf4", "fp4", "int8"])
def test_both_bases_are_measured_without_the_adapter(kind: str, model_dir: Path, tmp_path: Path) -> None:
    loaded = loaded_with_an_adapter(model_dir, kind, tmp_path)
    found = quantization_cost(loaded, spec(model_dir, kind), ROWS)
    assert found["base_eval_loss_full"] == pytest.approx(plain_loss(model_dir, None), abs=1e-5)
    assert found["base_eval_loss_quantized"] == pytest.approx(plain_loss(model_dir, kind), abs=1e-5)
    assert found["base_eval_loss_full"] != found["base_eval_loss_quantized"]


def test_nothing_is_measured_where_there_is_nothing_to_compare(model_dir: Path, tmp_path: Path) -> None:
    whole = loaded_with_an_adapter(model_dir, None, tmp_path)
    assert quantization_cost(whole, spec(model_dir, None), ROWS) == {}
    small = loaded_with_an_adapter(model_dir, "nf4", tmp_path)
    assert quantization_cost(small, spec(model_dir, "nf4"), []) == {}


def test_a_base_that_does_not_fit_beside_is_not_loaded(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_with_an_adapter(model_dir, "nf4", tmp_path)
    monkeypatch.setattr(quantized, "_free_memory", lambda device: 1000.0)
    monkeypatch.setattr(quantized, "load_base", lambda *_: pytest.fail("it was loaded"))
    assert quantization_cost(loaded, spec(model_dir, "nf4"), ROWS) == {}
