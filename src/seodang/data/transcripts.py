"""Plain text: a text per line, or dialogues in which every turn begins with its speaker (`<사람>: …`).

A transcript is told from prose by how many of its lines begin with a speaker, and cut into dialogues where it is
marked: `<<start conversation>>`, a rule (`---`), two blank lines, or one. What begins with no speaker belongs to the
turn before it. A row is one dialogue, `{"text": …}`; which speaker has which role, its format knows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from seodang.data.encodings import WAY_OUT, undecodable
from seodang.data.json_rows import LONGEST, Found, too_long
from seodang.data.turns import role_of
from seodang.errors import DataError
from seodang.language import Phrase

_SPEAKER = re.compile(r"\s*(<[^<>\s][^<>]{0,20}>|\[[^\[\]]{1,20}\]|#{2,3} ?[^:\n]{1,20}|[^\s:<>\[\]#]{1,12}) ?:")
_MARKER = re.compile(r"\s*<<[^<>]+>>\s*$")
_RULE = re.compile(r"\s*([-=*])\1{2,}\s*$")
_FEWEST = 0.3
"""Of the lines with text, so many begin with a speaker in a transcript; answers may go over several lines."""
Cut = Callable[[str, int, bool], bool]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a transcript is cut into dialogues: `marker · rule · gap · blank · none`, and the evidence."""

    cut: str
    evidence: Phrase


_CUTS = {
    "marker": Phrase("lines such as <<start conversation>>"),
    "rule": Phrase("rules (---)"),
    "gap": Phrase("two blank lines"),
    "blank": Phrase("blank lines"),
    "none": Phrase("nothing: the file is one dialogue"),
}


def text_rows(lines: Iterator[tuple[int, bytes]], name: str, codec: str) -> Iterator[Found]:
    """A row {"text"} per line that is not blank."""
    for number, raw in lines:
        place = f"{name}:{number}"
        text = _decoded(raw, place, codec)
        if isinstance(text, DataError):
            yield text, place
        elif "\0" in text:
            told = "{where}: the line holds a zero byte, as a damaged file does. {way_out}"
            yield DataError(told, where=place, way_out=WAY_OUT, raw=text), place
        elif text.strip():
            yield {"text": text}, place


def _decoded(raw: bytes, place: str, codec: str) -> str | DataError:
    try:
        return (
            raw.decode(codec).strip("\r\n")
            if len(raw) <= LONGEST
            else too_long(place, raw[:1000].decode(codec, "replace"))
        )
    except UnicodeDecodeError:
        return undecodable(place, raw, codec)


def speaker(line: str) -> str | None:
    """The speaker with which a line begins: any name in angle brackets, or a known one before a colon."""
    found = _SPEAKER.match(line)
    if found is None:
        return None
    name = found[1].strip()
    if name.startswith("<"):
        return name
    return name if role_of(name.strip("[]# ")) else None


def layout(lines: Sequence[str]) -> Layout | None:
    """How the lines of a transcript are laid out; None for other text."""
    filled = [line for line in lines if line.strip() and not _MARKER.match(line) and not _RULE.match(line)]
    names = [name for line in filled if (name := speaker(line))]
    if len(set(names)) < 2 or len(names) < _FEWEST * len(filled):
        return None
    cut = _cut(lines, names)
    told = "{turns:,} of {lines:,} lines begin with a speaker ({names}); dialogues are cut at {cut}"
    told_names = ", ".join(name for name, _ in Counter(names).most_common(4))
    return Layout(cut, Phrase(told, turns=len(names), lines=len(filled), names=told_names, cut=_CUTS[cut]))


def _cut(lines: Sequence[str], names: Sequence[str]) -> str:
    if any(_MARKER.match(line) for line in lines):
        return "marker"
    if any(_RULE.match(line) for line in lines):
        return "rule"
    blank = [not line.strip() for line in lines]
    if any(left and right for left, right in pairwise(blank[:-1])):
        return "gap"
    turns_after_blank = sum(before and bool(speaker(line)) for before, line in zip(blank, lines[1:], strict=False))
    # where a blank line stands before every turn, it parts turns and not dialogues
    return "blank" if 0 < turns_after_blank < len(names) - 1 else "none"


def dialogue_rows(lines: Iterator[tuple[int, bytes]], name: str, codec: str, cut: str) -> Iterator[Found]:
    """A row {"text"} per dialogue; its place is its first line."""
    dialogue: list[str] = []
    start = blanks = 0
    for number, raw in lines:
        text = _decoded(raw, f"{name}:{number}", codec)
        if isinstance(text, DataError):
            yield text, f"{name}:{number}"
            continue
        if dialogue and _ends(cut, text, blanks):
            yield {"text": "\n".join(dialogue).rstrip()}, f"{name}:{start}"
            dialogue = []
        blanks = blanks + 1 if not text.strip() else 0
        if (dialogue or text.strip()) and not _is_mark(cut, text):
            start = start if dialogue else number
            dialogue.append(text)
    if dialogue:
        yield {"text": "\n".join(dialogue).rstrip()}, f"{name}:{start}"


def _is_mark(cut: str, text: str) -> bool:
    return bool((cut == "marker" and _MARKER.match(text)) or (cut == "rule" and _RULE.match(text)))


def _ends(cut: str, text: str, blanks: int) -> bool:
    """Whether the dialogue before this line has ended."""
    if cut in ("marker", "rule"):
        return _is_mark(cut, text)
    needed: Any = {"gap": 2, "blank": 1}.get(cut)
    return needed is not None and blanks >= needed and speaker(text) is not None
