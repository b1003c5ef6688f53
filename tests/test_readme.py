"""What the READMEs show is run: the Python blocks as they stand, and the commands they name exist."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest

from seodang.cli import cli

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.ko.md")


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> Path:
    """A folder with the files that the READMEs name."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model_dir, "base-model")
    rows = [{"instruction": f"{n}에 하나를 더하면?", "output": f"{n + 1}입니다."} for n in range(12)]
    pairs = [{"prompt": r["instruction"], "chosen": r["output"], "rejected": "몰라."} for r in rows]
    for file, content in (("my.jsonl", rows), ("pairs.jsonl", pairs)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        Path(file).write_text(lines, encoding="utf-8")
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
@pytest.mark.parametrize("name", READMES)
def test_the_ten_line_job_runs_as_it_stands(name: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks(name)[0]
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code, name, "exec"), {"__name__": "readme"})
    loss, margin, weights = capsys.readouterr().out.strip().splitlines()[-1].split()
    assert math.isfinite(float(loss)) and abs(float(margin)) < 1e-4
    assert Path(weights) == Path("runs/py-dpo/adapter")


def test_the_accelerate_loop_runs_as_it_stands(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = blocks("README.md")[1]
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert math.isfinite(float(capsys.readouterr().out.strip().splitlines()[-1]))


@pytest.mark.parametrize("name", READMES)
def test_every_command_named_exists_and_every_verb_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"seodang ([a-z]+)", text)) & {word for word in cli.commands} | {
        word for word in re.findall(r"^ {4}seodang ([a-z]+)", text, re.MULTILINE)
    }
    assert named == set(cli.commands)


@pytest.mark.parametrize("name", READMES)
def test_every_file_linked_is_there(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_map_names_every_module() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The map")[2]
    modules = [path for path in (ROOT / "src" / "seodang").glob("*.py") if not path.name.startswith("__")]
    assert [path.name for path in modules if path.name not in text] == []
