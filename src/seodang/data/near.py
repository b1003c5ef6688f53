"""Which rows repeat another one, exactly or nearly: fingerprints say who may be alike, the texts say who is.

Rows are taken in an order of precedence. A row repeats an earlier one that is kept, never one that was dropped itself,
so that no chain of small differences joins two rows that differ much. The outcome depends on the rows and their order
alone, not on how they were read or by how many processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from seodang.data.agreement import same
from seodang.data.fingerprints import Keys, Prints

Keep = Literal["first", "longest", "priority"]
Places = npt.NDArray[np.int64]

WINDOW, CROWD = 8, 1
"""A row meets so many neighbours among those that share a key; in a crowd of more, only so many, the most like it."""
TRIES = 8
"""A row's text is compared with at most so many others, those with the most keys in common first."""
_PART = 1 << 21
"""Keys sorted at once: 8 bytes each."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """`of[row]` is the row that this one repeats, or -1 where it is kept; `near[row]` whether only nearly."""

    of: Places
    near: npt.NDArray[np.bool_]
    compared: int
    """Pairs of texts that were compared."""

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """Which rows stay."""
        return self.of < 0


def precedence(keep: Keep, lengths: Sequence[int] | Places, priorities: Sequence[int] | Places) -> Places:
    """All rows, those to be kept before those that repeat them. `priorities` are by row; the highest is kept.

    Where two are equal, the one that was read first comes first.
    """
    count = len(lengths)
    if keep == "longest":
        return np.argsort(-np.asarray(lengths), kind="stable")
    if keep == "priority":
        return np.argsort(-np.asarray(priorities), kind="stable")
    return np.arange(count)


def repeats(prints: Prints, text_of: Callable[[int], str], order: Places | None = None, least: float = 0.6) -> Repeats:
    """Every row that repeats one before it in `order` (default: as read).

    `text_of` gives a row as `dedup.spelt` writes it, and is asked only for rows that look alike; `least` is the
    smallest syllable ROUGE-L of a near-duplicate. Beside the fingerprints 17 bytes a row stay, and 16 for every pair
    that looks alike.
    """
    order = np.arange(len(prints)) if order is None else order
    of = np.full(len(prints), -1, np.int64)
    near = np.zeros(len(prints), bool)
    _, first, group = np.unique(prints.exact[order], return_index=True, return_inverse=True)
    of[order] = np.where(first[group] < np.arange(len(order)), order[first[group]], -1)
    rows = order[np.sort(first)]
    compared = 0
    if prints.keys.shape[1]:
        text = lru_cache(maxsize=1 << 12)(text_of)
        for later, earlier in _look_alikes(prints.keys, rows):
            roots = dict.fromkeys(int(one if of[one] < 0 else of[one]) for one in earlier)
            for root in list(roots)[:TRIES]:
                compared += 1
                if same(text(root), text(later), least):
                    of[later], near[later] = root, True
                    break
        _follow(of)
    return Repeats(of, near, compared)


def _follow(of: Places) -> None:
    """What repeats a row that was dropped as a near-duplicate repeats the one that was kept."""
    dropped = np.flatnonzero(of >= 0)
    ends = of[of[dropped]]
    of[dropped] = np.where(ends >= 0, ends, of[dropped])


def _look_alikes(keys: Keys, rows: Places) -> Iterator[tuple[int, list[int]]]:
    """For every row that looks like earlier ones, the earlier ones, the most alike first."""
    found = [_pairs(keys, rows, part) for part in _parts(keys, rows)]
    pairs, shared = np.unique(np.concatenate([np.empty(0, np.uint64), *found]), return_counts=True)
    later, earlier = (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    best = np.lexsort((earlier, -shared, later))
    borders = np.flatnonzero(np.diff(later)) + 1
    for group in np.split(best, borders) if len(best) else ():
        yield int(rows[later[group[0]]]), rows[earlier[group]].tolist()


def meets(
    known: Prints, prints: Prints, agree: Callable[[int, int], bool], unseen: npt.NDArray[np.bool_] | None = None
) -> Places:
    """For every row the known row that it meets, or -1; an exact one where there is one.

    `agree(known row, row)` judges those that look alike. Where `unseen` is given, only its rows are looked up.
    """
    rows = np.arange(len(prints)) if unseen is None else np.flatnonzero(unseen)
    met = np.full(len(prints), -1, np.int64)
    met[rows] = _equal(known.exact, prints.exact[rows])
    rows = rows[met[rows] < 0]
    if prints.keys.shape[1] and len(known):
        for row, others in _common(known.keys, prints.keys, rows):
            met[row] = next((one for one in others[:TRIES] if agree(one, row)), -1)
    return met


def _equal(known: npt.NDArray[np.uint64], asked: npt.NDArray[np.uint64]) -> Places:
    """The first known place of each key, or -1."""
    if not len(known):
        return np.full(len(asked), -1, np.int64)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], asked), len(known) - 1)
    return np.where(known[order[at]] == asked, order[at], -1)


def _common(known: Keys, keys: Keys, rows: Places) -> Iterator[tuple[int, list[int]]]:
    """For every row that shares a key with known ones, those, the ones with the most keys in common first."""
    pool = known.ravel()
    order = np.argsort(pool, kind="stable")
    ordered, owners = pool[order], order // known.shape[1]
    for start in range(0, len(rows), 1 << 14):
        some = rows[start : start + (1 << 14)]
        asked = keys[some].ravel()
        low, high = np.searchsorted(ordered, asked, "left"), np.searchsorted(ordered, asked, "right")
        pairs = [np.empty(0, np.int64)]
        for step in range(WINDOW):
            hits = np.flatnonzero(low + step < high)
            pairs.append((hits // keys.shape[1]) * len(known) + owners[low[hits] + step])
        found, shared = np.unique(np.concatenate(pairs), return_counts=True)
        row, other = found // len(known), found % len(known)
        best = np.lexsort((other, -shared, row))
        borders = np.flatnonzero(np.diff(row[best])) + 1
        for group in np.split(best, borders) if len(best) else ():
            yield int(some[row[group[0]]]), other[group].tolist()


def _parts(keys: Keys, rows: Places) -> Iterator[npt.NDArray[np.uint64]]:
    """All (key, place of the key), a share of the keys after the other."""
    count = len(rows) * keys.shape[1] // _PART + 1
    for part in range(count):
        found = []
        for start in range(0, len(rows), 1 << 16):
            some = keys[rows[start : start + (1 << 16)]].ravel()
            chosen = np.flatnonzero(some % np.uint32(count) == part) if count > 1 else np.arange(len(some))
            places = (chosen + start * keys.shape[1]).astype(np.uint64)
            found.append(some[chosen].astype(np.uint64) << np.uint64(32) | places)
        yield np.concatenate(found) if found else np.empty(0, np.uint64)


def _pairs(keys: Keys, rows: Places, part: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """(later row << 32 | earlier row), by rank, for rows that share one of these keys and stand close to it there."""
    part.sort()
    found, places = part >> np.uint64(32), (part & np.uint64(0xFFFFFFFF)).astype(np.int64)
    ranks = places // keys.shape[1]
    once = np.ones(len(part), bool)
    once[1:] = (found[1:] != found[:-1]) | (ranks[1:] != ranks[:-1])
    found, ranks, places = found[once], ranks[once], places[once]
    crowded = _by_likeness(found, ranks, places, keys, rows)
    pairs = []
    for step in range(1, min(WINDOW, len(found) - 1) + 1):
        alike = found[step:] == found[:-step]
        if step > CROWD:
            alike &= ~crowded[step:]
        alike = np.flatnonzero(alike)
        one, other = ranks[alike], ranks[alike + step]
        low, high = np.minimum(one, other).astype(np.uint64), np.maximum(one, other).astype(np.uint64)
        pairs.append(high << np.uint64(32) | low)
    return np.concatenate(pairs) if pairs else np.empty(0, np.uint64)


def _by_likeness(
    found: npt.NDArray[np.uint64], ranks: Places, places: Places, keys: Keys, rows: Places
) -> npt.NDArray[np.bool_]:
    """Where more rows share a key than a window holds, bring those together that share the next ones, too; in place.

    Returns which places are in such a crowd.
    """
    inside = np.zeros(len(found), bool)
    if len(found) <= WINDOW:
        return inside
    full = np.flatnonzero(found[WINDOW:] == found[:-WINDOW])
    for step in range(WINDOW + 1):
        inside[full + step] = True
    at = np.flatnonzero(inside)
    following = [keys[rows[ranks[at]], (places[at] + step) % keys.shape[1]] for step in (3, 2, 1)]
    ranks[at] = ranks[at[np.lexsort((ranks[at], *following, found[at]))]]
    return inside
