"""Progress for long work: a rich bar on a terminal, plain lines elsewhere. Everything goes to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seodang.language import say

Advance = Callable[..., None]
"""advance(n=1, note="") moves the bar by n."""

PLAIN_EVERY_SECONDS = 10.0


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Advance]:
    """Show `label` and how much of `total` is done while the block runs. Labels and notes may be phrases."""
    label = say(label)
    if sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _plain(label, total)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # no markup: a label or note such as "[sft]" is text
    label_column, note_column = (TextColumn(t, markup=False) for t in ("{task.description}", "{task.fields[note]}"))
    columns = (label_column, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note_column)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda n=1, note="": bar.update(task, advance=n, note=say(note))


def _plain(label: str, total: int | None) -> Advance:
    done, last = 0, time.monotonic()

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        if time.monotonic() - last >= PLAIN_EVERY_SECONDS:
            last = time.monotonic()
            print(f"{label}: {done}{f'/{total}' if total else ''} {say(note)}".rstrip(), file=sys.stderr, flush=True)

    return advance
