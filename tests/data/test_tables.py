"""Tables give the rows that a spreadsheet would show, with an editor's line numbers; nothing is guessed."""

from __future__ import annotations

import datetime
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from seodang.data.sources import read_rows, sniff
from seodang.data.tables import columns_of, plain
from seodang.errors import DataError

HEADER = "질의,상담례\n"


def written(folder: Path, name: str, text: str | bytes) -> Path:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder / name


def told(path: Path) -> list[Any]:
    return [(str(row) if isinstance(row, DataError) else row, place) for row, place in read_rows(path)]


ROWS = [
    # (text below the header, rows with their lines)
    ("가,나\n", [(("가", "나"), 2)]),
    ('"가\n둘째 줄",나\n다,라\n', [(("가\n둘째 줄", "나"), 2), (("다", "라"), 4)]),
    ('"그는 ""예""라고, 했다",나\n', [(('그는 "예"라고, 했다', "나"), 2)]),
    ('5" 화면,나\n다,라\n', [(('5" 화면', "나"), 2), (("다", "라"), 3)]),
    ('"","나"\n\n\n,\n', [(("", "나"), 2), (("", ""), 5)]),
    ("가,나\r\n다,라\r\n", [(("가", "나"), 2), (("다", "라"), 3)]),
]


@pytest.mark.parametrize(("text", "rows"), ROWS)
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_csv(tmp_path: Path, text: str, rows: list[Any], codec: str) -> None:
    path = written(tmp_path, "a.csv", (HEADER + text).encode(codec))
    assert told(path) == [({"질의": one, "상담례": two}, f"a.csv:{line}") for (one, two), line in rows]


def test_a_column_name_with_a_comma(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", '\ufeff질의,"상담례, 결정례 기반 답변"\n가,나\n')
    assert told(path) == [({"질의": "가", "상담례, 결정례 기반 답변": "나"}, "a.csv:2")]
    assert sniff(path).evidence["container"] == "commas in the header, 2 columns"


BROKEN = [
    # (text below the header, what comes out)
    ("가\n다,라\n", ["a.csv:2: the row has 1 fields, and the header names 2 columns (질의, 상담례).", "다"]),
    ("가,나,다\n다,라\n", ["a.csv:2: the row has 3 fields, and the header names 2 columns", "다"]),
    (
        '"가,나\n다,라\n',
        ["a.csv:2: the quotation marks of the row do not match: one is opened and never closed.", "다"],
    ),
    (
        '"그는 "예"라고",나\n다,라\n',
        ["a.csv:2: the quotation marks of the row do not match: one within a text must", "다"],
    ),
    ("가\0,나\n다,라\n", ["a.csv:2: the row holds a zero byte, as a damaged file does.", "다"]),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_broken_row_costs_itself_alone(tmp_path: Path, text: str, expected: list[str]) -> None:
    (error, _), (row, place) = read_rows(written(tmp_path, "a.csv", HEADER + text))
    assert str(error).startswith(expected[0])
    assert str(error).endswith("`on_error: skip`.")
    assert isinstance(error, DataError)
    assert error.values["raw"] == text.split("\n")[0]
    assert (row, place) == ({"질의": "다", "상담례": "라"}, "a.csv:3")


def test_a_line_in_another_encoding(tmp_path: Path) -> None:
    data = (HEADER + "가,나\n").encode() + "똠,방\n".encode("cp949") + "다,라\n".encode()
    rows = list(read_rows(written(tmp_path, "a.csv", data)))
    assert [place for _, place in rows] == ["a.csv:2", "a.csv:3", "a.csv:4"]
    assert str(rows[1][0]).startswith(
        "a.csv:3: not UTF-8 (byte 0x8c), unlike the rest of the file; the line reads as CP949"
    )


TSV = [
    ('그는 "예\t나\n', [({"질의": '그는 "예', "상담례": "나"}, "a.tsv:2")]),
    ('"가"\t"나"\n', [({"질의": '"가"', "상담례": '"나"'}, "a.tsv:2")]),
    ("가\t\n\n\t나\n", [({"질의": "가", "상담례": ""}, "a.tsv:2"), ({"질의": "", "상담례": "나"}, "a.tsv:4")]),
]


@pytest.mark.parametrize(("text", "rows"), TSV)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_tsv_is_read_with_quoting_off(tmp_path: Path, text: str, rows: list[Any], ends: str) -> None:
    assert told(written(tmp_path, "a.tsv", ("질의\t상담례\n" + text).replace("\n", ends))) == rows


NAMES = [
    (["a", " b "], ["a", "b"]),
    (["", "a", ""], ["column_1", "a", "column_3"]),
]


@pytest.mark.parametrize(("names", "columns"), NAMES)
def test_columns(names: list[str], columns: list[str]) -> None:
    assert columns_of(names, "a.csv") == columns


def test_parquet(tmp_path: Path) -> None:
    """Lists are lists, whatever a table calls them: numpy's arrays made a tutorial's rows empty."""
    rows = [
        {"id": 1, "conversations": [{"from": "human", "value": "안녕"}, {"from": "gpt", "value": "네"}], "점수": 0.5},
        {"id": None, "conversations": [], "점수": float("nan")},
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected = [rows[0], {"id": None, "conversations": [], "점수": None}]
    assert list(read_rows(tmp_path / "a.parquet")) == [(row, f"a.parquet:{at}") for at, row in enumerate(expected, 1)]
    container = sniff(tmp_path / "a.parquet")
    assert (container.kind, container.encoding, container.line_ends) == ("parquet", "", "")
    assert container.evidence["container"] == "begins with PAR1; 2 rows, 3 columns"


def test_parquet_in_an_archive(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist([{"text": "글"}]), tmp_path / "a.parquet")
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.parquet", "a.parquet")
    assert list(read_rows(tmp_path / "set.zip")) == [({"text": "글"}, "set.zip/a.parquet:1")]


PLAIN = [
    (datetime.date(2026, 3, 1), "2026-03-01"), (datetime.datetime(2026, 3, 1, 9), "2026-03-01T09:00:00"), (b"\xea\xb0\x80", "가"),
    (b"\xff", "\\xff"), (float("inf"), None), ({1: (b"a",)}, {"1": ["a"]}), (True, True),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), PLAIN)
def test_values_as_json_knows_them(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert json.loads(json.dumps(expected)) == expected


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """The smallest workbook that a spreadsheet opens."""
    main, kind = "http://schemas.openxmlformats.org", "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relations = f"{main}/officeDocument/2006/relationships"
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{kind}.worksheet+xml"/>'
        for at in range(1, len(sheets) + 1)
    )
    names = "".join(f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}"/>' for at, name in enumerate(sheets, 1))
    links = "".join(
        f'<Relationship Id="rId{at}" Type="{relations}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in range(1, len(sheets) + 1)
    )
    package = f"{main}/package/2006"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
            f'relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>{parts}</Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" Type="{relations}/officeDocument" '
            'Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}/spreadsheetml/2006/main" xmlns:r="{relations}"><sheets>{names}</sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships">{links}</Relationships>'
        )
        for at, rows in enumerate(sheets.values(), 1):
            body = "".join(
                f'<row r="{number}">'
                + "".join(
                    f'<c r="{chr(65 + column)}{number}"><v>{value}</v></c>'
                    if isinstance(value, (int, float))
                    else f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{value}</t></is></c>'
                    for column, value in enumerate(cells)
                    if value != ""
                )
                + "</row>"
                for number, cells in enumerate(rows, 1)
            )
            archive.writestr(
                f"xl/worksheets/sheet{at}.xml",
                f'<worksheet xmlns="{main}/spreadsheetml/2006/main"><sheetData>{body}</sheetData></worksheet>',
            )
    return path


TALK = [["질문", "답변", "점수"], ["안녕?", "안녕하세요.", 3], [], ["잘 가", "", 4.5]]


def test_a_workbook(tmp_path: Path) -> None:
    path = workbook(tmp_path / "감성대화.xlsx", {"대화": TALK, "설명": [["이 파일은"]], "빈": []})
    assert told(path) == [
        ({"질문": "안녕?", "답변": "안녕하세요.", "점수": 3}, "감성대화.xlsx:2"),
        ({"질문": "잘 가", "답변": "", "점수": 4.5}, "감성대화.xlsx:4"),
    ]
    assert [type(row["점수"]) for row, _ in read_rows(path) if isinstance(row, dict)] == [int, float]
    container = sniff(path)
    assert (container.kind, container.evidence["container"]) == ("xlsx", "a workbook with rows in `대화`")


def test_every_sheet_of_a_workbook(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"하나": TALK[:2], "둘": TALK[:2]})
    assert [place for _, place in read_rows(path)] == ["a.xlsx/하나:2", "a.xlsx/둘:2"]


BAD_BOOKS = [
    ({"a": [["질문", "질문"], ["가", "나"]]}, "a.xlsx: the header names the column `질문` more than once."),
    ({"a": [["질문"]]}, "a.xlsx: no sheet of the workbook holds rows below a header."),
]


@pytest.mark.parametrize(("sheets", "text"), BAD_BOOKS)
def test_workbooks_that_are_not_read(tmp_path: Path, sheets: dict[str, Any], text: str) -> None:
    path = workbook(tmp_path / "a.xlsx", sheets)
    with pytest.raises(DataError) as caught:
        for row, _ in read_rows(path):
            if isinstance(row, DataError):
                raise row
    assert str(caught.value).startswith(text)


def test_a_row_beside_the_header(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"a": [["질문"], ["가", "메모"], ["나"]]})
    (error, place), (row, _) = read_rows(path)
    assert str(error).startswith("a.xlsx:2: the row has 2 fields, and the header names 1 columns (질문).")
    assert (place, row) == ("a.xlsx:2", {"질문": "나"})


def test_a_workbook_that_is_a_bomb(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {"a": TALK})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.png", b" " * (70 << 20))
    with pytest.raises(DataError, match=r"^a\.xlsx unpacks to more than 250 times its size"):
        sniff(path)


def test_a_parquet_file_with_a_damaged_part(tmp_path: Path) -> None:
    rows = [{"text": f"{number}번째 글"} for number in range(4000)]
    parquet.write_table(
        pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=1024, use_dictionary=False
    )
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    at = len(data) * 2 // 3
    data[at : at + 200] = bytes(200)
    *good, (error, place) = read_rows(written(tmp_path, "a.parquet", bytes(data)))
    assert all(row == rows[number] for number, (row, _) in enumerate(good))
    assert (place, str(error)) == (
        f"a.parquet:{len(good)}",
        f"a.parquet:{len(good)}: after this place the file is damaged or cut off, and no row after it is read. Fetch it anew.",
    )


def test_a_damaged_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook")
    with pytest.raises(DataError, match=r"^a\.xlsx is a damaged workbook\. Save it anew as \.xlsx, or as CSV\."):
        sniff(tmp_path / "a.xlsx")


def test_an_unclosed_quotation_mark_in_a_long_file(tmp_path: Path) -> None:
    text = HEADER + '"가,나\n' + "다다다다다다다다다다,라라라라라라라라라라\n" * 60_000
    rows = list(read_rows(written(tmp_path, "a.csv", text)))
    assert len(rows) == 60_001
    assert [isinstance(row, DataError) for row, _ in rows[:3]] == [True, False, False]
    assert rows[-1][1] == "a.csv:60002"
