"""The processes of a training on many devices: `start` is the launcher, which starts `train` once per device.

    python -m seodang.tuning.worker start JOB COUNT      torch.distributed.run, without its log
    python -m seodang.tuning.worker train JOB            one of the processes

They are started by tuning/processes.py and by nobody else.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seodang.errors import SeodangError
from seodang.recipe import STAGES
from seodang.recipe_file import from_dict
from seodang.runs import Run, dump_json, read_json, write_text
from seodang.tuning.launch import no_device_to_share, nodes, too_few_devices
from seodang.tuning.processes import ENDED, JOB, LOG, RECIPE, RESULT, Failure

NAME = "seodang.tuning.worker"
LOOK_EVERY_SECONDS = 0.5


def main(arguments: list[str]) -> int:
    """`start` or `train`; returns the exit status."""
    _end_with_parent()
    verb, job, *rest = arguments
    return _start(Path(job), rest[0]) if verb == "start" else _train(Path(job))


def _end_with_parent() -> None:
    """End this process when the one that started it has gone, however it went."""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _start(job: Path, count: str) -> int:
    """torch.distributed.run over the processes of this machine; the first that failed is left in the job's folder."""
    logging.disable(logging.CRITICAL)  # what went wrong is told once, by the starter
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    alone = ["--standalone"] if nodes() == 1 else []
    try:
        run.run(run.parse_args([*alone, "--nproc-per-node", count, "-m", NAME, "train", str(job)]))
    except ChildFailedError as error:
        rank, code = cause({rank: failure.exitcode for rank, failure in error.failures.items()})
        write_text(job / ENDED, dump_json({"rank": rank, "exit": code}))
        return 1
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def cause(codes: Mapping[int, int]) -> tuple[int, int]:
    """Of exit statuses by rank, the process that was killed; where none was, the lowest rank that failed.

    The others fail as soon as they miss the one that was killed, and may be seen to end before it.
    """
    ended = (-signal.SIGTERM, -signal.SIGINT)  # by the launcher, with the one that failed
    killed = {rank: code for rank, code in codes.items() if code < 0 and code not in ended}
    failed = {rank: code for rank, code in codes.items() if code not in ended}
    return min((killed or failed or codes).items(), key=lambda one: (one[1] != -signal.SIGKILL, one[0]))


def _train(job: Path) -> int:
    """One process. What it raises is left in the job's folder, and it ends at once: nobody waits for the others."""
    rank = int(os.environ["RANK"])
    if rank > 0:
        _silence(job / LOG.format(rank))
    try:
        report = _work(job, rank)
    except BaseException as error:
        mistake = error if isinstance(error, SeodangError) else None
        Failure(rank, time.time(), mistake, traceback.format_exc()).write(job)
        sys.stdout.flush()
        os._exit(1)
    if rank == 0:
        temporary = job / f".{RESULT}"
        temporary.write_bytes(pickle.dumps(report))
        temporary.rename(job / RESULT)
    _leave()
    return 0


def _silence(file: Path) -> None:
    """Only the first process speaks; what another says is asked for where it dies without a word of Python's."""
    apart = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(apart, stream)


def _work(job: Path, rank: int) -> dict[str, Any]:
    import yaml

    data = yaml.safe_load((job / RECIPE).read_text(encoding="utf-8"))
    recipe: Any = from_dict(data)
    told = read_json(job / JOB) or {}
    _join(recipe.launch)
    run = Run(Path(told["path"]), resumed=told["resumed"], writes=rank == 0)
    return dict(importlib.import_module(STAGES[recipe.stage]).run(recipe, run))


def _join(launch: Any) -> None:
    """Meet the other processes. Raises RecipeError where the devices are not there."""
    from seodang.tuning.quiet import silence_upstream

    silence_upstream()
    import torch
    from accelerate import PartialState

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if launch.shared and not there:
        raise no_device_to_share(launch.shared)
    if there and launch.num_processes > there:
        raise too_few_devices(launch.num_processes, there)
    PartialState(cpu=not there)


def _leave() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
