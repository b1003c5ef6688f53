"""What `prepare` knows of all rows at once: where the line of each is, why it goes, and a few numbers of the others.

16 bytes for every row, and 18 beside the fingerprints for a row that the filters keep: a million rows fit into memory
many times over, while their lines lie on disk.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seodang.data.batches import Judged
from seodang.data.dedup import Part, spelt
from seodang.data.fingerprints import Prints
from seodang.data.formats import RowFormat
from seodang.data.lineage import Lineage
from seodang.data.spill import Spill
from seodang.records import Record


@dataclass(slots=True)
class Gathered:
    """Rows in the order in which they were read; those that the filters keep are numbered once more ("kept")."""

    starts: array[int] = field(default_factory=partial(array, "Q"))
    sizes: array[int] = field(default_factory=partial(array, "I"))
    sources: array[int] = field(default_factory=partial(array, "H"))
    reasons: array[int] = field(default_factory=partial(array, "H"))
    """For every row a number of `names`; 0 is kept."""
    names: dict[str, int] = field(default_factory=lambda: {"": 0})
    kept: array[int] = field(default_factory=partial(array, "I"))
    """For every kept one: which row it is."""
    lengths: array[int] = field(default_factory=partial(array, "I"))
    hangul: array[int] = field(default_factory=partial(array, "B"))
    levels: array[int] = field(default_factory=partial(array, "B"))
    prompts: array[int] = field(default_factory=partial(array, "Q"))
    lineages: array[int] = field(default_factory=partial(array, "H"))
    chains: dict[Lineage, int] = field(default_factory=dict)
    repairs: dict[int, Counter[str]] = field(default_factory=dict)
    """Source → repairs."""
    prints: list[Prints] = field(default_factory=list)
    """The fingerprints of what duplicates are found by; batch after batch."""
    prompt_prints: list[Prints] = field(default_factory=list)
    end: int = 0
    """Bytes of all lines."""

    def add(self, source: int, judged: Judged) -> None:
        """The next batch."""
        numbers = [self.names.setdefault(reason, len(self.names)) for reason in judged.reasons]
        first = len(self.sizes)
        self.kept.extend(first + at for at, number in enumerate(numbers) if not number)
        for size in judged.sizes:
            self.starts.append(self.end)
            self.end += size
        self.sizes.extend(judged.sizes)
        self.sources.extend([source] * len(numbers))
        self.reasons.extend(numbers)
        for name in ("lengths", "hangul", "levels", "prompts"):
            getattr(self, name).extend(getattr(judged, name))
        chains = [self.chains.setdefault(chain, len(self.chains)) for chain in judged.chains]
        self.lineages.extend(chains[at] for at in judged.lineages)
        self.repairs.setdefault(source, Counter()).update(judged.repairs)
        if judged.prints is not None:
            self.prints.append(judged.prints)
        if judged.prompt_prints is not None:
            self.prompt_prints.append(judged.prompt_prints)

    @property
    def counts(self) -> Counter[int]:
        """Source → rows read."""
        return Counter(self.sources)

    def dropped(self, source: int) -> Counter[str]:
        """Why rows of a source go, as far as each row alone can tell, and how many."""
        names = self.reason_names()
        pairs = zip(self.sources, self.reasons, strict=True)
        return Counter(names[number] for one, number in pairs if one == source and number)

    def reason_names(self) -> list[str]:
        """The reasons by their numbers."""
        return list(self.names)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """(start, size, source, number of the reason) of every row."""
        return zip(self.starts, self.sizes, self.sources, self.reasons, strict=True)


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows that the filters keep, by their number among these; their lines are read from disk."""

    gathered: Gathered
    spill: Spill
    format: RowFormat
    """How the lines are written."""

    def line(self, kept: int) -> bytes:
        """The JSON of a row."""
        row = self.gathered.kept[kept]
        return self.spill.line(self.gathered.starts[row], self.gathered.sizes[row])

    def row(self, kept: int) -> dict[str, Any]:
        """A row as it is written."""
        found: dict[str, Any] = json.loads(self.line(kept))
        return found

    def record(self, kept: int) -> Record:
        """A row as a record."""
        return self.format.parse(self.row(kept), "")

    def source(self, kept: int) -> int:
        """The number of a row's source."""
        return self.gathered.sources[self.gathered.kept[kept]]

    def text(self, kept: int, on: Part) -> str:
        """A row as `dedup.spelt` writes it."""
        return spelt(self.record(kept), on)

    def __len__(self) -> int:
        return len(self.gathered.kept)
