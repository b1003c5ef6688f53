"""Worker processes: the order of the batches, what they raise, what they print, and their end."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seodang.data import workers
from seodang.data.workers import Worker, mapped
from seodang.errors import DataError, RunError
from seodang.language import Phrase


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_results_come_in_the_order_of_the_batches(processes: int) -> None:
    batches = [[number] * (number % 7) for number in range(40)]
    assert list(mapped(len, batches, processes)) == [number % 7 for number in range(40)]


def test_what_is_raised_there_is_raised_here_at_its_place() -> None:
    results = mapped(int, ["1", "2", "x", "4"], 2)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)


def test_an_error_of_ours_comes_back_with_its_words() -> None:
    worker = Worker()
    error = DataError("{where}: {what}.", where="a.jsonl:3", what=Phrase("{n} turns", n=2))
    try:
        found = worker.call(copy.copy, error)
    finally:
        worker.close()
    assert isinstance(found, DataError)
    assert str(found) == "a.jsonl:3: 2 turns."
    assert found.values["what"].values == {"n": 2}


def test_what_a_function_prints_does_not_break_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(mapped(print, ["안녕"], 2)) == [None]
    assert "안녕" in capfd.readouterr().err


def test_a_worker_that_dies_is_a_paragraph() -> None:
    with pytest.raises(RunError) as caught:
        list(mapped(os._exit, [9, 9], 2))
    assert "A worker process ended with 9, mostly because memory ran out." in str(caught.value)
    assert "`--resume`" in str(caught.value)


def test_nothing_is_started_for_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Worker", None)
    assert list(mapped(len, [], 2)) == []


def test_workers_end_with_who_started_them(tmp_path: Path) -> None:
    """The parent is killed while its workers wait; a script without a guard is no matter either."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\nfrom seodang.data.workers import mapped\n"
        "for found in mapped(os.getenv, ['HOME'] * 40, 2):\n    pass\n"
        "results = mapped(os.getpgid, [0] * 40, 2)\nnext(results)\n"
        "print('ready', flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    # the workers hold the other end of standard error: it is read to its end only when they are gone
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ready\n", "")
    assert done.returncode == -9
