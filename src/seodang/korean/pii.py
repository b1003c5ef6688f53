"""Personal data in Korean text, found by its form: `mask_pii(text) -> (text, {kind: times})`.

To add a kind: an entry in `KINDS`.
"""

from __future__ import annotations

import re

_DATE = r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"

KINDS = {"resident_number": re.compile(rf"(?<![0-9-])({_DATE})\s?[-–−‐]\s?[1-8][0-9]{{6}}(?![0-9-])")}
"""Kind → what it looks like; its first group is what may stay.

A resident registration number (주민등록번호) is YYMMDD-GNNNNNN. Its last digit was a check digit until October 2020 and
is a random one since then, so it decides nothing.
"""


def mask_pii(text: str) -> tuple[str, dict[str, int]]:
    """The text with `*` for the digits that tell who it is, and how often each kind was found."""
    counts: dict[str, int] = {}
    for kind, form in KINDS.items():
        text, times = form.subn(r"\1-*******", text)
        if times:
            counts[kind] = times
    return text, counts
