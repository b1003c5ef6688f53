"""What a path names: folders, globs and archives in order of their names, whatever these are written in."""

from __future__ import annotations

import gzip
import json
import unicodedata
import zipfile
from pathlib import Path

import pyarrow
import pytest

from seodang.data.files import entry_name, find
from seodang.data.sources import open_rows, read_rows, sniff
from seodang.errors import DataError

ROW = {"text": "한 줄"}
LINE = json.dumps(ROW, ensure_ascii=False).encode() + b"\n"


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LINE)
    return folder


class Legacy(zipfile.ZipInfo):
    """An entry whose name is written in CP949 without a flag, as Korean Windows does."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp949"), self.flag_bits


def zipped(path: Path, entries: dict[str, bytes], kind: type[zipfile.ZipInfo] = zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(kind(name), data, zipfile.ZIP_DEFLATED)
    return path


def names(path: str | Path) -> list[str]:
    return [file.name for file in find(path).files]


def test_a_folder_is_its_data_files_in_order(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "b.jsonl", "a/2.json", "a/10.json", "가.csv.gz", "README.md", "LICENSE.txt", ".DS_Store",
                  ".git/x.json", "__MACOSX/b.jsonl", "그림.png")  # fmt: skip
    found = find(folder)
    assert [file.name for file in found.files] == ["set/a/10.json", "set/a/2.json", "set/b.jsonl", "set/가.csv.gz"]
    assert found.unread == ("set/LICENSE.txt", "set/README.md", "set/그림.png")


def test_places_in_a_folder_begin_with_the_file(tmp_path: Path) -> None:
    folder = tree(tmp_path / "set", "b.jsonl", "a/2.json")
    assert [place for _, place in read_rows(folder)] == ["set/a/2.json:1", "set/b.jsonl:1"]
    assert [place for _, place in open_rows(folder, "x/set")] == ["x/set/a/2.json:1", "x/set/b.jsonl:1"]


def test_a_document_per_file(tmp_path: Path) -> None:
    for number in range(30):
        text = json.dumps({"text": f"{number}번"}, indent=1, ensure_ascii=False)
        (tmp_path / f"{number:03}.json").write_text(text, encoding="utf-8")
    rows = open_rows(tmp_path, "말뭉치")
    assert [row for row, _ in rows] == [{"text": f"{number}번"} for number in range(30)]
    [(container, count)] = rows.files.items()
    assert (container.kind, count, rows.count) == ("objects", 30, 30)


GLOBS = [
    ("*.jsonl", ["말뭉치/b.jsonl"]),
    ("**/*.jsonl", ["말뭉치/b.jsonl", "말뭉치/하나/c.jsonl"]),
    ("하나/*", ["하나/2.json", "하나/c.jsonl"]),
    ("하나/[0-9].json", ["하나/2.json"]),
    ("?.jsonl", ["말뭉치/b.jsonl"]),
]


@pytest.mark.parametrize(("pattern", "expected"), GLOBS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_globs_compare_names_in_nfc(tmp_path: Path, pattern: str, expected: list[str], form: str) -> None:
    """A set that was copied from macOS has its names in NFD."""
    folder = tmp_path / unicodedata.normalize(form, "말뭉치")  # type: ignore[arg-type]
    tree(folder, *(unicodedata.normalize(form, name) for name in ("b.jsonl", "하나/2.json", "하나/c.jsonl")))  # type: ignore[arg-type]
    assert names(tmp_path / "말뭉치" / pattern) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_file_is_found_in_either_form(tmp_path: Path, form: str) -> None:
    tree(tmp_path, unicodedata.normalize(form, "답변.jsonl"))  # type: ignore[arg-type]
    for other in ("NFC", "NFD"):
        path = tmp_path / unicodedata.normalize(other, "답변.jsonl")  # type: ignore[arg-type]
        assert list(read_rows(path)) == [(ROW, "답변.jsonl:1")]


def test_a_name_with_brackets_is_a_file_first(tmp_path: Path) -> None:
    tree(tmp_path, "a[1].jsonl", "a1.jsonl")
    assert names(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


PACKED = [
    ("a.jsonl.gz", gzip.compress(LINE * 3, mtime=0), ("gzip",)),
    ("a.jsonl.gz", gzip.compress(LINE, mtime=0) + gzip.compress(LINE * 2, mtime=0), ("gzip",)),
    ("a.zst", bytes(pyarrow.Codec("zstd").compress(LINE * 3, asbytes=True)), ("zstd",)),
    ("a.jsonl", gzip.compress(LINE * 3, mtime=0), ("gzip",)),
]


@pytest.mark.parametrize(("name", "data", "packed"), PACKED)
def test_compressed_data_is_read_through(tmp_path: Path, name: str, data: bytes, packed: tuple[str, ...]) -> None:
    (tmp_path / name).write_bytes(data)
    assert list(read_rows(tmp_path / name)) == [(ROW, f"{name}:{line}") for line in (1, 2, 3)]
    assert sniff(tmp_path / name).packed == packed


@pytest.mark.parametrize("kind", [zipfile.ZipInfo, Legacy])
def test_the_names_in_an_archive(tmp_path: Path, kind: type[zipfile.ZipInfo]) -> None:
    entries = {
        "답변/똠방.jsonl": LINE,
        "답변/가.txt": "글\n".encode(),
        "설명.hwp": b"\xd0\xcf",
        "__MACOSX/x.jsonl": b"",
    }
    path = zipped(tmp_path / "set.zip", entries, kind)
    assert names(path) == ["set.zip/답변/가.txt", "set.zip/답변/똠방.jsonl"]
    assert find(path).unread == ("set.zip/설명.hwp",)
    assert list(read_rows(path)) == [({"text": "글"}, "set.zip/답변/가.txt:1"), (ROW, "set.zip/답변/똠방.jsonl:1")]
    assert sniff(path).packed == ("zip",)


NAMES = [("답변.json", "cp949"), ("답변.json", "utf-8"), ("plain.json", "ascii")]


@pytest.mark.parametrize(("name", "encoding"), NAMES)
def test_entry_names_without_a_flag(name: str, encoding: str) -> None:
    info = zipfile.ZipInfo(name.encode(encoding).decode("cp437"))
    assert entry_name(info) == name


def test_an_archive_in_an_archive_and_compressed_files_in_it(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"b.jsonl": LINE, "c.jsonl.gz": gzip.compress(LINE, mtime=0)}).read_bytes()
    path = zipped(tmp_path / "outer.zip", {"z/inner.zip": inner, "a.jsonl": LINE})
    places = ["outer.zip/a.jsonl:1", "outer.zip/z/inner.zip/b.jsonl:1", "outer.zip/z/inner.zip/c.jsonl.gz:1"]
    assert [place for _, place in read_rows(path)] == places
    assert not list(tmp_path.glob("*.jsonl"))


REFUSED = [
    ({"../밖.jsonl": LINE}, "set.zip/../밖.jsonl: this entry of the archive points outside it"),
    ({"/etc/a.jsonl": LINE}, "set.zip//etc/a.jsonl: this entry of the archive points outside it"),
    ({"C:/a.jsonl": LINE}, "set.zip/C:/a.jsonl: this entry of the archive points outside it"),
    (
        {"README.md": b"#", "a.png": b""},
        "holds no file that is read (.csv .json .jsonl .ndjson .parquet .tsv .txt .xlsx). It holds",
    ),
    ({}, "holds no file that is read (.csv .json .jsonl .ndjson .parquet .tsv .txt .xlsx). It is empty."),
    ({"bomb.jsonl": b" " * (70 << 20)}, "set.zip/bomb.jsonl unpacks to more than 250 times its size"),
]


@pytest.mark.parametrize(("entries", "text"), REFUSED)
def test_archives_that_are_not_read(tmp_path: Path, entries: dict[str, bytes], text: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(zipped(tmp_path / "set.zip", entries))
    assert text in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"a.jsonl": LINE})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"set\.zip/a\.jsonl is encrypted\. Unpack it with its password"):
        read_rows(path)


def test_an_entry_whose_data_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path / "set.zip", {"a.jsonl": LINE * 9})
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF
    path.write_bytes(data)
    [(error, place)] = read_rows(path)
    assert place == "set.zip/a.jsonl"
    assert str(error) == "set.zip/a.jsonl: the compressed data is damaged. Fetch the file anew."


def test_one_file_of_many_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    tree(tmp_path / "set", "a.jsonl", "c.jsonl")
    (tmp_path / "set" / "b.jsonl").write_bytes(b"%PDF-1.7")
    rows = list(read_rows(tmp_path / "set"))
    assert [place for _, place in rows] == ["set/a.jsonl:1", "set/b.jsonl", "set/c.jsonl:1"]
    assert str(rows[1][0]).startswith("set/b.jsonl is a PDF.")


NONE = [("none/*.jsonl", "no file matches"), ("*.parquet", "no file matches"), ("leer", "holds no file that is read")]


@pytest.mark.parametrize(("path", "text"), NONE)
def test_nothing_there(tmp_path: Path, path: str, text: str) -> None:
    (tmp_path / "leer").mkdir()
    with pytest.raises(DataError, match=text):
        find(tmp_path / path)


def test_a_glob_under_the_name_of_its_source(tmp_path: Path) -> None:
    tree(tmp_path / "a", "x.jsonl")
    for name, place in (("*.jsonl", "x.jsonl:1"), ("data/a/*.jsonl", "data/a/x.jsonl:1")):
        assert [place for _, place in open_rows(tmp_path / "a" / "*.jsonl", name)] == [place]
