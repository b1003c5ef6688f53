"""What programs say of tasks that somebody else made: which kind a prompt is of, and whether its answer is right.

solve("38을 한글로 써 줘") → the kinds it can be of, each with its item and every right form of the answer
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from seodang.evaluation.metrics import comparable
from seodang.korean.josa import PAIRS
from seodang.records import Conversation
from seodang.tasks.kinds import Item, item, kind, kind_names
from seodang.tasks.slots import Forms

_MARKER = re.compile(rf"\\\(({'|'.join(re.escape(re.escape(pair)) for pair in PAIRS)})\\\)")


@dataclass(frozen=True, slots=True)
class Solved:
    """A prompt that was recognised: its kind, its item, and the right answers."""

    kind: str
    item: Item
    accept: Forms


def solve(prompt: str) -> list[Solved]:
    """Every kind that this prompt can be of, with what is right there; empty where none is recognised."""
    return list(_solutions(" ".join(prompt.split())))


def _solutions(prompt: str) -> Iterator[Solved]:
    for name in kind_names():
        one, seen = kind(name), set()
        for pattern in _patterns(name):
            found = pattern.fullmatch(prompt)
            slots = {slot: text for slot, text in found.groupdict().items()} if found else None
            known = item(name, slots) if slots else None
            if known and tuple(known.slots.items()) not in seen:
                seen.add(tuple(known.slots.items()))
                yield Solved(name, known, one.accept(known))


@cache
def _patterns(name: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_pattern(" ".join(phrasing.split()))) for phrasing in kind(name).all_prompts())


def _pattern(phrasing: str) -> str:
    """A phrasing as a regular expression: slots are groups ({n}, {x}, {y} of digits), with or without quotes; dual
    markers are either form."""
    escaped = _MARKER.sub(lambda found: f"(?:{found[1].replace('/', '|')})", re.escape(phrasing))
    seen: set[str] = set()

    def slot(found: re.Match[str]) -> str:
        name = found[1]
        again = name in seen
        seen.add(name)
        # digits as a whole: 구두 16켤레 is not 1 of the counter 6켤레
        text = f"(?P={name})" if again else rf"(?P<{name}>\d+)" if name in "nxy" else f"(?P<{name}>.+?)"
        return f"'?{text}'?"

    return re.sub(r"'?\\\{(\w)\\\}'?", slot, escaped)


def verdict(prompt: str, answer: str) -> Literal["right", "wrong", "unknown"]:
    """Whether the answer is right; `unknown` where no kind recognises the prompt."""
    found = solve(prompt)
    if not found:
        return "unknown"
    return "right" if any(comparable(answer) in map(comparable, one.accept) for one in found) else "wrong"


def asks_of_held_out(prompt: str) -> bool:
    """Whether the prompt is about an item that is kept for evaluation."""
    return any(found.item.held_out for found in solve(prompt))


def verified(records: Iterable[Conversation]) -> dict[str, Any]:
    """How many last answers are `right`, `wrong` or of `unknown` prompts, and the right ones by kind.

    `right_ratio` is over the recognised prompts.
    """
    found: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for record in records:
        prompt = record.prompt[-1].content if record.prompt else ""
        said = verdict(prompt, record.answer)
        found[said] += 1
        kinds.update([solve(prompt)[0].kind] if said == "right" else [])
    told = {said: found[said] for said in ("right", "wrong", "unknown")}
    return told | {
        "right_ratio": told["right"] / max(1, told["right"] + told["wrong"]),
        "kinds": dict(sorted(kinds.items())),
    }
