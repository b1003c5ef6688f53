"""What a manifest says of the machine: versions, hardware, repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seodang import machine
from seodang.machine import LIBRARIES, git_state, hardware, versions


def test_every_library_that_decides_a_result_has_its_version() -> None:
    found = versions()
    assert tuple(found) == LIBRARIES
    assert found["seodang"] == "0.1.0"
    assert all(found.values())


def test_a_missing_library_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LIBRARIES", ("nothing-like-it",))
    assert versions() == {"nothing-like-it": None}


def test_hardware_is_measured() -> None:
    found = hardware()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0.1
    assert found["python"].startswith("3.")


def test_git_state_follows_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    (tmp_path / "a.txt").write_text("1")
    for command in (["init", "-q"], ["add", "a.txt"], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *command], check=True)
    clean = git_state()
    assert clean is not None and clean["changed"] is False and len(clean["commit"]) == 40
    (tmp_path / "a.txt").write_text("2")
    changed = git_state()
    assert changed is not None and changed["changed"] is True and changed["commit"] == clean["commit"]
