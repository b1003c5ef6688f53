"""The public Korean sets: each is read from a file in its own shape, `auto` decides, and every turn arrives.

The rows lie in tests/fixtures/datasets and are written for these tests; docs/datasets.md is made from the same files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from seodang.data.reading import open_records
from seodang.errors import DataError
from seodang.records import Conversation, Message, Preference, Record, instruct

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "datasets"
SETS: dict[str, dict[str, Any]] = {
    entry["name"]: entry
    for path in sorted(FIXTURES.glob("*.yaml"))
    for entry in yaml.safe_load(path.read_text("utf-8"))
}
READ = [name for name, entry in SETS.items() if entry["format"]]


def written(entry: dict[str, Any], folder: Path) -> Path:
    """The rows as a file of the set's own kind."""
    rows, kind = entry["rows"], entry.get("file", "jsonl")
    path = folder / f"set.{kind}"
    if kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == "json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _turns(turns: list[list[str]]) -> tuple[Message, ...]:
    return tuple(instruct(*turn[1:]) if turn[0] == "user" else Message(*turn) for turn in turns)


def _expected(record: Any, source: str) -> Record:
    if isinstance(record, list):
        return Conversation(_turns(record), source)
    chosen, rejected = (Message("assistant", record[side]) for side in ("chosen", "rejected"))
    return Preference(_turns(record["prompt"]), (chosen,), (rejected,), source)


def test_all_are_there() -> None:
    by_file = [len(yaml.safe_load(path.read_text("utf-8"))) for path in sorted(FIXTURES.glob("*.yaml"))]
    in_tutorial = sum(by_file[:2]) + sum(bool(entry.get("tutorial")) for entry in SETS.values())
    assert (by_file, in_tutorial) == ([16, 11, 13, 17], 29)
    assert len(SETS) == sum(by_file), "no name twice"


@pytest.mark.parametrize("name", READ)
def test_a_public_set_is_read(name: str, tmp_path: Path) -> None:
    entry = SETS[name]
    path = written(entry, tmp_path)
    reading = open_records(path)
    assert str(reading.decision).startswith(f"{entry['format']} ({len(entry['rows'])} of {len(entry['rows'])} rows fit")
    items = list(reading.items)
    assert [item.found for item in items] == [
        _expected(record, item.place) for record, item in zip(entry["records"], items, strict=True)
    ]


PROVENANCE = {"id", "id2", "url", "source", "data_source", "split", "__index_level_0__"}


@pytest.mark.parametrize("name", READ)
def test_provenance_is_never_read(name: str, tmp_path: Path) -> None:
    entry = SETS[name]
    reading = open_records(written(entry, tmp_path))
    there = {column for row in entry["rows"] for column in row} & PROVENANCE
    assert there <= set(reading.decision.unread)


def test_good_and_bad_answers_in_one_column_are_refused(tmp_path: Path) -> None:
    entry = SETS["MrBananaHuman/kor_ethical_question_answer"]
    with pytest.raises(DataError) as caught:
        open_records(written(entry, tmp_path))
    assert str(caught.value) == (
        "set.jsonl: the rows fit `alpaca`, but their `label` has two values, which may tell good answers from bad ones. "
        "Take the bad rows out, and name the columns: `format: {kind: columns, instruction: …, output: …}`."
    )
