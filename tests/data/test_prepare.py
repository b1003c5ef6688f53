"""No row vanishes: read = kept + dropped(by reason), for the run and for each source, and every drop says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.data import prepare as engine
from seodang.data.dedup import held_out
from seodang.data.formats import Auto
from seodang.data.prepare import run
from seodang.errors import DataError, ModelError
from seodang.recipe import Prepare
from seodang.records import Conversation
from seodang.runs import Run


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"instruction": f"{number}번 문제의 답은?", "input": "", "output": f"답은 {number}입니다."} | more


def pair(number: int, same: bool = False) -> dict[str, Any]:
    return {"prompt": f"{number}번?", "chosen": f"{number}입니다.", "rejected": f"{number}입니다." if same else "몰라."}


def written(folder: Path, name: str, rows: list[Any]) -> str:
    lines = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in rows)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(folder / name)


def recipe(*sources: Any, **more: Any) -> Prepare:
    given = [source if isinstance(source, dict) else {"path": source} for source in sources]
    return Prepare.model_validate({"stage": "prepare", "sources": given, "eval": 0} | more)


def done(tmp_path: Path, given: Prepare) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The report, and the rows of the three files."""
    folder = tmp_path / "run"
    folder.mkdir(exist_ok=True)
    report = run(given, Run(folder))
    names = (runs.TRAIN, runs.EVAL, runs.DROPPED)
    return report, {
        name: [json.loads(line) for line in (folder / name).read_text("utf-8").split("\n")[:-1]] for name in names
    }


def test_the_walk_of_one_record(tmp_path: Path) -> None:
    path = written(tmp_path, "seed.jsonl", [{
        "instruction": " 다음 문장을 영어로 번역하세요.\r\n", "input": "\u1102\u1161는 학교에 간다.", "output": "I go to school.",
        "url": "https://kin.example/1",
    }])  # fmt: skip
    report, files = done(tmp_path, recipe(path))
    assert files[runs.TRAIN] == [
        {
            "messages": [
                {"role": "user", "content": "다음 문장을 영어로 번역하세요.\n\n나는 학교에 간다.", "input_at": 19},
                {"role": "assistant", "content": "I go to school."},
            ],
            "source": "seed.jsonl:1",
        }
    ]
    assert report["rows"] == {"read": 1, "kept": 1, "dropped": {}}
    assert report["repairs"] == {"hangul_nfc": 1, "line_end": 1, "outer_space": 1}


def test_every_drop_has_its_reason_and_the_sum_holds(tmp_path: Path) -> None:
    rows = [
        row(1), row(2), "{broken", row(3, output=""), row(4, instruction="\u200b"), row(1, instruction="1번 문제의 답은 ?"),
        row(5, output="다음과 같습니다:"), {"instruction": "답이 없다"}, [1, 2], row(6),
    ]  # fmt: skip
    given = recipe(
        {"path": written(tmp_path, "a.jsonl", rows), "on_error": "skip"}, filters=["empty", "ends_with_colon"]
    )
    report, files = done(tmp_path, given)
    dropped = {"unreadable": 2, "malformed": 2, "empty": 1, "duplicate": 1, "ends_with_colon": 1}
    assert report["rows"] == {"read": 10, "kept": 3, "dropped": dict(sorted(dropped.items()))}
    assert [one["source"] for one in files[runs.TRAIN]] == ["a.jsonl:1", "a.jsonl:2", "a.jsonl:10"]
    assert len(files[runs.DROPPED]) == 7
    by_place = {one["source"]: one for one in files[runs.DROPPED]}
    assert by_place["a.jsonl:3"]["reason"] == "unreadable"
    assert "a.jsonl:3: the line is not valid JSON" in by_place["a.jsonl:3"]["error"]
    assert (by_place["a.jsonl:3"]["raw"], by_place["a.jsonl:9"]["raw"]) == ("{broken", "[1, 2]")
    assert by_place["a.jsonl:4"]["row"] == row(3, output="")
    assert "on_error" not in json.dumps(files[runs.DROPPED])
    assert by_place["a.jsonl:6"]["duplicate_of"] == "a.jsonl:1"
    assert by_place["a.jsonl:5"]["reason"] == "empty"


STOPS = [
    ("{broken", "a.jsonl:2: the line is not valid JSON"),
    (row(3, output=None), "a.jsonl:2: the row has no answer: `output` is missing"),
    ("7", "a.jsonl:2: a row must be a JSON object"),
]


@pytest.mark.parametrize(("bad", "text"), STOPS)
def test_a_bad_row_stops_by_default(tmp_path: Path, bad: Any, text: str) -> None:
    with pytest.raises(DataError) as caught:
        done(tmp_path, recipe(written(tmp_path, "a.jsonl", [row(1), bad])))
    assert text in str(caught.value)
    assert "`on_error: skip`" in str(caught.value)
    assert not (tmp_path / "run" / runs.TRAIN).exists()


def test_an_unknown_role_names_the_row(tmp_path: Path) -> None:
    talk = {"conversations": [{"from": "human", "value": "안녕"}, {"from": "훈장", "value": "어서 오너라"}]}
    good = {"conversations": [{"from": "사람", "value": "안녕"}, {"from": "챗봇", "value": "안녕하세요"}]}
    with pytest.raises(DataError, match=r"a\.jsonl:2: unknown role '훈장' \(known: "):
        done(tmp_path, recipe(written(tmp_path, "a.jsonl", [good, talk])))


def test_the_report_says_what_was_decided_for_each_source(tmp_path: Path) -> None:
    first = written(tmp_path, "a.jsonl", [row(1, id=7), row(2)])
    talk = [{"messages": [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "안녕하세요"}]}]
    second = written(tmp_path, "b.json", [json.dumps(talk, ensure_ascii=False, indent=1)])
    report, _ = done(tmp_path, recipe(first, second))
    one, two = report["sources"]
    assert (one["source"], one["container"], one["format"]["kind"]) == ("a.jsonl", "lines", "alpaca")
    assert one["evidence"] == "alpaca (2 of 2 rows fit; not read: id)"
    assert (two["container"], two["encoding"], two["line_ends"]) == ("array", "utf-8", "LF")
    assert [part["rows"]["read"] for part in report["sources"]] == [2, 1]
    assert report["rows"]["read"] == 3
    assert report["metrics"]["train"] == 3


def test_duplicates_are_found_across_sources(tmp_path: Path) -> None:
    first = written(tmp_path, "a.jsonl", [row(1), row(2)])
    second = written(tmp_path, "b.jsonl", [row(3), row(2)])
    report, files = done(tmp_path, recipe(first, second))
    assert report["rows"] == {"read": 4, "kept": 3, "dropped": {"duplicate": 1}}
    assert files[runs.DROPPED][0]["source"] == "b.jsonl:2"
    assert files[runs.DROPPED][0]["duplicate_of"] == "a.jsonl:2"


DEDUPS = [
    # rows that differ only in a slot, in spacing, in the answer → kept by (conversation, prompt, none)
    (None, 6),
    ({"on": "conversation"}, 5),
    ({"on": "prompt"}, 4),
]


@pytest.mark.parametrize(("dedup", "kept"), DEDUPS)
def test_what_makes_a_duplicate(tmp_path: Path, dedup: Any, kept: int) -> None:
    rows = [
        {"instruction": "38을 한글로 읽어 주세요", "output": "삼십팔"},
        {"instruction": "47을 한글로 읽어 주세요", "output": "사십칠"},
        {"instruction": "38을  한글로 읽어 주세요.", "output": "삼십팔"},
        {"instruction": "38을 한글로 읽어 주세요", "output": "서른여덟"},
        {"instruction": "1.5 + 2는?", "output": "3.5"},
        {"instruction": "15 + 2는?", "output": "17"},
    ]
    report, _ = done(tmp_path, recipe(written(tmp_path, "a.jsonl", rows), dedup=dedup))
    assert report["rows"]["kept"] == kept


def test_a_prompt_with_several_answers_is_told_and_kept(tmp_path: Path) -> None:
    rows = [row(1), row(1, output="다른 답입니다."), row(2)]
    report, _ = done(tmp_path, recipe(written(tmp_path, "a.jsonl", rows)))
    assert report["metrics"]["prompts_with_several_answers"] == 1
    assert report["rows"]["kept"] == 3


def test_held_out_rows_are_chosen_by_content(tmp_path: Path) -> None:
    """Adding rows reshuffles nothing, and the order of the rows does not matter."""
    rows = [row(number) for number in range(300)]
    _, few = done(tmp_path, recipe(written(tmp_path, "a.jsonl", rows[:200]), eval=0.1))
    _, many = done(tmp_path, recipe(written(tmp_path, "a.jsonl", rows[::-1]), eval=0.1))
    held = [{one["messages"][0]["content"] for one in files[runs.EVAL]} for files in (few, many)]
    assert 8 <= len(held[0]) <= 35
    assert held[0] <= held[1]
    trained = {one["messages"][0]["content"] for one in many[runs.TRAIN]}
    assert not trained & held[1]
    assert len(trained) + len(held[1]) == 300


WARNINGS = [
    (0.02, ["No row is held out: `eval: 0.02` of 3 rows chose none by the hash of their prompts"]),
    (0, []),
    (0.2, []),
]


@pytest.mark.parametrize(("share", "said"), WARNINGS)
def test_a_share_that_holds_out_nothing_is_a_warning(tmp_path: Path, share: float, said: list[str]) -> None:
    report, files = done(tmp_path, recipe(written(tmp_path, "a.jsonl", [row(n) for n in range(3)]), eval=share))
    assert bool(files[runs.EVAL]) == (share == 0.2)
    assert len(report["warnings"]) == len(said)
    assert all(text in found for text, found in zip(said, report["warnings"], strict=True))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", [row(number % 37) for number in range(100)])
    found = []
    for _ in range(2):
        done(tmp_path, recipe(path, eval=0.2))
        found.append([(tmp_path / "run" / name).read_bytes() for name in (runs.TRAIN, runs.EVAL, runs.DROPPED)])
    assert found[0] == found[1]


def test_any_number_of_processes_writes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "HERE", 1)
    monkeypatch.setattr(engine, "SIZE", 32)
    rows: list[Any] = [row(number % 401, output=f"답은 {number % 397}입니다.") for number in range(900)]
    rows[100:200:10] = ["{broken", row(0, output=" "), row(7, instruction="")] + [row(1)] * 7
    source = {"path": written(tmp_path, "a.jsonl", rows), "on_error": "skip"}
    found = []
    for processes in (1, 2, 3):
        report, _ = done(tmp_path, recipe(source, eval=0.2, processes=processes, filters=["empty", "pii"]))
        files = [(tmp_path / "run" / name).read_bytes() for name in (runs.TRAIN, runs.EVAL, runs.DROPPED)]
        found.append((files, report))
    assert found[0] == found[1] == found[2]
    assert set(found[0][1]["rows"]["dropped"]) == {"unreadable", "malformed", "empty", "duplicate"}


def test_a_bad_row_stops_at_its_place_in_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "HERE", 1)
    monkeypatch.setattr(engine, "SIZE", 16)
    rows: list[Any] = [row(number) for number in range(200)]
    rows[90] = rows[150] = "{broken"
    with pytest.raises(DataError, match=r"a\.jsonl:91: the line is not valid JSON"):
        done(tmp_path, recipe(written(tmp_path, "a.jsonl", rows), processes=2))
    assert list((tmp_path / "run").iterdir()) == []


def test_pairs_without_a_difference_are_dropped(tmp_path: Path) -> None:
    report, files = done(tmp_path, recipe(written(tmp_path, "p.jsonl", [pair(1), pair(2, same=True), pair(3)])))
    assert report["rows"] == {"read": 3, "kept": 2, "dropped": {"chosen_equals_rejected": 1}}
    assert files[runs.DROPPED][0]["source"] == "p.jsonl:2"


@pytest.mark.parametrize("extra", [[], ["{broken"]])
def test_a_file_of_such_pairs_is_one_paragraph(tmp_path: Path, extra: list[str]) -> None:
    path = written(tmp_path, "p.jsonl", [pair(1, same=True), pair(2, same=True), *extra])
    with pytest.raises(DataError) as caught:
        done(tmp_path, recipe({"path": path, "on_error": "skip"}))
    assert str(caught.value) == (
        "p.jsonl: chosen equals rejected in all 2 rows, so there is nothing to prefer. Look at how the file was made "
        "(`seodang inspect`); usually one column was written twice."
    )


def test_one_kind_of_rows_per_run(tmp_path: Path) -> None:
    talks, pairs = written(tmp_path, "a.jsonl", [row(1)]), written(tmp_path, "p.jsonl", [pair(1)])
    with pytest.raises(DataError) as caught:
        done(tmp_path, recipe(talks, pairs))
    assert "a.jsonl holds conversations and p.jsonl holds preference pairs; one run holds one kind" in str(caught.value)


NOTHING_LEFT = [
    ({"filters": [{"kind": "length", "min": 99}]}, "2 read, 0 held out, dropped 2 too_short. Relax the filters."),
    ({"eval": 0.9999999}, "2 read, 2 held out, dropped none. Set `eval: 0`; there are too few rows"),
]


@pytest.mark.parametrize(("more", "text"), NOTHING_LEFT)
def test_nothing_left_to_train_on(tmp_path: Path, more: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        done(tmp_path, recipe(written(tmp_path, "a.jsonl", [row(1), row(2)]), **more))
    assert f"No row is left to train on: {text}" in str(caught.value)


def test_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    first, second = written(tmp_path, "x/a.jsonl", [row(1)]), written(tmp_path, "y/a.jsonl", [row(2)])
    _, files = done(tmp_path, recipe(first, second))
    assert [one["source"] for one in files[runs.TRAIN]] == [f"{first}:1", f"{second}:1"]


def finished(folder: Path, rows: list[dict[str, Any]] | None) -> str:
    folder.mkdir(parents=True)
    if rows is not None:
        runs.write_rows(folder / runs.TRAIN, rows)
    Run(folder).note(state="finished", stage="generate")
    return str(folder)


def test_a_run_is_a_source_and_its_rows_keep_their_origin(tmp_path: Path) -> None:
    grown = Conversation((*_talk("새 질문", "새 답입니다."),), "runs/grow:req-7", accept=("새 답",), task="made")
    path = finished(tmp_path / "grow", [grown.to_row()])
    report, files = done(tmp_path, recipe(written(tmp_path, "a.jsonl", [row(1)]), {"run": path}))
    assert [one["source"] for one in files[runs.TRAIN]] == ["a.jsonl:1", "runs/grow:req-7"]
    assert Auto().parse(files[runs.TRAIN][1], "runs/grow:req-7") == grown
    assert report["sources"][1]["source"] == path


def _talk(question: str, answer: str) -> Any:
    from seodang.records import Message

    return Message("user", question), Message("assistant", answer)


def test_a_run_that_cannot_be_a_source(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"sources\.run: the run .* does not exist yet\. Run its recipe first"):
        done(tmp_path, recipe({"run": str(tmp_path / "none")}))
    with pytest.raises(DataError, match=r"holds no train\.jsonl\. Name a run that makes rows"):
        done(tmp_path, recipe({"run": finished(tmp_path / "sft", None)}))


def test_prepared_rows_prepared_again_are_the_same(tmp_path: Path) -> None:
    _, once = done(tmp_path, recipe(written(tmp_path, "a.jsonl", [row(n, input="참고") for n in range(5)])))
    path = finished(tmp_path / "first", once[runs.TRAIN])
    report, twice = done(tmp_path, recipe({"run": path}))
    assert twice[runs.TRAIN] == once[runs.TRAIN]
    assert report["metrics"]["repairs"] == 0


def test_normalize_can_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", [row(1, output=" 답입니다. ")])
    assert done(tmp_path, recipe(path))[1][runs.TRAIN][0]["messages"][1]["content"] == "답입니다."
    report, files = done(tmp_path, recipe(path, normalize=False))
    assert files[runs.TRAIN][0]["messages"][1]["content"] == " 답입니다. "
    assert report["repairs"] == {}


def test_prompts_and_texts_can_be_prepared(tmp_path: Path) -> None:
    report, files = done(tmp_path, recipe(written(tmp_path, "q.jsonl", [{"prompt": "가?"}, {"prompt": " "}])))
    assert report["rows"] == {"read": 2, "kept": 1, "dropped": {"empty": 1}}
    assert files[runs.TRAIN] == [{"prompt": [{"role": "user", "content": "가?"}], "source": "q.jsonl:1"}]
    _, files = done(tmp_path, recipe(written(tmp_path, "t.txt", ["첫 글", "둘째 글"])))
    assert files[runs.TRAIN] == [{"text": "첫 글", "source": "t.txt:1"}, {"text": "둘째 글", "source": "t.txt:2"}]


REAL = {
    "ko/kullm_style_conversation.jsonl": {"malformed": 3},
    "ko/kullm_style_evol.jsonl": {},
    "ko/preference_mk4.jsonl": {"chosen_equals_rejected": 2},
    "ko/preference_mk6_eval.json": {},
    "ko/kochatgpt_ppo.jsonl": {"duplicate": 57, "empty": 3},
    "ko/kochatgpt_seed.txt": {"duplicate": 57},
    "ko/web_text_0.jsonl": {},
    "en/alpaca_en_demo.json": {"duplicate": 14},
    "en/dpo_en_demo.json": {"duplicate": 5},
}


@pytest.mark.parametrize("name", REAL)
def test_loses_of_real_files_what_their_readme_names_and_duplicates(
    tmp_path: Path, shared_data: Path, name: str
) -> None:
    given = recipe({"path": str(shared_data / name), "on_error": "skip"}, eval=0.02, processes=1)
    report, files = done(tmp_path, given)
    dropped = dict(report["rows"]["dropped"])
    assert dropped.pop("near_duplicate", 0) <= 0.01 * report["rows"]["read"]
    assert dropped == REAL[name]
    assert len(files[runs.TRAIN]) + len(files[runs.EVAL]) == report["rows"]["kept"]
    assert all(held_out(Auto().parse(row, ""), 0.02) for row in files[runs.EVAL])


def test_shuffled_answers_stay_in_the_set_and_leave_their_place(tmp_path: Path) -> None:
    rows = [{"instruction": f"{n}번 질문", "output": f"{n}번 답", "accept": [f"{n}번 답"]} for n in range(20)]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")

    def made(**keys: Any) -> list[Conversation]:
        _, files = done(tmp_path, recipe(str(source), shuffle_answers=True, **keys))
        found = [Auto().parse(row, "") for row in files[runs.TRAIN]]
        return [record for record in found if isinstance(record, Conversation)]

    found = made()
    assert sorted(one.answer for one in found) == sorted(row["output"] for row in rows)
    assert all(one.answer not in one.accept for one in found)
    assert [one.messages[0].content for one in found] == [row["instruction"] for row in rows]
    assert made() == found != made(seed=1)
