"""The check: five facts, inputs not made yet, broken thresholds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seodang.data.audit import check, missing_runs, supervision
from seodang.data.dataset import training_rows
from seodang.errors import CheckFailed, DataError
from seodang.recipe_file import from_dict

TALKS = [
    {"messages": [{"role": "user", "content": f"{n}번?"}, {"role": "assistant", "content": "네, " * (n + 1)}]}
    for n in range(10)
]


def recipe(tmp_path: Path, model_dir: Path, **more: Any) -> Any:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in TALKS), encoding="utf-8")
    base = {"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(base | {"data": {"train": str(file)}} | more)


def test_the_summary_has_five_facts(tmp_path: Path, model_dir: Path) -> None:
    found = check(recipe(tmp_path, model_dir))
    assert list(found.facts) == ["rows", "split", "tokens", "length", "stop"]
    assert found.facts["rows"] == "10 read = 10 kept + 0 dropped (none)"
    assert found.facts["stop"].startswith("trained in 100.0% of rows (<|im_end|>)")
    assert len(found.text.splitlines()) == 6
    found.require()


def test_a_broken_threshold_is_a_problem_and_fails(tmp_path: Path, model_dir: Path) -> None:
    file = str(tmp_path / "rows.jsonl")
    found = check(recipe(tmp_path, model_dir, data={"train": file, "max_length": 30}, check={"max_drop_ratio": 0.1}))
    assert len(found.problems) == 1
    with pytest.raises(CheckFailed, match="The check found problems:\n  .*are dropped; check.max_drop_ratio is 0.1"):
        found.require()
    assert CheckFailed.exit_code == 1


def test_an_input_that_is_not_made_yet_does_not_fail(tmp_path: Path, model_dir: Path) -> None:
    found = check(recipe(tmp_path, model_dir, data={"run": str(tmp_path / "1-prepare")}))
    assert found.pending == [f"{tmp_path / '1-prepare'} (run its recipe first)"]
    assert "not made yet" in found.text
    found.require()


def test_a_missing_file_is_a_paragraph(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(DataError, match="The file nowhere.jsonl does not exist"):
        check(recipe(tmp_path, model_dir, data={"train": "nowhere.jsonl"}))


ROWS = [{"instruction": f"{n}번?", "output": f"{n}입니다."} for n in range(3)]


def prepare(tmp_path: Path, rows: list[Any], *others: dict[str, Any], **source: Any) -> Any:
    file = tmp_path / "seed.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return from_dict({"stage": "prepare", "sources": [{"path": str(file)} | source, *others]})


def test_the_sources_of_prepare_are_read(tmp_path: Path) -> None:
    found = check(prepare(tmp_path, [*ROWS, "{broken", {"instruction": "?"}, "7"], on_error="skip"))
    assert list(found.facts) == ["reads", "source 1"]
    assert found.facts["source 1"] == (
        "seed.jsonl: 6 rows, alpaca (3 of 4 rows fit); 3 cannot be read and are dropped, the first: "
        "seed.jsonl:4: the line is not valid JSON: a column name in double quotes must stand at 'broken'."
    )
    found.require()


def test_a_source_without_faults_is_one_short_line(tmp_path: Path) -> None:
    assert check(prepare(tmp_path, ROWS)).facts["source 1"] == "seed.jsonl: 3 rows, alpaca (3 of 3 rows fit)"


STOPS = [("{broken", "seed.jsonl:4: the line is not valid JSON: "), ({"instruction": "?"}, "seed.jsonl:4: the row has no"),
         ("7", "seed.jsonl:4: a row must be a JSON object")]  # fmt: skip


@pytest.mark.parametrize(("bad", "said"), STOPS)
def test_a_row_that_would_stop_prepare_stops_its_check(tmp_path: Path, bad: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        check(prepare(tmp_path, [*ROWS, bad]))
    assert said in str(caught.value)
    assert "`on_error: skip`" in str(caught.value)


def test_the_place_in_an_array_is_the_number_of_the_row(tmp_path: Path) -> None:
    file = tmp_path / "arr.jsonl"
    file.write_text(json.dumps([*ROWS, 7], ensure_ascii=False, indent=2), encoding="utf-8")
    with pytest.raises(DataError, match=r"^arr\.jsonl:4: a row must be a JSON object"):
        check(from_dict({"stage": "prepare", "sources": [{"path": str(file)}]}))


def test_a_run_that_is_not_made_yet_is_no_source_to_read(tmp_path: Path) -> None:
    run = str(tmp_path / "1-generate")
    found = check(prepare(tmp_path, ROWS, {"run": run}))
    assert list(found.facts) == ["reads", "source 1"]
    assert found.pending == [f"{run} (run its recipe first)"]


SPLITS = [(0.02, "10 train, 0 eval (the share 0.02 of 10 rows held out none)"), (None, "10 train, 0 eval")]


@pytest.mark.parametrize(("share", "line"), SPLITS)
def test_a_share_that_holds_out_nothing_is_told(tmp_path: Path, model_dir: Path, share: Any, line: str) -> None:
    data = {"train": str(tmp_path / "rows.jsonl"), "eval": share}
    assert check(recipe(tmp_path, model_dir, data=data)).facts["split"] == line


def test_missing_runs_looks_into_every_corner(tmp_path: Path) -> None:
    stage = from_dict(
        {
            "stage": "evaluate",
            "models": {"base": {"name_or_path": "x"}, "sft": {"run": "runs/none-1"}},
            "data": {"run": "runs/none-2"},
        }
    )
    assert missing_runs(stage) == ["runs/none-1", "runs/none-2"]


def test_supervision_counts_what_gets_a_loss(tmp_path: Path, model_dir: Path) -> None:
    rows = training_rows(recipe(tmp_path, model_dir))
    facts = supervision(rows)
    assert facts["trained_tokens"] == sum(label != -100 for row in rows.train for label in row.labels)
    assert (
        facts["length"][0] <= facts["length"][1] <= facts["length"][2] == max(len(row.input_ids) for row in rows.train)
    )


def test_supervision_of_pairs(tmp_path: Path, model_dir: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps({"prompt": "가?", "chosen": "나", "rejected": "다라"}, ensure_ascii=False) + "\n")
    stage = {
        "stage": "dpo",
        "model": {"name_or_path": str(model_dir)},
        "template": "chatml",
        "data": {"train": str(file)},
    }
    rows = training_rows(from_dict(stage))  # type: ignore[arg-type]
    facts = supervision(rows)
    assert facts["trained_tokens"] == len(rows.train[0].chosen) + len(rows.train[0].rejected)
    assert facts["stop_share"] == 1.0


def test_the_check_imports_no_torch(tmp_path: Path, model_dir: Path) -> None:
    recipe(tmp_path, model_dir)
    file = tmp_path / "2-sft.yaml"
    file.write_text(
        f"stage: sft\nmodel: {{name_or_path: {model_dir}}}\ntemplate: chatml\nadapter: lora\n"
        f"data: {{train: {tmp_path / 'rows.jsonl'}}}\n"
    )
    code = (
        "import sys; from seodang.recipe_file import load_recipe; from seodang.data.audit import check; "
        f"check(load_recipe({str(file)!r}).recipe); "
        "print([m for m in ('torch', 'trl', 'peft', 'datasets', 'accelerate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
