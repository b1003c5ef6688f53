"""The encoding is told from the bytes, with the evidence; CP949 is CP949 and never EUC-KR."""

from __future__ import annotations

import io

import pytest

from seodang.data.encodings import decide, decoded, undecodable
from seodang.errors import DataError

TEXT = "똠방각하께서 펩시콜라를 드셨다.\n힣과 뷁도 글자입니다.\n"

CASES = [
    (TEXT.encode("utf-8"), "utf-8", "2 of 2 lines with letters beyond ASCII are valid UTF-8"),
    (TEXT.encode("utf-8-sig"), "utf-8-sig", "begins with the byte-order mark EF BB BF"),
    (TEXT.encode("utf-16"), "utf-16-le", "begins with the byte-order mark FF FE"),
    (TEXT.encode("cp949"), "cp949", "not UTF-8 at byte 1; 2 of 2 lines with letters beyond ASCII are Korean in CP949"),
    (b'{"a": 1}\n', "utf-8", "only ASCII in the first 9 bytes"),
    (TEXT.encode("utf-16-le"), "utf-16-le", "Korean and ASCII text as utf-16-le"),
    (TEXT.encode("utf-16-be"), "utf-16-be", "Korean and ASCII text as utf-16-be"),
    ("가나다 가 가\n".encode("utf-16-le"), "utf-16-le", "100% Korean and ASCII text as utf-16-le"),
    ("plain ASCII only".encode("utf-16-be"), "utf-16-be", "zero bytes in the first 32"),
    (
        TEXT.encode("utf-8") * 3 + TEXT.encode("cp949"),
        "utf-8",
        "6 of 8 lines with letters beyond ASCII are valid UTF-8",
    ),
    (
        TEXT.encode("cp949") * 3 + "가나다\n".encode(),
        "cp949",
        "6 of 7 lines with letters beyond ASCII are Korean in CP949",
    ),
    (TEXT.encode("utf-8")[:-30], "utf-8", "valid UTF-8"),
    ("가".encode() * 50 + "나".encode()[:2], "utf-8", "1 of 1 lines"),
    (("나" * 50).encode("cp949") + b"\xb0", "cp949", "1 of 1 lines"),
]


@pytest.mark.parametrize(("head", "name", "evidence"), CASES)
def test_decides(head: bytes, name: str, evidence: str) -> None:
    found = decide(head, "a.txt")
    assert found.name == name
    assert evidence in found.evidence


NEITHER = [
    "é è ü ö ß".encode("latin-1"),
    "日本語のテキスト、こんにちは".encode("shift-jis"),
    "Привет".encode("koi8-r"),
    "こんにちは、おげんきですか。".encode("euc-jp"),
    b"\xff\xff\xff",
]


@pytest.mark.parametrize("head", NEITHER)
def test_what_is_none_of_the_four(head: bytes) -> None:
    with pytest.raises(DataError, match=r"^a\.txt:1: neither UTF-8 nor CP949 nor UTF-16 \(byte 0x.. at \d+\)"):
        decide(head, "a.txt")


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "cp949"])
def test_decoded_bytes_have_no_mark(name: str) -> None:
    found = decide(TEXT.encode(name), "a.txt")
    assert decoded(io.BytesIO(TEXT.encode(name)), found.name).read().decode(found.codec) == TEXT


FAULTS = [
    (
        "가나".encode("cp949"),
        "utf-8",
        "not UTF-8 (byte 0xb0), unlike the rest of the file; the line reads as CP949",
        "가나",
    ),
    ("가나".encode(), "cp949", "not CP949 (byte 0x80), unlike the rest of the file; the line reads as UTF-8", "가나"),
    (
        b"a\xff\xff",
        "utf-8",
        "not UTF-8 (byte 0xff), unlike the rest of the file; save the file as UTF-8",
        "a\\xff\\xff",
    ),
]


@pytest.mark.parametrize(("raw", "codec", "text", "kept"), FAULTS)
def test_a_line_in_another_encoding(raw: bytes, codec: str, text: str, kept: str) -> None:
    error = undecodable("a.txt:7", raw, codec)
    assert str(error).startswith(f"a.txt:7: {text}")
    assert error.values["raw"] == kept
