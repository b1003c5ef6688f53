"""The processes themselves: they end with their starter, meet only where the devices are, and leave what they raise."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from seodang.errors import RecipeError
from seodang.tuning import worker
from seodang.tuning.launch import Fsdp, Launch
from seodang.tuning.processes import JOB, RECIPE, failures
from seodang.tuning.quiet import silence_upstream

silence_upstream()


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    child = "import time; from seodang.tuning.worker import _end_with_parent; _end_with_parent(); print('up', flush=True); time.sleep(300)"
    starter = f"""
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, start_new_session=True)
        child.stdout.readline()
        print(child.pid, flush=True)
        import os; os._exit(0)
    """
    code = textwrap.dedent(starter)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    child_pid, end = int(done.stdout), time.monotonic() + 30
    while Path(f"/proc/{child_pid}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{child_pid}").exists()


def test_a_model_is_not_shared_out_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="launch.fsdp: shares a model out between GPUs, and there is none here"):
        worker._join(Launch(num_processes=2, fsdp=Fsdp()))


def test_there_is_a_gpu_for_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RecipeError, match="launch.num_processes: is 2, and this machine has 1 GPUs"):
        worker._join(Launch(num_processes=2))


RECIPE_TEXT = """\
stage: sft
model: {name_or_path: nowhere}
template: chatml
data: {train: rows.jsonl}
adapter: lora
output_dir: runs/x
launch: {num_processes: 1}
"""


@pytest.mark.slow
def test_what_a_process_raises_is_left_for_the_starter(tmp_path: Path) -> None:
    job: Any = tmp_path / "job"
    job.mkdir()
    (job / RECIPE).write_text(RECIPE_TEXT)
    (job / JOB).write_text(json.dumps({"path": str(tmp_path / "run"), "resumed": False}))
    command = [sys.executable, "-m", worker.NAME, "start", str(job), "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr == ""
    found = failures(job)
    assert len(found) == 1 and found[0].rank == 0 and "The model nowhere is neither" in str(found[0].error)


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        ({0: 1, 1: -9}, (1, -9)),
        ({0: -6, 1: -9}, (1, -9)),
        ({0: 1, 1: -11}, (1, -11)),
        ({0: -15, 1: 3, 2: -15}, (1, 3)),
        ({0: 1, 1: 1}, (0, 1)),
        ({2: 2}, (2, 2)),
    ],
)
def test_the_one_that_was_killed_is_named_and_not_those_that_missed_it(
    codes: dict[int, int], found: tuple[int, int]
) -> None:
    assert worker.cause(codes) == found
