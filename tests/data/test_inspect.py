"""`inspect` says what a file is; its dictionary is JSON and its text names everything that was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.data.inspect import inspect, render
from seodang.errors import DataError

ROWS = [
    {"instruction": "수도는?", "input": "입력없음", "output": "서울입니다.", "url": "https://kin.example/1"},
    {"instruction": "강은?", "input": "입력없음", "output": "한강이야.", "url": "https://kin.example/2"},
    {"instruction": "강은?", "input": "입력없음", "output": "한강이야.", "url": "https://kin.example/3"},
    {"instruction": "산은?", "input": "입력없음", "output": "", "url": "https://kin.example/4"},
]


def written(folder: Path, data: str, name: str = "koalpaca.jsonl") -> str:
    (folder / name).write_text(data, encoding="utf-8", newline="")
    return str(folder / name)


def lines(rows: list[dict[str, Any]]) -> str:
    return "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def test_the_dictionary(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, "\ufeff" + lines(ROWS)))
    assert json.loads(json.dumps(found)) == found
    expected = {
        "file": "koalpaca.jsonl",
        "container": "lines",
        "encoding": "utf-8-sig",
        "line_ends": "CRLF",
        "rows": 4,
        "format": {"kind": "alpaca", "instruction": "instruction", "input": "input", "output": "output"},
        "evidence": "alpaca (4 of 4 rows fit; not read: url)",
        "makes": "messages",
        "characters": {
            "prompt": {"p5": 3, "p50": 3, "p95": 4, "p99": 4, "max": 4},
            "answer": {"p5": 5, "p50": 5, "p95": 6, "p99": 6, "max": 6},
        },
        "scripts": {"hangul": 1.0, "latin": 0.0, "han": 0.0, "kana": 0.0},
        "endings": {"polite": 1, "plain": 2, "none": 0},
        "repairs": {},
        "samples": ROWS[:3],
    }
    assert {key: found[key] for key in expected} == expected
    assert found["defects"]["duplicate"] == {"rows": 1, "first": "koalpaca.jsonl:3 repeats koalpaca.jsonl:2"}
    assert found["defects"]["malformed"]["first"].startswith("koalpaca.jsonl:4: the row has no answer")


def test_the_text(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, "\ufeff" + lines(ROWS))))
    for part in (
        "koalpaca.jsonl  (",
        "container   JSON lines, utf-8-sig, CRLF",
        "rows        4",
        "columns     instruction (4 text)",
        "            output (3 text, 1 empty)",
        "format      alpaca (4 of 4 rows fit; not read: url)",
        "answer      p5 5 · p50 5 · p95 6 · p99 6 · max 6 characters",
        "letters     hangul 100.0% of the letters in answers",
        "endings     polite 1 · plain 2",
        "duplicate                    1  first: koalpaca.jsonl:3 repeats koalpaca.jsonl:2",
        '  {"instruction": "수도는?"',
    ):
        assert part in text, part


def test_a_clean_file_says_so_and_long_rows_are_cut(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, json.dumps({"text": "긴 글입니다. " * 50 + "끝"}, ensure_ascii=False))))
    assert "defects\n  none found" in text
    assert text.splitlines()[-1].endswith("…")
    assert max(map(len, text.splitlines())) < 130
    assert "endings" not in text


CONTAINERS = [
    ('[{"text": "가"}]', "a.jsonl", "container   one JSON array, utf-8, LF"),
    ('{\n"text": "가"\n}', "a.json", "container   JSON objects, one after the other, utf-8, LF"),
    ("가\n나\n", "a.txt", "container   plain text, one per line, utf-8, LF"),
]


@pytest.mark.parametrize(("data", "name", "line"), CONTAINERS)
def test_containers_in_words(tmp_path: Path, data: str, name: str, line: str) -> None:
    assert line in render(inspect(written(tmp_path, data, name)))


def test_an_unknown_format_is_told_and_not_raised(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, '{"premise": "가", "hypothesis": "나"}'))
    assert (found["format"], found["makes"], found["characters"]["answer"]) == (None, None, {})
    assert "no known format fits. The columns are premise, hypothesis." in render(found)


def test_rows_that_cannot_be_used_come_with_the_way_out(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, lines(ROWS))))
    assert "first: koalpaca.jsonl:4: the row has no answer: `output` is empty." in text
    assert text.count("`on_error: skip` drops and counts them.") == 1
    assert "on_error" not in render(inspect(written(tmp_path, lines(ROWS[:3]))))


def test_repairs_are_told(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, '{"text": "\\u1112\\u1161\\u11ab글 "}')))
    assert "repair hangul_nfc            1" in text
    assert "repair outer_space           1" in text


def test_what_cannot_be_read_is_a_paragraph(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds comma-separated values"):
        inspect(written(tmp_path, "질문,답\n", "a.csv"))
    with pytest.raises(DataError, match="does not exist"):
        inspect(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"a\.jsonl:1: the line is not valid JSON: it is cut off after "):
        inspect(written(tmp_path, '{"text": "끝이 없', "a.jsonl"))


READ = ["en/alpaca_en_demo.json", "en/self_instruct_seed_tasks.jsonl", "ko/logickor_questions.jsonl",
        "ko/kochatgpt_seed.txt", "ko/kullm_style_evol.jsonl", "ko/preference_mk6_eval.json"]  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_looks_at_real_files(shared_data: Path, name: str) -> None:
    found = inspect(str(shared_data / name))
    assert found["rows"] > 0
    assert f"rows        {found['rows']:,}" in render(found)
