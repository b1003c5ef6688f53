"""Safe repairs of Korean text, each counted: `normalize(text) -> (text, {repair: times})`.

Unicode normalisation (UAX #15) is applied to Hangul and to combining marks only: plain NFC would also rewrite all 268
compatibility Hanja of KS X 1001 (U+F900-FA0B), and NFKC would turn ㅋㅋ into U+110F, ㈜ into (주) and ① into 1.
Syllables with an old letter stay as they are: KS X 1026-1 forbids composing a part of them.

To add a repair: one entry in `REPAIRS`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

_LEADING, _VOWEL, _TRAILING = "\u1100-\u1112", "\u1161-\u1175", "\u11a8-\u11c2"
_ANY_LEADING = "\u1100-\u115f\ua960-\ua97c"
_ANY_VOWEL_OR_TRAILING = "\u1160-\u11ff\ud7b0-\ud7fb"
# Latin, Greek and Cyrillic accents, and the voicing marks of kana.
_MARKS = "\u0300-\u036f\u3099\u309a"
_COMPATIBILITY_HANJA = "\uf900-\ufaff\U0002f800-\U0002fa1f"


def _nfc(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", match[0])


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair: its name in reports, the characters without which it cannot apply, what it finds and puts there."""

    name: str
    needs: str
    """Inside of a character class; a text with none of these characters is passed over."""
    finds: re.Pattern[str]
    puts: str | Callable[[re.Match[str]], str]


REPAIRS = (
    Repair("line_end", r"\r", re.compile(r"\r\n?"), "\n"),
    Repair("zero_width", "\u200b\ufeff", re.compile("[\u200b\ufeff]"), ""),
    Repair(
        "hangul_nfc",
        _ANY_VOWEL_OR_TRAILING,
        re.compile(
            f"(?:(?<![{_ANY_LEADING}])[{_LEADING}][{_VOWEL}][{_TRAILING}]?|[가-힣][{_TRAILING}])"
            f"(?![{_ANY_VOWEL_OR_TRAILING}])"
        ),
        _nfc,
    ),
    Repair("mark_nfc", _MARKS, re.compile(f"[^{_COMPATIBILITY_HANJA}{_MARKS}][{_MARKS}]+"), _nfc),
)
"""In the order in which they are made; each leaves a text that it would not change again."""

_SUSPECT = re.compile("[" + "".join(repair.needs for repair in REPAIRS) + "]")


def normalize(text: str) -> tuple[str, dict[str, int]]:
    """Repair a text. Returns it with how often each repair changed something; doing it twice changes nothing more.

    `outer_space` counts texts (0 or 1) whose leading or trailing white space went; the others count places.
    """
    counts: dict[str, int] = {}
    if _SUSPECT.search(text):
        for repair in REPAIRS:
            text = _apply(repair, text, counts)
    stripped = text.strip()
    if len(stripped) != len(text):
        counts["outer_space"] = 1
    return stripped, counts


def _apply(repair: Repair, text: str, counts: dict[str, int]) -> str:
    changed = 0

    def put(match: re.Match[str]) -> str:
        nonlocal changed
        new = repair.puts if isinstance(repair.puts, str) else repair.puts(match)
        changed += new != match[0]
        return new

    repaired = repair.finds.sub(put, text)
    if changed:
        counts[repair.name] = counts.get(repair.name, 0) + changed
    return repaired
