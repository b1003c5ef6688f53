"""Which side a row is on, and how often it is written: by content hash, so that adding rows reshuffles nothing.

A hash is 64 bits of the key of a row's prompt. Three independent draws are made of it: the side, the weight, the cap.
Every source gives the same share of its rows to the held-out side, up to the chance of its hashes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seodang.data.fingerprints import Prints
from seodang.data.near import meets

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

LEFT_OUT = "weight"
"""Why a row is dropped of whose source `weight` takes only a share."""
OVER_CAP = "max_rows"
"""Why a row is dropped that is over its source's `max_rows`."""
_WEIGHT, _CAP = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03


def sides(prompts: Hashes, share: float) -> Flags:
    """Whether each row is held out, as `dedup.held_out` says of a record."""
    return (prompts >> np.uint64(32)).astype(np.float64) < share * 2**32


def together(held: Flags, prints: Prints, agree: Callable[[int, int], bool]) -> Flags:
    """The sides, with the near-duplicates of every held-out row on its side: none of them is trained on.

    `prints` are those of the prompts and `agree(row, row)` says whether two that look alike are one. What is held out
    stays held out whatever is added; a row of the training side moves only where its near-duplicate is held out.
    """
    held, newest = held.copy(), np.flatnonzero(held)
    while len(newest):
        known = newest

        def _agree(one: int, other: int, known: npt.NDArray[np.int64] = known) -> bool:
            return agree(int(known[one]), other)

        met = meets(Prints(prints.exact[known], prints.keys[known]), prints, _agree, unseen=~held)
        newest = np.flatnonzero(met >= 0)
        held[newest] = True
    return held


def copies(hashes: Hashes, weight: float, most: int | None = None) -> tuple[npt.NDArray[np.int64], Flags]:
    """How often each row of a source is written, and which rows are over the cap `most` (they are written 0 times).

    A row that was chosen stays chosen when rows are added, except that a cap lets go of those of the largest hash.
    """
    over = np.zeros(len(hashes), bool)
    if most is not None and len(hashes) > most:
        over[np.argsort(_drawn(hashes, _CAP), kind="stable")[most:]] = True
    whole = int(weight)
    more = _drawn(hashes, _WEIGHT) < np.uint64(min(int((weight - whole) * 2**53), 2**53 - 1))
    found = np.where(over, 0, whole + more)
    return found.astype(np.int64), over


def _drawn(hashes: Hashes, salt: int) -> Hashes:
    """53 random bits of each hash (SplitMix64: Steele, Lea and Flood 2014)."""
    found = hashes + np.uint64(salt)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (found ^ (found >> np.uint64(31))) >> np.uint64(11)
