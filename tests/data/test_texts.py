"""data/texts.py: plain texts from JSON lines and .txt, every row counted, the split by content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.data.specs import TextData
from seodang.data.texts import read_texts
from seodang.errors import DataError

TEXTS = [f"{n}번 나그네가 고개를 넘어 서당에 들렀다." for n in range(200)]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_every_row_is_trained_held_out_or_dropped_with_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.jsonl", [{"text": text} for text in (*TEXTS, " \n ", "")])
    found = read_texts(TextData(train=path, eval=0.1))
    assert sorted(found.train + found.eval) == sorted(TEXTS)
    assert found.ledger.close() == {"read": 202, "kept": 200, "dropped": {"empty": 2}}
    assert found.ledger.rows[0] == {"reason": "empty", "text": " \n ", "source": "texts.jsonl:201"}
    assert 8 <= len(found.eval) <= 32


def test_a_text_file_holds_one_text_per_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("첫째 글이다.\r\n\r\n둘째 글이다.\r\n", encoding="utf-8-sig", newline="")
    assert read_texts(TextData(train=str(path), eval=0)).train == ["첫째 글이다.", "둘째 글이다."]


def test_what_is_held_out_depends_on_the_text_alone(tmp_path: Path) -> None:
    few = read_texts(TextData(train=write(tmp_path / "few.jsonl", [{"text": text} for text in TEXTS[:100]]), eval=0.2))
    rows = [{"text": text, "source": "b.jsonl:1"} for text in reversed(TEXTS)]
    many = read_texts(TextData(train=write(tmp_path / "many.jsonl", rows), eval=0.2))
    assert set(few.eval) == set(many.eval) & set(TEXTS[:100])
    assert set(few.train) == set(many.train) & set(TEXTS[:100])


def test_the_share_may_be_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS])
    assert read_texts(TextData(train=path, eval=0)).eval == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"text": "글"}\n{"txt": "글"}\n', r"texts\.jsonl:2: the row has no `text`"),
        ('{"text": "글"}\n{"text": "글\n', r"texts\.jsonl:2: the line is not valid JSON"),
        ("", r"texts\.jsonl: the file is empty"),
        ('{"text": ""}\n', r"texts\.jsonl: no text is left to train on \(1 rows read, 0 held out\)"),
    ],
)
def test_a_file_without_texts_is_one_paragraph(content: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=text):
        read_texts(TextData(train=str(path)))


def test_a_file_whose_every_text_is_held_out_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "texts.jsonl", [{"text": TEXTS[0]}])
    with pytest.raises(DataError, match=r"no text is left to train on \(1 rows read, 1 held out\)\. Give more text"):
        read_texts(TextData(train=path, eval=0.9999999))


def test_real_web_text_is_read_whole(shared_data: Path) -> None:
    found = read_texts(TextData(train=str(shared_data / "ko" / "web_text_0.jsonl"), eval=0.02))
    assert found.ledger.close()["read"] == 2500
    assert 20 <= len(found.eval) <= 90
