"""Questions of evaluations in training rows: as they are, nearly, and inside longer prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seodang.data.decontaminate import Evaluations, load
from seodang.data.dedup import Decontaminate, spelt
from seodang.data.fingerprints import fingerprint
from seodang.errors import DataError
from seodang.records import Conversation, Message, Record

LONG = "조선 시대에 한글을 만든 임금은 누구이며 어떤 까닭으로 만들었는지 설명하세요."
QUESTIONS = [LONG, "대한민국의 수도는?", "7에 8을 곱하면 얼마인가요?"]
ROWS = [
    ("조선 시대에 한글을 만든 임금은 누구이며, 어떤 까닭으로 만들었는지 설명하세요", 0),
    ("조선 시대에 한글을 만든 임금은 누구이며 어떤 까닭으로 만들었는지 설명해 줘", 0),
    (f"다음 물음에 답하세요.\n\n문제: {LONG}\n답:", 0),
    ("대한민국의 수도는 ?", 1),
    ("대한민국의 수도는 어디이고 인구는 몇 명인가요? 자세히 알려 주세요.", -1),
    ("7에 9를 곱하면 얼마인가요?", -1),
    ("조선 시대에 거북선을 만든 장군은 누구인가요?", -1),
    ("", -1),
]


def row(prompt: str, answer: str = "몰라요.") -> Record:
    return Conversation((Message("user", prompt), Message("assistant", answer)), "train.jsonl:1")


def write(path: Path, *questions: str) -> str:
    lines = [json.dumps({"instruction": one, "output": "답"}, ensure_ascii=False) for one in questions]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def met(evaluations: Evaluations, records: list[Record], on: str = "prompt") -> list[int]:
    found = evaluations.meets(fingerprint(records, on), lambda at: spelt(records[at], on))  # type: ignore[arg-type]
    return found.tolist()  # type: ignore[no-any-return]


@pytest.fixture
def evaluations(tmp_path: Path) -> Evaluations:
    return load(Decontaminate(files=(write(tmp_path / "benchmark.jsonl", *QUESTIONS),)))


def test_which_question_a_row_asks(evaluations: Evaluations) -> None:
    assert met(evaluations, [row(prompt) for prompt, _ in ROWS]) == [wanted for _, wanted in ROWS]


def test_the_question_has_a_place(evaluations: Evaluations) -> None:
    assert evaluations.places[1].endswith("benchmark.jsonl:2")


def test_on_the_whole_conversation_another_answer_is_another_row(tmp_path: Path) -> None:
    path = write(tmp_path / "eval.jsonl", *QUESTIONS)
    whole = load(Decontaminate(files=(path,), on="conversation"))
    assert met(whole, [row(QUESTIONS[1], "답"), row(QUESTIONS[1], "서울입니다.")], "conversation") == [0 + 1, -1]


def test_several_files(tmp_path: Path) -> None:
    files = (write(tmp_path / "a.jsonl", QUESTIONS[1]), write(tmp_path / "b.jsonl", QUESTIONS[2]))
    both = load(Decontaminate(files=files))
    assert met(both, [row(QUESTIONS[2]), row(QUESTIONS[1])]) == [1, 0]


def test_a_row_that_cannot_be_read_stops(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", *QUESTIONS)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    with pytest.raises(DataError, match=r"a\.jsonl:4"):
        load(Decontaminate(files=(path,)))


def test_a_missing_file_stops() -> None:
    with pytest.raises(DataError, match="does not exist"):
        load(Decontaminate(files=("nowhere.jsonl",)))
