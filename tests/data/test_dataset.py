"""What `data:` names becomes records and encoded rows, with a ledger that adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.data.dataset import (
    EncodedPair,
    encode_pairs,
    encode_rows,
    load_rows,
    sample_rows,
    training_rows,
)
from seodang.data.dedup import held_out
from seodang.errors import DataError, ModelError
from seodang.recipe import DPO, SFT, TrainData
from seodang.recipe_file import from_dict
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


class TestEncodeRows:
    def test_too_long_rows_are_dropped_counted_and_kept_with_their_reason(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(
            train=write(tmp_path / "a.jsonl", [*TALKS[:3], talk("길다", "아주 긴 대답 " * 50)]), max_length=64
        )
        rows = encode_rows(load_rows(data, "messages"), make_chat(tokenizer, "chatml"), data)
        assert rows.ledger.close() == {"read": 4, "kept": 3, "dropped": {"over_length": 1}}
        assert rows.ledger.rows[0]["source"] == "a.jsonl:4"
        assert rows.ledger.rows[0]["tokens"] > 64
        assert [record.source for record in rows.records] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]

    def test_a_conversation_that_begins_with_an_answer_is_dropped_and_counted(
        self, tmp_path: Path, tokenizer: Any
    ) -> None:
        lonely = {"messages": [{"role": "assistant", "content": "안녕하세요."}]}
        late = {"messages": [{"role": "assistant", "content": "네"}, *talk("가", "나")["messages"]]}
        data = TrainData(train=write(tmp_path / "a.jsonl", [TALKS[0], lonely, late]))
        own = make_chat(tokenizer, "chatml")
        for chat in (own, make_chat(_with_template(tokenizer, own.jinja), None)):
            rows = encode_rows(load_rows(data, "messages"), chat, data)
            assert rows.ledger.close() == {"read": 3, "kept": 1, "dropped": {"no_question": 2}}

    def test_or_stop_the_run(self, tmp_path: Path, tokenizer: Any) -> None:
        file = write(tmp_path / "a.jsonl", [talk("길다", "아주 긴 대답 " * 50)])
        data = TrainData(train=file, max_length=64, over_length="error")
        with pytest.raises(DataError, match=r"a\.jsonl:1: the row has \d+ tokens and `data.max_length` is 64"):
            encode_rows(load_rows(data, "messages"), make_chat(tokenizer, "chatml"), data)

    def test_a_row_of_1500_tokens_arrives_whole_with_its_stop(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "a.jsonl", [talk("가", "나다라 " * 400)]), max_length=4000)
        row = encode_rows(load_rows(data, "messages"), make_chat(tokenizer, "chatml"), data).train[0]
        assert len(row.input_ids) > 1500
        assert row.labels[-1] == row.input_ids[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")


def _with_template(tokenizer: Any, jinja: str) -> Any:
    from copy import deepcopy

    found = deepcopy(tokenizer)
    found.chat_template = jinja
    return found


class TestEncodePairs:
    def test_equal_sides_are_dropped_and_counted(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "p.jsonl", [pair("가", "나", "다"), pair("가", "나", "나")]))
        rows = encode_pairs(load_rows(data, "preference"), make_chat(tokenizer, "chatml"), data)
        assert rows.ledger.close() == {"read": 2, "kept": 1, "dropped": {"chosen_equals_rejected": 1}}
        assert rows.train[0].length == len(rows.train[0].prompt) + max(
            len(rows.train[0].chosen), len(rows.train[0].rejected)
        )

    def test_the_longer_side_decides(self) -> None:
        assert EncodedPair([1, 2], [3], [4, 5, 6]).length == 5


def sft(tmp_path: Path, model_dir: Path, rows: list[dict[str, Any]], **data: Any) -> SFT:
    file = write(tmp_path / "a.jsonl", rows)
    recipe = {"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(recipe | {"data": {"train": file} | data})  # type: ignore[return-value]


class TestTrainingRows:
    def test_the_encoding_of_the_check_is_the_encoding_of_the_run(self, tmp_path: Path, model_dir: Path) -> None:
        recipe = sft(tmp_path, model_dir, TALKS)
        assert training_rows(recipe) is training_rows(recipe.model_copy(update={"output_dir": "elsewhere"}))

    def test_other_content_under_the_same_name_is_read_again(self, tmp_path: Path, model_dir: Path) -> None:
        first = training_rows(sft(tmp_path, model_dir, TALKS))
        again = training_rows(sft(tmp_path, model_dir, TALKS[:10]))
        assert (len(first.train), len(again.train)) == (40, 10)

    def test_nothing_left_says_what_was_dropped_and_what_to_do(self, tmp_path: Path, model_dir: Path) -> None:
        with pytest.raises(DataError, match=r"No row is left to train on: 40 read, dropped 40 over_length\. Raise"):
            training_rows(sft(tmp_path, model_dir, TALKS, max_length=8))

    def test_a_file_of_equal_pairs_is_a_paragraph(self, tmp_path: Path, model_dir: Path) -> None:
        recipe = {
            "stage": "dpo",
            "model": {"name_or_path": str(model_dir)},
            "template": "chatml",
            "data": {"train": write(tmp_path / "p.jsonl", [pair("가", "나", "나")] * 3)},
        }
        with pytest.raises(DataError, match="Where chosen equals rejected there is nothing to prefer"):
            training_rows(from_dict(recipe))  # type: ignore[arg-type]


class TestSampleRows:
    def test_by_source(self, tmp_path: Path, model_dir: Path) -> None:
        rows = training_rows(sft(tmp_path, model_dir, TALKS))
        ((title, row),) = sample_rows(rows, "a.jsonl:7")
        assert (title, row.source) == ("", "a.jsonl:7")
        assert "6번째 대답입니다." in rows.chat.tokenizer.decode(row.input_ids)

    def test_a_row_that_is_not_trained_says_why(self, tmp_path: Path, model_dir: Path) -> None:
        long = talk("길다", "아주 긴 대답 " * 50)
        rows = training_rows(sft(tmp_path, model_dir, [*TALKS, long], max_length=64, eval=0.2))
        with pytest.raises(DataError, match=r"no training row with the source a\.jsonl:700\. "):
            sample_rows(rows, "a.jsonl:700")
        with pytest.raises(DataError, match=r"a\.jsonl:41: it is dropped \(over_length\)"):
            sample_rows(rows, "a.jsonl:41")
        with pytest.raises(DataError, match="it is held out for evaluation"):
            sample_rows(rows, rows.eval[0].source)

    def test_a_pair_shows_both_sides(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "p.jsonl", [pair("가", "나", "다")]))
        rows = encode_pairs(load_rows(data, "preference"), make_chat(tokenizer, "chatml"), data)
        shown = {title: tokenizer.decode([t for t in row.labels if t >= 0]) for title, row in sample_rows(rows)}
        assert shown == {"chosen": "나<|im_end|>", "rejected": "다<|im_end|>"}


def test_held_out_looks_at_content_alone() -> None:
    records = [Conversation((Message("user", str(n)), Message("assistant", "네")), f"x:{n}") for n in range(500)]
    chosen = [held_out(record, 0.2) for record in records]
    moved = [held_out(Conversation(record.messages, "elsewhere"), 0.2) for record in records]
    assert chosen == moved
    assert 60 < sum(chosen) < 140


def test_dpo_reads_preferences() -> None:
    assert (SFT.reads, DPO.reads) == ("messages", "preference")
