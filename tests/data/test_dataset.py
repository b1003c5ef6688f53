"""The encoded rows of a recipe in memory: what is kept, dropped, split and shown, with a ledger that adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.data.dataset import TrainingRows, collect, remember, sample_rows, training_rows
from seodang.data.specs import TrainData
from seodang.errors import DataError
from seodang.recipe import DPO, SFT
from seodang.recipe_file import from_dict


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def talk(*contents: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(contents)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, contents, strict=False)]}


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


TALKS = [talk(f"{n}번째 질문입니다.", f"{n}번째 대답입니다.") for n in range(40)]
LONG = talk("길다", "아주 긴 대답 " * 50)
MANY = talk(*(f"{n}번째 질문이고 조금 깁니다." if n % 2 == 0 else f"{n}번째 대답입니다." for n in range(12)))


class TestCollect:
    def test_too_long_rows_are_dropped_counted_and_kept_with_their_reason(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "a.jsonl", [*TALKS[:3], LONG]), max_length=64)
        rows = collect(data, make_chat(tokenizer, "chatml"), "messages")
        assert rows.ledger.close() == {"read": 4, "kept": 3, "dropped": {"over_length": 1}}
        assert rows.ledger.rows[0]["source"] == "a.jsonl:4"
        assert rows.ledger.rows[0]["tokens"] > 64
        assert [record.source for record in rows.records] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:3"]
        assert sum(rows.lengths.values()) == 4 and max(rows.lengths) == rows.ledger.rows[0]["tokens"]
        assert rows.over_length("drop") == {"mode": "drop", "dropped": 1}

    def test_a_split_conversation_is_one_row_and_several_examples(self, tmp_path: Path, tokenizer: Any) -> None:
        whole = TrainData(train=write(tmp_path / "a.jsonl", [TALKS[0], MANY]), max_length=1000)
        length = len(collect(whole, make_chat(tokenizer, "chatml"), "messages").train[1].input_ids)
        data = whole.model_copy(update={"max_length": length // 2, "over_length": "split_turns"})
        rows = collect(data, make_chat(tokenizer, "chatml"), "messages")
        assert rows.ledger.close() == {"read": 2, "kept": 2, "dropped": {}}
        assert len(rows.train) == len(rows.records) > 3
        assert {record.source for record in rows.records[1:]} == {"a.jsonl:2"}
        assert rows.over_length("split_turns") == {"mode": "split_turns", "dropped": 0, "split": 1}

    def test_a_part_that_does_not_fit_is_written_down(self, tmp_path: Path, tokenizer: Any) -> None:
        file = write(tmp_path / "a.jsonl", [talk("하나", "일", "둘", "아주 긴 대답 " * 50, "셋", "삼")])
        data = TrainData(train=file, max_length=64, over_length="split_turns")
        rows = collect(data, make_chat(tokenizer, "chatml"), "messages")
        assert rows.ledger.close() == {"read": 1, "kept": 1, "dropped": {}}
        assert [row["reason"] for row in rows.ledger.rows] == ["over_length_part"]
        assert rows.ledger.rows[0]["messages"][0]["content"] == "둘"
        assert rows.over_length("split_turns")["over_length_part"] == 1

    def test_an_error_stops_the_collection(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "a.jsonl", [LONG]), max_length=64, over_length="error")
        with pytest.raises(DataError, match=r"a\.jsonl:1: the row has \d+ tokens and `data.max_length` is 64"):
            collect(data, make_chat(tokenizer, "chatml"), "messages")

    def test_a_row_of_1500_tokens_arrives_whole_with_its_stop(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "a.jsonl", [talk("가", "나다라 " * 400)]), max_length=4000)
        row = collect(data, make_chat(tokenizer, "chatml"), "messages").train[0]
        assert len(row.input_ids) > 1500
        assert row.labels[-1] == row.input_ids[-1] == tokenizer.convert_tokens_to_ids("<|im_end|>")

    def test_equal_sides_are_dropped_and_counted(self, tmp_path: Path, tokenizer: Any) -> None:
        data = TrainData(train=write(tmp_path / "p.jsonl", [pair("가", "나", "다"), pair("가", "나", "나")]))
        rows = collect(data, make_chat(tokenizer, "chatml"), "preference")
        assert rows.ledger.close() == {"read": 2, "kept": 1, "dropped": {"chosen_equals_rejected": 1}}

    def test_typed_control_strings_are_a_warning(self, tmp_path: Path, tokenizer: Any) -> None:
        chat = make_chat(tokenizer, "chatml")
        data = TrainData(train=write(tmp_path / "a.jsonl", [TALKS[0], talk("<|im_end|>은 뭐예요?", "표시입니다.")]))
        (said,) = collect(data, chat, "messages").warnings()
        assert said.startswith("1 training rows hold typed control strings.") and "other servers" in said
        assert TrainingRows(chat).warnings() == []


def sft(tmp_path: Path, model_dir: Path, rows: list[dict[str, Any]], **data: Any) -> SFT:
    file = write(tmp_path / "a.jsonl", rows)
    recipe = {"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(recipe | {"data": {"train": file} | data})  # type: ignore[return-value]


class TestTrainingRows:
    def test_the_encoding_of_the_check_is_the_encoding_of_the_run(self, tmp_path: Path, model_dir: Path) -> None:
        recipe = sft(tmp_path, model_dir, TALKS)
        assert training_rows(recipe) is training_rows(recipe.model_copy(update={"output_dir": "elsewhere"}))

    def test_the_rows_of_an_audit_are_those_of_the_run(self, tmp_path: Path, model_dir: Path) -> None:
        recipe = sft(tmp_path, model_dir, TALKS)
        rows = TrainingRows(training_rows(recipe).chat)
        remember(recipe, rows)
        assert training_rows(recipe) is rows

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

    def test_the_parts_of_a_split_conversation(self, tmp_path: Path, model_dir: Path) -> None:
        rows = training_rows(sft(tmp_path, model_dir, [TALKS[0], MANY], max_length=160, over_length="split_turns"))
        shown = sample_rows(rows, "a.jsonl:2")
        assert [title for title, _ in shown] == [
            f"{n} of {len(shown)} with this source" for n in range(1, len(shown) + 1)
        ]
        assert len(shown) == len(rows.train) - 1 > 1
        assert [title for title, _ in sample_rows(rows)] == [""]

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
        rows = collect(data, make_chat(tokenizer, "chatml"), "preference")
        shown = {title: tokenizer.decode([t for t in row.labels if t >= 0]) for title, row in sample_rows(rows)}
        assert shown == {"chosen": "나<|im_end|>", "rejected": "다<|im_end|>"}


def test_dpo_reads_preferences() -> None:
    assert (SFT.reads, DPO.reads) == ("messages", "preference")
