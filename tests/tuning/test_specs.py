"""tuning/specs.py: what a recipe says of model and loop, `training.extra` through the table, and where a model lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.errors import ModelError
from seodang.schema import check_schema
from seodang.tuning.specs import (
    ATTENTION,
    EightBit,
    FourBit,
    FreshModel,
    ModelSpec,
    Place,
    Training,
    check_extra,
    locate,
    upstream_fields,
)


def mistakes(kind: Any, data: dict[str, Any]) -> list[str]:
    found, mistaken = check_schema(kind, data)
    assert found is None
    return [str(mistake) for mistake in mistaken]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("nf4", FourBit(kind="nf4")),
        ("fp4", FourBit(kind="fp4")),
        ("int8", EightBit()),
        ({"kind": "nf4", "double": False}, FourBit(double=False)),
    ],
)
def test_a_quantization_is_written_by_name_or_with_its_knobs(value: Any, wanted: Any) -> None:
    assert ModelSpec.model_validate({"name_or_path": "m", "quantization": value}).quantization == wanted


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({}, "give `name_or_path` or `run`, one of the two"),
        ({"name_or_path": "m", "run": "r"}, "give `name_or_path` or `run`, one of the two"),
        ({"name_or_path": "m", "merge": True}, "`merge` needs a `run` with an adapter to merge"),
        ({"name_or_path": "m", "quantization": "nf5"}, "quantization: unknown kind `nf5`, did you mean `nf4`? "
         "(known: nf4, fp4, int8)"),
        ({"name_or_path": "m", "quantization": {"kind": "int8", "double": True}},
         "quantization.double: unknown key here; `double` belongs to `kind: nf4 | fp4`"),
        ({"name_or_path": "m", "dtype": "bf16"}, "dtype: must be one of 'auto', 'float32', 'bfloat16', 'float16', "
         "got 'bf16'"),
        ({"name_or_path": "m", "load_in_4bit": True}, "load_in_4bit: unknown key"),
        ({"name_or_path": "m", "attn_implementation": "flash_attn_2"},
         "attn_implementation: cannot be `flash_attn_2`, did you mean `flash_attention_2`? (known: eager, sdpa, "),
        ({"name_or_path": "m", "attn_implementation": "xformers"},
         "attn_implementation: cannot be `xformers` (known: eager, sdpa, flash_attention_2, flash_attention_3, "
         "flash_attention_4, flex_attention, or a kernel's `owner/name` on the Hub)"),
    ],
)  # fmt: skip
def test_a_model_that_means_nothing_is_refused(data: dict[str, Any], wanted: str) -> None:
    found = mistakes(ModelSpec, data)
    assert len(found) == 1
    assert found[0].startswith(wanted)


@pytest.mark.parametrize("name", [*ATTENTION, "kernels-community/flash-attn2"])
def test_an_attention_that_upstream_knows_is_taken(name: str) -> None:
    assert ModelSpec(name_or_path="m", attn_implementation=name).attn_implementation == name


def test_the_known_attentions_are_upstreams() -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    upstream = {"eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()}
    assert set(ATTENTION) == {name for name in upstream if "|" not in name and "/" not in name}


def test_a_fresh_model_needs_its_architecture() -> None:
    assert mistakes(FreshModel, {"config": {"hidden_size": 8}, "tokenizer": "t"}) == [
        "config: needs `model_type` (llama, qwen3, gpt2, …)"
    ]


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"max_steps": 0}, "max_steps: must be -1 (the epochs decide) or at least 1, got 0"),
        ({"eval_steps": 2.5}, "eval_steps: must be a whole number of steps, or below 1 a share of all steps, got 2.5"),
        ({"save_steps": 0}, "save_steps: must be greater than 0, got 0"),
        ({"optim": "adamw_torhc"}, "optim: cannot be `adamw_torhc`, did you mean `adamw_torch`?"),
        ({"optim": "adamwx"}, "optim: cannot be `adamwx`, did you mean `adamw_torch`?"),
        ({"optim": "adamw"}, "optim: cannot be `adamw`, did you mean `adamw_torch`?"),
        ({"optim": "ademamx"}, "optim: cannot be `ademamx`, did you mean `ademamix`?"),
        ({"optim": "adm_8bit"}, "optim: cannot be `adm_8bit`, did you mean `adamw_8bit`?"),
        ({"optim": "zzz"}, "optim: cannot be `zzz` (known: adamw_torch, "),
        ({"lr_scheduler_type": "Cosine"}, "lr_scheduler_type: cannot be `Cosine`, did you mean `cosine`?"),
        ({"learning_rate": -1}, "learning_rate: must be greater than 0, got -1"),
        ({"learing_rate": 1e-4}, "learing_rate: unknown key, did you mean `learning_rate`?"),
        ({"engine": "fast"}, "engine: must be one of 'trl', got 'fast'"),
    ],
)
def test_a_loop_that_upstream_would_refuse_is_refused_before_it_loads(data: dict[str, Any], wanted: str) -> None:
    found = mistakes(Training, data)
    assert len(found) == 1
    assert found[0].startswith(wanted)


def test_steps_are_whole_numbers_or_a_share() -> None:
    loop = Training.model_validate({"eval_steps": 10.0, "save_steps": 0.25})
    assert loop.eval_steps == 10 and isinstance(loop.eval_steps, int)
    assert loop.save_steps == 0.25


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ({"adam_epsilon": "1e-8"}, {"adam_epsilon": 1e-8}),
        ({"adam_beta1": 1}, {"adam_beta1": 1.0}),
        ({"log_level": False}, {"log_level": "no"}),
        ({"debug": ""}, {"debug": ""}),
        ({"lr_scheduler_kwargs": {"num_cycles": 2}}, {"lr_scheduler_kwargs": {"num_cycles": 2}}),
        ({"optim_target_modules": ["q_proj"]}, {"optim_target_modules": ["q_proj"]}),
        ({"router_aux_loss_coef": None}, {"router_aux_loss_coef": None}),
        ({"router_aux_loss_coef": 5}, {"router_aux_loss_coef": 5.0}),
        ({"include_num_input_tokens_seen": False}, {"include_num_input_tokens_seen": False}),
        ({"torch_compile": True}, {"torch_compile": True}),
    ],
)
def test_extra_arguments_are_coerced_to_upstreams_type(extra: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = Training.model_validate({"extra": extra}).extra
    assert found == wanted
    assert [type(value) for value in found.values()] == [type(value) for value in wanted.values()]


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ({"max_length": 99}, "`max_length` is not passed through: write `data.max_length`"),
        ({"push_to_hub": True}, "`push_to_hub` is not passed through: nothing is sent anywhere while training"),
        ({"beta": 0.5}, "`beta` is not passed through: write `loss.beta`"),
        ({"seed": 1}, "`seed` is not passed through: write `seed` at the top of the recipe"),
        ({"learning_rate": 1e-4}, "`learning_rate` is ours: write `training.learning_rate`"),
        ({"report_to": "wandb"}, "`report_to` is ours: write `training.report_to`"),
        ({"adam_bta1": 0.9}, "unknown key `adam_bta1`, did you mean `adam_beta1`?"),
        ({"zzz": 1}, "unknown key `zzz`"),
        ({"adam_beta1": "high"}, "`adam_beta1` must be float, got 'high'"),
        ({"adam_beta1": None}, "`adam_beta1` must be float, got None"),
        ({"torch_compile": 1}, "`torch_compile` must be bool, got 1"),
        ({"dataloader_num_workers": 2.0}, "`dataloader_num_workers` must be int, got 2.0"),
        ({"dataloader_num_workers": True}, "`dataloader_num_workers` must be int, got True"),
        ({"lr_scheduler_kwargs": 3}, "`lr_scheduler_kwargs` must be dict | str | None, got 3"),
        ({"debug": "underflow"}, "`debug` cannot be `underflow`, did you mean `underflow_overflow`?"),
    ],
)
def test_extra_arguments_that_are_wrong_say_what_to_write(extra: dict[str, Any], wanted: str) -> None:
    found = mistakes(Training, {"extra": extra})
    assert len(found) == 1
    assert found[0].startswith(f"extra: {wanted}")


def test_every_wrong_extra_is_named_at_once() -> None:
    (found,) = mistakes(Training, {"extra": {"packing": True, "adam_bta1": 1, "torch_compile": "yes"}})
    assert found.count(";") == 2


def test_every_refused_key_has_a_reason_and_no_key_is_both() -> None:
    table = upstream_fields()
    assert all(reason and not reason.endswith(".") for reason in table["refused"].values())
    assert not table["refused"].keys() & table["fields"].keys()
    for name in table["refused"]:
        with pytest.raises(ValueError, match="is not passed through"):
            check_extra({name: None}, frozenset())


def test_every_key_of_the_loop_is_upstreams_own_name() -> None:
    of_the_callback = {"early_stopping_patience", "early_stopping_threshold"}  # transformers' EarlyStoppingCallback
    ours = {"engine", "extra"} | of_the_callback
    assert Training.model_fields.keys() - ours <= upstream_fields()["fields"].keys()


def make_run(path: Path, stage: str = "sft", state: str = "finished") -> Path:
    path.mkdir()
    (path / "manifest.json").write_text(json.dumps({"stage": stage, "state": state}), encoding="utf-8")
    return path


def make_adapter(path: Path, base: str, with_tokenizer: bool = True) -> Path:
    path.mkdir(parents=True)
    (path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}), encoding="utf-8")
    if with_tokenizer:
        (path / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    return path


def make_model(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}", encoding="utf-8")
    return path


def test_a_folder_a_name_and_a_trained_model_are_their_own_base(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    run = make_run(tmp_path / "pretrained", "pretrain")
    made = make_model(run / "model")
    assert locate(ModelSpec(name_or_path=str(model))) == Place(str(model), None, str(model))
    assert locate(ModelSpec(name_or_path="team/model")) == Place("team/model", None, "team/model")
    assert locate(ModelSpec(run=str(run))) == Place(str(made), None, str(made))


def test_an_adapter_names_its_base_and_brings_its_tokenizer(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    run = make_run(tmp_path / "tuned")
    adapter = make_adapter(run / "adapter", str(base))
    assert locate(ModelSpec(run=str(run))) == Place(str(base), adapter, str(adapter))
    assert locate(ModelSpec(name_or_path=str(adapter))) == Place(str(base), adapter, str(adapter))
    bare = make_adapter(tmp_path / "bare", "team/model", with_tokenizer=False)
    assert locate(ModelSpec(name_or_path=str(bare))) == Place("team/model", bare, "team/model")


def test_the_commit_of_a_base_on_the_hub_comes_from_the_recipe_or_from_the_adapter(tmp_path: Path) -> None:
    assert locate(ModelSpec(name_or_path="team/model", revision="abc")).revision == "abc"
    adapter = make_adapter(tmp_path / "adapter", "team/model")
    assert locate(ModelSpec(name_or_path=str(adapter))).revision is None
    described = {"base_model_name_or_path": "team/model", "revision": "abc"}
    (adapter / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    assert locate(ModelSpec(name_or_path=str(adapter))).revision == "abc"


def test_a_relative_run_is_located_absolutely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "pretrained", "pretrain")
    make_model(run / "model")
    monkeypatch.chdir(tmp_path)
    assert Path(locate(ModelSpec(run="pretrained")).base).is_absolute()


def test_what_is_not_there_is_said_with_a_way_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "tuned")
    make_adapter(run / "adapter", str(tmp_path / "gone"))
    whole = make_run(tmp_path / "whole", "pretrain")
    make_model(whole / "model")
    (tmp_path / "empty").mkdir()
    unfinished = make_run(tmp_path / "half", state="running")
    cases = [
        (ModelSpec(run=str(tmp_path / "none")), "model.run: the run .*none does not exist yet. Run its recipe first"),
        (ModelSpec(run=str(unfinished)), "is not finished. Run its recipe first"),
        (ModelSpec(run=str(run)), "stands on .*gone, which is not there. Put the model back"),
        (
            ModelSpec(run=str(whole), merge=True),
            "model.merge: the run .*whole trained whole weights; leave `merge` out",
        ),
        (ModelSpec(name_or_path=str(run)), "tuned is a run folder: write `run: .*tuned` instead of `name_or_path`"),
        (ModelSpec(name_or_path=str(tmp_path / "empty")), "empty holds no model"),
    ]
    for spec, wanted in cases:
        with pytest.raises(ModelError, match=wanted):
            locate(spec)
