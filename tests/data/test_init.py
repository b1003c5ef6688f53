"""Two commands, no edits: what `init` writes is a valid recipe that fits the files and the tokenizer."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from seodang.data.init import _held_out, _path, epochs_for, look_at, write_recipes
from seodang.errors import DataError, ModelError, RunError
from seodang.recipe import DPO, SFT, Prepare
from seodang.recipe_file import load_recipe
from seodang.runs import Run

OWN = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}" \
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"  # fmt: skip
THINKING = OWN.replace("assistant\n{% endif", "assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n"
                       "{% endif %}{% endif")  # fmt: skip


def talks(count: int, size: int = 3) -> list[dict[str, Any]]:
    return [
        {"instruction": f"{n}번 문제의 답은?", "input": "", "output": f"답은 {n}입니다. " * size} for n in range(count)
    ]


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"{n}번?", "chosen": f"{n}번입니다.", "rejected": "몰라."} for n in range(count)]


def written(folder: Path, name: str, rows: list[Any]) -> str:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


@pytest.fixture
def base(tokenizer_dir: Path, tmp_path: Path) -> Path:
    """A folder that looks like a base model: a tokenizer without a chat template."""
    return shutil.copytree(tokenizer_dir, tmp_path / "base")


def with_template(base: Path, jinja: str) -> Path:
    (base / "chat_template.jinja").write_text(jinja, encoding="utf-8")
    return base


def without_control_tokens(base: Path) -> Path:
    """The same tokenizer with ChatML's tokens under other names."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (base / name).exists():
            text = (base / name).read_text(encoding="utf-8")
            (base / name).write_text(text.replace("<|im_start|>", "<|a|>").replace("<|im_end|>", "<|b|>"), "utf-8")
    return base


def load(paths: list[Path]) -> dict[str, Any]:
    return {path.name: load_recipe(path).recipe for path in paths}


def test_conversations_become_prepare_and_sft(base: Path, tmp_path: Path) -> None:
    data = written(tmp_path, "koalpaca.jsonl", talks(300))
    paths = write_recipes([data], str(base), tmp_path / "recipes" / "mine")
    assert [path.name for path in paths] == ["1-prepare.yaml", "2-sft.yaml"]
    found = load(paths)
    prepare, sft = found["1-prepare.yaml"], found["2-sft.yaml"]
    assert isinstance(prepare, Prepare)
    assert isinstance(sft, SFT)
    assert (prepare.sources[0].path, prepare.sources[0].format.kind) == (data, "alpaca")
    assert (prepare.sources[0].on_error, prepare.eval) == ("stop", 0.05)
    assert (sft.model.name_or_path, sft.template) == (str(base), "chatml")
    assert sft.data.run == prepare.output_dir == "runs/mine/1-prepare"
    assert sft.adapter is not None
    assert sft.data.max_length == 128


def test_the_recipes_run_as_they_are(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prepared rows encode under the template and length that were chosen, and none is too long."""
    from seodang.data.dataset import training_rows
    from seodang.workflow import run_recipe

    monkeypatch.chdir(tmp_path)
    written(tmp_path, "my data.jsonl", [*talks(60, size=40), {"instruction": "답이 없다", "output": ""}])
    paths = write_recipes(["my data.jsonl"], "base")
    assert paths[0] == Path("recipes/my-data/1-prepare.yaml")
    run_recipe(load_recipe(paths[0]).recipe)
    recipe = load_recipe(paths[1]).recipe
    assert isinstance(recipe, SFT)
    rows = training_rows(recipe)
    assert rows.ledger.close()["dropped"] == {}
    assert len(rows.train) + len(rows.eval) == 60
    longest = max(len(row.input_ids) for row in rows.train)
    assert recipe.data.max_length / 2 < longest <= recipe.data.max_length


def test_preferences_beside_conversations(base: Path, tmp_path: Path) -> None:
    data = [written(tmp_path, "p.jsonl", pairs(30)), written(tmp_path, "a.jsonl", talks(30))]
    found = load(write_recipes(data, str(base), tmp_path / "mine"))
    assert list(found) == ["1-prepare.yaml", "1-prepare-pairs.yaml", "2-sft.yaml", "3-dpo.yaml"]
    dpo = found["3-dpo.yaml"]
    assert isinstance(dpo, DPO)
    assert dpo.model.run == found["2-sft.yaml"].output_dir == "runs/mine/2-sft"
    assert dpo.data.run == found["1-prepare-pairs.yaml"].output_dir
    assert (dpo.adapter, dpo.template, dpo.loss.kind) == (None, None, "sigmoid")
    assert found["1-prepare-pairs.yaml"].sources[0].format.kind == "pair"


def test_preferences_alone(base: Path, tmp_path: Path) -> None:
    found = load(write_recipes([written(tmp_path, "p.jsonl", pairs(30))], str(base), tmp_path / "mine"))
    assert list(found) == ["1-prepare.yaml", "2-dpo.yaml"]
    dpo = found["2-dpo.yaml"]
    assert isinstance(dpo, DPO)
    assert (dpo.model.name_or_path, dpo.template, dpo.data.run) == (str(base), "chatml", "runs/mine/1-prepare")
    assert dpo.adapter is not None


def test_the_model_s_own_template_is_the_default(base: Path) -> None:
    found = look_at(str(with_template(base, OWN)))
    assert yaml.safe_load(found.template) is None
    assert "the tokenizer has a chat template of its own" in found.template
    assert found.chat.renderer.name == "model"


def test_a_thinking_template_gets_its_key(base: Path) -> None:
    assert yaml.safe_load(look_at(str(with_template(base, THINKING))).template) == {"thinking": "empty"}


def test_chatml_only_where_its_tokens_are(base: Path) -> None:
    assert yaml.safe_load(look_at(str(base)).template) == {"template": "chatml"}
    found = look_at(str(without_control_tokens(base)))
    assert yaml.safe_load(found.template) == {"template": "alpaca"}
    assert "no <|im_start|> for ChatML" in found.template


def test_bad_rows_are_skipped_with_the_reason(base: Path, tmp_path: Path) -> None:
    data = written(tmp_path, "a.jsonl", [*talks(30), {"instruction": "답이 없다", "output": ""}, "{broken"])
    [path, _] = write_recipes([data], str(base), tmp_path / "mine")
    recipe = load_recipe(path).recipe
    assert isinstance(recipe, Prepare)
    assert recipe.sources[0].on_error == "skip"
    assert (
        "# 2 rows are dropped and counted: a.jsonl:31: the row has no answer: `output` is empty\n" in path.read_text()
    )


def test_column_names_are_written_down(base: Path, tmp_path: Path) -> None:
    rows = [{"질문": f"{n}은?", "답변": f"{n}입니다.", "url": "x"} for n in range(5)]
    [path, _] = write_recipes([written(tmp_path, "a.jsonl", rows)], str(base), tmp_path / "mine")
    recipe = load_recipe(path).recipe
    assert isinstance(recipe, Prepare)
    assert recipe.sources[0].format.model_dump() == {
        "kind": "alpaca", "instruction": "질문", "input": "input", "output": "답변",
    }  # fmt: skip
    assert "not read: url" in path.read_text(encoding="utf-8")
    assert recipe.eval == 0


def test_every_decision_has_its_reason(base: Path, tmp_path: Path) -> None:
    first, second = write_recipes([written(tmp_path, "a.jsonl", talks(300))], str(base), tmp_path / "mine")
    for line in (
        "# 300 rows, lines, utf-8, LF; alpaca (300 of 300 rows fit)",
        "# about 15 of 300 rows are held out, by the hash of their prompts",
    ):
        assert line in first.read_text(encoding="utf-8")
    text = second.read_text(encoding="utf-8")
    assert "# no chat template of its own, but ChatML's control tokens" in text
    assert "# tokens; the longest row has " in text


def test_rows_beyond_the_longest_length_are_told(base: Path, tmp_path: Path) -> None:
    data = written(tmp_path, "a.jsonl", [*talks(50), *talks(2, size=2000)])
    [_, path] = write_recipes([data], str(base), tmp_path / "mine")
    recipe = load_recipe(path).recipe
    assert isinstance(recipe, SFT)
    assert recipe.data.max_length == 2048
    assert "2 of 52 looked at are longer: dropped" in path.read_text(encoding="utf-8")


def test_the_model_s_own_limit_is_kept(base: Path, tmp_path: Path) -> None:
    (base / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    [_, path] = write_recipes([written(tmp_path, "a.jsonl", talks(3, size=400))], str(base), tmp_path / "mine")
    recipe = load_recipe(path).recipe
    assert isinstance(recipe, SFT)
    assert recipe.data.max_length == 512


@pytest.mark.parametrize(("kind", "fresh"), [("adapter", False), ("model", True)])
def test_a_run_as_the_model(base: Path, tmp_path: Path, kind: str, fresh: bool) -> None:
    folder = tmp_path / "runs" / "earlier"
    shutil.copytree(with_template(base, OWN), folder / kind)
    Run(folder).note(state="finished", stage="sft")
    [_, path] = write_recipes([written(tmp_path, "a.jsonl", talks(3))], str(folder), tmp_path / "mine")
    recipe = load_recipe(path).recipe
    assert isinstance(recipe, SFT)
    assert (recipe.model.run, recipe.model.name_or_path) == (str(folder), None)
    assert (recipe.adapter is not None) is fresh


def test_nothing_is_overwritten(base: Path, tmp_path: Path) -> None:
    data = written(tmp_path, "a.jsonl", talks(3))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "2-sft.yaml").write_text("stage: sft")
    with pytest.raises(RunError, match=r"2-sft\.yaml exists already\. Give another folder with `--out`\."):
        write_recipes([data], str(base), tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["2-sft.yaml"]


UNUSABLE = [
    ([{"text": "긴 글"}], r"holds rows without answers \(format `text`\)"),
    ([{"prompt": "질문?"}], r"holds rows without answers \(format `prompt`\)"),
    ([{"premise": "가"}], r"no known format fits\. The columns are premise"),
]


@pytest.mark.parametrize(("rows", "text"), UNUSABLE)
def test_files_that_cannot_be_tuned_on(base: Path, tmp_path: Path, rows: list[Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        write_recipes([written(tmp_path, "a.jsonl", rows)], str(base), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_models_that_are_not_there(tmp_path: Path) -> None:
    data = written(tmp_path, "a.jsonl", talks(3))
    with pytest.raises(ModelError, match="does not exist"):
        write_recipes([data], str(tmp_path / "no" / "such"), tmp_path / "mine")
    shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-run" / "tokenizer")
    run = tmp_path.parent / f"{tmp_path.name}-run"
    Run(run).note(state="finished", stage="tokenizer")
    with pytest.raises(ModelError, match="trained a tokenizer and holds no model"):
        write_recipes([data], str(run), tmp_path / "mine")


PATHS = [("./data/a.jsonl", "data/a.jsonl"), ("data//a.jsonl", "data/a.jsonl"), ("/x/a.jsonl", "/x/a.jsonl")]


@pytest.mark.parametrize(("given", "meant"), PATHS)
def test_a_path_means_the_same_in_the_recipe(given: str, meant: str) -> None:
    """In a recipe `./` starts at the recipe's folder; the user typed it in the working directory."""
    assert _path(given) == meant
    assert _path("../a.jsonl") == os.path.abspath("../a.jsonl")


HELD_OUT = [(5, 0.0), (19, 0.0), (20, 0.1), (199, 0.1), (200, 0.05), (999, 0.05), (1000, 0.02), (10**6, 0.02)]


@pytest.mark.parametrize(("rows", "share"), HELD_OUT)
def test_the_held_out_share(rows: int, share: float) -> None:
    assert _held_out(rows)[0] == share


def test_real_files(shared_data: Path, base: Path, tmp_path: Path) -> None:
    files = [str(shared_data / "ko" / name) for name in ("kullm_style_conversation.jsonl", "preference_mk6_eval.json")]
    found = load(write_recipes(files, str(base), tmp_path / "mine"))
    assert list(found) == ["1-prepare.yaml", "1-prepare-pairs.yaml", "2-sft.yaml", "3-dpo.yaml"]
    assert found["1-prepare.yaml"].sources[0].on_error == "skip"
    assert found["2-sft.yaml"].data.max_length == 2048


def test_the_comments_say_what_will_happen(base: Path, tmp_path: Path) -> None:
    """Which characters go, and why rows are dropped: the whole fault, without the advice that is followed already."""
    data = written(tmp_path, "a.jsonl", [*talks(30), '{"instruction": "1. 2. 3'])
    text = write_recipes([data], str(base), tmp_path / "mine")[0].read_text(encoding="utf-8")
    assert "# NFC on Hangul, line ends, outer white space; U+200B and U+FEFF removed" in text
    assert (
        "# 1 rows are dropped and counted: a.jsonl:31: the line is not valid JSON: it is cut off after "
        '\'{"instruction": "1. 2. 3\'\n'
    ) in text


@pytest.mark.parametrize(("rows", "epochs"), [(1, 3), (1999, 3), (2000, 2), (19_999, 2), (20_000, 1)])
def test_small_sets_are_read_more_often(rows: int, epochs: int) -> None:
    assert epochs_for(rows) == epochs
