"""A batch judged: every row has a line and a verdict, kept ones their numbers, and nothing depends on the batch."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from seodang.data.batches import LICENSE, Judged, Task, judge_batch
from seodang.data.dedup import key
from seodang.data.filters import Empty, Length
from seodang.data.formats import Alpaca, Messages
from seodang.data.lineage import Lineage
from seodang.errors import DataError
from seodang.records import Conversation, Message

TASK = Task(Alpaca(), False, (Empty(), Length(max=20)), True, True, Lineage(), None, "conversation", True, True)
ROWS: list[tuple[Any, str]] = [
    ({"instruction": "수도는?", "output": " 서울입니다."}, "a:1"),
    (DataError("{where}: no JSON", where="a:2", raw="{"), "a:2"),
    ({"instruction": "수도는?"}, "a:3"),
    ({"instruction": "수도는?", "output": "\u200b"}, "a:4"),
    ({"instruction": "수도는?", "output": "아" * 21}, "a:5"),
    ({"instruction": "강은?", "output": "한강이에요."}, "a:6"),
]


def lines(found: Judged) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.lines]


def test_every_row_has_a_line_and_a_verdict() -> None:
    found = judge_batch((TASK, ROWS))
    assert found.reasons == ["", "unreadable", "malformed", "empty", "too_long", ""]
    assert [row["source"] for row in lines(found)] == [f"a:{n}" for n in range(1, 7)]
    assert [row.get("reason", "") for row in lines(found)] == found.reasons
    assert list(found.sizes) == [len(line) for line in found.lines]
    assert dict(found.repairs) == {"outer_space": 1, "zero_width": 1}
    assert found.error is None


def test_kept_rows_have_their_numbers() -> None:
    found = judge_batch((TASK, ROWS))
    assert list(found.lengths) == [6, 6]
    asked = Conversation((Message("user", "수도는?"), Message("assistant", "서울입니다.")))
    assert found.prompts[0] == int(key(asked, "prompt")[:16], 16)
    assert found.prints is not None and found.prompt_prints is not None
    assert int(found.prints.exact[0]) == int(key(asked)[:16], 16)
    assert len(found.prints) == len(found.prompt_prints) == len(found.levels) == len(found.hangul) == 2


def test_a_batch_is_the_sum_of_its_rows() -> None:
    whole = judge_batch((TASK, ROWS))
    parts = [judge_batch((TASK, [row])) for row in ROWS]
    assert whole.lines == [line for part in parts for line in part.lines]
    assert list(whole.prompts) == [number for part in parts for number in part.prompts]
    assert whole.repairs == sum((part.repairs for part in parts), start=parts[0].repairs.__class__())


def test_the_first_bad_row_ends_a_batch_that_may_not_skip() -> None:
    found = judge_batch((replace(TASK, skips=False), ROWS))
    assert found.reasons == [""]
    assert str(found.error) == "a:2: no JSON"


def test_what_is_not_asked_for_is_not_made() -> None:
    found = judge_batch((replace(TASK, on=None, prompts=False), ROWS))
    assert found.prints is None and found.prompt_prints is None
    assert len(found.prompts) == 2


SETS = [
    (("mit",), ["", LICENSE]),
    (("apache-2.0", "mit"), ["", ""]),
    (("unknown",), [LICENSE, LICENSE]),
    (None, ["", ""]),
]


@pytest.mark.parametrize(("allowed", "reasons"), SETS)
def test_rows_under_other_licences_go(allowed: tuple[str, ...] | None, reasons: list[str]) -> None:
    messages = [{"role": "user", "content": "수도는?"}, {"role": "assistant", "content": "서울"}]
    own = Lineage(name="a/b", license="apache-2.0").to_row()
    rows: list[tuple[Any, str]] = [({"messages": messages}, "a:1"), ({"messages": messages, "lineage": own}, "a:2")]
    task = replace(TASK, format=Messages(), keeps_source=True, lineage=Lineage(license="mit"), allow_licenses=allowed)
    found = judge_batch((task, rows))
    assert found.reasons == reasons
    if reasons == ["", ""]:
        assert [row["lineage"] for row in lines(found)] == [{"license": "mit"}, own]
        assert list(found.lineages) == [0, 1]
    assert all(row["license"] in ("mit", "apache-2.0") for row in lines(found) if row.get("reason") == LICENSE)


def test_tasks_and_results_travel_between_processes() -> None:
    task, rows = pickle.loads(pickle.dumps((TASK, ROWS)))
    found, there = judge_batch((TASK, ROWS)), pickle.loads(pickle.dumps(judge_batch((task, rows))))
    assert there.lines == found.lines
    assert there.prints.keys.tolist() == found.prints.keys.tolist()  # type: ignore[union-attr]
