"""The report of `prepare`: licences, histograms, samples of every reason, and the warnings about terms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.data.prepare import run
from seodang.data.prepare_report import LONGEST, clipped
from seodang.recipe import Prepare
from seodang.reports.html import render
from seodang.runs import Run

Row = dict[str, Any]


def row(number: int, **more: Any) -> Row:
    return {"instruction": f"{number}번 문제의 답은?", "output": f"답은 {number}입니다."} | more


def source(folder: Path, file: str, rows: list[Row], **more: Any) -> Row:
    path = folder / file
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    return {"path": str(path)} | more


def done(folder: Path, *sources: Row, **more: Any) -> Row:
    (folder / "run").mkdir(exist_ok=True)
    recipe = Prepare.model_validate({"stage": "prepare", "sources": sources, "eval": 0, "processes": 1} | more)
    return run(recipe, Run(folder / "run"))


def test_the_licence_table_and_what_terms_forbid(tmp_path: Path) -> None:
    first = source(tmp_path, "a.jsonl", [row(1), row(2)], name="Bingsu/ko_alpaca_data", revision="7c1f")
    second = source(tmp_path, "b.jsonl", [row(3)], name="우리 학교 문답", license="CC-BY-SA-4.0", upstream=["학생"])
    third = source(tmp_path, "c.jsonl", [row(4)], license="cc-by-nd-4.0")
    report = done(tmp_path, first, second, third, source(tmp_path, "d.jsonl", [row(5)]))
    assert [(one["name"], one["license"], one["rows"], one["forbids"]) for one in report["licenses"]] == [
        ("Bingsu/ko_alpaca_data", "cc-by-nc-4.0", 2, ["commercial"]),
        ("우리 학교 문답", "cc-by-sa-4.0", 1, []),
        ("", "cc-by-nd-4.0", 1, ["derivatives"]),
        ("", "unknown", 1, []),
    ]
    assert report["warnings"] == [
        "2 rows come from Bingsu/ko_alpaca_data (cc-by-nc-4.0), whose terms forbid commercial use. Read these terms "
        "before you give the prepared files, or what is trained on them, to others.",
        "1 rows come from an unnamed set (cc-by-nd-4.0), whose terms forbid passing on changed rows. Read these terms "
        "before you give the prepared files, or what is trained on them, to others.",
    ]
    rows = runs.read_rows(tmp_path / "run" / runs.TRAIN)
    assert rows[0]["lineage"]["revision"] == "7c1f"
    assert rows[2]["lineage"] == {"name": "우리 학교 문답", "license": "cc-by-sa-4.0", "upstream": ["학생"]}
    assert rows[3]["lineage"] == {"license": "cc-by-nd-4.0"}
    assert "lineage" not in rows[4]


def test_rows_keep_their_lineage_through_a_second_run(tmp_path: Path) -> None:
    done(tmp_path, source(tmp_path, "a.jsonl", [row(1)], name="klue/klue"), source(tmp_path, "b.jsonl", [row(2)]))
    Run(tmp_path / "run").note(state="finished", stage="prepare")
    again = tmp_path / "again"
    again.mkdir()
    report = done(again, {"run": str(tmp_path / "run")})
    assert [(one["name"], one["license"]) for one in report["licenses"]] == [
        ("klue/klue", "cc-by-sa-4.0"),
        ("", "unknown"),
    ]
    one, two = ((folder / "run" / runs.TRAIN).read_bytes() for folder in (tmp_path, again))
    assert one == two


def test_licences_that_are_not_allowed(tmp_path: Path) -> None:
    first = source(tmp_path, "a.jsonl", [row(1)], name="klue/klue")
    second = source(tmp_path, "b.jsonl", [row(2), row(3)])
    report = done(tmp_path, first, second, allow_licenses=["cc-by-sa-4.0"])
    assert report["rows"] == {"read": 3, "kept": 1, "dropped": {"license": 2}}
    assert runs.read_rows(tmp_path / "run" / runs.DROPPED)[0]["license"] == "unknown"


def test_histograms_count_every_kept_row(tmp_path: Path) -> None:
    rows = [row(number) for number in range(40)] + [row(41, output="It is 41 apples."), row(42, output="답은 42야.")]
    report = done(tmp_path, source(tmp_path, "a.jsonl", rows))
    figures = report["figures"]
    assert sum(figures["answer_length"]["counts"]) == sum(figures["hangul_in_answers"]["counts"]) == 42
    assert figures["hangul_in_answers"]["counts"][0] == 1
    assert report["register"]["hapsyo"] == 40
    assert sum(report["register"].values()) == 42


def test_every_reason_is_shown_with_its_first_rows(tmp_path: Path) -> None:
    rows = [row(1), *[row(2, output="\u200b")] * 5, row(1), row(3, output="가" * 5000 + ":")]
    report = done(tmp_path, source(tmp_path, "a.jsonl", rows), filters=["empty", "ends_with_colon"])
    assert {reason: len(found) for reason, found in report["samples"].items()} == {
        "duplicate": 1,
        "empty": 3,
        "ends_with_colon": 1,
    }
    [shown] = report["samples"]["ends_with_colon"]
    assert len(shown["messages"][1]["content"]) == LONGEST + 2
    page = render("run", json.loads(runs.dump_json(report)), {"stage": "prepare"}, [], "")
    assert "duplicate of: a.jsonl:1" in page
    assert "a.jsonl:2" in page


def test_prompts_with_several_answers_are_shown(tmp_path: Path) -> None:
    rows = [row(1), row(2), row(1, output="하나도 모르겠어요."), row(3), row(2), row(1, output="틀린 답입니다.")]
    report = done(tmp_path, source(tmp_path, "a.jsonl", rows))
    assert report["metrics"]["prompts_with_several_answers"] == 1
    shown = report["samples"]["prompts_with_several_answers"]
    assert [one["source"] for one in shown] == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:6"]


def test_the_page_shows_terms_sets_and_bars(tmp_path: Path) -> None:
    rows = [row(number) for number in range(9)] + [row(9, output="답은 9야.")]
    report = done(tmp_path, source(tmp_path, "a.jsonl", rows, name="HAERAE-HUB/KMMLU"))
    page = render("run", json.loads(runs.dump_json(report)), {"stage": "prepare"}, [], "")
    assert "Where the rows come from" in page
    assert "HAERAE-HUB/KMMLU" in page and "cc-by-nd-4.0" in page
    assert "whose terms forbid passing on changed rows" in page
    assert '<i style="width: 100.0%"></i>' in page
    assert page.count("<svg") == 2


def test_long_texts_are_cut_and_short_ones_are_not() -> None:
    assert clipped({"a": ["가" * 900, "나"], "n": 3}) == {"a": ["가" * LONGEST + " …", "나"], "n": 3}
