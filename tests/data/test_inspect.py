"""`inspect` says what a file is; its dictionary is JSON and its text names everything that was found."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from seodang.data.inspect import inspect, render
from seodang.errors import DataError
from seodang.language import columns

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
        "decided_by": {
            "container": "the first line is a whole JSON object",
            "encoding": "begins with the byte-order mark EF BB BF",
            "line_ends": "3 CRLF, 0 LF and 0 CR in the first 439 bytes",
        },
        "evidence": "alpaca (4 of 4 rows fit; not read: url)",
        "makes": "messages",
        "characters": {
            "prompt": {"p5": 3, "p50": 3, "p95": 4, "p99": 4, "max": 4},
            "answer": {"p5": 5, "p50": 5, "p95": 6, "p99": 6, "max": 6},
        },
        "scripts": {"hangul": 1.0, "latin": 0.0, "han": 0.0, "kana": 0.0},
        "languages": {"ko": 3},
        "endings": {"polite": 1, "plain": 2, "none": 0},
        "repairs": {},
        "samples": ROWS[:3],
    }
    assert {key: found[key] for key in expected} == expected
    assert found["format"]["kind"] == "alpaca"
    assert found["defects"]["duplicate"] == {"rows": 1, "first": "koalpaca.jsonl:3 repeats koalpaca.jsonl:2"}
    assert found["defects"]["malformed"]["first"].startswith("koalpaca.jsonl:4: the row has no answer")


def test_the_text(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, "\ufeff" + lines(ROWS))))
    for part in (
        "koalpaca.jsonl  (",
        "container   JSON lines: the first line is a whole JSON object\n",
        "encoding    utf-8-sig: begins with the byte-order mark EF BB BF\n",
        "line ends   CRLF: 3 CRLF, 0 LF and 0 CR in the first 439 bytes\n",
        "languages   ko 3 (answers, sampled)",
        "rows        4",
        "columns     instruction (4 text)",
        "            output (3 text, 1 empty)",
        "format      alpaca (4 of 4 rows fit; not read: url)",
        "answer      p5 5 · p50 5 · p95 6 · p99 6 · max 6 characters",
        "letters     hangul 100.0% of the letters in answers",
        "endings     polite 1 · plain 2",
        "duplicate                    1  first: koalpaca.jsonl:3 repeats",
        '  {"instruction": "수도는?"',
    ):
        assert part in text, part


def test_a_clean_file_says_so_and_long_rows_are_cut(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, json.dumps({"text": "긴 글입니다. " * 50 + "끝"}, ensure_ascii=False))))
    assert "defects\n  none found" in text
    assert text.splitlines()[-1].endswith("…")
    assert max(map(columns, text.splitlines())) <= 80
    assert "endings" not in text


CONTAINERS = [
    ('[{"text": "가"}]', "a.jsonl", "container   one JSON array: begins with ["),
    ('{\n"text": "가"\n}', "a.json", "container   JSON objects, one after the other: the first JSON object goes"),
    ('{"data": [{"text": "가"}]}', "a.json", "container   one JSON object that wraps the rows: one JSON object with 1"),
    ("가\n나\n", "a.txt", "container   plain text, one per line: .txt, and no line of it tells"),
    ("질문,답변\n가?,나\n", "a.csv", "container   CSV: commas in the header, 2 columns"),
    ("질문\t답변\n가?\t나\n", "a.tsv", "container   TSV, quoting off: tabs in the header, 2 columns"),
    ("사람: 가?\n챗봇: 나\n", "a.txt", "container   a transcript of dialogues: 2 of 2 lines begin with a"),
]


@pytest.mark.parametrize(("data", "name", "line"), CONTAINERS)
def test_containers_in_words(tmp_path: Path, data: str, name: str, line: str) -> None:
    assert line in render(inspect(written(tmp_path, data, name)))


def test_a_folder_is_told_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "말뭉치"
    folder.mkdir()
    for name in ("가.json", "나.json"):
        written(folder, '{\n"text": "긴 글"\n}', name)
    written(folder, '{"text": "다른 글"}\r\n', "다.jsonl")
    written(folder, "읽어 주세요", "README.md")
    found = inspect(str(folder))
    assert (found["file"], found["files"], found["rows"], found["unread"]) == ("말뭉치", 3, 3, ["말뭉치/README.md"])
    assert [(group["container"], group["files"]) for group in found["groups"]] == [("objects", 2), ("lines", 1)]
    text = render(found)
    assert (
        "  files       2: JSON objects, one after the other, utf-8, LF\n              1: JSON lines, utf-8, CRLF\n"
        in text
    )
    assert "  not read    말뭉치/README.md\n" in text
    assert json.loads(json.dumps(found)) == found


def test_an_archive_says_how_it_is_packed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("답변.jsonl.gz", gzip.compress(lines(ROWS).encode()))
    found = inspect(str(tmp_path / "set.zip"))
    assert found["packed"] == ["zip", "gzip"]
    assert "  packed      zip, gzip\n" in render(found)
    assert found["defects"]["duplicate"]["first"] == "set.zip/답변.jsonl.gz:3 repeats set.zip/답변.jsonl.gz:2"


LANGUAGES = [
    ("서울입니다.", "ko"), ("print('안녕') 은 파이썬 코드입니다", "ko"), ("It is Seoul.", "en"), ("東京です。", "other"), ("123", "none"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "language"), LANGUAGES)
def test_languages(tmp_path: Path, text: str, language: str) -> None:
    path = written(tmp_path, json.dumps({"instruction": "?", "output": text}, ensure_ascii=False))
    assert inspect(path)["languages"] == {language: 1}


def test_an_unknown_format_is_told_and_not_raised(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, '{"premise": "가", "hypothesis": "나"}'))
    assert (found["format"], found["makes"], found["characters"]["answer"]) == (None, None, {})
    assert "no known format fits. The columns are premise, hypothesis." in " ".join(render(found).split())


def test_rows_that_cannot_be_used_come_with_the_way_out(tmp_path: Path) -> None:
    text = " ".join(render(inspect(written(tmp_path, lines(ROWS)))).split())
    assert "first: koalpaca.jsonl:4: the row has no answer: `output` is empty." in text
    assert text.count("`on_error: skip` drops and counts them.") == 1
    assert "on_error" not in render(inspect(written(tmp_path, lines(ROWS[:3]))))


def test_repairs_are_told(tmp_path: Path) -> None:
    text = render(inspect(written(tmp_path, '{"text": "\\u1112\\u1161\\u11ab글 "}')))
    assert "repair hangul_nfc            1" in text
    assert "repair outer_space           1" in text


def test_what_cannot_be_read_is_a_paragraph(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no rows in the file"):
        inspect(written(tmp_path, "질문,답\n", "a.csv"))
    with pytest.raises(DataError, match="does not exist"):
        inspect(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"a\.jsonl:1: the line is not valid JSON: it is cut off after "):
        inspect(written(tmp_path, '{"text": "끝이 없', "a.jsonl"))


FORMATS = {
    "en/alpaca_en_demo.json": "alpaca",
    "en/dpo_en_demo.json": "pair",
    "en/self_instruct_seed_tasks.jsonl": "instances",
    "ko/chatbot_data.csv": "alpaca",
    "ko/kochatgpt_ppo.jsonl": "prompt",
    "ko/kochatgpt_seed.txt": "text",
    "ko/kochatgpt_sft_conversation.jsonl": "delimited",
    "ko/kullm_style_conversation.jsonl": "alpaca",
    "ko/kullm_style_evol.jsonl": "alpaca",
    "ko/preference_mk4.jsonl": "pair",
    "ko/preference_mk6_eval.json": "pair",
    "ko/web_text_0.jsonl": "text",
    # pairs of sentences, styles and test questions are no instructions by themselves: a recipe says what is asked
    "ko/klue_sts_dev.json": None,
    "ko/kobest_boolq_dev.tsv": None,
    "ko/kobest_sentineg_test.tsv": None,
    "ko/kobest_sentineg_train.tsv": None,
    "ko/korsts_test.tsv": None,
    "ko/logickor_questions.jsonl": None,
    "ko/smilestyle.tsv": None,
}


@pytest.mark.parametrize("name", FORMATS)
def test_looks_at_real_files(shared_data: Path, name: str) -> None:
    found = inspect(str(shared_data / name))
    assert found["rows"] > 0
    assert (found["format"] or {}).get("kind") == FORMATS[name]
    text = render(found)
    assert f"rows        {found['rows']:,}" in text
    assert max(columns(line) for line in text.splitlines() if " " in line.strip()) <= 80
