"""The grammar: what each stage accepts, what it refuses, what it fills in."""

from __future__ import annotations

import importlib.util
from typing import Any, get_args

import pytest

from seodang.errors import RecipeError
from seodang.evaluation.metrics import METRICS
from seodang.recipe import DPO, SFT, STAGES, Recipe, stage_class
from seodang.recipe_file import from_dict
from seodang.tuning.losses import Sigmoid

MODEL = {"name_or_path": "base"}
MINIMAL: dict[str, dict[str, Any]] = {
    "prepare": {"sources": [{"path": "a.jsonl"}]},
    "tokenizer": {"data": {"train": "a.jsonl"}},
    "pretrain": {"model": MODEL, "data": {"train": "a.jsonl"}},
    "sft": {"model": MODEL, "data": {"train": "a.jsonl"}},
    "generate": {"seeds": {"path": "a.jsonl"}},
    "pairs": {"model": {"run": "runs/sft"}, "data": {"train": "a.jsonl"}},
    "dpo": {"model": {"run": "runs/sft"}, "data": {"run": "runs/pairs"}},
    "evaluate": {"models": {"base": MODEL}, "data": {"run": "runs/prepare"}},
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_smallest_recipe_of_every_stage(stage: str) -> None:
    recipe = from_dict({"stage": stage} | MINIMAL[stage])
    assert type(recipe) is stage_class(stage)
    assert recipe.seed == 42


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_forbids_unknown_keys(stage: str) -> None:
    with pytest.raises(RecipeError, match="nonsense: unknown key"):
        from_dict({"stage": stage, "nonsense": 1} | MINIMAL[stage])


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_doer(stage: str) -> None:
    assert importlib.util.find_spec(STAGES[stage]) is not None


def test_the_union_and_the_doers_name_the_same_stages() -> None:
    named = [get_args(kind.model_fields["stage"].annotation)[0] for kind in get_args(get_args(Recipe)[0])]
    assert sorted(named) == sorted(STAGES)


REFUSED = [
    ("sft", {"model": {}}, "model: give `name_or_path` or `run`, one of the two"),
    ("sft", {"model": {"name_or_path": "a", "run": "b"}}, "model: give `name_or_path` or `run`, one of the two"),
    ("sft", {"model": MODEL | {"merge": True}}, "model: `merge` needs a `run` with an adapter to merge"),
    ("sft", {"data": {}}, "data: give `run` or `train`, one of the two"),
    ("sft", {"data": {"run": "a", "eval": 0.1}}, "data: `eval` belongs to `train`"),
    ("sft", {"data": {"train": "a", "eval": 1.5}}, "data: `eval` as a share must be 0 or more and below 1, got 1.5"),
    ("sft", {"data": {"train": "a", "max_length": 0}}, "data.max_length: must be greater than or equal to 8, got 0"),
    ("sft", {"adapter": {"kind": "lora", "lora_dropout": 1}}, "adapter.lora_dropout: must be less than 1, got 1"),
    ("sft", {"thinking": "maybe"}, "thinking: must be one of 'strip', 'empty', 'keep', got 'maybe'"),
    ("sft", {"training": {"engine": "fast"}}, "training.engine: "),
    ("sft", {"training": {"extra": {"packing": True}}}, "training.extra: `packing` is not passed through"),
    (
        "sft",
        {"training": {"extra": {"learning_rate": 1}}},
        "training.extra: `learning_rate` is ours: write `training.l",
    ),
    ("prepare", {"sources": []}, "sources: "),
    ("prepare", {"sources": [{"path": "a", "run": "b"}]}, "sources.0: give one of `path`, `run` and `hub`"),
    ("prepare", {"sources": [{"path": "a", "format": "alpacca"}]}, "sources.0.format: unknown kind `alpacca`, did you"),
    ("pretrain", {"model": {"config": {}, "tokenizer": "t"}}, "model"),
    ("pairs", {"samples_per_prompt": 1}, "samples_per_prompt: must be greater than or equal to 2, got 1"),
    ("pairs", {"score": {"beauty": 1}}, "score: unknown metric beauty (known: exact_match"),
    (
        "pairs",
        {"sampling": {"temperature": 0}},
        "sampling: `temperature` must be above 0: greedy answers are all the same",
    ),
    ("evaluate", {"models": {}}, "models: "),
    ("evaluate", {"metrics": ["beauty"]}, "metrics: unknown metric beauty"),
    ("dpo", {"loss": {"kind": "sigmoid", "beta": 0}}, "loss.beta: must be greater than 0, got 0"),
    ("dpo", {"loss": {"kind": "ipo", "label_smoothing": 0.1}}, "loss.label_smoothing: unknown key"),
]


@pytest.mark.parametrize(("stage", "changes", "said"), REFUSED)
def test_illegal_mixtures_cannot_be_written(stage: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        from_dict({"stage": stage} | MINIMAL[stage] | changes)
    assert said in str(error.value)


def test_a_kind_may_be_written_by_its_name() -> None:
    recipe = from_dict({"stage": "dpo", "loss": "sigmoid"} | MINIMAL["dpo"])
    assert isinstance(recipe, DPO) and recipe.loss == Sigmoid()
    recipe = from_dict({"stage": "sft", "adapter": "full"} | MINIMAL["sft"])
    assert isinstance(recipe, SFT) and recipe.adapter is not None and recipe.adapter.kind == "full"


def test_dpo_learns_more_slowly_unless_told() -> None:
    rate = [from_dict({"stage": "dpo"} | MINIMAL["dpo"] | more).training.learning_rate  # type: ignore[union-attr]
            for more in ({}, {"training": {"max_steps": 3}}, {"training": {"learning_rate": 1e-4}})]  # fmt: skip
    assert rate == [5e-6, 5e-6, 1e-4]


def test_a_part_that_is_written_in_part_keeps_the_stages_own_defaults() -> None:
    recipe = from_dict({"stage": "generate", "sampling": {"temperature": 0.5}} | MINIMAL["generate"])
    assert recipe.sampling.model_dump(include={"temperature", "top_p", "max_new_tokens"}) == {  # type: ignore[union-attr]
        "temperature": 0.5,
        "top_p": 0.95,
        "max_new_tokens": 512,
    }
    kept = from_dict({"stage": "dpo", "loss": {"kind": "ipo"}} | MINIMAL["dpo"])
    assert kept.loss.model_dump() == {"kind": "ipo", "beta": 0.1}  # type: ignore[union-attr]


def test_recipes_are_frozen() -> None:
    from pydantic import ValidationError

    recipe = from_dict({"stage": "sft"} | MINIMAL["sft"])
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 1


def test_every_metric_is_evaluated_by_default() -> None:
    recipe = from_dict({"stage": "evaluate"} | MINIMAL["evaluate"])
    assert recipe.metrics == tuple(METRICS)  # type: ignore[union-attr]


def test_decontamination_of_whole_rows_compares_what_dedup_compares() -> None:
    prepare = {"stage": "prepare", "sources": [{"path": "a.jsonl"}]}
    whole = {"files": ["test.jsonl"], "on": "conversation"}
    from_dict(prepare | {"decontaminate": whole})
    for dedup in (None, {"on": "prompt"}, {"near": False}):
        with pytest.raises(RecipeError, match=r"`decontaminate.on: conversation` compares what `dedup` compares"):
            from_dict(prepare | {"decontaminate": whole, "dedup": dedup})
        from_dict(prepare | {"decontaminate": whole | {"on": "prompt"}, "dedup": dedup})
