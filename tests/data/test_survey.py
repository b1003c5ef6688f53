"""One pass over a file counts what is in it, and what is wrong with it, without dropping anything."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from seodang.data import survey as surveying
from seodang.data.formats import Alpaca
from seodang.data.formats import Text as Text_
from seodang.data.specs import Source
from seodang.data.survey import Sample, answers_of, named, open_source, percentiles, survey
from seodang.errors import DataError
from seodang.records import Conversation, Labelled, Message, Preference, Prompt, Record, Text

ROWS: list[Any] = [
    {"instruction": "수도는?", "input": "", "output": "서울입니다.", "id": 1},
    {"instruction": "강은?", "input": None, "output": "한강이야.", "id": 2},
    {"instruction": "수도는 ?", "input": "", "output": "서울입니다!", "id": 3},
    {"instruction": "산은?\r\n", "input": "", "output": " 한라산", "id": 4},
    {"instruction": "바다는?", "input": "", "output": "", "id": 5},
    {"instruction": "", "input": "", "output": "빈 질문입니다.", "id": 6},
    {"instruction": "같은 말", "input": "", "output": "같은 말", "id": "일곱"},
    "{broken",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in ROWS)
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "a.jsonl"


def test_counts_rows_columns_and_lengths(path: Path) -> None:
    found = survey(path)
    assert found.decision is not None
    assert (found.decision.format, found.rows, found.unusable) == (Alpaca(), 8, 2)
    assert {name: dict(types) for name, types in found.columns.items()} == {
        "instruction": {"text": 6, "empty": 1},
        "input": {"empty": 7},
        "output": {"text": 6, "empty": 1},
        "id": {"number": 6, "text": 1},
    }
    assert found.answers == [6, 5, 6, 3, 8, 4]
    assert found.prompts == [4, 3, 5, 3, 0, 4]
    assert found.shown == ROWS[:3]


def test_counts_defects_with_the_first_place(path: Path) -> None:
    found = survey(path)
    assert dict(found.defects) == {
        "duplicate": 1,
        "malformed": 1,
        "empty": 1,
        "prompt_equals_answer": 1,
        "unreadable": 1,
    }
    assert found.first["duplicate"] == "a.jsonl:3 repeats a.jsonl:1"
    assert found.first["empty"] == "a.jsonl:6"
    assert found.first["malformed"].startswith("a.jsonl:5: the row has no answer")
    assert found.first["unreadable"].startswith("a.jsonl:8: the line is not valid JSON")
    assert dict(found.repairs) == {"line_end": 1, "outer_space": 2}


def test_scripts_and_politeness_of_the_answers(path: Path) -> None:
    found = survey(path)
    assert found.scripts().hangul == 1.0
    assert found.politeness() == {"polite": 3, "plain": 1, "none": 2}


def test_an_undecidable_file_is_still_surveyed(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('[{"premise": "가", "label": 1}, 7]', encoding="utf-8")
    found = survey(tmp_path / "b.json")
    assert found.decision is None
    assert "no known format fits. The columns are premise, label." in found.undecided
    assert found.rows == 2
    assert dict(found.columns["label"]) == {"number": 1}
    assert dict(found.defects) == {"unreadable": 1}


NO_ROW = [
    ("{broken\n{too", r"^c\.json:1: the line is not valid JSON: .* at 'broken'\. Mend or remove it"),
    ('[1, "둘"]', r"^c\.json:1: a row must be a JSON object with named columns, this one is a number"),
    ("[]", r"^c\.json: there are no rows in the file\."),
]


@pytest.mark.parametrize(("data", "said"), NO_ROW)
def test_a_file_without_a_row_that_can_be_read_raises(tmp_path: Path, data: str, said: str) -> None:
    (tmp_path / "c.json").write_text(data, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        survey(tmp_path / "c.json")


NAMES = [
    (["x/a.jsonl", "y/b.jsonl"], ["a.jsonl", "b.jsonl"]),
    (["x/a.jsonl", "y/a.jsonl"], ["x/a.jsonl", "y/a.jsonl"]),
    (["x/a.jsonl", None, None], ["a.jsonl", "runs/mine", "runs/mine"]),
]


@pytest.mark.parametrize(("paths", "names"), NAMES)
def test_what_the_places_of_a_source_are_called_after(paths: list[str | None], names: list[str]) -> None:
    sources = [Source(path=path) if path else Source(run="runs/mine") for path in paths]
    assert named(sources) == list(zip(sources, names, strict=True))


def test_opens_a_source_under_its_name_and_in_its_format(path: Path) -> None:
    reading = open_source(Source(path=str(path), format=Text_()), "x/a.jsonl")
    assert reading.decision.format == Text_()
    assert next(reading.items).place == "x/a.jsonl:1"


def test_a_file_that_cannot_be_read_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        survey(tmp_path / "none.jsonl")


TYPES = [("글", "text"), ("", "empty"), (None, "empty"), (1, "number"), (0.5, "number"), (True, "bool"), ([], "list"),
         ({}, "object")]  # fmt: skip


@pytest.mark.parametrize(("value", "name"), TYPES)
def test_types_of_values(tmp_path: Path, value: Any, name: str) -> None:
    (tmp_path / "c.jsonl").write_text(json.dumps({"text": "글", "extra": value}), encoding="utf-8")
    assert dict(survey(tmp_path / "c.jsonl").columns["extra"]) == {name: 1}


USER, GOOD, BAD = Message("user", "?"), Message("assistant", "답"), Message("assistant", "오답")
ANSWERS: list[tuple[Record, list[str]]] = [
    (Conversation((USER, GOOD, USER, BAD)), ["답", "오답"]),
    (Preference((USER,), (GOOD,), (BAD,)), ["답", "오답"]),
    (Prompt((USER,)), []),
    (Text("글"), ["글"]),
    (Labelled("글", 1), ["글"]),
]


@pytest.mark.parametrize(("record", "texts"), ANSWERS)
def test_answers_of(record: Record, texts: list[str]) -> None:
    assert answers_of(record) == texts


def test_the_sample_is_spread_evenly_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "SAMPLE", 10)
    sample = Sample()
    for number in range(1000):
        sample.add(Text(str(number)))
    kept = [int(record.text) for record in sample.records if isinstance(record, Text)]
    assert 10 <= len(kept) <= 20
    steps = {right - left for left, right in pairwise(kept)}
    assert steps == {sample.stride}
    assert kept[0] == 0
    assert kept[-1] > 1000 - 2 * sample.stride


def test_a_small_file_is_sampled_whole() -> None:
    sample = Sample()
    for number in range(3000):
        sample.add(Text(str(number)))
    assert len(sample.records) == 3000


PERCENTILES = [
    ([], {}),
    ([7], {"p5": 7, "p50": 7, "p95": 7, "p99": 7, "max": 7}),
    (list(range(100, 0, -1)), {"p5": 6, "p50": 51, "p95": 96, "p99": 100, "max": 100}),
]


@pytest.mark.parametrize(("values", "found"), PERCENTILES)
def test_percentiles(values: list[int], found: dict[str, int]) -> None:
    assert percentiles(values) == found


def test_finds_what_the_readme_of_the_real_data_names(shared_data: Path) -> None:
    pairs = survey(shared_data / "ko" / "preference_mk4.jsonl")
    assert pairs.rows == 3695
    assert pairs.defects["chosen_equals_rejected"] == 2
    prompts = survey(shared_data / "ko" / "kochatgpt_ppo.jsonl")
    assert prompts.defects["empty"] == 3
    assert prompts.defects["duplicate"] >= 54
