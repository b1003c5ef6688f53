"""Train one recipe in several processes: start them, wait for them, and end all where one fails.

    seodang run ─ torch.distributed.run ─┬─ process 0: writes the run folder, logs and prints
      (this)        (tuning/worker.py)   └─ process 1, 2, …: compute

The processes get the recipe as a file and give back the report, or what went wrong, as files of a temporary folder.
Nobody outlives what started him: each looks whether it is still there.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seodang.errors import RunError, SeodangError
from seodang.language import Phrase
from seodang.recipe import Stage
from seodang.recipe_file import dump_recipe
from seodang.runs import Run, dump_json, read_json, write_text
from seodang.tuning.launch import Launch, node, nodes, processes

JOB, RECIPE, RESULT, ENDED = "job.json", "recipe.yaml", "report.pickle", "ended.json"
LOG = "process-{}.log"
SECONDS_TO_END = 40.0
"""torch.distributed.run gives its processes 30 seconds before it kills them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a process ended with."""

    rank: int
    seconds: float
    """When, since 1970."""
    error: SeodangError | None
    """A mistake of the user's; None of anything else."""
    trace: str

    def write(self, folder: Path) -> None:
        """Leave it where the starter looks."""
        content = (self.rank, self.seconds, self.error and (type(self.error), vars(self.error)), self.trace)
        temporary = folder / f".failure-{self.rank}"
        temporary.write_bytes(_dump(content))
        temporary.rename(folder / f"failure-{self.rank}.pickle")


def _dump(content: Any) -> bytes:
    try:
        return pickle.dumps(content)
    except (pickle.PicklingError, TypeError, AttributeError):  # a value that cannot travel is told as text
        rank, seconds, (kind, state), trace = content
        values = {name: value if isinstance(value, (str, int, float)) else str(value)
                  for name, value in state["values"].items()}  # fmt: skip
        return pickle.dumps((rank, seconds, (kind, {"text": state["text"], "values": values}), trace))


def failures(folder: Path) -> list[Failure]:
    """What went wrong, the first first."""
    found = []
    for path in folder.glob("failure-*.pickle"):
        rank, seconds, told, trace = pickle.loads(path.read_bytes())
        found.append(Failure(rank, seconds, told and _error(*told), trace))
    return sorted(found, key=lambda failure: failure.seconds)


def _error(kind: type[SeodangError], state: dict[str, Any]) -> SeodangError:
    error = kind.__new__(kind)
    error.__dict__ |= state
    error.args = (str(error.phrase),)
    return error


def run_in_processes(recipe: Stage, run: Run) -> dict[str, Any]:
    """Do a training stage in the processes that its `launch` asks for; returns the report of the first one.

    Raises what a process raised where that was a user's mistake, RunError where one was killed, and RuntimeError with
    the process's traceback for a bug. All processes have ended then.
    """
    launch: Launch = recipe.launch  # type: ignore[attr-defined]
    with TemporaryDirectory() as name:
        job = Path(name)
        write_text(job / RECIPE, dump_recipe(recipe))
        write_text(job / JOB, dump_json({"path": str(run.path), "resumed": run.resumed}))
        with _started(job, launch) as process:
            process.wait()
        found = job / RESULT
        if process.returncode == 0 and (found.exists() or node() > 0):
            return pickle.loads(found.read_bytes()) if found.exists() else {}
        raise _blame(job, launch)


@contextmanager
def _started(job: Path, launch: Launch) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher, in a session of its own so that Ctrl-C reaches only this process, and ended with the block."""
    command = [sys.executable, "-m", "seodang.tuning.worker", "start", str(job), str(launch.num_processes)]
    process = subprocess.Popen(command, env=_environment(launch), start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(launch: Launch) -> dict[str, str]:
    """The processes share the cores, where nobody has said otherwise."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = {"OMP_NUM_THREADS": str(max(1, cores // launch.num_processes)), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return given | os.environ | launch.environment()


def _blame(job: Path, launch: Launch) -> Exception:
    """The failure that came first; those of processes that only lost the others come after it."""
    found, ended = failures(job), read_json(job / ENDED) or {}
    mistake = next((failure.error for failure in found if failure.error is not None), None)
    if mistake is not None:
        return mistake
    code = ended.get("exit", 1)
    if code < 0 and -code not in (signal.SIGTERM, signal.SIGINT):
        return _killed(job, launch, ended["rank"], signal.Signals(-code))
    if found:
        text = f"process {found[0].rank + 1} of {processes(launch)} failed\n{found[0].trace}"
        return RuntimeError(text)
    return RunError(
        "The {count} processes of the training ended without a word (exit status {code}). `--resume` continues from "
        "the last checkpoint.",
        count=processes(launch),
        code=Phrase("unknown") if not ended else code,
    )


def _killed(job: Path, launch: Launch, rank: int, by: signal.Signals) -> RunError:
    too_little = Phrase(
        "Mostly there was too little memory: lower `training.per_device_train_batch_size` or `launch.num_processes`."
    )
    return RunError(
        "Process {rank} of {count} was killed ({signal}), and the others were ended with it. {why} `--resume` "
        "continues from the last checkpoint.",
        rank=rank + 1,
        count=processes(launch),
        signal=by.name,
        why=too_little if by == signal.SIGKILL else Phrase("Its last words: {words}", words=_last_words(job, rank)),
    )


def _last_words(job: Path, rank: int) -> str:
    try:
        told = (job / LOG.format(rank)).read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        told = []
    return textwrap.shorten(" ".join(told[-60:]), 400, placeholder=" …") or "–"


def is_follower() -> bool:
    """Whether this machine computes for another one, which writes the run folder."""
    return nodes() > 1 and node() > 0
