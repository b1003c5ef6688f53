"""The canonical form of many texts at once: what `dedup.canonical` makes of each, in a few passes over all letters.

Most of what stands between two words is a space or a mark and goes whatever is beside it. Those runs are taken out in
numpy; the others, where a number, a Latin letter or a sign may need its mark, go through the rule itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seodang.data.dedup import SEEN, canonical

_BETWEEN = "\x03"
"""Parts the texts while they are one; a text that holds it is done by itself."""
_MARKS = "?…。、，！？“”‘’\".~,·'!"
"""Signs that go wherever no number, letter or operator stands in the same run."""
_LETTER, _GOES, _ASKS = np.uint8(0), np.uint8(1), np.uint8(2)


Classes: TypeAlias = npt.NDArray[np.uint8]


def _classes() -> Classes:
    """What is done with a character, by code; beyond the first plane as with the last of it."""
    found = np.full(1 << 16, _ASKS, np.uint8)
    found[ord("가") : ord("힣") + 1] = _LETTER
    for code in range(1 << 16):
        if chr(code).isspace():
            found[code] = _GOES
    found[[ord(mark) for mark in _MARKS]] = _GOES
    return found


_CLASSES = _classes()


def canonicals(texts: Sequence[str]) -> list[str]:
    """`dedup.canonical` of each of the texts."""
    joined = _BETWEEN.join(texts)
    if not texts or joined.count(_BETWEEN) != len(texts) - 1:
        return [canonical(text) for text in texts]
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    classes = _CLASSES[np.minimum(codes, 0xFFFF)]
    borders = np.cumsum([len(text) + 1 for text in texts[:-1]], dtype=np.int64) - 1
    classes[borders] = _LETTER
    kept = str(codes[classes == _LETTER].tobytes(), "utf-32-le", "surrogatepass")
    begins, ends = _asking_runs(classes)
    if not len(begins):
        return kept.split(_BETWEEN)
    before = np.cumsum(classes == _LETTER)[begins].tolist()
    pieces = [""] * (2 * len(before) + 1)
    pieces[0::2] = [kept[low:high] for low, high in zip([0, *before], [*before, None], strict=True)]
    pieces[1::2] = [SEEN[joined[low:high]] for low, high in zip(begins.tolist(), ends.tolist(), strict=True)]
    return "".join(pieces).split(_BETWEEN)


def _asking_runs(classes: Classes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the runs of other things than syllables begin and end in which something has to be asked."""
    edges = np.flatnonzero(np.diff(classes != _LETTER, prepend=False, append=False))
    begins, ends = edges[0::2], edges[1::2]
    if not len(begins):
        return begins, ends
    asking = np.maximum.reduceat(classes, begins) == _ASKS
    return begins[asking], ends[asking]
