"""In which encoding a file is written, with the evidence: ordered trials, since Korean files come in four.

    1  a byte-order mark                     UTF-8 with one, UTF-16
    2  zero bytes, and text in UTF-16        UTF-16 without a mark
    3  UTF-8, strictly                       ASCII is UTF-8
    4  CP949, strictly, with Hangul in it    never EUC-KR: it lacks 8,822 of the 11,172 syllables (똠, 뷁, 힣)

UTF-8 proves itself: text in another encoding is hardly ever valid UTF-8. So a file of which most lines with letters
beyond ASCII are UTF-8 is UTF-8, and its other lines are named when they are read.
"""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import IO

from seodang.errors import DataError
from seodang.language import Phrase

BOM = b"\xef\xbb\xbf"
_SYLLABLE = re.compile(r"[가-힣]")
_PLAIN = re.compile(r"[\t\r\n -~가-힣ㄱ-ㆎ\u3000-\u303f\uff01-\uff5e\u2010-\u2027]")
_MARKS = ((BOM, "utf-8-sig"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_SHARE = 0.5
"""Of the characters beyond ASCII, so many must be syllables for CP949, which decodes much that is something else: the
hiragana of EUC-JP as single letters of Hangul."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A decision: `utf-8 · utf-8-sig · utf-16-le · utf-16-be · cp949`, and why."""

    name: str
    evidence: Phrase

    @property
    def codec(self) -> str:
        """How the bytes of `decoded` are to be decoded: UTF-16 has become UTF-8 there."""
        return "cp949" if self.name == "cp949" else "utf-8"


def decide(head: bytes, where: str) -> Encoding:
    """The encoding of a file, from its first bytes. Raises DataError where it is none of the four."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            told = "begins with the byte-order mark {mark}"
            return Encoding(name, Phrase(told, mark=mark.hex(" ").upper()))
    if b"\0" in head and (found := _utf16(head)):
        return found
    if head.isascii():
        return Encoding("utf-8", Phrase("only ASCII in the first {bytes:,} bytes", bytes=len(head)))
    lines = [line for line in head[: _cut(head)].splitlines() if not line.isascii()] or [head]
    valid = sum(_is(line, "utf-8") for line in lines)
    if 2 * valid >= len(lines):
        told = "{valid:,} of {lines:,} lines with letters beyond ASCII are valid UTF-8"
        return Encoding("utf-8", Phrase(told, valid=valid, lines=len(lines)))
    korean = sum(_is(line, "cp949") and _is_korean(line.decode("cp949")) for line in lines)
    if 2 * korean > len(lines):
        told = "not UTF-8 at byte {at:,}; {korean:,} of {lines:,} lines with letters beyond ASCII are Korean in CP949"
        return Encoding("cp949", Phrase(told, at=_fault(head), korean=korean, lines=len(lines)))
    raise _neither(head, where)


def _cut(head: bytes) -> int:
    """Where the last whole line of the head ends, so that no letter is cut; its length where it is all one line."""
    end = max(head.rfind(b"\n"), head.rfind(b"\r"))
    if end > 0:
        return end
    for back in range(4):
        if _is(head[: len(head) - back], "utf-8"):
            return len(head) - back
    return len(head) if _is(head, "cp949") else len(head) - 1


def _is(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_korean(text: str) -> bool:
    beyond = sum(not char.isascii() for char in text)
    return len(_SYLLABLE.findall(text)) >= _SHARE * beyond


def _utf16(head: bytes) -> Encoding | None:
    """UTF-16 without a mark: what it decodes to is nearly all Hangul, ASCII and their punctuation."""
    whole = head[: len(head) // 2 * 2]
    shares = {name: _plain_share(whole, name) for name in ("utf-16-le", "utf-16-be")}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < 0.9:
        return None
    told = "{zeros:,} zero bytes in the first {bytes:,}, and {share:.0%} Korean and ASCII text as {name}"
    zeros = head.count(0)
    return Encoding(best, Phrase(told, zeros=zeros, bytes=len(head), share=shares[best], name=best))


def _plain_share(data: bytes, encoding: str) -> float:
    text = data.decode(encoding, "replace")
    return len(_PLAIN.findall(text)) / max(1, len(text))


def _fault(head: bytes) -> int:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start + 1
    return len(head)


def _neither(head: bytes, where: str) -> DataError:
    at = _fault(head) - 1
    line = head.count(b"\n", 0, at) + 1
    return DataError(
        "{where}: neither UTF-8 nor CP949 nor UTF-16 (byte 0x{byte:02x} at {at:,}). Save it as UTF-8.",
        where=f"{where}:{line}",
        byte=head[min(at, len(head) - 1)],
        at=at + 1,
    )


def decoded(file: IO[bytes], encoding: str) -> IO[bytes]:
    """The bytes of a file without a byte-order mark, in UTF-8 where it is UTF-16; CP949 stays, line by line."""
    if encoding.startswith("utf-16"):
        file = io.BufferedReader(_Utf8(file, encoding))
        marked = file.peek(3)[:3] == BOM
    else:
        marked = encoding == "utf-8-sig"
    if marked:
        file.read(len(BOM))
    return file


class _Utf8(io.RawIOBase):
    """UTF-16 as UTF-8. What is no UTF-16 comes out as half a surrogate pair, so that only its line does not decode."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        self._file, self._rest, self._ended = file, b"", False
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        while not self._rest and not self._ended:
            data = self._file.read(len(view))
            self._ended = not data
            text = self._decoder.decode(data)
            if self._ended and self._decoder.getstate()[0]:
                text += "\udcff"  # the file ends within a character
            self._rest = text.encode("utf-8", "surrogatepass")
        given, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(given)] = given
        return len(given)

    def close(self) -> None:
        self._file.close()
        super().close()


def undecodable(place: str, raw: bytes, encoding: str) -> DataError:
    """The error of a line that is not in its file's encoding. `raw` in its values is the text as far as it reads."""
    name = "UTF-8" if encoding != "cp949" else "CP949"
    other = "cp949" if encoding != "cp949" else "utf-8"
    guess = Phrase(
        "the line reads as {other}; save the file in one encoding", other="CP949" if other == "cp949" else "UTF-8"
    )
    if not _is(raw, other):
        other, guess = encoding, Phrase("save the file as UTF-8")
    try:
        raw.decode(encoding)
        byte = 0
    except UnicodeDecodeError as error:
        byte = raw[error.start]
    return DataError(
        "{where}: not {name} (byte 0x{byte:02x}), unlike the rest of the file; {guess}. {way_out}",
        where=place,
        name=name,
        byte=byte,
        guess=guess,
        way_out=WAY_OUT,
        raw=raw.decode(other, "backslashreplace").strip(),
    )


WAY_OUT = Phrase("Mend or remove it, or let `prepare` drop and count such rows with `on_error: skip`.")
