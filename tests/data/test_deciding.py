"""What all rows together tell, through a whole run: what repeats what, what an evaluation asks, sides, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data.prepare import run
from seodang.recipe import Prepare
from seodang.runs import Run

Row = dict[str, Any]
FRUITS = [
    "사과",
    "배",
    "감",
    "귤",
    "포도",
    "참외",
    "수박",
    "자두",
    "살구",
    "앵두",
    "대추",
    "밤",
    "호두",
    "딸기",
    "복숭아",
    "매실",
    "오미자",
    "유자",
    "석류",
    "무화과",
]


def row(number: int, **more: Any) -> Row:
    fruit, other = FRUITS[number % 20], FRUITS[number // 20 % 20]
    return {"instruction": f"{fruit} 옆에 {other} 몇 개?", "output": f"{fruit} 옆에는 {other} {number}개입니다."} | more


def source(folder: Path, name: str, rows: list[Row], **more: Any) -> Row:
    path = folder / name
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    return {"path": str(path)} | more


def done(folder: Path, *sources: Row, **more: Any) -> tuple[Row, dict[str, list[Row]]]:
    (folder / "run").mkdir(exist_ok=True)
    recipe = Prepare.model_validate({"stage": "prepare", "sources": sources, "eval": 0, "processes": 1} | more)
    report = run(recipe, Run(folder / "run"))
    return report, {name: runs.read_rows(folder / "run" / name) for name in (runs.TRAIN, runs.EVAL, runs.DROPPED)}


def reasons(rows: list[Row]) -> dict[str, str]:
    return {
        one["source"]: f"{one['reason']} {one.get('duplicate_of') or one.get('question', '')}".rstrip() for one in rows
    }


SHORT = {"instruction": "물은 몇 도에서 끓나요?", "output": "백 도에서 끓습니다."}
LONG = {"instruction": "물은 몇 도에서 끓나요?", "output": "백 도에서 끓습니다!!"}
KEEPS = [
    ("first", {"b.jsonl:1": "duplicate a.jsonl:1", "b.jsonl:2": "duplicate a.jsonl:2"}),
    ("longest", {"a.jsonl:1": "duplicate b.jsonl:1", "b.jsonl:2": "duplicate a.jsonl:2"}),
    ("priority", {"a.jsonl:1": "duplicate b.jsonl:1", "a.jsonl:2": "duplicate b.jsonl:2"}),
]


@pytest.mark.parametrize(("keep", "dropped"), KEEPS)
def test_which_of_two_stays(tmp_path: Path, keep: str, dropped: dict[str, str]) -> None:
    sources = [
        source(tmp_path, "a.jsonl", [SHORT, row(1)]),
        source(tmp_path, "b.jsonl", [LONG, row(1), row(2)], priority=1),
    ]
    report, files = done(tmp_path, *sources, dedup={"keep": keep})
    assert reasons(files[runs.DROPPED]) == dropped
    across = "b.jsonl → a.jsonl" if keep == "first" else "a.jsonl → b.jsonl"
    assert report["duplicates_across"][across] == sum(place[0] == across[0] for place in dropped)


def test_near_duplicates_have_a_reason_of_their_own(tmp_path: Path) -> None:
    near = SHORT | {"output": "백 도에서 끓어요."}
    _, files = done(tmp_path, source(tmp_path, "a.jsonl", [SHORT, near, row(1)]))
    assert reasons(files[runs.DROPPED]) == {"a.jsonl:2": "near_duplicate a.jsonl:1"}
    _, files = done(tmp_path, source(tmp_path, "a.jsonl", [SHORT, near, row(1)]), dedup={"near": False})
    assert files[runs.DROPPED] == []


def test_rows_that_an_evaluation_asks(tmp_path: Path) -> None:
    asked = source(tmp_path, "eval.jsonl", [{"instruction": "물은 몇 도에서 끓나요", "output": "백 도"}])["path"]
    rows = [row(1), SHORT, SHORT, row(2)]
    _, files = done(tmp_path, source(tmp_path, "a.jsonl", rows), decontaminate={"files": [asked]})
    assert reasons(files[runs.DROPPED]) == {
        "a.jsonl:2": "in_evaluation eval.jsonl:1",
        "a.jsonl:3": "duplicate a.jsonl:2",
    }


def test_what_nearly_asks_the_same_is_held_out_together(tmp_path: Path) -> None:
    asks = [f"상자 안에서 {one} 옆에 놓인 {other} 몇 개 있나요?" for one in FRUITS for other in FRUITS]
    rows = [{"instruction": ask, "output": f"{at}개입니다."} for at, ask in enumerate(asks)]
    alike = [
        {"instruction": ask.replace("있나요", "있습니까"), "output": f"창고까지 세면 {at + 7}개예요."}
        for at, ask in enumerate(asks)
    ]
    parted, held = [], set()
    for near in (True, False):
        _, files = done(tmp_path, source(tmp_path, "a.jsonl", rows + alike), eval=0.1, dedup={"near": near})
        found = {int(one["source"].partition(":")[2]) for one in files[runs.EVAL]}
        parted.append(sum((at in found) != (at + 400 in found) for at in range(1, 401)))
        held |= found if near else set()
        if not near:
            assert found < held
    # what the fingerprints pass over stays apart, a few in a hundred
    assert parted[0] <= 8 < 40 <= parted[1]


MIXES = [
    ({"weight": 3.0}, 300, {}),
    ({"weight": 0.0}, 0, {"weight": 100}),
    ({"max_rows": 30}, 30, {"max_rows": 70}),
    ({"max_rows": 30, "weight": 2.0}, 60, {"max_rows": 70}),
]


@pytest.mark.parametrize(("mix", "lines", "dropped"), MIXES)
def test_weights_and_caps(tmp_path: Path, mix: Row, lines: int, dropped: dict[str, int]) -> None:
    sources = [
        source(tmp_path, "a.jsonl", [row(number) for number in range(100)], **mix),
        source(tmp_path, "b.jsonl", [row(number) for number in range(100, 120)]),
    ]
    report, files = done(tmp_path, *sources)
    assert report["rows"] == {"read": 120, "kept": 120 - sum(dropped.values()), "dropped": dropped}
    assert len(files[runs.TRAIN]) == report["metrics"]["train"] == lines + 20
    assert report["metrics"].get("copies", 0) == lines + 20 - report["rows"]["kept"]


def test_a_share_of_a_source_is_chosen_by_content(tmp_path: Path) -> None:
    rows = [row(number) for number in range(200)]
    _, few = done(tmp_path, source(tmp_path, "a.jsonl", rows[:100], weight=0.5))
    _, many = done(tmp_path, source(tmp_path, "a.jsonl", rows, weight=0.5))
    kept = [{one["messages"][0]["content"] for one in files[runs.TRAIN]} for files in (few, many)]
    assert 30 <= len(kept[0]) <= 70
    assert kept[0] < kept[1]
