"""The patterns of the filters, as they lie in data_filters/patterns.yaml, compiled once they are asked for."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from seodang.packaged import find, load
from seodang.schema import Schema

FOLDER = "data_filters"
List = Literal[
    "refusal",
    "ai_named",
    "ai_any",
    "names_harm",
    "asks_for_refusal",
    "asks_for_language",
    "asks_for_code",
    "asks_for_repetition",
    "asks_for_list",
]


class Patterns(Schema):
    """data_filters/patterns.yaml: lists of regular expressions, of which any one may match."""

    heading: str
    """The words of headings, which stand in `mark` for `{heading}`."""
    mark: tuple[str, ...]
    opening: tuple[str, ...]
    refusal: tuple[str, ...]
    ai_named: tuple[str, ...]
    ai_any: tuple[str, ...]
    names_harm: tuple[str, ...]
    asks_for_refusal: tuple[str, ...]
    asks_for_language: tuple[str, ...]
    asks_for_code: tuple[str, ...]
    asks_for_repetition: tuple[str, ...]
    asks_for_list: tuple[str, ...]


@cache
def _patterns() -> Patterns:
    return load(find(FOLDER, "patterns"), Patterns)


@cache
def any_of(name: List) -> re.Pattern[str]:
    """One pattern that finds what any of a list finds."""
    return re.compile("|".join(getattr(_patterns(), name)))


@cache
def marks() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What finds a template's words anywhere in an answer, what matches an opening, and what finds both at its ends."""
    found = _patterns()
    mark = "|".join(found.mark).replace("{heading}", found.heading)
    opening = "|".join(found.opening)
    ends = rf"\A(?:\s*(?:{mark}|{opening}))+\s*|(?:\s*(?:{mark}))+\s*\Z"
    anywhere, at_start, at_ends = (re.compile(text, re.IGNORECASE) for text in (mark, rf"\s*(?:{opening})", ends))
    return anywhere, at_start, at_ends
