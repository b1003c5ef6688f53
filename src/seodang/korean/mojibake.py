"""Undoes Korean text that was decoded with the wrong encoding: `mend(text) -> (text, times)`.

    what it was      read as        다양한 becomes     mended by
    UTF-8            ISO-8859-1     ë‹¤ì–‘í•œ          ftfy, else here     (also Windows-1252)
    UTF-8            ISO-8859-7     λ‹€μ–‘ν•œ          here                (Greek, also Windows-1253)
    UTF-8            cp874          ๋‹คเธ…             here                (Thai)
    UTF-8            cp949          �떎�뼇�븳             only where nothing was replaced by U+FFFD; else see `is_lost`
    cp949            ISO-8859-1     ´Ù¾çÇÑ             here                (also Windows-1252)

ftfy (Speer 2019, 10.5281/zenodo.2591652) knows the Western forms and what is worth a repair; it has no table for the
others. A repair is made only where the bytes decode strictly and give at least `ENOUGH` Hangul syllables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

ENOUGH = 2
"""Syllables of Hangul below which nothing is taken for wrongly decoded Korean."""

SUSPICIOUS = "\u00c0-\u00feκλμν\u0e4a-\u0e4d\u4e00-\u9fff\uf900-\ufa0b"
"""What at least one character of such a text is; for use in a character class."""

_HANGUL = re.compile("[가-힣]")
_BYTES = re.compile(r"[\xb0-\xc8][\xa1-\xfe]")
_LOST = re.compile("\ufffd[가-힣]")


def _characters(encoding: str) -> str:
    """What each of the 256 bytes becomes, undefined ones as the control character of that number, as browsers do."""
    return "".join(bytes([n]).decode(encoding, "ignore") or chr(n) for n in range(256))


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A single-byte encoding that UTF-8 was read as: its characters back to bytes, and what UTF-8 looks like in it."""

    to_byte: dict[int, int]
    sequences: re.Pattern[str]
    syllable: re.Pattern[str]

    @classmethod
    def of(cls, encoding: str) -> _Wrong:
        """The tables of an encoding by Python's name."""
        shown = _characters(encoding)

        def some(first: int, last: int) -> str:
            # a byte may also have come through as the control character of its number
            both = {*shown[first : last + 1], *(chr(n) for n in range(first, min(last, 0x9F) + 1))}
            return f"[{re.escape(''.join(sorted(both)))}]"

        rest = some(0x80, 0xBF)
        forms = (some(0xC2, 0xDF) + rest, some(0xE0, 0xEF) + rest * 2, some(0xF0, 0xF4) + rest * 3)
        to_byte = {n: n for n in range(0x80, 0xA0)} | {ord(letter): n for n, letter in enumerate(shown)}
        return cls(to_byte, re.compile(f"(?:{'|'.join(forms)})+"), re.compile(some(0xEA, 0xED) + rest * 2))

    def bytes_of(self, text: str) -> bytes:
        return bytes(self.to_byte[ord(letter)] for letter in text)

    def undo(self, text: str) -> tuple[str, int, int]:
        """(text, places changed, syllables of Hangul gained)."""
        if len(self.syllable.findall(text)) < ENOUGH:
            return text, 0, 0
        syllables, times = 0, 0

        def decoded(found: re.Match[str]) -> str:
            nonlocal syllables, times
            try:
                right = self.bytes_of(found[0]).decode("utf-8")
            except UnicodeDecodeError:
                return found[0]
            syllables, times = syllables + len(_HANGUL.findall(right)), times + 1
            return right

        mended = self.sequences.sub(decoded, text)
        return (mended, times, syllables) if syllables >= ENOUGH else (text, 0, 0)


@lru_cache
def _wrongs() -> tuple[_Wrong, ...]:
    return tuple(_Wrong.of(encoding) for encoding in ("latin-1", "cp1252", "iso8859_7", "cp1253", "cp874"))


_WESTERN = {ord(letter): n for n, letter in enumerate(_characters("cp1252"))}
_WESTERN |= {n: n for n in range(0x80, 0x100)}
_HIGH = re.compile(f"[{re.escape(''.join(map(chr, sorted(code for code in _WESTERN if code >= 0x80))))}]+")
_FROM_HAN = re.compile("[\u4e00-\u9fff\uf900-\ufa0b][^\x00-\x7f]+")
# A lead byte of UTF-8 and what may follow it, seen as Windows-1252: when to ask ftfy at all.
_FTFY = re.compile("[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")


def mend(text: str) -> tuple[str, int]:
    """The text as it was before it was decoded wrongly, and in how many places it changed (0: nothing to mend)."""
    # before ftfy, which would take a part of it for another encoding
    mended, times = _undo_cp949_as_western(text)
    if times:
        return mended, times
    if _FTFY.search(text):
        from ftfy import fix_encoding

        mended = fix_encoding(text)
        if mended != text:
            return mended, 1
    # close relatives read most bytes alike: the one that makes most Hangul is the right one
    mended, times, syllables = max((wrong.undo(text) for wrong in _wrongs()), key=lambda undone: undone[2])
    return (mended, times) if syllables else _undo_utf8_as_cp949(text)


def is_lost(text: str) -> bool:
    """Whether the text is UTF-8 that was read as cp949 and lost bytes on the way (�떎�뼇�븳): no repair is possible.

    Each U+FFFD stands for a lead byte of which two or three are possible.
    """
    return sum(not _in_ks_x_1001(found[1]) for found in _LOST.findall(text)) >= ENOUGH


def _in_ks_x_1001(syllable: str) -> bool:
    """Whether it is one of the 2,350 syllables of KS X 1001; the other 8,822 are hardly ever written."""
    return all(byte >= 0xA1 for byte in syllable.encode("cp949"))


def _decoded(runs: Iterable[bytes], encoding: str) -> list[str] | None:
    try:
        return [run.decode(encoding) for run in runs]
    except UnicodeDecodeError:
        return None


def _undo_cp949_as_western(text: str) -> tuple[str, int]:
    """All the runs of high characters decode as cp949, nearly all of it to usual syllables, or nothing changes."""
    if len(_BYTES.findall(text)) <= ENOUGH:
        return text, 0
    runs = [bytes(_WESTERN[ord(letter)] for letter in run) for run in _HIGH.findall(text)]
    right = _decoded(runs, "cp949")
    if right is None:
        return text, 0
    whole = "".join(right)
    usual = sum(map(_in_ks_x_1001, _HANGUL.findall(whole)))
    if usual <= ENOUGH or usual < 0.7 * len(whole):
        return text, 0
    rest = iter(right)
    return _HIGH.sub(lambda _: next(rest), text), len(right)


def _undo_utf8_as_cp949(text: str) -> tuple[str, int]:
    times = 0
    if is_lost(text):
        return text, 0

    def decoded(found: re.Match[str]) -> str:
        nonlocal times
        try:
            right = found[0].encode("cp949").decode("utf-8")
        except UnicodeError:
            return found[0]
        if len(_HANGUL.findall(right)) < max(ENOUGH, 0.8 * len(right)):
            return found[0]
        times += 1
        return right

    return _FROM_HAN.sub(decoded, text), times
