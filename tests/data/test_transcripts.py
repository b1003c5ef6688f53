"""A transcript is told from prose, cut into dialogues where it is marked, and loses no line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.data.sources import read_rows, sniff
from seodang.data.transcripts import layout, speaker

TALKS = ["<사람>: 안녕?\n<챗봇>: 안녕하세요.\n무엇을 도와드릴까요?", "<사람>: 날씨는?\n<챗봇>: 맑습니다."]

LAYOUTS = [
    ("<<start conversation>>\n" + "\n<<start conversation>>\n".join(TALKS), "marker", [2, 6]),
    ("\n<<end conversation>>\n".join(TALKS) + "\n<<end conversation>>\n", "marker", [1, 5]),
    ("\n-----\n".join(TALKS), "rule", [1, 5]),
    ("\n\n\n".join(TALKS), "gap", [1, 6]),
    ("\n\n".join(TALKS), "blank", [1, 5]),
]


@pytest.mark.parametrize(("text", "cut", "lines"), LAYOUTS)
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
@pytest.mark.parametrize("codec", ["utf-8-sig", "cp949"])
def test_dialogues(tmp_path: Path, text: str, cut: str, lines: list[int], name: str, codec: str) -> None:
    (tmp_path / name).write_bytes((text + "\n").replace("\n", "\r\n").encode(codec))
    container = sniff(tmp_path / name)
    assert (container.kind, container.detail, container.encoding) == ("transcript", cut, codec)
    expected = [({"text": talk}, f"{name}:{line}") for talk, line in zip(TALKS, lines, strict=True)]
    assert list(read_rows(tmp_path / name)) == expected


def test_a_blank_line_before_every_turn_parts_turns(tmp_path: Path) -> None:
    text = "사람: 안녕?\n\n챗봇: 안녕하세요.\n\n사람: 날씨는?\n\n챗봇: 맑습니다.\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert [row for row, _ in read_rows(tmp_path / "a.txt")] == [{"text": text.strip()}]


def test_a_blank_line_within_an_answer_parts_nothing(tmp_path: Path) -> None:
    text = "\n<<start>>\n<사람>: 세 가지만.\n<챗봇>: 첫째,\n\n둘째, 셋째.\n\n끝.\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert [row for row, _ in read_rows(tmp_path / "a.txt")] == [{"text": text.strip().removeprefix("<<start>>\n")}]


SPEAKERS = [
    ("<사람>: 안녕", "<사람>"), ("<아무개> : 안녕", "<아무개>"), ("### 질문: 왜?", "### 질문"), ("사용자: 안녕", "사용자"),
    ("[철수]: 네", None), ("User: hi", "User"), ("철수: 안녕", None), ("시간: 3시", None), ("그는 말했다: 가자", None),
    ("https://a.example", None), ("12:30에 만나요", None), ("안녕", None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "name"), SPEAKERS)
def test_who_speaks(line: str, name: str | None) -> None:
    assert speaker(line) == name


PROSE: list[list[str]] = [
    ["불고기용 고기 한우에요?", "쓰던 앱이 유료로 전환됐어", "여친이랑 다툼"],
    ["질문: 왜 그런가?", "질문: 무엇이 다른가?", "질문: 어디인가?"],
    ["날짜: 3월 1일", "장소: 서울", "준비물: 물"],
    ["그냥 글입니다."] * 20 + ["사람: 안녕", "챗봇: 네"],
]


@pytest.mark.parametrize("lines", PROSE)
def test_prose_is_no_transcript(lines: list[str]) -> None:
    assert layout(lines) is None


def test_the_evidence() -> None:
    found: Any = layout("\n\n\n".join(TALKS).split("\n"))
    assert found.evidence == (
        "4 of 5 lines begin with a speaker (<사람>, <챗봇>); dialogues are cut at two blank lines"
    )


def test_a_zero_byte_in_a_text_is_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("첫 줄입니다 여기는\n둘\0째\n셋째\n".encode())
    rows = list(read_rows(tmp_path / "a.txt"))
    assert str(rows[1][0]).startswith("a.txt:2: the line holds a zero byte, as a damaged file does.")
    assert [row for row, _ in (rows[0], rows[2])] == [{"text": "첫 줄입니다 여기는"}, {"text": "셋째"}]
