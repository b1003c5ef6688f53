"""What only all rows together can tell: what repeats what, what an evaluation asks, on which side, and how often.

Every decision is made from numbers of the rows and, where two look alike, from their texts on disk. It depends on the
rows and their order alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from seodang.data import decontaminate
from seodang.data.agreement import same
from seodang.data.decontaminate import CONTAMINATED
from seodang.data.dedup import Dedup
from seodang.data.fingerprints import Prints
from seodang.data.gathered import KeptRows
from seodang.data.mixing import LEFT_OUT, OVER_CAP, copies, sides, together
from seodang.data.near import Places, precedence, repeats
from seodang.recipe import Prepare

DUPLICATE, NEAR_DUPLICATE = "duplicate", "near_duplicate"
TRAINED, HELD_OUT = 0, 1
_REASONS = ("", "", DUPLICATE, NEAR_DUPLICATE, CONTAMINATED, LEFT_OUT, OVER_CAP)
"""By number: the two sides, then why a row goes."""

Numbers = npt.NDArray[np.uint8]


@dataclass(slots=True)
class Verdict:
    """For every kept row: `fate`, a number of `_REASONS`; `of`, which row or question it repeats; `copies` written."""

    fate: Numbers
    of: Places
    copies: Places
    questions: Sequence[str] = ()
    """Where the questions of evaluations stand."""

    def reason(self, kept: int) -> str:
        """Why a row goes; empty where it stays."""
        return _REASONS[self.fate[kept]]

    def repeated(self, kept: int) -> int | None:
        """The row that a duplicate repeats."""
        return int(self.of[kept]) if self.reason(kept) in (DUPLICATE, NEAR_DUPLICATE) else None

    def question(self, kept: int) -> str:
        """Where the question of an evaluation stands that a row asks."""
        return self.questions[self.of[kept]] if self.reason(kept) == CONTAMINATED else ""

    def is_eval(self, kept: int) -> bool:
        """Whether a row is held out."""
        return bool(self.fate[kept] == HELD_OUT)

    def times(self, kept: int) -> int:
        """How often a row is written."""
        return int(self.copies[kept])

    def conflicts(self, prompts: Sequence[int], most: int) -> list[int]:
        """Rows that answer a prompt which another kept row answers otherwise, for the first `most` such prompts."""
        kept = np.flatnonzero(self.fate <= HELD_OUT)
        _, first, group, count = np.unique(
            np.asarray(prompts, np.uint64)[kept], return_index=True, return_inverse=True, return_counts=True
        )
        shared = np.flatnonzero(count > 1)
        chosen = shared[np.argsort(first[shared])][:most]
        found: list[int] = kept[np.isin(group, chosen)].tolist()
        return found

    def trained(self) -> list[int]:
        """The rows of train.jsonl, once each."""
        found: list[int] = np.flatnonzero(self.fate == TRAINED).tolist()
        return found


def decide(recipe: Prepare, rows: KeptRows) -> Verdict:
    """The fate of every row that the filters keep."""
    count = len(rows)
    verdict = Verdict(np.zeros(count, np.uint8), np.full(count, -1, np.int64), np.ones(count, np.int64))
    prints = _joined(rows.gathered.prints)
    if recipe.dedup and prints:
        _drop_repeats(recipe, recipe.dedup, rows, prints, verdict)
    prompts = _joined(rows.gathered.prompt_prints)
    if recipe.decontaminate:
        _drop_asked(recipe, rows, prompts if recipe.decontaminate.on == "prompt" else prints, verdict)
    del prints
    if recipe.eval:
        _hold_out(recipe, rows, prompts, verdict)
    _mix(recipe, rows, verdict)
    return verdict


def _joined(parts: list[Prints]) -> Prints | None:
    """Fingerprints in one piece; the parts are let go."""
    found = Prints.joined(parts) if parts else None
    parts.clear()
    return found


def _drop_repeats(recipe: Prepare, dedup: Dedup, rows: KeptRows, prints: Prints, verdict: Verdict) -> None:
    priorities = [recipe.sources[rows.source(kept)].priority for kept in range(len(rows))]
    order = precedence(dedup.keep, rows.gathered.lengths, priorities)
    found = repeats(prints, partial(rows.text, on=dedup.on), order, dedup.threshold)
    verdict.fate[found.of >= 0] = _REASONS.index(DUPLICATE)
    verdict.fate[found.near] = _REASONS.index(NEAR_DUPLICATE)
    verdict.of = found.of


def _drop_asked(recipe: Prepare, rows: KeptRows, prints: Prints | None, verdict: Verdict) -> None:
    """Rows that ask a question of an evaluation; of those that are left."""
    wanted = recipe.decontaminate
    if wanted is None or prints is None:
        return
    asked = decontaminate.load(wanted)
    left = np.flatnonzero(verdict.fate == TRAINED)
    met = asked.meets(_some(prints, left), lambda row: rows.text(int(left[row]), wanted.on))
    verdict.questions = asked.places
    verdict.fate[left[met >= 0]] = _REASONS.index(CONTAMINATED)
    verdict.of[left[met >= 0]] = met[met >= 0]


def _some(prints: Prints, rows: Places) -> Prints:
    return Prints(prints.exact[rows], prints.keys[rows])


def _hold_out(recipe: Prepare, rows: KeptRows, prompts: Prints | None, verdict: Verdict) -> None:
    """A share by the hash of the prompt, and what nearly asks the same with it."""
    left = np.flatnonzero(verdict.fate == TRAINED)
    held = sides(np.frombuffer(rows.gathered.prompts, np.uint64)[left], recipe.eval)
    if prompts is not None and recipe.dedup is not None and recipe.dedup.near:
        least = recipe.dedup.threshold

        @lru_cache(maxsize=1 << 10)
        def text(row: int) -> str:
            return rows.text(int(left[row]), "prompt")

        held = together(held, _some(prompts, left), lambda one, other: same(text(one), text(other), least))
    verdict.fate[left[held]] = HELD_OUT


def _mix(recipe: Prepare, rows: KeptRows, verdict: Verdict) -> None:
    """Weights and caps of sources, over training rows."""
    if all(source.weight == 1 and source.max_rows is None for source in recipe.sources):
        return
    trained = np.flatnonzero(verdict.fate == TRAINED)
    of_row = np.frombuffer(rows.gathered.sources, np.uint16)[np.frombuffer(rows.gathered.kept, np.uint32)[trained]]
    hashes = np.frombuffer(rows.gathered.prompts, np.uint64)
    for number, source in enumerate(recipe.sources):
        own = trained[of_row == number]
        times, over = copies(hashes[own], source.weight, source.max_rows)
        verdict.copies[own] = times
        verdict.fate[own[times == 0]] = _REASONS.index(LEFT_OUT)
        verdict.fate[own[over]] = _REASONS.index(OVER_CAP)
