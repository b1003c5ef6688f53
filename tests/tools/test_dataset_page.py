"""The page of public sets: a line for each, no claim beyond what is known, and a stale page is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "dataset_page.py"


@pytest.fixture(scope="module")
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("dataset_page")


def test_every_set_has_a_line(tool: ModuleType) -> None:
    lines = [line.split(" | ") for line in tool.page().splitlines() if line.startswith("| ")][2:]
    assert [line[0].removeprefix("| ") for line in lines] == [entry["name"] for entry in tool.sets()]
    assert {line[-1].removesuffix(" |") for line in lines} == {"exact", "inferred"}
    assert [entry["tutorial"] for entry in tool.sets()] == [True] * 29 + [False] * 28


def test_what_is_inferred_is_called_so(tool: ModuleType) -> None:
    page = tool.page()
    assert "| fiveflow/instruction_data | text = `### 질문: … ### 답변: …` |" in page
    for entry in tool.sets():
        line = next(line for line in page.splitlines() if line.startswith(f"| {entry['name']} |"))
        assert line.endswith("| inferred |") == bool(entry.get("inferred"))


def test_licences_are_those_of_the_table(tool: ModuleType) -> None:
    assert "| `alpaca` | cc-by-nc-sa-2.0 (card) | exact |" in tool.page()
    assert "| unknown: card not seen | inferred |" in tool.page()


def test_a_stale_page_is_noticed(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "TARGET", tmp_path / "datasets.md")
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
    (tmp_path / "datasets.md").write_text("old", encoding="utf-8")
    assert tool.main(["--check"]) == 1
