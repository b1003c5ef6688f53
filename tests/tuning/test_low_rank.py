"""tuning/low_rank.py: what makes each start and each method of low rank that method, and which mixtures mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seodang.schema import check_schema
from seodang.tuning.adapters import Adapter, Lora, Vera
from seodang.tuning.hooks import Batches, prepare
from seodang.tuning.low_rank import INITS
from seodang.tuning.model import Aim, Loaded, load_for_training
from seodang.tuning.specs import ModelSpec

ROWS = [([5, 17, 40, 301, 77, 9], [-100, -100, 40, 301, 77, 9]), ([5, 60, 61, 90], [-100, 60, 61, 90])] * 8


def fresh(model_dir: Path, folder: Path, method: Any, quantization: str | None = None, steps: int = 20) -> Loaded:
    spec = ModelSpec.model_validate({"name_or_path": str(model_dir), "quantization": quantization})
    return load_for_training(spec, method, Aim(7, steps, folder))


def weights(loaded: Loaded, part: str) -> list[torch.Tensor]:
    return [weight.detach().clone() for name, weight in loaded.model.named_parameters() if part in name]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"kind": "lora", "init_lora_weights": "pisa"},
         f"init_lora_weights: cannot be `pisa` (known: true, {', '.join(INITS)})"),
        ({"kind": "lora", "init_lora_weights": False},
         f"init_lora_weights: cannot be `false` (known: true, {', '.join(INITS)})"),
        ({"kind": "lora", "eva_config": {"rho": 1.0}}, "`eva_config` belongs to `init_lora_weights: eva`"),
        ({"kind": "lora", "init_lora_weights": "pissa", "use_dora": True},
         "`init_lora_weights: pissa` is saved as plain LoRA, which `use_dora`, `modules_to_save` and "
         "`target_parameters` do not survive"),
        ({"kind": "lora", "target_parameters": ["mlp.experts.down_proj"], "lora_dropout": 0.1},
         "`target_parameters` are adapted by plain LoRA only: without `use_dora`, `lora_dropout` and another "
         "`init_lora_weights`"),
        ({"kind": "adalora", "init_r": 4, "target_r": 8},
         "`target_r` must not be greater than `init_r`: ranks are taken away, never added"),
        ({"kind": "lora", "loraplus_lr_ratio": 0.5},
         "loraplus_lr_ratio: must be greater than or equal to 1, got 0.5"),
    ],
)  # fmt: skip
def test_a_mixture_that_means_nothing_is_one_line(data: Any, wanted: str) -> None:
    assert [str(mistake) for mistake in check_schema(Adapter, data)[1]] == [wanted]


def test_rslora_scales_by_the_root_of_its_rank(model_dir: Path, tmp_path: Path) -> None:
    for use, wanted in ((False, 32 / 16), (True, 32 / 4)):
        loaded = fresh(model_dir, tmp_path, Lora(r=16, use_rslora=use))
        [scale] = {module.scaling["default"] for module in loaded.model.modules() if hasattr(module, "lora_A")}
        assert scale == wanted


def test_dora_trains_magnitudes_beside_the_directions(model_dir: Path, tmp_path: Path) -> None:
    loaded = fresh(model_dir, tmp_path, Lora(r=4, use_dora=True))
    assert weights(loaded, "lora_magnitude_vector")
    assert not weights(fresh(model_dir, tmp_path, Lora(r=4)), "lora_magnitude_vector")


def test_eva_starts_along_the_rows_and_not_at_random(model_dir: Path, tmp_path: Path) -> None:
    loaded = fresh(model_dir, tmp_path, Lora(r=2, init_lora_weights="eva"))
    random = weights(loaded, "lora_A")
    prepare(loaded, Batches(ROWS, 4, "cpu"), tmp_path)
    found = weights(loaded, "lora_A")
    assert all(
        one.shape != other.shape or not torch.allclose(one, other) for one, other in zip(found, random, strict=False)
    )
    for weight in found:  # the main directions of the inputs are orthonormal; random ones are not
        assert torch.allclose(weight @ weight.T, torch.eye(len(weight)), atol=1e-3)
    assert not any(weight.any() for weight in weights(loaded, "lora_B"))


def test_preparing_draws_nothing_from_training(model_dir: Path, tmp_path: Path) -> None:
    loaded = fresh(model_dir, tmp_path, Lora(r=2, init_lora_weights="eva"))
    before = torch.get_rng_state()
    prepare(loaded, Batches(ROWS, 4, "cpu"), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("quantization", ["nf4", "fp4"])
@pytest.mark.parametrize("use_rslora", [False, True])
def test_loftq_gives_back_what_quantisation_took(
    quantization: str, use_rslora: bool, model_dir: Path, tmp_path: Path
) -> None:
    """Without the update's scale, as PEFT's own function leaves it, the error grows instead."""
    from bitsandbytes.functional import dequantize_4bit
    from safetensors.torch import load_file

    stored = load_file(model_dir / "model.safetensors")
    loaded = fresh(model_dir, tmp_path, Lora(r=8, init_lora_weights="loftq", use_rslora=use_rslora), quantization)
    prepare(loaded, Batches(ROWS, 4, "cpu"), tmp_path)
    compared = 0
    for name, module in loaded.model.named_modules():
        if hasattr(module, "lora_A"):
            whole = stored[name.removeprefix("base_model.model.") + ".weight"]
            bare = dequantize_4bit(module.weight.data, module.weight.quant_state)
            update = module.get_delta_weight("default") if hasattr(module, "get_delta_weight") else 0
            assert torch.norm(whole - bare - update) < 0.9 * torch.norm(whole - bare)
            compared += 1
    assert compared == 14


def test_veras_projections_are_one_pair_for_all_layers(model_dir: Path, tmp_path: Path) -> None:
    loaded = fresh(model_dir, tmp_path, Vera(r=8))
    shared = {module.vera_A["default"].data_ptr() for module in loaded.model.modules() if hasattr(module, "vera_A")}
    assert len(shared) == 1
    assert not any("vera_A" in name for name, w in loaded.model.named_parameters() if w.requires_grad)
