"""What is shipped: the wheel, what it carries, and that its light half works beside the light dependencies alone."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PYPROJECT["project"]["optional-dependencies"]["dev"]]
LIGHT = PYPROJECT["tool"]["seodang"]["light"]
HEAVY = ("torch", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "pandas")
CARRIED = ("data_templates", "data_words", "recipes")

ROWS = [
    {"instruction": "다음 낱말의 뜻을 설명하세요.", "input": "서당", "output": "옛날에 아이들이 글을 배우던 곳입니다."},
    {"instruction": "3 더하기 4는 얼마인가요?", "input": "", "output": "7입니다."},
    {"instruction": "3 더하기 4는 얼마인가요?", "input": "", "output": "7입니다."},
    {"instruction": "하늘은 왜 파란가요?", "input": "", "output": "   "},
    {"instruction": "비가 오면 무엇을 챙겨야 하나요?", "input": "", "output": "우산을 챙기세요."},
]

PREPARE = """\
stage: prepare
sources:
  - {path: seed.jsonl, format: alpaca, on_error: skip}
eval: 0
output_dir: runs/prepare
"""

SFT = """\
stage: sft
model: {{name_or_path: {model}}}
template: chatml
data: {{run: runs/prepare, max_length: 256}}
adapter: {{kind: lora, r: 4}}
output_dir: runs/sft
"""

in_one_process = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source tree without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("seodang-*.whl"))


def closure(names: list[str]) -> Iterator[Distribution]:
    """The installed distributions that `names` need, themselves included."""
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(wanted.name)
        yield found
        for text in found.requires or ():
            needed = Requirement(text)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)


@pytest.fixture(scope="session")
def light_venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel (no dependencies) and the light half's dependencies, linked from ours."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for found in closure(LIGHT):
        tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        for top in sorted(top for top in tops if not top.endswith(".pth")):
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    command = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


@pytest.fixture
def project(tmp_path: Path, model_dir: Path) -> Path:
    """A folder with a KoAlpaca-shaped file and two recipes."""
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (tmp_path / "seed.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "1-prepare.yaml").write_text(PREPARE, encoding="utf-8")
    (tmp_path / "2-sft.yaml").write_text(SFT.format(model=model_dir), encoding="utf-8")
    return tmp_path


def seodang(folder: Path, at: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, without this process's paths."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "COV_"))}
    command = [str(folder / "bin" / "seodang"), *arguments]
    environment = clean | {"SEODANG_LANG": "en", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, timeout=120, check=False)


def python(folder: Path, code: str) -> str:
    """What `code` prints in that environment."""
    command = [str(folder / "bin" / "python"), "-I", "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def said(done: subprocess.CompletedProcess[str]) -> str:
    """What a successful command printed."""
    assert done.returncode == 0, f"{done.args} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@in_one_process
def test_the_wheel_carries_templates_recipes_and_tables(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder in CARRIED:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"seodang/{path.relative_to(ROOT)}" in inside
    assert {"seodang/data_templates/chatml.yaml", "seodang/py.typed", "seodang/upstream_fields.json"} <= inside
    assert any(re.fullmatch(r"seodang/recipes/.+\.yaml", name) for name in inside)


@in_one_process
def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in inside} == {"seodang", "seodang-0.1.0.dist-info"}
    assert [name for name in inside if "__pycache__" in name or name.endswith(".pyc")] == []
    assert [name for name in inside if name.endswith(".safetensors")] == ["seodang/starter/model.safetensors"]
    assert "seodang-0.1.0.dist-info/licenses/LICENSE" in inside


@in_one_process
@pytest.mark.parametrize("package", HEAVY)
def test_nothing_heavy_can_be_imported_in_the_light_venv(light_venv: Path, package: str) -> None:
    assert python(light_venv, f"import importlib.util; print(importlib.util.find_spec({package!r}))") == "None"


@in_one_process
def test_the_light_venv_runs_the_wheel_and_not_the_source_tree(light_venv: Path) -> None:
    code = "from seodang.packaged import *; print(PACKAGE); print(*names('data_templates')); print(*names('recipes'))"
    where, templates, recipes = python(light_venv, code).splitlines()
    assert Path(where).is_relative_to(light_venv)
    assert {"alpaca", "chatml", "koalpaca", "llama3"} <= set(templates.split())
    assert recipes.split()


@in_one_process
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--help"], ["run", "check", "preview", "show", "schema", "inspect"]),
        (["schema"], ['"properties"']),
        (["schema", "sft"], ["lora_alpha", "learning_rate"]),
        (["show", "2-sft.yaml"], ["adapter.r", "training.learning_rate", "2-sft.yaml:5"]),
        (["check", "1-prepare.yaml"], []),
        (["check", "2-sft.yaml"], ["not made yet: runs/prepare"]),
        (["inspect", "seed.jsonl"], ["alpaca", "5"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_light_verbs_work_without_torch(
    light_venv: Path, project: Path, arguments: list[str], wanted: list[str]
) -> None:
    text = said(seodang(light_venv, project, *arguments))
    assert [word for word in wanted if word not in text] == []


@in_one_process
def test_prepare_and_the_check_after_it_work_without_torch(light_venv: Path, project: Path) -> None:
    said(seodang(light_venv, project, "run", "1-prepare.yaml"))
    run = project / "runs" / "prepare"
    rows = json.loads((run / "report.json").read_text(encoding="utf-8"))["rows"]
    assert rows["read"] == len(ROWS) == rows["kept"] + sum(rows["dropped"].values())
    assert len((run / "train.jsonl").read_text(encoding="utf-8").splitlines()) == rows["kept"] == 3
    assert (run / "report.html").is_file()
    assert "not made yet" not in said(seodang(light_venv, project, "check", "2-sft.yaml"))


@in_one_process
def test_a_mistake_is_a_paragraph_and_exit_2_in_the_light_venv(light_venv: Path, project: Path) -> None:
    done = seodang(light_venv, project, "check", "2-sft.yaml", "adapter.lora_alfa=3")
    assert done.returncode == 2
    assert "adapter.lora_alfa: unknown key, did you mean `lora_alpha`?" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_editable_install_finds_the_source_tree() -> None:
    from seodang.packaged import PACKAGE, find, names

    assert ROOT / "src" / "seodang" == PACKAGE
    assert not (PACKAGE / "data_templates").exists()
    assert find("data_templates", "chatml") == ROOT / "data_templates" / "chatml.yaml"
    assert [find("recipes", name).parent for name in names("recipes")] == [ROOT / "recipes"] * len(names("recipes"))
    origin = json.loads(distribution("seodang").read_text("direct_url.json") or "{}")
    assert origin["dir_info"]["editable"] is True


def test_the_command_is_installed() -> None:
    entry = {point.name: point.value for point in distribution("seodang").entry_points}
    assert entry == {"seodang": "seodang.cli:main"}


def pins() -> dict[str, str]:
    """constraints.txt as name → version."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("wanted", [*DEPENDENCIES, *DEVELOPMENT], ids=lambda wanted: wanted.name)
def test_a_lower_bound_is_the_tested_version(wanted: Requirement) -> None:
    tested = pins()[canonicalize_name(wanted.name)]
    lower = next(bound.version for bound in wanted.specifier if bound.operator == ">=")
    assert tested in wanted.specifier
    assert tested == lower or tested.startswith(f"{lower}.")


def test_the_pins_are_exact_and_whole() -> None:
    pinned = pins()
    assert pinned["torch"] == "2.13.0"
    assert [version for version in pinned.values() if not re.fullmatch(r"[0-9][0-9.]*", version)] == []
    assert list(pinned) == sorted(pinned)
    names = [wanted.name for wanted in [*DEPENDENCIES, *DEVELOPMENT]]
    assert {canonicalize_name(found.name) for found in closure(names)} - set(pinned) == set()


def test_what_is_installed_is_what_is_pinned() -> None:
    other = {name: distribution(name).version for name, version in pins().items()
             if distribution(name).version.split("+")[0] != version}  # fmt: skip
    assert other == {}


def test_the_light_list_is_part_of_the_dependencies() -> None:
    names = {canonicalize_name(wanted.name) for wanted in DEPENDENCIES}
    assert {canonicalize_name(name) for name in LIGHT} <= names
    assert list(LIGHT) == sorted(LIGHT)


def imported() -> set[str]:
    """The distributions whose packages are imported somewhere in src/, also inside functions."""
    tops: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.split(".")[0])
    owners = packages_distributions()
    return {canonicalize_name(owners[top][0]) for top in tops - set(sys.stdlib_module_names) - {"seodang"}}


def test_what_is_imported_is_declared_and_what_is_declared_is_used() -> None:
    names = {canonicalize_name(wanted.name) for wanted in DEPENDENCIES}
    assert imported() - names - {"kiwipiepy", "pandas"} == set()
    assert names - imported() == set()


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8").lower()
    asked = [wanted.name for wanted in [*DEPENDENCIES, *DEVELOPMENT]] + ["kiwipiepy"]
    assert [name for name in asked if name.lower() not in reasons] == []
