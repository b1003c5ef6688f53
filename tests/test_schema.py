"""Every mistake of a recipe at once, at the user's own path, in the user's own words."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator

from seodang.schema import Schema, by_name, check_schema, field_paths


class Low(Schema):
    kind: Literal["low"] = "low"
    r: int = Field(16, ge=1)
    low_alpha: float = 32.0
    targets: str | tuple[str, ...] = "all"


class Full(Schema):
    kind: Literal["full"] = "full"


class Bits(Schema):
    kind: Literal["nf4", "fp4"] = "nf4"
    double: bool = True


class Eight(Schema):
    kind: Literal["int8"] = "int8"


class Length(Schema):
    kind: Literal["length"] = "length"
    minimum: int


class Empty(Schema):
    kind: Literal["empty"] = "empty"


Adapter = Annotated[Low | Full, Field(discriminator="kind"), by_name]
Filter = Annotated[Length | Empty, Field(discriminator="kind"), by_name]
Quantization = Annotated[Bits | Eight, Field(discriminator="kind"), by_name]


class Model(Schema):
    name: str | None = None
    run: str | None = None
    quantization: Quantization | None = None
    dtype: Literal["auto", "float32"] = "auto"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.name is None) == (self.run is None):
            raise ValueError("give `name` or `run`, one of the two")
        return self


class Fresh(Schema):
    config: dict[str, Any]


class Train(Schema):
    stage: Literal["train"]
    adapter: Adapter | None = None
    quantization: Quantization = Bits()
    model: Model | None = None
    models: dict[str, Model] = Field({})
    filters: tuple[Filter, ...] = (Empty(),)
    names: tuple[str, ...] = Field((), max_length=2)
    rate: float = 1e-4
    eval: str | float | None = None
    extra: dict[str, Any] = Field({})
    seed: int = 42


class Start(Schema):
    stage: Literal["start"]
    model: Fresh | Model
    sources: tuple[Model, ...] = Field(min_length=1)

    @field_validator("model", mode="before")
    @classmethod
    def _which(cls, value: Any) -> Any:
        return (Fresh if "config" in value else Model).model_validate(value) if isinstance(value, dict) else value


Recipe = Annotated[Train | Start, Field(discriminator="stage")]

LOW = "kind, low_alpha, r, targets"
MODEL = "dtype, name, quantization, run"
TRAIN = "adapter, eval, extra, filters, model, models, names, quantization, rate, seed, stage"


def mistakes(data: Any, kind: Any = Recipe) -> list[str]:
    found, problems = check_schema(kind, data)
    assert (found is None) == bool(problems)
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"sead": 1}, ["sead: unknown key, did you mean `seed`?"]),
        ({"colour": 1}, [f"colour: unknown key (known here: {TRAIN})"]),
        ({"train": {}}, ["train: unknown key, did you mean `extra`?"]),
        ({"adapter": {"kind": "low", "low_alfa": 3}}, ["adapter.low_alfa: unknown key, did you mean `low_alpha`?"]),
        ({"adapter": {"kind": "low", "low": {"r": 3}}}, [f"adapter.low: unknown key (known here: {LOW})"]),
        ({"adapter": {"kind": "full", "r": 3}}, ["adapter.r: unknown key here; `r` belongs to `kind: low`"]),
        ({"quantization": {"kind": "int8", "double": True}},
         ["quantization.double: unknown key here; `double` belongs to `kind: nf4 | fp4`"]),
        ({"filters": ["empty", {"kind": "empty", "min": 3}]}, ["filters.1.min: unknown key (known here: kind)"]),
        ({"filters": [{"kind": "length", "minimum": 3, "minimun": 3}]},
         ["filters.0.minimun: unknown key, did you mean `minimum`?"]),
        ({"models": {"base": {"nmae": "x", "run": "y"}}}, ["models.base.nmae: unknown key, did you mean `name`?"]),
        ({"models": {"a": {"run": "x", "quantization": {"kind": "nf4", "duble": 1}}}},
         ["models.a.quantization.duble: unknown key, did you mean `double`?"]),
        ({"model": {"quantization": {"kind": "fp4", "x": 1}, "run": "y"}},
         ["model.quantization.x: unknown key (known here: double, kind)"]),
    ],
)  # fmt: skip
def test_unknown_keys_at_every_depth(given: dict[str, Any], texts: list[str]) -> None:
    assert mistakes({"stage": "train", **given}) == texts


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"seed": "abc"}, ["seed: must be a whole number, got 'abc'"]),
        ({"seed": 1.5}, ["seed: must be a whole number, got 1.5"]),
        ({"rate": "fast"}, ["rate: must be a number, got 'fast'"]),
        ({"rate": float("nan")}, ["rate: must be a finite number, got nan"]),
        ({"eval": [1]}, ["eval: must be text or a number, got [1]"]),
        ({"eval": {"str": 1}}, ["eval: must be text or a number, got {'str': 1}"]),
        ({"names": "x"}, ["names: must be a list, got 'x'"]),
        ({"names": ["a", 5, None]}, ["names.1: must be text, got 5", "names.2: must be text, got None"]),
        ({"names": ["a", "b", "c"]}, ["names: must have at most 2 of them, got 3"]),
        ({"extra": [1]}, ["extra: must be keys with values, got [1]"]),
        ({"extra": {1: 2}}, ["extra.1: a name must be text, got 1; put it in quotes"]),
        ({1: 2}, ["1: a name must be text, got 1; put it in quotes"]),
        ({"adapter": {"kind": "low", "r": 0}}, ["adapter.r: must be greater than or equal to 1, got 0"]),
        ({"adapter": {"kind": "low", "targets": 5}}, ["adapter.targets: must be text or a list, got 5"]),
        ({"adapter": {"kind": "low", "targets": ["q", 5]}}, ["adapter.targets.1: must be text, got 5"]),
        ({"quantization": {"kind": "nf4", "double": "perhaps"}},
         ["quantization.double: must be true or false, got 'perhaps'"]),
        ({"model": "Qwen/Q"}, [f"model: must be keys with values (known here: {MODEL}), got 'Qwen/Q'"]),
        ({"model": {"name": "x", "dtype": "fp16"}}, ["model.dtype: must be one of 'auto', 'float32', got 'fp16'"]),
        ({"model": {}}, ["model: give `name` or `run`, one of the two"]),
        ({"models": {"a": {"run": 5}}}, ["models.a.run: must be text, got 5"]),
        ({"filters": {"kind": "empty"}}, ["filters: must be a list, got {'kind': 'empty'}"]),
        ({"filters": [5]}, ["filters.0: must be keys with values (known here: kind, minimum), got 5"]),
    ],
)  # fmt: skip
def test_wrong_values_at_every_depth(given: dict[str, Any], texts: list[str]) -> None:
    assert mistakes({"stage": "train", **given}) == texts


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ({"adapter": {"r": 3}}, ["adapter: needs `kind` (low, full)"]),
        ({"adapter": {"kind": "lowe"}}, ["adapter: unknown kind `lowe`, did you mean `low`? (known: low, full)"]),
        ({"adapter": "lwo"}, ["adapter: unknown kind `lwo`, did you mean `low`? (known: low, full)"]),
        ({"adapter": {"kind": None}}, ["adapter: unknown kind `None` (known: low, full)"]),
        ({"quantization": {"double": True}}, ["quantization: needs `kind` (nf4, fp4, int8)"]),
        ({"filters": [{"minimum": 3}]}, ["filters.0: needs `kind` (length, empty)"]),
        ({"filters": ["empty", "length"]}, ["filters.1.minimum: is required"]),
        ({"filters": [{"kind": "length"}]}, ["filters.0.minimum: is required"]),
    ],
)
def test_a_union_by_kind(given: dict[str, Any], texts: list[str]) -> None:
    assert mistakes({"stage": "train", **given}) == texts


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ({}, ["needs `stage` (train, start)"]),
        ({"stage": "trian"}, ["unknown stage `trian`, did you mean `train`? (known: train, start)"]),
        ({"stage": ["train"]}, ["unknown stage `['train']`, did you mean `train`? (known: train, start)"]),
        ({"stage": "start"}, ["model: is required", "sources: is required"]),
        ({"stage": "start", "model": {"config": {}}, "sources": []}, ["sources: must have at least 1 of them, got 0"]),
        ({"stage": "start", "model": {"nmae": "x"}, "sources": [{"run": "x"}]},
         ["model.nmae: unknown key, did you mean `name`?"]),
        ({"stage": "start", "model": "x", "sources": [{"run": "x"}]},
         [f"model: must be keys with values (known here: config, {MODEL}), got 'x'"]),
        (None, ["must be keys with values (known here: adapter, eval, extra, filters, model, models, names, "
                "quantization, rate, seed, sources, stage), got None"]),
    ],
)  # fmt: skip
def test_the_stage_itself(data: Any, texts: list[str]) -> None:
    assert mistakes(data) == texts


def test_every_mistake_at_once_in_one_class() -> None:
    data = {
        "stage": "train",
        "adapter": {"kind": "low", "low_alfa": 3, "r": -1, "targets": [1]},
        "filters": ["emty", {"kind": "length", "minimum": "x", "mini": 1}],
        "models": {"base": {"nmae": "x", "run": 3}},
        "sead": 1,
        "rate": "fast",
    }
    assert sorted(mistakes(data, Train)) == [
        "adapter.low_alfa: unknown key, did you mean `low_alpha`?",
        "adapter.r: must be greater than or equal to 1, got -1",
        "adapter.targets.0: must be text, got 1",
        "filters.0: unknown kind `emty`, did you mean `empty`? (known: length, empty)",
        "filters.1.mini: unknown key, did you mean `minimum`?",
        "filters.1.minimum: must be a whole number, got 'x'",
        "models.base.nmae: unknown key, did you mean `name`?",
        "models.base.run: must be text, got 3",
        "rate: must be a number, got 'fast'",
        "sead: unknown key, did you mean `seed`?",
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"adapter": "low"}, Low()),
        ({"adapter": {"kind": "low", "r": "8", "low_alpha": "1e1"}}, Low(r=8, low_alpha=10.0)),
        ({"adapter": "full"}, Full()),
        ({"adapter": None}, None),
        ({}, None),
    ],
)
def test_what_is_valid_becomes_the_object(data: dict[str, Any], expected: Schema | None) -> None:
    recipe, problems = check_schema(Recipe, {"stage": "train", **data})

    assert problems == []
    assert isinstance(recipe, Train)
    assert recipe.adapter == expected


def test_a_hint_is_asked_before_the_nearest_name() -> None:
    asked = []

    def hint(parent: str, key: str) -> str | None:
        asked.append((parent, key))
        return "unknown key; here it is called `adapter.r`" if key == "low_rank" else None

    data = {"stage": "train", "low_rank": 8, "adapter": {"kind": "low", "low_alfa": 1}, "colour": 1}
    _, problems = check_schema(Train, data, hint)

    assert {problem.path: problem.text for problem in problems} == {
        "low_rank": "unknown key; here it is called `adapter.r`",
        "adapter.low_alfa": "unknown key, did you mean `low_alpha`?",
        "colour": f"unknown key (known here: {TRAIN})",
    }
    assert sorted(asked) == [("", "colour"), ("", "low_rank"), ("adapter", "low_alfa")]


def test_a_long_value_is_cut_in_the_text() -> None:
    (text,) = mistakes({"stage": "train", "seed": "가" * 200})

    assert text == "seed: must be a whole number, got '" + "가" * 56 + "..."


def test_a_schema_does_not_change_after_loading() -> None:
    adapter = Low()

    with pytest.raises(ValidationError, match="frozen"):
        adapter.r = 3  # type: ignore[misc]


def test_field_paths_go_through_unions_lists_and_names() -> None:
    paths = list(field_paths(Train))

    assert len(paths) == len(set(paths))
    expected = {
        "adapter", "adapter.kind", "adapter.r", "adapter.low_alpha", "model.quantization.double",
        "models.name", "models.quantization.kind", "filters.minimum", "filters.kind", "quantization.kind", "extra",
    }  # fmt: skip
    assert expected <= set(paths)
    assert list(field_paths(Fresh, "model.")) == ["model.config"]


def test_a_default_is_checked_too() -> None:
    class Wrong(Schema):
        seed: int = Field(-1, ge=0)

    assert mistakes({}, Wrong) == ["seed: must be greater than or equal to 0, got -1"]


class Typed(Schema):
    """Numbers, switches and both."""

    count: int = 1
    rate: float | None = None
    on: bool = False
    either: bool | int = 0


def test_true_is_no_number() -> None:
    found, mistakes = check_schema(Typed, {"count": True, "rate": False, "on": True, "either": True})
    assert found is None
    assert [str(mistake) for mistake in mistakes] == [
        "count: must be a number, got True",
        "rate: must be a number, got False",
    ]
    assert check_schema(Typed, {"on": True, "either": True})[1] == []
