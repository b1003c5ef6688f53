"""Every container gives the same rows with the right places; everything else is one paragraph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.data.sources import Container, read_rows, sniff
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
    assert str(rows[2][0]).startswith("a.jsonl:3: not UTF-8 (byte 0x8c); it reads as CP949: `iconv -f CP949 -t UTF-8")


REFUSED = [
    # (file name, bytes, what the paragraph says)
    ("a.jsonl", b"", "a.jsonl: the file is empty. Give a file with rows."),
    ("a.jsonl", b" \n\n", "a.jsonl: the file is empty."),
    ("a.jsonl", BOM, "a.jsonl: the file is empty."),
    ("a.csv", "질문,답\n", "a.csv holds comma-separated values; seodang reads JSON lines"),
    ("a.TSV", "질문\t답\n", "a.TSV holds tab-separated values; seodang reads JSON lines, a JSON array, and .txt files"),
    ("a.tsv", "질문\t답\n", 'pandas.read_csv(…, sep="\\t", quoting=3).to_json('),
    ("a.jsonl.gz", b"\x1f\x8b\x08", "a.jsonl.gz is gzip-compressed. Unpack it first (`gunzip`)."),
    ("a.zst", b"\x28\xb5\x2f\xfd", "a.zst is zstd-compressed."),
    ("a.xlsx", b"PK\x03\x04", "a.xlsx is a zip archive or an Excel workbook."),
    ("a.parquet", b"PAR1", "a.parquet is a parquet file. Write it as JSON lines first"),
    ("a.json", "[]".encode("utf-16"), "a.json is UTF-16 text. Save it as UTF-8 first: `iconv -f UTF-16"),
    (
        "a.jsonl",
        "<<start conversation>>\n<사람>: 안녕\n",
        "a.jsonl is not JSON: it starts with '<<start conversation>>'.",
    ),
    ("a.json", pretty(ROWS).encode("cp949"), "a.json:3: not UTF-8 (byte 0xbc); it reads as CP949"),
    ("a.json", b'[{"a": "\xff\xff"}]', "a.json:1: not UTF-8 (byte 0xff); save it as UTF-8."),
]


@pytest.mark.parametrize(("name", "data", "text"), REFUSED)
def test_what_is_not_read_is_one_paragraph(tmp_path: Path, name: str, data: bytes | str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        list(read_rows(written(tmp_path, name, data)))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path, "koalpaca.jsonl", LINES)
    with pytest.raises(DataError, match=r"koalpca\.jsonl does not exist\. Did you mean .*koalpaca\.jsonl\?"):
        read_rows(tmp_path / "koalpca.jsonl")
    with pytest.raises(DataError, match=r"does not exist\. Paths start at the working directory\."):
        read_rows(tmp_path / "no" / "such.jsonl")
    with pytest.raises(DataError, match=r"is a folder\. Name the file"):
        read_rows(tmp_path)


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    assert list(read_rows(written(tmp_path, "a.json", " [ ]\n"))) == []


SHARED = {
    "ko/kochatgpt_ppo.jsonl": ("array", "utf-8", 12000),
    "ko/kochatgpt_seed.txt": ("text", "utf-8-sig", 11997),
    "ko/kullm_style_conversation.jsonl": ("lines", "utf-8", 1495),
    "ko/kullm_style_evol.jsonl": ("lines", "utf-8", 476),
    "ko/logickor_questions.jsonl": ("lines", "utf-8", 42),
    "ko/preference_mk4.jsonl": ("lines", "utf-8", 3695),
    "ko/preference_mk6_eval.json": ("array", "utf-8", 300),
    "ko/klue_sts_dev.json": ("array", "utf-8", 519),
    "ko/web_text_0.jsonl": ("lines", "utf-8", 2500),
    "en/alpaca_en_demo.json": ("array", "utf-8", 999),
    "en/dpo_en_demo.json": ("array", "utf-8", 300),
    "en/self_instruct_seed_tasks.jsonl": ("lines", "utf-8", 175),
}


@pytest.mark.parametrize("name", SHARED)
def test_reads_real_files(shared_data: Path, name: str) -> None:
    kind, encoding, count = SHARED[name]
    container, rows = sniff(shared_data / name), list(read_rows(shared_data / name))
    assert (container.kind, container.encoding, len(rows)) == (kind, encoding, count)
    assert not any(isinstance(row, DataError) for row, _ in rows)
    lines = [int(place.rpartition(":")[2]) for _, place in rows]
    assert lines == sorted(set(lines))


@pytest.mark.parametrize("name", ["ko/chatbot_data.csv", "ko/smilestyle.tsv", "ko/kochatgpt_sft_conversation.jsonl"])
def test_names_what_it_does_not_read(shared_data: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"seodang reads JSON lines, a JSON array, and \.txt files"):
        read_rows(shared_data / name)
