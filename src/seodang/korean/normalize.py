"""Safe repairs of Korean text, each counted: `normalize(text) -> (text, {repair: times})`.

Unicode normalisation (UAX #15) is applied to Hangul and to combining marks only: plain NFC would also rewrite all 268
compatibility Hanja of KS X 1001 (U+F900-FA0B), and NFKC would turn ㅋㅋ into U+110F, ㈜ into (주) and ① into 1.
Syllables with an old letter stay as they are: KS X 1026-1 forbids composing a part of them.

Fenced code, inline code and LaTeX are left alone, but for line ends and halves of surrogate pairs.
To add a repair: one entry in `REPAIRS`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html.entities import html5

from seodang.korean import mojibake
from seodang.korean.jamo import join
from seodang.korean.script import CODE

_LEADING, _VOWEL, _TRAILING = "\u1100-\u1112", "\u1161-\u1175", "\u11a8-\u11c2"
_ANY_LEADING = "\u1100-\u115f\ua960-\ua97c"
_ANY_VOWEL_OR_TRAILING = "\u1160-\u11ff\ud7b0-\ud7fb"
# Latin, Greek and Cyrillic accents, and the voicing marks of kana.
_MARKS = "\u0300-\u036f\u3099\u309a"
_COMPATIBILITY_HANJA = "\uf900-\ufaff\U0002f800-\U0002fa1f"
_HAN_OR_KANA = "\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LINE_ENDS = "\r\x0b\x0c\x85\u2028\u2029"
_SPACES = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_ZERO_WIDTH = "\xad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
_JOINERS = "\u200c\u200d"
# What a joiner has a meaning beside: emoji and their modifiers, Hebrew, Arabic, the scripts of India.
_JOINED = "\u0590-\u0dff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdfd]")
_CONTROL = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U0010fffd"
# Hanyang's letters of old Hangul; inside of a word they are text, beside one they are mostly icons of web fonts.
_HANYANG = re.compile("[\ue0bc-\uefff\uf100-\uf8ff]")
_HANGUL_OR_HANYANG = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ\u1100-\u11ff\ue0bc-\uefff\uf100-\uf8ff]")
# Bullets and arrows of Microsoft's Symbol and Wingdings fonts, as word processors save them.
_SYMBOL_FONT = {0xF06C: "●", 0xF06E: "■", 0xF09F: "•", 0xF0A7: "▪", 0xF0A8: "◻", 0xF0B7: "•", 0xF0D8: "➢"}
_SYMBOL_FONT |= {0xF0DF: "←", 0xF0E0: "→", 0xF0E8: "➔", 0xF0F0: "⇨", 0xF0FC: "✓", 0xF0FE: "☑"}
# Full-width ASCII (U+FF01-FF5E) and the signs of currency beside it.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_WIDE |= {0xFFE0: 0xA2, 0xFFE1: 0xA3, 0xFFE2: 0xAC, 0xFFE5: 0xA5, 0xFFE6: 0x20A9}
_WIDE_LETTERS = {code: to for code, to in _WIDE.items() if chr(to).isalnum()}
# Half-width Hangul (U+FFA1-FFDC) stands in the order of the compatibility jamo, in groups with gaps between.
_HALF = {0xFFA1 + n: 0x3131 + n for n in range(30)}
_HALF |= {0xFFC2 + n // 6 * 8 + n % 6: 0x314F + n for n in range(21)}
_DOTS = "ㆍ‧・･"
_MORE_DOTS = "•∙⋅\u0387"
# Words of a text that speaks about entities, and must show them.
_ABOUT_ENTITIES = re.compile(r"엔[티터]티|이스케이프|(?i:html|xml|entit|escap)")


def _nfc(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", match[0])


# asked for every place of a text, answered once for it
@lru_cache(8)
def _holds(form: re.Pattern[str], text: str) -> bool:
    return form.search(text) is not None


def _unescaped(match: re.Match[str]) -> str:
    if _holds(_ABOUT_ENTITIES, match.string):
        return match[0]
    if match[1].startswith("#"):
        plain = html.unescape(f"&{match[1]};")
        return match[0] if "\ufffd" in plain else plain
    return html5.get(f"{match[1]};", match[0])


def _around(match: re.Match[str]) -> tuple[str, str]:
    """The characters before and behind it, "" at the ends of the text."""
    return match.string[max(match.start() - 1, 0) : match.start()], match.string[match.end() : match.end() + 1]


def _no_zero_width(match: re.Match[str]) -> str:
    keeps = match[0] in "\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069"
    return match[0] if keeps and _holds(_RIGHT_TO_LEFT, match.string) else ""


def _no_private_use(match: re.Match[str]) -> str:
    symbol = _SYMBOL_FONT.get(ord(match[0]))
    if symbol:
        return symbol
    inside = all(side and _HANGUL_OR_HANYANG.match(side) for side in _around(match))
    return match[0] if inside and _HANYANG.match(match[0]) else ""


def _half_of_wide(match: re.Match[str]) -> str:
    """Letters and digits always; signs not where they stand beside Han or kana, whose own signs they are."""
    foreign = any(side and re.match(f"[{_HAN_OR_KANA}]", side) for side in _around(match))
    return match[0].translate(_WIDE_LETTERS if foreign else _WIDE)


def _filled(match: re.Match[str]) -> str:
    """KS X 1001 spells a syllable that it lacks as filler, initial, vowel, final (or filler): cp949 keeps the four."""
    initial, vowel, final = match[1].replace("\u3164", ""), match[2], match[3].replace("\u3164", "")
    try:
        return join(initial, vowel, final) if final else join(initial, vowel)
    except ValueError:
        return match[0]


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair: its name in reports, the characters without which it cannot apply, what it finds and puts there."""

    name: str
    needs: str
    """Inside of a character class; a text with none of these characters is passed over."""
    finds: re.Pattern[str]
    puts: str | Callable[[re.Match[str]], str]


REPAIRS = (
    Repair("line_end", _LINE_ENDS, re.compile(rf"\r\n?|[{_LINE_ENDS}]"), "\n"),
    # half of a surrogate pair cannot be written as UTF-8
    Repair("control", "\ud800-\udfff", re.compile("[\ud800-\udfff]"), ""),
    Repair("html_entity", "&", re.compile(r"&(?:amp;)*(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,31});"), _unescaped),
    Repair("space", _SPACES, re.compile(f"[{_SPACES}]"), " "),
    Repair("zero_width", _ZERO_WIDTH, re.compile(f"[{_ZERO_WIDTH}]"), _no_zero_width),
    Repair("zero_width", _JOINERS, re.compile(f"(?<![{_JOINED}])[{_JOINERS}]|[{_JOINERS}](?![{_JOINED}])"), ""),
    Repair("control", _CONTROL, re.compile(f"[{_CONTROL}]"), ""),
    Repair("private_use", _PRIVATE, re.compile(f"[{_PRIVATE}]"), _no_private_use),
    Repair(
        "full_width",
        "\uff01-\uff5e\uffe0-\uffe6",
        re.compile("[\uff01-\uff5e\uffe0-\uffe2\uffe5\uffe6]+"),
        _half_of_wide,
    ),
    Repair(
        "half_width_hangul", "\uffa1-\uffdc", re.compile("[\uffa1-\uffdc]+"), lambda found: found[0].translate(_HALF)
    ),
    Repair("hangul_filler", "\u3164", re.compile("\u3164([ㄱ-ㅎ])([ㅏ-ㅣ])([ㄱ-ㅎ\u3164])"), _filled),
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
    Repair(
        "middle_dot",
        _DOTS + _MORE_DOTS,
        re.compile(f"(?<=[가-힣])[{_DOTS}{_MORE_DOTS}](?=[가-힣])|(?<=[가-힣0-9])[{_DOTS}](?=[가-힣0-9])"),
        "·",
    ),
)
"""In the order in which they are made; they are made again until nothing changes any more."""

_EVERYWHERE, _IN_PROSE = REPAIRS[:2], REPAIRS[2:]
_NEEDS = {repair.needs: re.compile(f"[{repair.needs}]") for repair in REPAIRS}
_MOJIBAKE = re.compile(f"[{mojibake.SUSPICIOUS}]")
_SUSPECT = re.compile("[" + "".join(_NEEDS) + mojibake.SUSPICIOUS + "]")


def normalize(text: str) -> tuple[str, dict[str, int]]:
    """Repair a text. Returns it with how often each repair changed something; doing it twice changes nothing more.

    `outer_space` counts texts (0 or 1) whose leading or trailing white space went; the others count places.
    """
    counts: dict[str, int] = {}
    before = None
    while before != text:
        before = text
        found = "".join(set(_SUSPECT.findall(text)))
        if found:
            text = _pass(text, found, counts)
        stripped = text.strip()
        if len(stripped) != len(text):
            counts["outer_space"] = 1
        text = stripped
    return text, counts


def _pass(text: str, found: str, counts: dict[str, int]) -> str:
    """Every repair once, `found` being the suspect characters of the text."""
    # first, because the line end U+0085 may be a byte of it
    if _MOJIBAKE.search(found) and mojibake.mend(CODE.sub(" ", text))[1]:
        text, times = mojibake.mend(text)
        counts |= {"mojibake": counts.get("mojibake", 0) + times} if times else {}
    text = _repaired([repair for repair in _EVERYWHERE if _NEEDS[repair.needs].search(found)], text, counts)
    needed = [repair for repair in _IN_PROSE if _NEEDS[repair.needs].search(found)]
    if not needed:
        return text
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [_repaired(needed, text[end : code.start()], counts), code[0]]
        end = code.end()
    return "".join([*parts, _repaired(needed, text[end:], counts)])


def _repaired(needed: list[Repair], text: str, counts: dict[str, int]) -> str:
    for repair in needed:
        text = _apply(repair, text, counts)
    return text


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
