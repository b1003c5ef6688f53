"""Seed tasks and held-out tasks, drawn from a seed: what the quickstart trains on and is asked.

python -m seodang.tasks.seeds recipes/quickstart/data

seeds.jsonl      tasks about training items; answers in 존댓말 and 반말 in equal number within each kind
more.jsonl       "one more like this": a prompt and another of its phrasing, in the words of a prompt file
held_out.jsonl   tasks about held-out items, each with every right form of its answer
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seodang.records import Conversation, Message
from seodang.runs import write_rows
from seodang.self_instruct.prompts import build, find_prompt, load_prompt
from seodang.tasks.kinds import Item, draw_item, kind, kind_names

STYLES = {"plain": 0.45, "polite": 0.3, "nominal": 0.13, "sloppy": 0.12}
"""How people type: shares of 해줘체, 해요체, noun phrases and hasty lines."""
TRIES = 10_000


@dataclass(frozen=True, slots=True)
class Amount:
    """Rows per kind."""

    seeds: int = 72
    more: int = 72
    held_out: int = 10


USUAL = Amount()


def task(item: Item, draw: random.Random, register: str, source: str = "") -> Conversation:
    """One task about this item, answered in the register (`polite` or `casual`)."""
    one = kind(item.kind)
    style = draw.choices(list(STYLES), list(STYLES.values()))[0]
    prompt = one.said(draw.choice(getattr(one.prompts, style)), item)
    answer = one.said(draw.choice(getattr(one.answers, register)), item)
    messages = (Message("user", prompt), Message("assistant", answer))
    accept = one.accept(item) if item.held_out else one.answered(item)  # there are many seeds
    return Conversation(messages, source, accept, item.kind)


def tasks(name: str, count: int, draw: random.Random, held_out: bool) -> Iterator[Conversation]:
    """Different prompts of one kind, every second one answered in 존댓말; different items while there are any."""
    seen: set[str] = set()
    for number in range(count):
        register = ("polite", "casual")[number % 2]
        for attempt in range(TRIES):
            item = draw_item(name, draw, held_out)
            found = task(item, draw, register)
            keys = {found.messages[0].content} if attempt > TRIES // 10 else {found.messages[0].content, _about(item)}
            if not keys & seen:
                break
        seen |= keys
        yield found


def _about(item: Item) -> str:
    return " ".join(item.slots.values())


def more(name: str, count: int, draw: random.Random, prompt_file: str) -> Iterator[Conversation]:
    """Rows that show one task of a kind and ask for one more: the same phrasing, about another item."""
    prompt, one = load_prompt(find_prompt(prompt_file)), kind(name)
    for _ in range(count):
        phrasing = draw.choice(one.all_prompts())
        shown, wanted = (one.said(phrasing, draw_item(name, draw, held_out=False)) for _ in range(2))
        example = Conversation((Message("user", shown), Message("assistant", "")))
        asked = build(prompt, [example], chat=True)
        assert not isinstance(asked, str)
        yield Conversation((*asked, Message("assistant", wanted)))


def rows(name: str, found: Sequence[Conversation], keeps: bool) -> Iterator[dict[str, Any]]:
    """The rows of a file: ids in order; held-out rows keep every right form, seeds only their kind."""
    for number, one in enumerate(found, 1):
        row = {"id": f"{name}-{number:04d}", "messages": [message.to_row() for message in one.messages]}
        yield row | ({"accept": list(one.accept)} if keeps else {}) | ({"task": one.task} if one.task else {})


def make(folder: Path, amount: Amount, seed: int) -> dict[str, int]:
    """Write the three files; returns how many rows each has."""
    seeds, grown, held = [], [], []
    for name in kind_names():
        draw = random.Random(f"{seed} {name}")
        own = list(tasks(name, amount.seeds, draw, held_out=False))
        seeds += own
        grown += list(more(name, amount.more, draw, "one_task_ko"))
        held += list(tasks(name, amount.held_out, draw, held_out=True))
    for found in (seeds, grown, held):
        random.Random(seed).shuffle(found)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"seeds": seeds, "more": grown, "held_out": held}
    return {
        name: write_rows(folder / f"{name}.jsonl", rows(name, found, name != "more")) for name, found in files.items()
    }


def main() -> None:
    """Write seeds.jsonl, more.jsonl and held_out.jsonl into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=USUAL.seeds, help="per kind")
    parser.add_argument("--more", type=int, default=USUAL.more, help="per kind")
    parser.add_argument("--held-out", type=int, default=USUAL.held_out, help="per kind")
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args()
    print(make(given.folder, Amount(given.seeds, given.more, given.held_out), given.seed))


if __name__ == "__main__":
    main()
