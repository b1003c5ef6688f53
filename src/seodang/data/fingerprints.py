"""What is kept of a row to find those like it: a 64-bit key of what it says, and 24 keys, one of which they share.

Long rows are known by MinHash over their syllable bigrams (Broder 1997; banded as in Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, ch. 3): a key is four minima at once. Rows of a few syllables, of which MinHash knows too
little, are known by every text that is left when one syllable goes, as a spelling checker knows words (Bocek, Hunt and
Stiller 2007, FastSS): rows one slip apart share one. A key holds the row's `guards`, too, so that rows that differ in a
number or a negation never meet. 104 bytes a row; a row's keys depend on nothing but the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from zlib import crc32

import numpy as np
import numpy.typing as npt

from seodang.data.agreement import ADDED, WORDS, guards
from seodang.data.dedup import TURN, Part, Side, digest, outline, sides_of
from seodang.data.outlines import canonicals
from seodang.korean.stems import shortest
from seodang.records import Record

KEYS, BAND = 24, 4
"""Keys of a row, and minima in a key: two rows of similarity J share one with probability 1 - (1 - J^4)^24."""
SHORT, WORDY = KEYS - 2, 48
"""Up to so many characters a row is known by what is left of it, and by its words' stems in any order."""
_MIX, _FIRST, _SECOND = np.uint32(0x9E3779B1), np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_BATCH = 1 << 18
"""Characters hashed at once: what fits the processor's cache."""

Keys = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Prints:
    """The fingerprints of rows: `exact` of shape (rows,), `keys` of shape (rows, KEYS)."""

    exact: npt.NDArray[np.uint64]
    keys: Keys

    def __len__(self) -> int:
        return len(self.exact)

    @classmethod
    def joined(cls, parts: Sequence[Prints]) -> Prints:
        """The rows of several batches, in order."""
        return cls(np.concatenate([one.exact for one in parts]), np.concatenate([one.keys for one in parts]))


def fingerprint(records: Sequence[Record], on: Part = "conversation", near: bool = True) -> Prints:
    """The fingerprints of a batch; a pure function, so that several processes may make batches of any size.

    Without `near` only the exact keys are made, and `keys` has no columns.
    """
    rows = [sides_of(record, on) for record in records]
    exact, outlines = exact_and_outlines(rows)
    if not near:
        return Prints(exact, np.zeros((len(records), 0), np.uint32))
    keys = np.empty((len(records), KEYS), np.uint32)
    for batch in _batches(outlines):
        keys[batch] = _minhash([outlines[at] for at in batch])
    wordy = [at for at, text in enumerate(outlines) if len(text) <= WORDY]
    if wordy:
        keys[wordy, -1] = _stems([rows[at] for at in wordy])
    short = [at for at, text in enumerate(outlines) if len(text) <= SHORT]
    if short:
        keys[short, :-1] = _without_one([outlines[at] for at in short])
    salts = np.fromiter((crc32(guards(text).encode()) for text in outlines), np.uint32, len(records))
    keys ^= salts[:, None]
    return Prints(exact, keys)


def exact_and_outlines(rows: Sequence[Sequence[Side]]) -> tuple[npt.NDArray[np.uint64], list[str]]:
    """Every row's key, and its canonical text without the names of roles, by which those like it are found."""
    texts = iter(canonicals([content for sides in rows for side in sides for _, content in side]))
    found = [[[(role, next(texts)) for role, _ in side] for side in sides] for sides in rows]
    keys = b"".join([digest(sides)[:8] for sides in found])
    return np.frombuffer(keys, ">u8").astype(np.uint64), [outline(sides) for sides in found]


class _Hashes(dict[str, int]):
    """The hash of a word's shortest stem, which most inflections share; 0 for a word of politeness."""

    def __missing__(self, word: str) -> int:
        found = 0 if word in ADDED else crc32(shortest(word).encode("utf-8", "surrogatepass"))
        if len(self) >= _MOST:
            self.clear()
        self[word] = found
        return found


_HASHES, _MOST = _Hashes(), 1 << 17


def _stems(rows: Sequence[Sequence[Side]]) -> Keys:
    """A key for the stems of each row's words in any order: the sum of their hashes."""
    words = [WORDS.findall(TURN.join([content for side in sides for _, content in side])) for sides in rows]
    sizes = np.fromiter(map(len, words), np.int64, len(words))
    hashes = np.fromiter(map(_HASHES.__getitem__, chain.from_iterable(words)), np.uint32, int(sizes.sum()))
    sums = np.concatenate(([np.uint32(0)], np.cumsum(_mixed(hashes), dtype=np.uint32)))
    ends = np.cumsum(sizes)
    return _mixed(sums[ends] - sums[ends - sizes])


def _without_one(texts: Sequence[str]) -> Keys:
    """Keys of each text of up to SHORT characters, and of what is left of it without each of its characters.

    A text's hash is the sum of letter x factor^place modulo 2^64; where a letter goes, those behind it move one place.
    """
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))[:, None]
    padded = "".join([text.ljust(SHORT) for text in texts]).encode("utf-32-le", "surrogatepass")
    letters = _mixed(np.frombuffer(padded, np.uint32) ^ _SECOND).astype(np.uint64).reshape(-1, SHORT)
    places = np.arange(SHORT)
    through = np.cumsum(np.where(places < lengths, letters, 0) * _POWERS, axis=1, dtype=np.uint64)
    whole = through[:, -1:]
    left = through - letters * _POWERS + (whole - through) * _ONE_LESS
    found = np.concatenate([whole, np.where(places < lengths, left, whole)], axis=1)
    top: Keys = ((found * _POWERS[1]) >> np.uint64(32)).astype(np.uint32)
    return top


def _powers() -> tuple[npt.NDArray[np.uint64], np.uint64]:
    """factor^0, factor^1, …, and what undoes one of them, modulo 2^64."""
    factor, size = 0xD1342543DE82EF95, 1 << 64
    return np.array([pow(factor, at, size) for at in range(SHORT)], np.uint64), np.uint64(pow(factor, -1, size))


_POWERS, _ONE_LESS = _powers()


def _batches(outlines: Sequence[str]) -> Iterator[list[int]]:
    """The places of the long texts, as many at once as fit the processor's cache."""
    batch, size = list[int](), 0
    for at, text in enumerate(outlines):
        if len(text) > SHORT:
            batch.append(at)
            size += len(text)
        if size > _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _minhash(texts: Sequence[str]) -> Keys:
    """KEYS keys of BAND minima over the bigrams of each text; every text has two characters or more."""
    hashes, starts = _bigrams(texts)
    keys, work = np.empty((len(texts), KEYS), np.uint32), np.empty_like(hashes)
    for band in range(KEYS):
        found = np.full(len(texts), band + 1, np.uint32)
        for one in range(BAND):
            flip, factor = _PERMUTATIONS[band * BAND + one]
            np.bitwise_xor(hashes, flip, out=work)
            np.multiply(work, factor, out=work)
            found = _mixed((found * _MIX) ^ np.minimum.reduceat(work, starts))
        keys[:, band] = found
    return keys


def _bigrams(texts: Sequence[str]) -> tuple[Keys, npt.NDArray[np.int64]]:
    """The hashes of all bigrams, text after text, and where each text begins."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
    ends = np.cumsum([len(text) for text in texts])
    inside = np.ones(len(codes) - 1, bool)
    inside[ends[:-1] - 1] = False
    hashes = _mixed((codes[:-1] * _FIRST) ^ (codes[1:] * _SECOND))[inside]
    return hashes, np.concatenate(([0], ends[:-1] - np.arange(1, len(texts))))


def _mixed(found: Keys) -> Keys:
    """Every bit depends on every bit: the end of MurmurHash3 (Appleby, public domain)."""
    found = (found ^ (found >> np.uint32(16))) * _FIRST
    found = (found ^ (found >> np.uint32(13))) * _SECOND
    return found ^ (found >> np.uint32(16))


def _permutations() -> list[tuple[np.uint32, np.uint32]]:
    draw = np.random.default_rng(20261121).integers(0, 1 << 32, (KEYS * BAND, 2), np.uint32)
    return [(flip, factor | np.uint32(1)) for flip, factor in draw]


_PERMUTATIONS = _permutations()
