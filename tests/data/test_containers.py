"""What a file is, is decided from its bytes with the evidence; what is not read is one paragraph that says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from seodang.data.containers import Container
from seodang.data.sources import read_rows, sniff
from seodang.errors import DataError

ROWS = [{"instruction": "수도는?", "output": "서울입니다."}, {"instruction": "강은?", "output": "한강입니다."}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
BOM = b"\xef\xbb\xbf"


def written(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return path


def pretty(rows: Any) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=2)


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.Codec("zstd").compress(data, asbytes=True))


def test_every_decision_has_its_evidence(tmp_path: Path) -> None:
    container = sniff(written(tmp_path, "a.jsonl", LINES.encode("cp949")))
    assert container.to_report() == {
        "container": "lines",
        "encoding": "cp949",
        "line_ends": "LF",
        "decided_by": {
            "container": "the first line is a whole JSON object",
            "encoding": "not UTF-8 at byte 18; 2 of 2 lines with letters beyond ASCII are Korean in CP949",
            "line_ends": f"0 CRLF, 2 LF and 0 CR in the first {len(LINES.encode('cp949'))} bytes",
        },
    }


REFUSED = [
    # (file name, bytes, what the paragraph says)
    ("a.jsonl", b"", "a.jsonl: the file is empty. Give a file with rows."),
    ("a.jsonl", b" \n\n", "a.jsonl: the file is empty."),
    ("a.jsonl", BOM, "a.jsonl: the file is empty."),
    (
        "a.csv",
        "질문,답,질문\n가,나,다\n",
        "a.csv: the header names the column `질문` more than once. Rename one of them.",
    ),
    ("a.tsv", "질문\t질문\n가\t나\n", "a.tsv: the header names the column `질문` more than once."),
    ("a.jsonl.gz", b"\x1f\x8b\x08", "a.jsonl.gz: the compressed data is damaged. Fetch the file anew."),
    ("a.zst", b"\x28\xb5\x2f\xfd", "a.zst: the compressed data is damaged. Fetch the file anew."),
    (
        "a.zip",
        b"PK\x03\x04" + b"0" * 99,
        "a.zip is a damaged zip archive, or one part of several. Join the parts first",
    ),
    ("a.parquet", b"PAR1", "a.parquet is a damaged or incomplete parquet file. Fetch it anew."),
    (
        "a.xls",
        b"\xd0\xcf\x11\xe0",
        "a.xls is an old Office document (.xls, .doc, .hwp). Save it as .xlsx, .csv or .txt.",
    ),
    ("a.json", b"%PDF-1.7", "a.json is a PDF. Take the text out of it first."),
    ("a.json", b"<!doctype html><html>", "a.json is a web page. Usually the download went wrong: fetch the raw file."),
    ("a.parquet", b"version https://git-lfs.github.com/spec/v1", "a.parquet is a pointer of Git LFS, and the data is"),
    ("a.tar", b"a.json" + bytes(251) + b"ustar", "a.tar is a tar archive. Unpack it, and name the folder."),
    (
        "a.jsonl",
        "그냥 쓴 글입니다.\n둘째 줄\n",
        "a.jsonl is not JSON: it starts with '그냥 쓴 글입니다.\\n둘째 줄\\n'. seodang reads",
    ),
    (
        "a.json",
        b'[{"a": "\xff\xff"}]',
        "a.json:1: neither UTF-8 nor CP949 nor UTF-16 (byte 0xff at 9). Save it as UTF-8.",
    ),
    ("a.jsonl", "é è ü ö ß\n".encode("latin-1"), "a.jsonl:1: neither UTF-8 nor CP949 nor UTF-16 (byte 0xe9 at 1)."),
]


@pytest.mark.parametrize(("name", "data", "text"), REFUSED)
def test_what_is_not_read_is_one_paragraph(tmp_path: Path, name: str, data: bytes | str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_rows(written(tmp_path, name, data)))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


KINDS = [
    # (file name, text, kind): the content decides, and the name only where it must
    ("a.csv", '{"a": "가, 나"}\n', "lines"),
    ("a.tsv", '[{"a": 1}]', "array"),
    ("a.jsonl", "[사람]: 안녕\n[챗봇]: 네\n", "transcript"),
    ("a.jsonl", '["글만", {}]', "array"),
    ("a.csv", "{가},나\n다,라\n", "csv"),
    ("a.txt", "[속보] 첫 소식\n[날씨] 맑음\n", "text"),
    ("a.txt", "글\t하나\n글만\n", "text"),
    ("a.txt", "id\tdocument\tlabel\n1\t좋아요\t1\n", "tsv"),
    ("a.txt", '{"a": 1}\n{"a": 2}\n', "lines"),
    ("a.json", '{\n "data": [{"a": 1}]\n}\n{\n "data": []\n}', "objects"),
    ("a.jsonl", '{"data": [{"a": 1}]}\n{"data": [{"a": 2}]}\n', "lines"),
]


@pytest.mark.parametrize(("name", "text", "kind"), KINDS)
def test_the_content_decides(tmp_path: Path, name: str, text: str, kind: str) -> None:
    assert sniff(written(tmp_path, name, text)).kind == kind


def test_the_first_letter_beyond_ascii_is_looked_for(tmp_path: Path) -> None:
    """A set may begin with thousands of English rows."""
    data = b'{"text": "plain"}\n' * 9000 + '{"text": "똠방각하"}\n'.encode("cp949")
    assert sniff(written(tmp_path, "a.jsonl", data)).encoding == "cp949"


def test_evidence_does_not_part_files() -> None:
    one, other = Container("lines", evidence={"container": "가"}), Container("lines", evidence={"container": "나"})  # type: ignore[dict-item]
    assert len({one, other}) == 1
