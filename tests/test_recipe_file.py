"""YAML and overrides to a recipe: every mistake at once with its line, the nearest name and the peers' names."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from seodang.errors import RecipeError
from seodang.recipe import SFT, Prepare, stage_class
from seodang.recipe_file import dump_recipe, explain, from_dict, load_recipe
from seodang.schema import field_paths

GOOD = """\
stage: sft
model: {name_or_path: base}
template: chatml
data: {train: rows.jsonl}
adapter: {kind: lora, r: 8}
training:
  learning_rate: 2e-4
seed: 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ko" / "2-sft.yaml"
    path.parent.mkdir()
    path.write_text(GOOD, encoding="utf-8")
    return path


def mistakes(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as error:
        load_recipe(path, overrides)
    return [str(mistake) for mistake in error.value.mistakes]


def test_a_good_recipe_loads_with_yaml_floats_and_a_default_folder(file: Path) -> None:
    recipe = load_recipe(file).recipe
    assert isinstance(recipe, SFT)
    assert recipe.training.learning_rate == 2e-4
    assert recipe.output_dir == "runs/ko/2-sft"
    assert recipe.seed == 7


CASES = [
    ("adapter: {kind: lora, lora_alfa: 3}", "adapter.lora_alfa: unknown key, did you mean `lora_alpha`?  (line 5)"),
    ("adapter: {kind: lora, r: -1}", "adapter.r: must be greater than or equal to 1, got -1  (line 5)"),
    ("adapter: {kind: lorra}", "adapter: unknown kind `lorra`, did you mean `lora`?"),
    ("adapter: {kind: full, r: 8}", "adapter.r: unknown key here; `r` belongs to `kind: lora | vera`"),
    ("lora_rank: 8", "lora_rank: unknown key; here it is called `adapter.r`  (line 5)"),
    ("cutoff_len: 8", "cutoff_len: unknown key; here it is called `data.max_length`  (line 5)"),
    ("load_in_4bit: true", "load_in_4bit: unknown key; here it is called `model.quantization.kind`  (line 5)"),
    ("learning_rate: 1", "learning_rate: unknown key here; it belongs to `training.learning_rate`  (line 5)"),
    ("adapter: []", "adapter: "),
]


@pytest.mark.parametrize(("line", "said"), CASES)
def test_a_mistake_says_path_line_and_the_way_out(file: Path, line: str, said: str) -> None:
    file.write_text(GOOD.replace("adapter: {kind: lora, r: 8}", line), encoding="utf-8")
    assert any(text.startswith(said) for text in mistakes(file)), mistakes(file)


def test_all_mistakes_come_at_once(file: Path) -> None:
    file.write_text(GOOD.replace("r: 8", "r: 0, lora_alfa: 3") + "lora_rank: 8\ndata_path: x\n", encoding="utf-8")
    found = mistakes(file)
    assert [text.split(":")[0] for text in found] == ["adapter.lora_alfa", "adapter.r", "lora_rank", "data_path"]


def test_beta_is_named_where_the_stage_has_a_loss(tmp_path: Path) -> None:
    file = tmp_path / "4-dpo.yaml"
    file.write_text("stage: dpo\nmodel: {run: a}\ndata: {run: b}\npref_beta: 0.1\n", encoding="utf-8")
    assert mistakes(file) == ["pref_beta: unknown key; here it is called `loss.beta`  (line 4)"]


def test_a_key_written_twice_is_a_mistake(file: Path) -> None:
    file.write_text(GOOD + "seed: 8\n", encoding="utf-8")
    assert mistakes(file) == ["seed: written twice, first in line 8; keep one  (line 9)"]


def test_overrides_go_through_the_same_door(file: Path) -> None:
    recipe = load_recipe(file, ["adapter.r=32", "training.warmup_steps=0.1", "model.quantization.kind=nf4"]).recipe
    assert isinstance(recipe, SFT)
    assert recipe.adapter is not None and recipe.adapter.model_dump()["r"] == 32
    assert recipe.model.quantization is not None and recipe.model.quantization.kind == "nf4"
    assert mistakes(file, "adapter.lora_alfa=3") == [
        "adapter.lora_alfa: unknown key, did you mean `lora_alpha`?  (override)"
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("adapter.r", "`adapter.r` is not an override; write key.path=value"),
        ("seed.x=1", "seed.x: `seed` has no keys to set"),
        ("adapter.r=[", "is not YAML"),
        ("data=3", "data: "),
    ],
)
def test_a_bad_override_is_a_mistake_like_any_other(file: Path, override: str, said: str) -> None:
    assert any(said in text for text in mistakes(file, override)), mistakes(file, override)


def test_on_off_yes_and_no_are_words_as_they_were_meant(tmp_path: Path) -> None:
    file = tmp_path / "1-prepare.yaml"
    file.write_text("stage: prepare\nsources: [{path: no}]\ndedup: {on: prompt}\nnormalize: true\n", encoding="utf-8")
    recipe = load_recipe(file).recipe
    assert isinstance(recipe, Prepare)
    assert recipe.dedup is not None and recipe.dedup.on == "prompt"
    assert recipe.sources[0].path == "no"
    assert load_recipe(file, ["dedup.on=answer"]).recipe.dedup.on == "answer"  # type: ignore[union-attr]


def test_an_override_reaches_into_a_list(tmp_path: Path) -> None:
    file = tmp_path / "1-prepare.yaml"
    file.write_text("stage: prepare\nsources:\n  - {path: a.jsonl}\n  - {path: b.jsonl}\n", encoding="utf-8")
    recipe = load_recipe(file, ["sources.1.path=c.jsonl"]).recipe
    assert isinstance(recipe, Prepare)
    assert [source.path for source in recipe.sources] == ["a.jsonl", "c.jsonl"]
    assert mistakes(file, "sources.5.path=c") == ["sources.5.path: the list has no item `5`, only 0, 1; counted from 0"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "must be a mapping of keys to values that begins with `stage:`"),
        ("a: [1", "is not YAML"),
        ("model: {}", "stage: is required (known: prepare, tokenizer, "),
        ("stage: sftt", "stage: unknown stage `sftt`, did you mean `sft`?"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(content, encoding="utf-8")
    assert any(said in text for text in mistakes(file)), mistakes(file)


def test_a_missing_file(tmp_path: Path) -> None:
    assert mistakes(tmp_path / "x.yaml") == ["the file does not exist"]


def test_only_dotted_paths_are_relative_to_the_recipe(file: Path) -> None:
    file.write_text(GOOD.replace("rows.jsonl", "./rows.jsonl").replace("name_or_path: base", "name_or_path: ../base"))
    recipe = load_recipe(file).recipe
    assert isinstance(recipe, SFT)
    assert Path(str(recipe.data.train)) == file.parent / "rows.jsonl"
    assert Path(str(recipe.model.name_or_path)) == file.parent.parent / "base"
    assert load_recipe(file, ["data.train=rows.jsonl"]).recipe.data.train == "rows.jsonl"  # type: ignore[attr-defined]


def test_the_saved_recipe_loads_to_the_same(file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(file, ["training.extra.adam_epsilon=1e-6"]).recipe
    saved = tmp_path / "recipe.yaml"
    saved.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(saved).recipe == recipe


def test_show_says_where_every_value_comes_from(file: Path) -> None:
    shown = {path: (value, origin) for path, value, origin in explain(load_recipe(file, ["adapter.r=4"]))}
    assert shown["adapter.r"] == (4, "override")
    assert shown["adapter.lora_alpha"] == (32, "default")
    assert shown["training.learning_rate"] == (2e-4, f"{file}:7")
    assert shown["template"] == ("chatml", f"{file}:3")
    assert shown["data.over_length"] == ("drop", "default")
    assert shown["output_dir"] == ("runs/ko/2-sft", "default")


def test_a_runs_quantisation_goes_on_where_the_recipe_says_nothing(tmp_path: Path) -> None:
    parent = tmp_path / "sft"
    parent.mkdir()
    (parent / "recipe.yaml").write_text(
        "stage: sft\nmodel: {name_or_path: x, quantization: {kind: nf4, double: false}}\n"
    )
    base = {"stage": "dpo", "data": {"run": "runs/pairs"}}
    continued = from_dict(base | {"model": {"run": str(parent)}})
    assert continued.model.quantization.model_dump() == {"kind": "nf4", "double": False}  # type: ignore[union-attr]
    for said in ({"quantization": None}, {"merge": True}):
        recipe = from_dict(base | {"model": {"run": str(parent)} | said, "adapter": "lora"})
        assert recipe.model.quantization is None  # type: ignore[union-attr]
    several = from_dict({"stage": "evaluate", "models": {"sft": {"run": str(parent)}}, "data": {"run": "x"}})
    assert several.models["sft"].quantization.kind == "nf4"  # type: ignore[union-attr]


def test_from_dict_names_the_caller() -> None:
    with pytest.raises(RecipeError, match="the recipe is not a valid recipe:\n  model: is required"):
        from_dict({"stage": "sft", "data": {"train": "a"}})


def test_every_alias_points_to_a_key_that_some_stage_has() -> None:
    from importlib.resources import files

    aliases = yaml.safe_load(files("seodang").joinpath("peer_aliases.yaml").read_text(encoding="utf-8"))
    known = {path for name in ("sft", "dpo", "generate", "pretrain") for path in field_paths(stage_class(name))}
    assert set(aliases.values()) <= known
    assert {"lora_r", "lora_rank", "cutoff_len", "max_seq_length", "beta", "pref_beta", "load_in_4bit"} <= set(aliases)
