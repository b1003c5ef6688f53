"""Which scripts a text is written in: shares of Hangul, Han, kana and Latin among its letters.

Hangul is [가-힣ㄱ-ㅎㅏ-ㅣ]: the shorter [ㄱ-힣] covers U+3131-D7A3 and with it every Han character.
Texts are expected in NFC (see korean.normalize); decomposed Hangul counts as letters of another script.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LETTER = re.compile(r"[^\W\d_]+")
_HANGUL = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]+")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]+")
_KANA = re.compile("[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f]+")
_LATIN = re.compile(
    "[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a]+"
)

_CODE = (
    r"```.*?(?:```|\Z)"  # fenced code
    r"|`[^`\n]+`"  # inline code
    r"|\$\$.{1,4000}?\$\$|\\\[.{1,4000}?\\\]|\\\(.{1,4000}?\\\)"  # LaTeX
    r"|\$[^$\n]*[\\^_{=][^$\n]*\$"  # the same within a line; a plain price in dollars is prose
)
CODE = re.compile(_CODE, re.DOTALL)
"""Fenced code, inline code and LaTeX. A formula is bounded, so that openings without an end cost no quadratic time."""
_NOT_PROSE = re.compile(_CODE + r"|(?:https?://|www\.)[^\s<>\"'()가-힣]+", re.DOTALL)
# Without one of these there is nothing that is no prose.
_MAY_HOLD_CODE = re.compile(r"[`$\\/]|www\.")


@dataclass(frozen=True, slots=True)
class Shares:
    """How many letters a text has, and which share of them (0 to 1) each script is."""

    letters: int
    hangul: float
    han: float
    kana: float
    latin: float


def prose(text: str) -> str:
    """The text without code, LaTeX and web addresses: what its language is judged on."""
    return _NOT_PROSE.sub(" ", text) if _MAY_HOLD_CODE.search(text) else text


def shares(text: str) -> Shares:
    """Shares of the scripts among the letters of `text`; digits, spaces, signs and emoji are no letters."""
    letters = _length(_LETTER, text)
    if not letters:
        return Shares(0, 0.0, 0.0, 0.0, 0.0)
    return Shares(letters, *(_length(script, text) / letters for script in (_HANGUL, _HAN, _KANA, _LATIN)))


def hangul_share(text: str) -> float | None:
    """Hangul among the letters of the prose in `text`, 0 to 1, or None where it has no letter.

    Code, LaTeX and web addresses are left out (`prose`); digits, spaces, signs and emoji are no letters. Hangul is
    [가-힣ㄱ-ㅎㅏ-ㅣ]; a decomposed text must be normalised first.
    """
    text = prose(text)
    letters = _length(_LETTER, text)
    return _length(_HANGUL, text) / letters if letters else None


def _length(kind: re.Pattern[str], text: str) -> int:
    return sum(map(len, kind.findall(text)))
