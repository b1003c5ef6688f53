"""Every container gives the same rows with the right places; everything else is one paragraph."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from seodang.data import json_rows
from seodang.data.containers import Container
from seodang.data.sources import open_rows, read_rows, sniff
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


CONTAINERS = [
    # (file name, bytes, kind, encoding, line ends, place of each row: its line, in a document its number)
    ("a.jsonl", LINES, "lines", "utf-8", "LF", [1, 2]),
    ("a.json", LINES, "lines", "utf-8", "LF", [1, 2]),
    ("a.txt", LINES, "lines", "utf-8", "LF", [1, 2]),
    ("a", LINES.rstrip(), "lines", "utf-8", "LF", [1, 2]),
    ("a.jsonl", LINES.replace("\n", "\n\n"), "lines", "utf-8", "LF", [1, 3]),
    ("a.jsonl", LINES.replace("\n", "\r\n"), "lines", "utf-8", "CRLF", [1, 2]),
    ("a.jsonl", LINES.replace("\n", "\r"), "lines", "utf-8", "CR", [1, 2]),
    ("a.jsonl", BOM + LINES.encode(), "lines", "utf-8-sig", "LF", [1, 2]),
    ("a.json", pretty(ROWS), "array", "utf-8", "LF", [1, 2]),
    ("a.jsonl", pretty(ROWS), "array", "utf-8", "LF", [1, 2]),
    ("a.txt", pretty(ROWS), "array", "utf-8", "LF", [1, 2]),
    ("a.jsonl", BOM + pretty(ROWS).replace("\n", "\r\n").encode(), "array", "utf-8-sig", "CRLF", [1, 2]),
    ("a.json", json.dumps(ROWS), "array", "utf-8", "LF", [1, 2]),
    ("a.json", "\n\n  " + json.dumps(ROWS, indent=1).replace("}\n]", "},\n]"), "array", "utf-8", "LF", [1, 2]),
    ("a.json", "\n".join(pretty([row])[2:-2] for row in ROWS), "objects", "utf-8", "LF", [1, 2]),
    ("a.json", json.dumps(ROWS[0], indent=2), "objects", "utf-8", "LF", [1]),
]


@pytest.mark.parametrize(("name", "data", "kind", "encoding", "line_ends", "at"), CONTAINERS)
def test_reads_the_same_rows(
    tmp_path: Path, name: str, data: bytes | str, kind: str, encoding: str, line_ends: str, at: list[int]
) -> None:
    path = written(tmp_path, name, data)
    assert sniff(path) == Container(kind, encoding, line_ends)  # type: ignore[arg-type]
    assert list(read_rows(str(path))) == [(row, f"{name}:{line}") for row, line in zip(ROWS, at, strict=False)]


def test_reads_a_text_file_line_by_line(tmp_path: Path) -> None:
    path = written(tmp_path, "씨앗.txt", BOM + "첫 줄\r\n\r\n  [속보] 둘째\n".encode())
    assert sniff(path) == Container("text", "utf-8-sig", "CRLF")
    assert list(read_rows(path)) == [({"text": "첫 줄"}, "씨앗.txt:1"), ({"text": "  [속보] 둘째"}, "씨앗.txt:3")]


def test_a_line_separator_inside_a_text_is_no_line_end(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", '{"text": "하나\u2028둘\x85셋"}\n')
    assert list(read_rows(path)) == [({"text": "하나\u2028둘\x85셋"}, "a.jsonl:1")]


@pytest.mark.parametrize("data", ['{"input": NaN, "n": Infinity}\n', '[{"input": NaN, "n": -Infinity}]'])
def test_nan_reads_as_null(tmp_path: Path, data: str) -> None:
    """pandas writes NaN for a missing value; JSON has no such number."""
    [(row, _)] = read_rows(written(tmp_path, "a.json", data))
    assert row == {"input": None, "n": None}


BROKEN = [
    # (data, what comes out: a row's index or a part of the error's text)
    (LINES + '{"instruction": "끝이 없', [0, 1, "a.jsonl:3: the line is not valid JSON"]),
    ('{"a": 1\n' + LINES, ["a.jsonl:1: the line is not valid JSON", 0, 1]),
    (LINES + "끼어든 글\n", [0, 1, "a.jsonl:3: the line is not valid JSON"]),
    (LINES + "[1, 2]\n7\nnull\n", [0, 1, "3: a row must be a JSON object", "this one is a number", "this one is null"]),
    (pretty(ROWS)[:-2], [0, 1, "a.jsonl:9: not valid JSON at this line: the array is not closed; no row"]),
    (pretty(ROWS)[:-10], [0, "a.jsonl:8: not valid JSON at this line: it is cut off after "]),
    (pretty(ROWS).replace("},", "}"), [0, "a.jsonl:6: not valid JSON at this line: a comma is missing between"]),
    (
        pretty(ROWS) + "\n[1]",
        [0, 1, "a.jsonl:11: not valid JSON at this line: text follows the array; no row after it"],
    ),
    ('["글만", {}]', ["a.jsonl:1: a row must be a JSON object with named columns, this one is a text"]),
    (json.dumps(ROWS[0], indent=1) + "\n{", [0, "a.jsonl:5: not valid JSON at this line: it is cut off after '{'"]),
    (pretty([*ROWS, 7]), [0, 1, "a.jsonl:3: a row must be a JSON object with named columns, this one is a number"]),
]


@pytest.mark.parametrize(("data", "expected"), BROKEN)
def test_a_broken_row_comes_out_beside_its_place(tmp_path: Path, data: str, expected: list[int | str]) -> None:
    found = list(read_rows(written(tmp_path, "a.jsonl", data)))
    for (row, place), wanted in zip(found, expected, strict=False):
        if isinstance(wanted, int):
            assert row == ROWS[wanted]
        else:
            assert isinstance(row, DataError)
            assert wanted in str(row)
            assert str(row).startswith(place)
    assert len(found) >= len(expected)


FAULTS = [
    # (a broken line, what is said of it)
    ('{"a": "끝이 없는 글', 'it is cut off after \'{"a": "끝이 없는 글\''),
    ('{"a": 1, "b":', 'it is cut off after \'{"a": 1, "b":\''),
    ('{"a": 1', "it is cut off after '{\"a\": 1'"),
    ("{'a': 1}", "a column name in double quotes must stand at \"'a': 1}\""),
    ('{"a" 1}', "a colon is missing before '1}'"),
    (
        '{"a": "그는 "예"라고 했다"}',
        "a comma, or the backslash of a quotation mark in a text, is missing before '예\"라고",
    ),
    ('{"a": None}', "no value begins at 'None}'"),
    ('{"a": "가\t나"}', "a line end, tab or other control character is not escaped at '나\"}'"),
    ('{"a": "C:\\새 폴더"}', "a backslash that escapes nothing must be doubled at '\\\\새 폴더\"}'"),
    ('{"a": 1} {"a": 2}', "after the row stands '{\"a\": 2}'"),
    ('{"a": ' + "[" * 100000, "it is nested too deeply"),
    ('{"a": ' + "1" * 5000 + "}", "a number in it is too long"),
]


@pytest.mark.parametrize(("line", "why"), FAULTS)
def test_what_is_wrong_with_a_line_is_said_in_words(tmp_path: Path, line: str, why: str) -> None:
    (_, _), (_, _), (error, place) = read_rows(written(tmp_path, "a.jsonl", LINES + line + "\n"))
    assert str(error).startswith(f"{place}: the line is not valid JSON: {why}")
    assert "Expecting" not in str(error)
    assert len(str(error)) < 300


RAWS = [
    # (data, the text of each row that cannot be read, as it stands in the file)
    (LINES + '{"a": 1, \r\n', ['{"a": 1,']),
    (LINES + '[1, "둘"]\n"글"\n7\nnull\n', ['[1, "둘"]', '"글"', "7", "null"]),
    ('[{"a": 1}, [1,\n 2], "글", null]', ["[1,\n 2]", '"글"', "null"]),
    ('[\n{"a": 1},\n{"a": 2\n{"a": 3}]', ['{"a": 2\n{"a": 3}]']),
    ('[{"a": 1} {"a": 2}]', ['{"a": 2}]']),
    ('[{"a": 1}]\n{"a": 2}', ['{"a": 2}']),
    (LINES.encode() + '{"text": "똠방각하"}'.encode("cp949"), ['{"text": "똠방각하"}']),
    (LINES.encode() + b'{"a": "\xff\xff"}', ['{"a": "\\xff\\xff"}']),
]


@pytest.mark.parametrize(("data", "raws"), RAWS)
def test_no_row_loses_its_text(tmp_path: Path, data: str | bytes, raws: list[str]) -> None:
    found = [row for row, _ in read_rows(written(tmp_path, "a.jsonl", data)) if isinstance(row, DataError)]
    assert [error.values["raw"] for error in found] == raws


LAYOUTS = [json.dumps(ROWS * 4), pretty(ROWS * 4), json.dumps(ROWS * 4, indent=0), "\n".join(map(pretty, ROWS * 4))]


@pytest.mark.parametrize("data", LAYOUTS)
def test_a_place_in_a_document_is_the_number_of_its_row(tmp_path: Path, data: str) -> None:
    places = [place for _, place in read_rows(written(tmp_path, "arr.jsonl", data))]
    assert places == [f"arr.jsonl:{number}" for number in range(1, 9)]


def test_a_broken_line_says_where_and_what_to_do(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path, "seed.jsonl", LINES * 8 + "{broken}\n")))
    assert str(rows[16][0]) == (
        "seed.jsonl:17: the line is not valid JSON: a column name in double quotes must stand at 'broken}'. "
        "Mend or remove it, or let `prepare` drop and count such rows with `on_error: skip`."
    )


def test_a_line_in_another_encoding_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", LINES.encode() + '{"text": "똠방각하"}\n'.encode("cp949"))
    rows = list(read_rows(path))
    assert [isinstance(row, DataError) for row, _ in rows] == [False, False, True]
    assert str(rows[2][0]) == (
        "a.jsonl:3: not UTF-8 (byte 0x8c), unlike the rest of the file; the line reads as CP949; save the file in one "
        "encoding. Mend or remove it, or let `prepare` drop and count such rows with `on_error: skip`."
    )


ENCODINGS = [
    # (codec that writes it, what is found)
    ("utf-8", "utf-8"),
    ("utf-8-sig", "utf-8-sig"),
    ("cp949", "cp949"),
    ("utf-16", "utf-16-le"),
    ("utf-16-le", "utf-16-le"),
    ("utf-16-be", "utf-16-be"),
]
LAID_OUT = [("a.jsonl", LINES, "lines"), ("a.json", pretty(ROWS), "array"), ("a.json", pretty(ROWS[0]), "objects"),
            ("a.json", pretty({"data": ROWS}), "wrapped"), ("a.json", json.dumps({"data": ROWS}, ensure_ascii=False), "wrapped")]  # fmt: skip


@pytest.mark.parametrize(("codec", "encoding"), ENCODINGS)
@pytest.mark.parametrize(("name", "text", "kind"), LAID_OUT)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_encoding_of_every_layout(
    tmp_path: Path, codec: str, encoding: str, name: str, text: str, kind: str, ends: str
) -> None:
    text = text.replace("서울", "똠방각하")
    path = written(tmp_path, name, text.replace("\n", ends).encode(codec))
    container = sniff(path)
    assert (container.kind, container.encoding) == (kind, encoding)
    rows = [row for row, _ in read_rows(path)]
    assert rows[0] == {**ROWS[0], "output": "똠방각하입니다."}
    assert len(rows) == (1 if kind == "objects" else 2)


TABLES = [
    # (file name, text, kind, delimiter, places)
    ("a.csv", "instruction,output\n수도는?,서울입니다.\n강은?,한강입니다.\n", "csv", ",", [2, 3]),
    ("a.csv", "instruction;output\n수도는?;서울입니다.\n강은?;한강입니다.\n", "csv", ";", [2, 3]),
    ("a.csv", '"instruction","output"\r\n"수도는?","서울입니다."\r\n\r\n"강은?","한강입니다."\r\n', "csv", ",", [2, 4]),
    ("a.tsv", "instruction\toutput\n수도는?\t서울입니다.\n강은?\t한강입니다.", "tsv", "\t", [2, 3]),
    ("a.csv", "instruction\toutput\n수도는?\t서울입니다.\n강은?\t한강입니다.\n", "tsv", "\t", [2, 3]),
    ("a.txt", "instruction\toutput\n수도는?\t서울입니다.\n강은?\t한강입니다.\n", "tsv", "\t", [2, 3]),
]


@pytest.mark.parametrize(("name", "text", "kind", "delimiter", "at"), TABLES)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_tables(tmp_path: Path, name: str, text: str, kind: str, delimiter: str, at: list[int], codec: str) -> None:
    path = written(tmp_path, name, text.encode(codec))
    container = sniff(path)
    assert (container.kind, container.detail) == (kind, delimiter)
    assert list(read_rows(path)) == [(row, f"{name}:{line}") for row, line in zip(ROWS, at, strict=True)]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, "koalpaca.jsonl", LINES)
    with pytest.raises(DataError, match=r"koalpca\.jsonl does not exist\. Did you mean .*koalpaca\.jsonl\?"):
        read_rows(tmp_path / "koalpca.jsonl")
    with pytest.raises(DataError, match=r"does not exist\. Paths start at the working directory\."):
        read_rows(tmp_path / "no" / "such.jsonl")


DAMAGED = [
    # (bytes, how many rows are read before, what is said of the rest)
    (gzip.compress(LINES.encode() * 500, mtime=0)[:-20], "after this place the file is damaged or cut off"),
    (gzip.compress(LINES.encode() * 500, mtime=0)[:-4] + b"oops", "after this place the file is damaged or cut off"),
]


@pytest.mark.parametrize(("data", "text"), DAMAGED)
def test_damage_is_an_error_after_the_rows_that_can_be_read(tmp_path: Path, data: bytes, text: str) -> None:
    *rows, (error, place) = read_rows(written(tmp_path, "a.jsonl", data))
    assert isinstance(error, DataError)
    assert text in str(error)
    assert str(error).startswith(place)
    assert all(not isinstance(row, DataError) for row, _ in rows)


def test_broken_utf16_costs_its_line(tmp_path: Path) -> None:
    """Half a surrogate pair in the second line, and half a character at the end."""
    data = (LINES + LINES).encode("utf-16-le")
    at = len(LINES.split("\n")[0] + "\n") * 2 + 40
    data = b"\xff\xfe" + data[:at] + b"\x00\xdc" + data[at:-5]
    rows = list(read_rows(written(tmp_path, "a.jsonl", data)))
    assert [isinstance(row, DataError) for row, _ in rows] == [False, True, False, True]
    half = list(read_rows(written(tmp_path, "b.jsonl", LINES.encode("utf-16") + b"A")))
    assert [isinstance(row, DataError) for row, _ in half] == [False, False, True]


def test_a_few_bytes_do_not_become_a_flood(tmp_path: Path) -> None:
    """100 MiB of spaces in a row, packed 1,000 times tighter."""
    data = gzip.compress(b'{"a": "' + b" " * (100 << 20))
    *_, (error, _) = read_rows(written(tmp_path, "a.jsonl.gz", gzip.compress(LINES.encode()) + data))
    assert str(error).startswith("a.jsonl.gz unpacks to more than 250 times its size, as data made to fill memory does")


def test_a_line_beyond_every_bound_is_one_bad_row(tmp_path: Path) -> None:
    """A line of 200 MB between two rows."""
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(json.dumps(ROWS[0]).encode() + b"\n" + b'{"a": "')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + json.dumps(ROWS[1]).encode())
    (first, _), (error, place), (last, at) = read_rows(path)
    assert (first, last) == (ROWS[0], ROWS[1])
    assert (place, at) == ("a.jsonl:2", "a.jsonl:3")
    assert str(error).startswith("a.jsonl:2: longer than 67,108,864 characters. One row cannot be so long;")
    assert isinstance(error, DataError)
    assert len(str(error.values["raw"])) < 2_000_000


def test_an_array_in_one_line_is_read_through_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", 64)
    rows = [{"text": "가" * number, "number": number} for number in range(200)]
    path = written(tmp_path, "a.json", json.dumps(rows, ensure_ascii=False))
    assert [row for row, _ in read_rows(path)] == rows


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    assert list(read_rows(written(tmp_path, "a.json", " [ ]\n"))) == []


SHARED = {
    # file: (container, encoding, line ends, rows)
    "ko/chatbot_data.csv": ("csv", "utf-8", "CRLF", 11823),
    "ko/klue_sts_dev.json": ("array", "utf-8", "CRLF", 519),
    "ko/kobest_boolq_dev.tsv": ("tsv", "utf-8", "CRLF", 700),
    "ko/kobest_sentineg_test.tsv": ("tsv", "utf-8", "CRLF", 397),
    "ko/kobest_sentineg_train.tsv": ("tsv", "utf-8", "CRLF", 3649),
    "ko/kochatgpt_ppo.jsonl": ("array", "utf-8", "LF", 12000),
    "ko/kochatgpt_seed.txt": ("text", "utf-8-sig", "LF", 11997),
    "ko/kochatgpt_sft_conversation.jsonl": ("transcript", "utf-8", "LF", 439),
    "ko/korsts_test.tsv": ("tsv", "utf-8", "LF", 1379),
    "ko/kullm_style_conversation.jsonl": ("lines", "utf-8", "LF", 1495),
    "ko/kullm_style_evol.jsonl": ("lines", "utf-8", "LF", 476),
    "ko/logickor_questions.jsonl": ("lines", "utf-8", "LF", 42),
    "ko/preference_mk4.jsonl": ("lines", "utf-8", "CRLF", 3695),
    "ko/preference_mk6_eval.json": ("array", "utf-8", "LF", 300),
    "ko/smilestyle.tsv": ("tsv", "utf-8", "CRLF", 3705),
    "ko/web_text_0.jsonl": ("lines", "utf-8", "LF", 2500),
    "en/alpaca_en_demo.json": ("array", "utf-8", "LF", 999),
    "en/dpo_en_demo.json": ("array", "utf-8", "LF", 300),
    "en/self_instruct_seed_tasks.jsonl": ("lines", "utf-8", "LF", 175),
}


@pytest.mark.parametrize("name", SHARED)
def test_reads_real_files(shared_data: Path, name: str) -> None:
    kind, encoding, ends, count = SHARED[name]
    container, rows = sniff(shared_data / name), list(read_rows(shared_data / name))
    assert (container.kind, container.encoding, container.line_ends, len(rows)) == (kind, encoding, ends, count)
    assert not any(isinstance(row, DataError) for row, _ in rows)
    lines = [int(place.rpartition(":")[2]) for _, place in rows]
    assert lines == sorted(set(lines))


def test_every_real_file_is_expected(shared_data: Path) -> None:
    assert {f"{path.parent.name}/{path.name}" for path in shared_data.glob("[ek][no]/*")} == set(SHARED)


def test_a_real_folder_is_all_its_files(shared_data: Path) -> None:
    found = open_rows(shared_data / "ko")
    assert sum(1 for _ in found) == sum(shape[3] for name, shape in SHARED.items() if name.startswith("ko/"))
    assert found.count == sum(found.files.values()) == 16
