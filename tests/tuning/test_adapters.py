"""tuning/adapters.py: each kind has PEFT's own names, its own knobs only, and becomes the PEFT config it stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.schema import check_schema
from seodang.tuning.adapters import (
    AdaLora,
    Adapter,
    Boft,
    Full,
    Ia3,
    Lora,
    Oft,
    PrefixTuning,
    PromptTuning,
    Vera,
)

KINDS = "lora, adalora, ia3, vera, oft, boft, prompt_tuning, prefix_tuning, full"
METHODS = (Lora, AdaLora, Ia3, Vera, Oft, Boft, PromptTuning, PrefixTuning)


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
        ({"kind": "full", "r": 8}, "r: unknown key here; `r` belongs to `kind: lora | vera`"),
        ("lroa", f"unknown kind `lroa`, did you mean `lora`? (known: {KINDS})"),
        ({"r": 8}, f"needs `kind` ({KINDS})"),
        (
            ["lora", "ia3"],
            "one adapter is trained at a time; to put a second on top, finish this run, and in the next "
            "recipe write `model.run` and `model.merge: true` with the second",
        ),
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


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_every_knob_is_a_field_of_pefts_config_and_reaches_it(method: Any) -> None:
    import dataclasses

    import peft

    upstream = {field.name for field in dataclasses.fields(getattr(peft, method.CONFIG))}
    assert method.model_fields.keys() - method.OWN <= upstream
    adapter = method()
    config = adapter.to_peft(steps=20)
    assert type(config).__name__ == method.CONFIG and config.task_type == "CAUSAL_LM"
    for name in method.model_fields.keys() - method.OWN:
        if getattr(adapter, name) is not None:
            assert getattr(config, name) == getattr(adapter, name), name


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"kind": "prefix_tuning", "prefix_projection": True},
         "`prefix_projection` and `encoder_hidden_size` are given together or not at all"),
        ({"kind": "prompt_tuning", "r": 4}, "r: unknown key here; `r` belongs to `kind: lora | vera`"),
        ({"kind": "oft", "oft_block_size": 0}, "oft_block_size: must be greater than or equal to 1, got 0"),
    ],
)  # fmt: skip
def test_a_wrong_knob_of_another_method_is_one_clear_line(data: Any, wanted: str) -> None:
    assert mistakes(data) == [wanted]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_hook_that_a_method_does_not_need_does_nothing(method: Any, tmp_path: Path) -> None:
    adapter = method()
    if method is not AdaLora:
        assert adapter.penalty(None) is None and adapter.on_step(None, 0) is None
        adapter.save_progress(None, tmp_path)
        adapter.load_progress(None, tmp_path)
    adapter.prepare(None, [])
    assert list(tmp_path.iterdir()) == []
    assert adapter.starts_apart == (method in (PromptTuning, PrefixTuning))


def test_full_has_no_peft_config() -> None:
    assert Full().to_peft(steps=1) is None  # type: ignore[func-returns-value]


def test_a_config_is_saved_and_read_back_unchanged(tmp_path: Any) -> None:
    from peft import PeftConfig

    config = Lora(r=3, target_modules=("q_proj",), modules_to_save=("lm_head",)).to_peft(steps=1)
    config.save_pretrained(tmp_path)
    again = PeftConfig.from_pretrained(tmp_path)
    assert (again.r, again.modules_to_save, again.task_type) == (3, ["lm_head"], "CAUSAL_LM")
