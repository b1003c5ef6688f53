"""A file as records: every row comes out once, with its place, as a record or as the error that it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data import prepare, reading
from seodang.data.formats import Alpaca, Messages, PromptOnly
from seodang.data.reading import EVIDENCE_ROWS, open_records
from seodang.data.sources import read_rows
from seodang.errors import DataError
from seodang.recipe import Prepare
from seodang.records import Conversation, Message, Prompt
from seodang.runs import Run

ROW = {"instruction": "수도는?", "output": "서울입니다."}


def written(folder: Path, *rows: Any, name: str = "a.jsonl") -> Path:
    path = folder / name
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_decides_and_reads(tmp_path: Path) -> None:
    found = open_records(written(tmp_path, ROW, {**ROW, "output": "부산입니다.", "id": 2}))
    assert (found.container.kind, found.decision.format) == ("lines", Alpaca())
    assert str(found.decision) == "alpaca (2 of 2 rows fit; not read: id)"
    items = list(found.items)
    assert [item.place for item in items] == ["a.jsonl:1", "a.jsonl:2"]
    assert items[0].row == ROW
    assert items[1].found == Conversation(
        (Message("user", "수도는?"), Message("assistant", "부산입니다.")), "a.jsonl:2"
    )


def test_bad_rows_come_out_in_their_place(tmp_path: Path) -> None:
    items = list(open_records(written(tmp_path, ROW, "{broken", {"instruction": "?", "output": ""}, ROW)).items)
    kinds = [type(item.found).__name__ for item in items]
    assert kinds == ["Conversation", "DataError", "DataError", "Conversation"]
    assert (items[1].place, items[1].row) == ("a.jsonl:2", None)
    assert (items[2].place, items[2].row) == ("a.jsonl:3", {"instruction": "?", "output": ""})
    assert "a.jsonl:3: the row has no answer: `output` is empty" in str(items[2].found)


DROPPED = [
    # (a line, why it is dropped, what dropped.jsonl keeps of it, how the fault ends)
    ("{broken", "unreadable", {"raw": "{broken"}, "a column name in double quotes must stand at 'broken'."),
    ("[1, 2]", "unreadable", {"raw": "[1, 2]"}, "this one is a list."),
    ("null", "unreadable", {"raw": "null"}, "this one is null."),
    (
        {"instruction": "{?}"},
        "malformed",
        {"row": {"instruction": "{?}"}},
        "the row has no answer: `output` is missing.",
    ),
]


@pytest.mark.parametrize(("bad", "reason", "kept", "fault"), DROPPED)
def test_what_is_dropped_keeps_its_content_and_its_fault(
    tmp_path: Path, bad: Any, reason: str, kept: dict[str, Any], fault: str
) -> None:
    """The advice of the error is for those who stop at it; in dropped.jsonl it would be noise."""
    item = list(open_records(written(tmp_path, ROW, bad), Alpaca()).items)[1]
    assert item.reason == reason
    entry = item.dropped()
    assert entry == {"source": "a.jsonl:2", "error": item.fault} | kept
    assert item.fault.startswith("a.jsonl:2: ")
    assert item.fault.endswith(fault)
    assert "on_error" in str(item.found)
    assert "on_error" not in item.fault


def test_a_record_has_no_fault(tmp_path: Path) -> None:
    assert next(open_records(written(tmp_path, ROW)).items).fault == ""


def test_reads_each_row_once_beyond_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "EVIDENCE_ROWS", 3)
    found = open_records(written(tmp_path, *[{**ROW, "id": n} for n in range(10)]))
    assert found.decision.looked_at == 3
    assert [item.place for item in found.items] == [f"a.jsonl:{n}" for n in range(1, 11)]
    assert EVIDENCE_ROWS >= 1000


def test_a_named_format_is_used(tmp_path: Path) -> None:
    items = list(open_records(written(tmp_path, {"prompt": "수도는?", "completion": "서울"}), PromptOnly()).items)
    assert items[0].found == Prompt((Message("user", "수도는?"),), "a.jsonl:1")


def test_a_wrong_format_is_an_error_per_row(tmp_path: Path) -> None:
    items = list(open_records(written(tmp_path, ROW, ROW), Messages()).items)
    assert all("`messages` must be a list" in str(item.found) for item in items)


def test_another_name_stands_in_places_and_sources(tmp_path: Path) -> None:
    items = list(open_records(written(tmp_path, ROW, "{"), name="data/ko/a.jsonl").items)
    assert [item.place for item in items] == ["data/ko/a.jsonl:1", "data/ko/a.jsonl:2"]
    assert isinstance(items[0].found, Conversation)
    assert items[0].found.source == "data/ko/a.jsonl:1"
    assert str(items[1].found).startswith("data/ko/a.jsonl:2: the line is not valid JSON: it is cut off after '{'")


SOURCES = [("seed.jsonl:17", True, "seed.jsonl:17"), ("namuwiki", False, "a.jsonl:1"), ("", True, "a.jsonl:1"),
           (7, True, "a.jsonl:1")]  # fmt: skip


@pytest.mark.parametrize(("own", "keeps", "source"), SOURCES)
def test_only_the_rows_of_a_run_keep_their_source(tmp_path: Path, own: Any, keeps: bool, source: str) -> None:
    """In foreign files a column `source` names a data set, not a line."""
    [item] = open_records(written(tmp_path, {**ROW, "source": own}), keeps_source=keeps).items
    assert isinstance(item.found, Conversation)
    assert item.found.source == source


def test_a_file_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json: there are no rows in the file\."):
        open_records(written(tmp_path, "[]", name="a.json"))


def test_a_file_of_broken_rows_is_its_first_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: the line is not valid JSON"):
        open_records(written(tmp_path, "{broken", "{too"))


def test_an_undecidable_file_names_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^b\.jsonl: no known format fits\. The columns are premise, hypothesis\."):
        open_records(written(tmp_path, {"premise": "가", "hypothesis": "나"}, name="b.jsonl"))


def test_decisions_and_evidence_for_the_report(tmp_path: Path) -> None:
    found = open_records(written(tmp_path, ROW))
    told = found.to_report()
    assert {key: told[key] for key in ("container", "encoding", "line_ends", "evidence")} == {
        "container": "lines",
        "encoding": "utf-8",
        "line_ends": "LF",
        "evidence": "alpaca (1 of 1 rows fit)",
    }
    assert told["format"]["kind"] == "alpaca"
    assert set(told["decided_by"]) == {"container", "encoding", "line_ends"}


def test_many_files_are_one_source(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.json"):
        written(tmp_path, ROW, name=name)
    (tmp_path / "c.jsonl").write_text("그냥 글", encoding="utf-8")
    found = open_records(tmp_path, name="set")
    items = list(found.items)
    assert [(item.place, item.reason) for item in items if isinstance(item.found, DataError)] == [
        ("set/c.jsonl", "unreadable")
    ]
    assert [item.place for item in items] == ["set/a.json:1", "set/b.jsonl:1", "set/c.jsonl"]
    told = found.to_report()
    assert (told["files"], [group["files"] for group in told["groups"]], told["unread"]) == (3, [2], [])


def test_a_row_that_holds_several_is_several_items(tmp_path: Path) -> None:
    row = {
        "instruction": "수도는?",
        "instances": [{"input": "한국", "output": "서울"}, {"input": "일본", "output": "도쿄"}],
    }
    items = list(open_records(written(tmp_path, row)).items)
    assert [item.place for item in items] == ["a.jsonl:1#1", "a.jsonl:1#2"]
    assert all(isinstance(item.found, Conversation) for item in items)


PREPARED: dict[str, Any] = {
    # what a recipe says of files whose rows are no instructions by themselves
    "ko/chatbot_data.csv": None,
    "ko/klue_sts_dev.json": {"kind": "columns", "instruction": "sentence1", "output": "sentence2"},
    "ko/kobest_boolq_dev.tsv": {"kind": "columns", "instruction": "Question", "input": "Text", "output": "Answer"},
    "ko/kobest_sentineg_test.tsv": {"kind": "columns", "instruction": "Text", "output": "Label"},
    "ko/kobest_sentineg_train.tsv": {"kind": "columns", "instruction": "Text", "output": "Label"},
    "ko/kochatgpt_ppo.jsonl": None,
    "ko/kochatgpt_seed.txt": None,
    "ko/kochatgpt_sft_conversation.jsonl": None,
    "ko/korsts_test.tsv": {"kind": "columns", "instruction": "sentence1", "output": "sentence2"},
    "ko/kullm_style_conversation.jsonl": None,
    "ko/kullm_style_evol.jsonl": None,
    "ko/logickor_questions.jsonl": {"kind": "columns", "instruction": "category", "output": "id"},
    "ko/preference_mk4.jsonl": None,
    "ko/preference_mk6_eval.json": None,
    "ko/smilestyle.tsv": {"kind": "columns", "instruction": "informal", "output": "formal"},
    "ko/web_text_0.jsonl": None,
    "en/alpaca_en_demo.json": None,
    "en/dpo_en_demo.json": None,
    "en/self_instruct_seed_tasks.jsonl": None,
}


@pytest.mark.parametrize("name", PREPARED)
def test_prepare_loses_no_row_of_any_real_file(tmp_path: Path, shared_data: Path, name: str) -> None:
    source = {"path": str(shared_data / name), "on_error": "skip"} | (
        {"format": PREPARED[name]} if PREPARED[name] else {}
    )
    recipe = Prepare(stage="prepare", sources=[source], output_dir=str(tmp_path), processes=1)  # type: ignore[list-item]
    report = prepare.run(recipe, Run(tmp_path))
    rows = report["rows"]
    assert rows["read"] == sum(1 for _ in read_rows(shared_data / name))
    written_rows = [len(runs.read_rows(tmp_path / part)) for part in (runs.TRAIN, runs.EVAL, runs.DROPPED)]
    assert rows["kept"] == written_rows[0] + written_rows[1]
    assert sum(rows["dropped"].values()) == written_rows[2]
    assert rows["read"] == rows["kept"] + sum(rows["dropped"].values())
