"""What `data:` names becomes records with their places: files, runs, shares, and rows of another kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.data.dedup import held_out
from seodang.data.loading import load_rows, part_files, read
from seodang.data.specs import TrainData
from seodang.errors import DataError, ModelError
from seodang.records import Conversation, Message


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def talk(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def finished(folder: Path, stage: str = "prepare") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"state": "finished", "stage": stage}))
    return folder


TALKS = [talk(f"{n}번째 질문입니다.", f"{n}번째 대답입니다.") for n in range(40)]


class TestLoadRows:
    def test_a_foreign_file_in_any_format(self, tmp_path: Path) -> None:
        file = write(tmp_path / "a.jsonl", [{"instruction": "옮기세요.", "input": "나는 간다.", "output": "I go."}])
        rows = load_rows(TrainData(train=file), "messages")
        assert rows.train[0].source == "a.jsonl:1"
        assert rows.train[0].messages[0].input == "나는 간다."  # type: ignore[union-attr]
        assert rows.eval == []

    def test_a_share_is_held_out_by_content_so_that_more_rows_reshuffle_nothing(self, tmp_path: Path) -> None:
        few = load_rows(TrainData(train=write(tmp_path / "few.jsonl", TALKS[:20]), eval=0.3), "messages")
        many = load_rows(TrainData(train=write(tmp_path / "many.jsonl", TALKS[::-1]), eval=0.3), "messages")
        contents = {record.messages for record in many.eval}  # type: ignore[union-attr]
        assert few.eval and {record.messages for record in few.eval} <= contents  # type: ignore[union-attr]
        assert len(few.train) + len(few.eval) == 20

    def test_an_eval_file(self, tmp_path: Path) -> None:
        train, held = write(tmp_path / "t.jsonl", TALKS[:3]), write(tmp_path / "e.jsonl", TALKS[3:5])
        rows = load_rows(TrainData(train=train, eval=held), "messages")
        assert (len(rows.train), len(rows.eval)) == (3, 2)

    def test_a_run_brings_its_two_files(self, tmp_path: Path) -> None:
        run = finished(tmp_path / "run")
        write(run / "train.jsonl", TALKS[:3])
        write(run / "eval.jsonl", TALKS[3:4])
        rows = load_rows(TrainData(run=str(run)), "messages")
        assert (len(rows.train), len(rows.eval)) == (3, 1)

    def test_an_empty_eval_file_of_a_run_is_no_eval(self, tmp_path: Path) -> None:
        run = finished(tmp_path / "run")
        write(run / "train.jsonl", TALKS[:3])
        write(run / "eval.jsonl", [])
        assert load_rows(TrainData(run=str(run)), "messages").eval == []

    def test_a_run_that_does_not_exist_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"data\.run: the run .* does not exist yet\. Run its recipe first"):
            load_rows(TrainData(run=str(tmp_path / "none")), "messages")

    def test_a_run_without_rows(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"holds no train\.jsonl; it is a `sft` run"):
            load_rows(TrainData(run=str(finished(tmp_path / "run", "sft"))), "messages")

    @pytest.mark.parametrize(
        ("row", "reads", "said"),
        [
            (
                pair("가", "나", "다"),
                "messages",
                r"x\.jsonl:1: this stage reads conversations, and the row is a preference",
            ),
            (
                talk("가", "나"),
                "preference",
                r"x\.jsonl:1: this stage reads preferences, and the row is a conversation",
            ),
            ({"prompt": "가"}, "messages", r"the row is a prompt\. Every row needs an answer"),
        ],
    )
    def test_a_row_of_another_kind_is_named(self, tmp_path: Path, row: Any, reads: str, said: str) -> None:
        with pytest.raises(DataError, match=said):
            load_rows(TrainData(train=write(tmp_path / "x.jsonl", [row])), reads)

    def test_or_counted_where_the_recipe_says_skip(self, tmp_path: Path) -> None:
        file = tmp_path / "x.jsonl"
        file.write_text(json.dumps(TALKS[0]) + "\n{broken\n" + json.dumps(TALKS[1]) + "\n")
        rows = load_rows(TrainData(train=str(file), on_error="skip"), "messages")
        assert [record.source for record in rows.train] == ["x.jsonl:1", "x.jsonl:3"]
        assert rows.ledger.dropped == {"unreadable": 1}
        assert rows.ledger.rows[0]["source"] == "x.jsonl:2"
        assert rows.ledger.rows[0]["raw"] == "{broken"
        assert "on_error" not in rows.ledger.rows[0]["error"]

    def test_a_broken_line_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "x.jsonl"
        file.write_text(json.dumps(TALKS[0]) + "\n{broken\n")
        with pytest.raises(DataError, match=r"x\.jsonl:2"):
            load_rows(TrainData(train=str(file)), "messages")


class TestRead:
    def test_rows_come_one_by_one_with_their_place_and_part(self, tmp_path: Path) -> None:
        train, held = write(tmp_path / "t.jsonl", TALKS[:2]), write(tmp_path / "e.jsonl", TALKS[2:3])
        data = TrainData(train=train, eval=held)
        assert [(part, item.place) for part, item in read(data, "messages")] == [
            ("train", "t.jsonl:1"),
            ("train", "t.jsonl:2"),
            ("eval", "e.jsonl:1"),
        ]
        assert [part for part, _ in read(data, "messages", order=("eval", "train"))] == ["eval", "train", "train"]

    def test_a_row_that_cannot_be_read_is_an_item_like_any_other(self, tmp_path: Path) -> None:
        file = tmp_path / "x.jsonl"
        file.write_text(json.dumps(TALKS[0]) + "\n{broken\n" + json.dumps(TALKS[1]) + "\n")
        kinds = [type(item.found) for _, item in read(TrainData(train=str(file)), "messages")]
        assert kinds == [Conversation, DataError, Conversation]

    def test_a_share_is_no_file(self, tmp_path: Path) -> None:
        data = TrainData(train=write(tmp_path / "t.jsonl", TALKS), eval=0.3)
        assert list(part_files(data)) == ["train"]
        parts = [part for part, _ in read(data, "messages")]
        assert 0 < parts.count("eval") < 20


def test_held_out_looks_at_content_alone() -> None:
    records = [Conversation((Message("user", str(n)), Message("assistant", "네")), f"x:{n}") for n in range(500)]
    chosen = [held_out(record, 0.2) for record in records]
    moved = [held_out(Conversation(record.messages, "elsewhere"), 0.2) for record in records]
    assert chosen == moved
    assert 60 < sum(chosen) < 140
