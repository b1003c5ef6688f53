"""A run of `prepare` that is killed at any moment and resumed writes the bytes of an undisturbed one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data.spill import FOLDER

RUN = """
import sys
from seodang.recipe import Prepare
from seodang.workflow import run_recipe
run_recipe(Prepare.model_validate_json(open(sys.argv[1], encoding="utf-8").read()), sys.argv[2])
"""
OUTPUTS = (runs.TRAIN, runs.EVAL, runs.DROPPED)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two files of rows, among them broken, empty, repeated and nearly repeated ones."""
    folder, draw = tmp_path_factory.mktemp("rows"), random.Random(0)
    words = [
        "바람",
        "구름",
        "나무",
        "강물",
        "마을",
        "아침",
        "저녁",
        "이야기",
        "노래",
        "편지",
        "사진",
        "시장",
        "바다",
        "산길",
        "학교",
    ]
    for name in ("a.jsonl", "b.jsonl"):
        lines = []
        for number in range(2000):
            some = " ".join(draw.choice(words) for _ in range(6))
            answer = f"{some} 이야기를 {number % 700}번째로 들려드립니다."
            row = {"instruction": f"{some}에 대해 말해 주세요.", "output": answer if draw.random() > 0.01 else " "}
            lines.append("{broken" if draw.random() < 0.01 else json.dumps(row, ensure_ascii=False))
            if draw.random() < 0.05:
                lines.append(lines[draw.randrange(len(lines))].replace("에 대해", "에  대해서"))
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    sources = [{"path": str(folder / name), "on_error": "skip"} for name in ("a.jsonl", "b.jsonl")]
    return {"stage": "prepare", "sources": sources, "filters": ["empty", "mixed_register"], "processes": 1, "eval": 0.1}


def started(folder: Path, recipe: dict[str, Any], mode: str) -> subprocess.Popen[bytes]:
    file = folder.with_suffix(".json")
    file.write_text(json.dumps(recipe | {"output_dir": str(folder)}), encoding="utf-8")
    return subprocess.Popen([sys.executable, "-c", RUN, str(file), mode], stderr=subprocess.PIPE)


def finished(folder: Path, recipe: dict[str, Any], mode: str = "fresh") -> dict[str, bytes]:
    process = started(folder, recipe, mode)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()
    assert not (folder / FOLDER).exists()
    return {name: (folder / name).read_bytes() for name in OUTPUTS} | {
        "report": json.dumps(runs.read_json(folder / runs.REPORT), sort_keys=True).encode()
    }


def killed(process: subprocess.Popen[bytes], folder: Path, moment: int) -> bool:
    """Kill the process once so many bytes lie in its folder; False where it was done before."""
    places = [folder / FOLDER / "rows", *(folder / f".{name}.tmp" for name in OUTPUTS)]
    while process.poll() is None:
        if sum(place.stat().st_size for place in places if place.exists()) >= moment:
            process.kill()
            break
        time.sleep(0.001)
    process.communicate(timeout=60)
    return process.returncode < 0


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path, recipe: dict[str, Any]) -> None:
    whole = finished(tmp_path / "whole", recipe)
    assert {name: data.count(b"\n") > 20 for name, data in whole.items() if name in OUTPUTS} == dict.fromkeys(
        OUTPUTS, True
    )
    draw, kills, size = random.Random(20261121), 0, sum(len(whole[name]) for name in OUTPUTS)
    for attempt in range(3):
        folder, moments = tmp_path / f"killed-{attempt}", sorted(draw.randrange(2 * size) for _ in range(3))
        for moment in moments:
            resumed = runs.manifest(folder) is not None
            kills += killed(started(folder, recipe, "resume" if resumed else "fresh"), folder, moment)
            if runs.is_finished(folder):
                break
        if not runs.is_finished(folder):
            assert finished(folder, recipe, "resume") == whole
        else:
            assert {name: (folder / name).read_bytes() for name in OUTPUTS} == {name: whole[name] for name in OUTPUTS}
    assert kills >= 5


def test_what_was_judged_before_is_not_judged_again(tmp_path: Path, recipe: dict[str, Any]) -> None:
    """The time stamp of the first batch stays: the resumed run adds to the spill and does not begin it anew."""
    folder = tmp_path / "run"
    assert killed(started(folder, recipe, "fresh"), folder, 200_000)
    before = (folder / FOLDER / "rows").stat()
    process = started(folder, recipe, "resume")
    assert killed(process, folder, before.st_size + 100_000)
    after = (folder / FOLDER / "rows").stat()
    assert after.st_ino == before.st_ino
    assert after.st_size > before.st_size


def test_another_recipe_begins_anew(tmp_path: Path, recipe: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    assert killed(started(folder, recipe, "fresh"), folder, 200_000)
    other = recipe | {"filters": ["empty"]}
    process = started(folder, other, "resume")
    _, errors = process.communicate(timeout=60)
    assert "cannot be resumed, because its recipe or data has changed" in errors.decode()
