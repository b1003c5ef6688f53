"""Packaged files: found in the package first, then in the source tree; a wrong name says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang import packaged
from seodang.errors import RecipeError, TemplateError
from seodang.schema import Schema


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree: root/src/seodang, and root/data_templates and root/recipes beside `src`."""
    monkeypatch.setattr(packaged, "PACKAGE", tmp_path / "src" / "seodang")
    for path in ("data_templates/chatml.yaml", "data_templates/prompts/ko.yaml", "recipes/ko-0.6b/1-prepare.yaml"):
        _write(tmp_path / path, "source tree")
    return tmp_path


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("data_templates", "chatml", "data_templates/chatml.yaml"),
        ("data_templates", "chatml.yaml", "data_templates/chatml.yaml"),
        ("data_templates/prompts", "ko", "data_templates/prompts/ko.yaml"),
        ("recipes", "ko-0.6b", "recipes/ko-0.6b"),
    ],
)
def test_found_in_the_source_tree(tree: Path, kind: str, name: str, path: str) -> None:
    assert packaged.find(kind, name) == tree / path


def test_the_package_comes_first(tree: Path) -> None:
    inside = _write(tree / "src/seodang/data_templates/chatml.yaml", "package")
    assert packaged.find("data_templates", "chatml") == inside


def test_the_package_alone_serves_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "PACKAGE", tmp_path / "site-packages" / "seodang")
    _write(tmp_path / "data_templates/stray.yaml", "beside site-packages, not ours")
    inside = _write(tmp_path / "site-packages/seodang/data_templates/chatml.yaml", "package")
    assert packaged.names("data_templates") == ["chatml"]
    assert packaged.find("data_templates", "chatml") == inside


def test_names_are_sorted_and_of_their_kind(tree: Path) -> None:
    _write(tree / "data_templates/alpaca.yaml", "")
    assert packaged.names("data_templates") == ["alpaca", "chatml"]
    assert packaged.names("recipes") == ["ko-0.6b"]
    assert packaged.names("nothing/here") == []


@pytest.mark.parametrize("name", ["chatm", "prompts", "", "../recipes", "/etc/passwd"])
def test_an_unknown_name_lists_what_there_is(tree: Path, name: str) -> None:
    with pytest.raises(TemplateError) as error:
        packaged.find("data_templates", name)
    assert "There is: chatml." in str(error.value)


def test_the_nearest_name_is_suggested(tree: Path) -> None:
    with pytest.raises(TemplateError, match="There is no `chatm1` in data_templates/; did you mean `chatml`?"):
        packaged.find("data_templates", "chatm1")


class Fruit(Schema):
    """A file with one object."""

    name: str
    count: int = 1


def test_a_file_is_loaded_and_checked(tmp_path: Path) -> None:
    path = _write(tmp_path / "apple.yaml", "name: 사과\ncount: 3\n")
    assert packaged.load(path, Fruit) == Fruit(name="사과", count=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "cannot be read as YAML"),
        ("count: 2", "name: is required"),
        ("name: 사과\ncuont: 2", "cuont: unknown key, did you mean `count`?"),
        ("name: 사과\ncount: 많이", "count: must be"),
        ("- 사과", ""),
        ("", ""),
    ],
)
def test_a_broken_file_names_itself_and_its_mistake(tmp_path: Path, text: str, said: str) -> None:
    path = _write(tmp_path / "apple.yaml", text)
    with pytest.raises(RecipeError) as error:
        packaged.load(path, Fruit)
    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"pear\.yaml"):
        packaged.load(tmp_path / "pear.yaml", Fruit)


def test_the_starters_name_stands_for_its_folder(tree: Path) -> None:
    assert packaged.STARTER == "seodang-starter"
    assert packaged.model_path("seodang-starter") == str(tree / "src" / "seodang" / "starter")


@pytest.mark.parametrize("name", ["Qwen/Qwen3-0.6B", "runs/quickstart/9-sft", "./seodang-starter", ""])
def test_any_other_model_stays_as_it_is(name: str) -> None:
    assert packaged.model_path(name) == name


def test_the_projects_own_prompts_are_there() -> None:
    assert {"self_instruct_ko", "self_instruct_en"} <= set(packaged.names("data_templates/prompts"))
