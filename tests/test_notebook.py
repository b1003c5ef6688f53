"""The notebook is run as Jupyter would run it, on a tenth of its steps, with sockets to other machines of no use."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "recipes" / "quickstart" / "quickstart.ipynb"
STEPS = "STEPS = 200 "


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_valid_and_shipped_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


def test_it_explains_itself_in_korean(notebook: Any) -> None:
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert sum("가" <= letter <= "힣" for letter in text) > 600
    assert [cell for cell in notebook.cells if str(ROOT) in cell.source] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("quickstart")
def test_it_runs_on_a_tenth_of_its_steps(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    folder = tmp_path / "recipes" / "quickstart"
    shutil.copytree(NOTEBOOK.parent, folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SEODANG_LANG", "ko")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert sum(STEPS in cell.source for cell in notebook.cells) == 1
    for cell in notebook.cells:
        cell.source = cell.source.replace(STEPS, "STEPS = 20 ")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "Traceback" not in said
    assert "learning_rat: " in said and "`learning_rate`" in said
    assert "sft_seeds" in said and "정답" in said
    made = {path.parent.name for path in (tmp_path / "runs" / "notebook").glob("*/report.json")}
    # after so few steps the model may not know yet how to propose a task: then nothing has grown
    assert made - {"grown", "all"} == {"dirty", "seeds", "sft-seeds", "sft", "pairs", "dpo", "evaluate"}
