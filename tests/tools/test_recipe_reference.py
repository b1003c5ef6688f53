"""The recipe reference: every key of every stage is there, once and right, and a stale page is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from seodang.recipe import STAGES, stage_class
from seodang.schema import field_paths

TOOL = Path(__file__).resolve().parents[2] / "tools" / "recipe_reference.py"


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("recipe_reference")


@pytest.fixture(scope="module")
def sections(tool: ModuleType) -> dict[str, str]:
    """Stage → its part of the page."""
    found = re.split(r"^## (\w+)$", tool.reference(), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def row(section: str, path: str) -> list[str]:
    """The cells of a key's row: path, type, default, meaning."""
    line = next(line for line in section.splitlines() if line.startswith(f"| `{path}` |"))
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_there_is_a_section_per_stage_in_their_order(sections: dict[str, str]) -> None:
    assert list(sections) == list(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_key_of_a_stage_is_there(sections: dict[str, str], stage: str) -> None:
    written = {
        path.replace(".NAME", "").replace(".N", "") for path in re.findall(r"^\| `([\w.]+)` \|", sections[stage], re.M)
    }
    paths = {path for path in field_paths(stage_class(stage)) if path != "stage" and not path.endswith("kind")}
    assert paths - written == set()


@pytest.mark.parametrize(
    ("stage", "path", "kind", "default"),
    [
        ("sft", "adapter.r", "integer ≥ 1", "`16`"),
        ("sft", "adapter.lora_dropout", "number ≥ 0, < 1", "`0.0`"),
        (
            "sft",
            "adapter",
            "kind `lora`, `adalora`, `ia3`, `vera`, `oft`, `boft`, `prompt_tuning`, `prefix_tuning`, `full`, or null",
            "unset",
        ),
        ("sft", "adapter.target_modules", "text or list of text", "`all-linear`"),
        ("sft", "data.over_length", "`drop`, `truncate_prompt`, `split_turns`, `error`", "`drop`"),
        ("sft", "model", "keys below", "**required**"),
        ("sft", "training.learning_rate", "number > 0", "`0.0002`"),
        ("dpo", "training.learning_rate", "number > 0", "`5.0e-06`"),
        ("dpo", "loss.beta", "number > 0", "`0.1`"),
        ("evaluate", "models", "mapping from text to keys below", "**required**"),
        ("evaluate", "models.NAME.run", "text, or null", "unset"),
        ("evaluate", "sampling.temperature", "number ≥ 0", "`0.0`"),
        ("prepare", "sources.N.on_error", "`stop`, `skip`", "`stop`"),
        ("prepare", "output_dir", "text", "unset"),
    ],
)
def test_a_row_says_type_and_default(sections: dict[str, str], stage: str, path: str, kind: str, default: str) -> None:
    assert row(sections[stage], path)[1:3] == [kind, default]


def test_a_row_says_what_the_docstring_says(sections: dict[str, str]) -> None:
    assert row(sections["sft"], "adapter.lora_alpha")[3] == "The update is scaled by lora_alpha / r."


@pytest.mark.parametrize(
    ("stage", "heading"),
    [
        ("sft", "### `adapter`, kind `lora`"),
        ("sft", "### `model.quantization`, kind `nf4` or `fp4`"),
        ("dpo", "### `loss`, kind `ipo`"),
        ("pretrain", "### `model` (FreshModel)"),
        ("prepare", "### `filters.N`, kind `empty`"),
    ],
)
def test_every_kind_has_its_heading(sections: dict[str, str], stage: str, heading: str) -> None:
    assert sections[stage].splitlines().count(heading) == 1


def test_tables_are_tables(tool: ModuleType) -> None:
    rows = [line for line in tool.reference().splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {5}


def test_it_is_the_same_twice(tool: ModuleType) -> None:
    assert tool.reference() == tool.reference()


def test_a_stale_page_is_noticed_and_mended(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "recipes.md"
    monkeypatch.setattr(tool, "TARGET", page)
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    page.write_text(page.read_text(encoding="utf-8").replace("`adapter.r`", "`adapter.rank`"), encoding="utf-8")
    capsys.readouterr()
    assert tool.main(["--check"]) == 1
    said = capsys.readouterr()
    assert "-| `adapter.rank` |" in said.out and "+| `adapter.r` |" in said.out
    assert "docs/recipes.md is not what the recipe classes say. Run `make generated`." in said.err


def test_the_page_in_the_repository_is_current(tool: ModuleType) -> None:
    assert tool.main(["--check"]) == 0
