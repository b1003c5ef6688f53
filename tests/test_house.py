"""The house keeps its own rules: the mirror of tests, recipes that load, public names, a light half without torch."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC, TESTS = ROOT / "src" / "seodang", ROOT / "tests"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted(path for path in SRC.rglob("*.py") if path.name not in {"__init__.py", "__main__.py"})
HEAVY = ("torch", "trl", "peft", "datasets", "accelerate", "bitsandbytes")
NO_ROOM_FOR = {"utils", "common", "helpers", "base", "misc", "manager", "core"}

WHOLE = {
    "test_killed.py",
    "test_planted.py",
    "test_golden_templates.py",
    "test_house.py",
    "test_notebook.py",
    "test_packaging.py",
    "test_public_sets.py",
    "test_readme.py",
    "test_trl_templates.py",
    "test_tutorial_defects.py",
    "test_upstream.py",
    "test_whole_job.py",
}
"""Tests of the whole, which mirror no one module."""


def python(code: str) -> str:
    """Run `code` in a fresh interpreter; returns what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(code: str) -> list[str]:
    """Which heavy packages are in sys.modules once `code` has run."""
    return python(f"import sys\n{code}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])").split()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_module_has_its_own_test_file(module: Path) -> None:
    relative = module.relative_to(SRC)
    assert (TESTS / relative.with_name(f"test_{module.name}")).is_file()


def test_no_test_file_outlives_its_module() -> None:
    orphans = [
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("test_*.py")
        if path.relative_to(TESTS).parts[0] != "tools" and path.name not in WHOLE
        if not (SRC / path.relative_to(TESTS).with_name(path.name.removeprefix("test_"))).exists()
    ]
    assert orphans == []


def test_test_folders_are_no_packages() -> None:
    assert list(TESTS.rglob("__init__.py")) == []


def test_no_module_is_named_after_nothing() -> None:
    assert [path.name for path in MODULES if path.stem in NO_ROOM_FOR or path.parent.name in NO_ROOM_FOR] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_module_says_what_it_is_for(module: Path) -> None:
    doc = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert doc and doc.splitlines()[0].rstrip()


def test_every_module_stands_in_a_layer() -> None:
    contract = PYPROJECT["tool"]["importlinter"]["contracts"][0]
    layers = {name.strip(" ()") for layer in contract["layers"] for name in re.split("[|:]", layer)}

    def placed(module: Path) -> bool:
        parts = ("seodang", *module.relative_to(SRC).with_suffix("").parts)
        return any(".".join(parts[:size]) in layers for size in range(2, len(parts) + 1))

    assert [str(path.relative_to(SRC)) for path in MODULES if not placed(path)] == []


def test_every_recipe_loads() -> None:
    from seodang.recipe_file import load_recipe

    recipes = sorted((ROOT / "recipes").rglob("[0-9]*-*.yaml"))
    folders = Counter(path.parent.name for path in recipes)
    ours = {"first-real": 5, "korean-from-scratch": 8, "smoke": 11, "starter": 2}
    models = "qwen3-0.6b qwen3-8b exaone kanana hyperclovax-seed a.x-light polyglot-ko solar"
    ours |= dict.fromkeys(models.split(), 3)
    assert folders == ours | {"quickstart": 12, "quickstart-controls": 13}
    for path in recipes:
        load_recipe(path)


def test_every_model_has_its_facts() -> None:
    from seodang.recipe_file import load_recipe

    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    for readme in sorted((ROOT / "recipes").glob("*/README.md")):
        text, sft = readme.read_text(encoding="utf-8"), readme.with_name("2-sft.yaml")
        if "라이선스 · licence" not in text:
            continue
        name = load_recipe(sft).recipe.model.name_or_path
        assert name in text and f"](../recipes/{readme.parent.name}/README.md) | `{name}`" in page
        assert [word for word in ("gated", "remote code", "thinking", "shape") if f"· {word}" not in text] == []


def test_public_names_are_sorted_and_exact() -> None:
    import seodang

    assert seodang.__all__ == ["Finished", "SeodangError", "dpo", "encode", "preview", "sft"]
    assert seodang.__all__ == sorted(seodang.__all__)
    assert [name for name in seodang.__all__ if not getattr(seodang, name).__doc__] == []
    with pytest.raises(AttributeError, match="has no attribute 'train'"):
        _ = seodang.train


@pytest.mark.parametrize("module", ["", ".cli", ".data.sources", ".encoding", ".recipe_file", ".reports", ".workflow"])
def test_importing_the_light_half_imports_nothing_heavy(module: str) -> None:
    assert loaded_after(f"import seodang{module}") == []


def test_the_command_line_imports_no_transformers() -> None:
    code = "import sys, seodang.cli; print(*[m for m in ('transformers', 'numpy', 'matplotlib') if m in sys.modules])"
    assert python(code) == ""


RECIPE = """\
stage: sft
model: {{name_or_path: {model}}}
template: chatml
data: {{train: seed.jsonl, max_length: 256}}
adapter: {{kind: lora}}
output_dir: runs/sft
"""


@pytest.mark.parametrize("verb", ["check", "preview", "show"])
def test_the_light_verbs_import_nothing_heavy(
    verb: str, model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"instruction": f"{n} 다음 수는 무엇인가요?", "output": f"{n + 1}입니다."} for n in range(20)]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (tmp_path / "seed.jsonl").write_text("".join(lines), encoding="utf-8")
    (tmp_path / "sft.yaml").write_text(RECIPE.format(model=model_dir), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    call = "import io, contextlib, seodang.cli\nwith contextlib.redirect_stdout(io.StringIO()):\n"
    call += f"    try: seodang.cli.cli(['{verb}', 'sft.yaml'], standalone_mode=False)\n"
    call += "    except SystemExit as end: assert not end.code"
    assert loaded_after(call) == []


@pytest.mark.parametrize("target", ["install", "lint", "check", "test", "bench", "quickstart", "smoke"])
def test_make_has_its_targets(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}: .*\$\(STAMP\)", makefile, re.MULTILINE)


def test_ci_runs_the_commands_of_the_readme() -> None:
    commands = re.findall(r"^make \w+$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert commands == ["make install", "make check", "make test"]
    assert [command for command in commands if command not in readme] == []
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_help_is_there_at_once() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "seodang", "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert median(seconds() for _ in range(3)) <= 2
