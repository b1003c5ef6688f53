"""tuning/adapters.py: each kind has PEFT's own names, its own knobs only, and becomes the PEFT config it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.schema import check_schema
from seodang.tuning.adapters import Adapter, Full, Lora


def mistakes(data: Any) -> list[str]:
    found, mistaken = check_schema(Adapter, data)
    assert found is None
    return [str(mistake) for mistake in mistaken]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("lora", Lora()),
        ("full", Full()),
        (
            {"kind": "lora", "r": 8, "target_modules": ["q_proj", "v_proj"]},
            Lora(r=8, target_modules=("q_proj", "v_proj")),
        ),
    ],
)
def test_an_adapter_is_written_by_name_or_with_its_knobs(data: Any, wanted: Any) -> None:
    assert check_schema(Adapter, data) == (wanted, [])


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"kind": "lora", "r": 0}, "r: must be greater than or equal to 1, got 0"),
        ({"kind": "lora", "lora_alfa": 3}, "lora_alfa: unknown key, did you mean `lora_alpha`?"),
        ({"kind": "lora", "lora_dropout": 1.0}, "lora_dropout: must be less than 1, got 1.0"),
        ({"kind": "full", "r": 8}, "r: unknown key here; `r` belongs to `kind: lora`"),
        ("lroa", "unknown kind `lroa`, did you mean `lora`? (known: lora, full)"),
        ({"r": 8}, "needs `kind` (lora, full)"),
    ],
)
def test_a_wrong_adapter_is_one_clear_line(data: Any, wanted: str) -> None:
    assert mistakes(data) == [wanted]


def test_lora_becomes_pefts_config_with_every_value() -> None:
    from peft import LoraConfig

    given = Lora(r=4, lora_alpha=12, lora_dropout=0.1, use_rslora=True, modules_to_save=("lm_head",))
    config = given.to_peft(steps=10)
    assert isinstance(config, LoraConfig)
    assert (config.r, config.lora_alpha, config.lora_dropout, config.use_rslora) == (4, 12, 0.1, True)
    assert config.target_modules == "all-linear"
    assert list(config.modules_to_save or ()) == ["lm_head"]
    assert config.task_type == "CAUSAL_LM"


def test_named_modules_and_the_default_of_unset_ones_are_pefts() -> None:
    from peft import LoraConfig

    config = Lora(target_modules=("q_proj", "v_proj")).to_peft(steps=1)
    assert isinstance(config, LoraConfig)
    assert set(config.target_modules or ()) == {"q_proj", "v_proj"}
    assert config.modules_to_save is None
    assert LoraConfig().init_lora_weights == config.init_lora_weights


def test_the_knobs_of_lora_are_fields_of_pefts_config() -> None:
    import dataclasses

    from peft import LoraConfig

    upstream = {field.name for field in dataclasses.fields(LoraConfig)}
    assert Lora.model_fields.keys() - {"kind"} <= upstream


def test_full_has_no_peft_config() -> None:
    assert Full().to_peft(steps=1) is None  # type: ignore[func-returns-value]


def test_a_config_is_saved_and_read_back_unchanged(tmp_path: Any) -> None:
    from peft import PeftConfig

    config = Lora(r=3, target_modules=("q_proj",), modules_to_save=("lm_head",)).to_peft(steps=1)
    config.save_pretrained(tmp_path)
    again = PeftConfig.from_pretrained(tmp_path)
    assert (again.r, again.modules_to_save, again.task_type) == (3, ["lm_head"], "CAUSAL_LM")
