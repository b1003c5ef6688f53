"""The starter model's text: everyday sentences and the facts behind the checkable tasks, drawn from a seed.

    python -m seodang.tasks.text runs/starter/text.jsonl --documents 118000

An item is often mentioned before something is said of it, and several things are said of the same item, so that a model
learns to look back. No prompt and no question–answer layout stands in the text, and nothing of a computed kind's
held-out items.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from seodang.korean.josa import fill
from seodang.progress import progress
from seodang.runs import write_rows
from seodang.tasks import everyday
from seodang.tasks.kinds import Item, draw_item, item, kind, kind_names
from seodang.tasks.slots import nouns, syllables

EVERYDAY = 0.1
"""Share of documents that hold no fact at all."""
SAME_ITEM = 0.2
"""Share of documents that say several things of one item."""
SAME_KIND = 0.25
"""Share of the rest whose facts are all of one kind."""
CUED, MENTIONED, TOPIC = 0.55, 0.25, 0.15
"""How often a sentence leads to a fact that names its item and what is done with it, or its item alone; and how often
it is said first what is being learnt."""
REPEATED = 0.1
"""Share of documents that only mention things again and again."""
WEIGHTS = {
    "antonym": 3.5,
    "capital": 2.5,
    "category": 2.5,
    "counter_word": 2.0,
    "copy": 1.2,
    "initials": 1.5,
    "jamo_join": 3.0,
    "jamo_split": 3.0,
    "next_day": 2.5,
    "number_reading": 1.5,
    "number_writing": 1.5,
    "reverse": 1.5,
    "sort_numbers": 3.0,
    "spacing": 1.2,
    "syllable_count": 2.0,
}
"""How often a kind's facts come, 1 being usual: what takes a small model longest comes oftenest."""


def fact(about: Item, draw: random.Random) -> str:
    """A sentence about an item."""
    one = kind(about.kind)
    # a table's further forms are synonyms; a rule's are other ways to write it, which do not fit every sentence
    others = about.forms if one.items.table else about.forms[:1]
    form = draw.choice(others) if draw.random() < 0.3 else about.forms[0]
    return one.said_with(draw.choice(one.facts), about, form)


def draw_fact_item(name: str, draw: random.Random) -> Item:
    """An item that a fact may be about: for a computed kind, never one that is held out."""
    return draw_item(name, draw, held_out=False if kind(name).computed else None)


def shown(about: Item) -> str:
    """The item as it stands in a text: 38, 월요일에서 3일 뒤, 고양이 3마리."""
    slots = about.slots
    if "u" in slots:
        return f"{slots['w']} {slots['n']}{slots['u']}"
    if "d" in slots and "n" in slots:
        return f"{slots['w']}에서 {slots['n']}일 {slots['d']}"
    return fill("(과/와) ".join(slots.values()))


def mention(about: Item, draw: random.Random) -> str:
    """A sentence in which the item appears; one that is a sentence itself stands in quotes."""
    text, patterns = shown(about), everyday.everyday().mentions
    quoted = [pattern for pattern in patterns if "'{x}'" in pattern]
    return fill(draw.choice(quoted if "s" in about.slots else patterns).replace("{x}", text))


def unit(about: Item, draw: random.Random) -> str:
    """A fact, and often what leads to it: what is being learnt, where the item appeared."""
    said, one = [fact(about, draw)], kind(about.kind)
    lead = draw.random()
    if lead < CUED and one.cues:
        said.insert(0, one.said(draw.choice(one.cues), about))
    elif lead < CUED + MENTIONED:
        said.insert(0, mention(about, draw))
    if draw.random() < TOPIC:
        said.insert(0, fill(draw.choice(everyday.everyday().topics).replace("{t}", one.title)))
    return " ".join(said).replace("\n ", "\n")


@cache
def _same_slot() -> tuple[tuple[str, ...], ...]:
    """Kinds whose items are alike: about a noun, a number, a syllable, a sentence in 해체 or 해라체."""
    return (
        ("josa_object", "josa_subject", "josa_with", "final_consonant", "initials", "syllable_count", "last_letter",
         "reverse"),
        ("number_reading", "next_number", "even_odd"),
        ("to_polite", "register", "copy"),
        ("past_tense", "copy"),
        ("antonym", "syllable_count", "last_letter", "reverse"),
        ("category", "initials", "syllable_count", "last_letter", "josa_object", "final_consonant"),
        ("counter_word", "initials", "last_letter", "josa_subject"),
    )  # fmt: skip


def same_item(draw: random.Random) -> str:
    """A document that mentions an item and says two to four different things of it."""
    group = draw.choice(_same_slot())
    first = draw_fact_item(group[0], draw)
    names = draw.sample(group, min(len(group), draw.randint(2, 4)))
    others = [item(name, first.slots) for name in names]
    known = [one for one in others if one and not (one.held_out and kind(one.kind).computed)] or [first]
    return " ".join([mention(first, draw), *(_cued(one, draw) for one in known)])


def _cued(about: Item, draw: random.Random) -> str:
    one, said = kind(about.kind), fact(about, draw)
    return f"{one.said(draw.choice(one.cues), about)} {said}" if one.cues and draw.random() < CUED else said


def repetition(draw: random.Random) -> str:
    """One to three things that are mentioned again and again: nothing to know, but to look back.

    Until a model can do this it learns little else (induction heads; Olsson et al. 2022, arXiv:2209.11895).
    """
    things = [_thing(draw) for _ in range(draw.randint(1, 3))]
    said = [thing for thing in things for _ in range(draw.randint(2, 4))]
    if draw.random() < 0.5:
        draw.shuffle(said)
    patterns = everyday.everyday().mentions
    return " ".join(fill(draw.choice(patterns).replace("{x}", thing)) for thing in said)


def _thing(draw: random.Random) -> str:
    shape = draw.random()
    if shape < 0.35:
        return "".join(draw.choices(syllables(), k=draw.randint(2, 6)))
    if shape < 0.5:
        return " ".join(draw.choices(nouns(), k=draw.randint(1, 3)))
    if shape < 0.65:
        return ", ".join(str(draw.randint(1, 9999)) for _ in range(draw.randint(1, 3)))
    return shown(draw_fact_item(draw.choice(kind_names()), draw))


def document(draw: random.Random) -> str:
    """A few sentences."""
    shape = draw.random()
    if shape < EVERYDAY:
        return _everyday(draw)
    if shape < EVERYDAY + REPEATED:
        return repetition(draw)
    if shape < EVERYDAY + REPEATED + SAME_ITEM:
        return " ".join(same_item(draw) for _ in range(draw.randint(1, 2)))
    count = draw.randint(2, 4)
    names = kind_names()
    weights = [WEIGHTS.get(name, 1.0) for name in names]
    same = draw.random() < SAME_KIND
    chosen = draw.choices(names, weights, k=1) * count if same else draw.choices(names, weights, k=count)
    return " ".join(unit(draw_fact_item(name, draw), draw) for name in chosen)


def _everyday(draw: random.Random) -> str:
    if draw.random() < 0.4:
        return draw.choice(everyday.everyday().paragraphs)
    form: everyday.Form = draw.choice(("haera", "haera", "hae", "haeyo", "hapsyo"))
    return " ".join(f"{everyday.sentence(draw, form)}." for _ in range(draw.randint(2, 4)))


def documents(count: int, seed: int) -> Iterator[dict[str, str]]:
    """So many documents, the same ones for the same seed."""
    draw = random.Random(seed)
    with progress("writing text", count) as advance:
        for _ in range(count):
            yield {"text": document(draw)}
            advance(1)


def main() -> None:
    """Write the text as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("path", type=Path)
    parser.add_argument("--documents", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args()
    given.path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(given.path, documents(given.documents, given.seed))
    print(json.dumps({"path": str(given.path), "documents": given.documents, "seed": given.seed}))


if __name__ == "__main__":
    main()
