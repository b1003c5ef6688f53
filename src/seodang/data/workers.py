"""A pure function over batches in worker processes; results come in the order of the batches, however many there are.

A worker is a fresh interpreter that reads batches from its standard input. It neither imports the caller's main module,
as `multiprocessing` does (so that a script needs no guard), nor outlives its parent, whatever ends that.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import SimpleQueue
from typing import IO, Any, TypeVar

from seodang.errors import RunError

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""So many batches per worker are on their way at once: none waits, and memory is bounded."""
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from seodang.data.workers import serve; serve()"
)


def mapped(function: Callable[[T], R], batches: Iterable[T], processes: int) -> Iterator[R]:
    """`function` of every batch, in order. With 1 process everything happens here.

    `function`, batches and results must be picklable. Raises what the function raises, and RunError where a worker
    dies.
    """
    if processes == 1:
        yield from map(function, batches)
        return
    with ExitStack() as stack:
        free: SimpleQueue[Worker] = SimpleQueue()
        threads: ThreadPoolExecutor | None = None
        waiting: deque[Future[R]] = deque()
        for batch in batches:
            threads = threads or _started(stack, free, processes)
            waiting.append(threads.submit(_done, free, function, batch))
            if len(waiting) > AHEAD * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _started(stack: ExitStack, free: SimpleQueue[Worker], processes: int) -> ThreadPoolExecutor:
    """Workers, and a thread for each to wait for it."""
    for _ in range(processes):
        worker = Worker()
        stack.callback(worker.close)
        free.put(worker)
    threads = ThreadPoolExecutor(processes)
    stack.callback(lambda: threads.shutdown(cancel_futures=True))
    return threads


def _done(free: SimpleQueue[Worker], function: Callable[[T], R], batch: T) -> R:
    worker = free.get()
    try:
        result: R = worker.call(function, batch)
        return result
    finally:
        free.put(worker)


class Worker:
    """One process that answers one call at a time."""

    def __init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        pickle.dump(sys.path, self._to)

    def call(self, function: Callable[[T], R], batch: T) -> R:
        """The function's result, made there. Raises what it raises, and RunError where the process is gone."""
        try:
            pickle.dump((function, batch), self._to, pickle.HIGHEST_PROTOCOL)
            self._to.flush()
            result, error = pickle.load(self._from)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            raise RunError(
                "A worker process ended with {status}, mostly because memory ran out. Nothing is lost: continue with "
                "`--resume`, and with fewer `processes`.",
                status=self._process.wait(),
            ) from None
        if error is not None:
            raise error
        answer: R = result
        return answer

    def close(self) -> None:
        """End the process; one that is at work is not waited for."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._to, self._from):
            with suppress(BrokenPipeError):
                pipe.close()


def serve() -> None:
    """Answer calls from standard input until it ends. What the functions print goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    calls: Any = sys.stdin.buffer
    while True:
        try:
            function, batch = pickle.load(calls)
        except EOFError:
            return
        answer: tuple[Any, Exception | None]
        try:
            answer = function(batch), None
        except Exception as error:
            answer = None, error
        try:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # who asked is gone, and nobody is left to tell; not even buffers can be written out
            os._exit(1)
