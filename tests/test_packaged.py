"""Packaged files: found in the package first, then in the source tree; a wrong name says what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang import packaged
from seodang.errors import TemplateError


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


def test_the_projects_own_prompts_are_there() -> None:
    assert {"self_instruct_ko", "self_instruct_en"} <= set(packaged.names("data_templates/prompts"))
