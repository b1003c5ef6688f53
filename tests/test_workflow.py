"""Run folders from recipes: fresh, unchanged, changed, resumed, replaced; folders in order; nothing is ever lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.errors import DataError, RunError, SeodangError
from seodang.recipe import Prepare
from seodang.recipe_file import load_recipe
from seodang.workflow import (
    check_and_run,
    folder_mode,
    input_hashes,
    is_unchanged,
    parents_of,
    recipe_files,
    require_writable,
    run_recipe,
)

ROWS = [{"instruction": f"{n}에 하나를 더하면?", "output": f"{n + 1}입니다."} for n in range(20)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a data file and two prepare recipes, the second on the run of the first."""
    monkeypatch.chdir(tmp_path)
    write_rows(ROWS)
    folder = tmp_path / "recipes" / "tiny"
    folder.mkdir(parents=True)
    (folder / "1-prepare.yaml").write_text("stage: prepare\nsources: [{path: rows.jsonl}]\neval: 0\n")
    (folder / "2-again.yaml").write_text("stage: prepare\nsources: [{run: runs/tiny/1-prepare}]\neval: 0.2\n")
    return folder


def write_rows(rows: list[dict[str, Any]]) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def first(project: Path, *overrides: str) -> Any:
    return load_recipe(project / "1-prepare.yaml", overrides).recipe


def test_a_run_folder_holds_what_it_was_made_from(project: Path) -> None:
    outcome = run_recipe(first(project))
    there = runs.manifest(outcome.path)
    assert there is not None and there["state"] == "finished" and there["stage"] == "prepare"
    assert there["inputs"] == {"rows.jsonl": runs.hash_file(Path("rows.jsonl"))}
    assert {"transformers", "torch", "seodang"} <= set(there["versions"])
    assert there["hardware"]["cores"] >= 1
    report = runs.read_json(outcome.path / "report.json")
    assert report is not None and report["rows"]["read"] == report["rows"]["kept"] + sum(
        report["rows"]["dropped"].values()
    )
    assert (outcome.path / "report.html").stat().st_size > 1000
    assert load_recipe(outcome.path / "recipe.yaml").recipe == first(project)


def test_a_finished_run_that_is_unchanged_is_left_alone(project: Path) -> None:
    made = run_recipe(first(project))
    before = (made.path / "manifest.json").stat().st_mtime_ns
    assert run_recipe(first(project)).unchanged
    assert (made.path / "manifest.json").stat().st_mtime_ns == before


def test_a_changed_recipe_needs_new_or_replace_and_shows_the_difference(project: Path) -> None:
    run_recipe(first(project))
    with pytest.raises(RunError) as error:
        run_recipe(first(project, "eval=0.3"))
    assert "+ eval: 0.3" in str(error.value) and "- eval: 0" in str(error.value)
    assert "`--new` runs it into runs/tiny/1-prepare.2" in str(error.value)


def test_changed_data_is_a_change(project: Path) -> None:
    run_recipe(first(project))
    write_rows(ROWS[:5])
    assert not is_unchanged(first(project))
    with pytest.raises(RunError, match=r"~ rows\.jsonl has other content"):
        run_recipe(first(project))


def test_new_runs_beside_and_replace_in_place(project: Path) -> None:
    run_recipe(first(project))
    changed = first(project, "eval=0.3")
    assert run_recipe(changed, "new").path == Path("runs/tiny/1-prepare.2")
    assert run_recipe(changed, "replace").path == Path("runs/tiny/1-prepare")
    (old,) = Path("runs/tiny/.trash").iterdir()
    assert old.name.startswith("1-prepare.") and (old / "train.jsonl").exists()


def test_a_finished_run_cannot_be_resumed(project: Path) -> None:
    run_recipe(first(project))
    with pytest.raises(RunError, match="is finished; there is nothing to resume"):
        run_recipe(first(project), "resume")


def test_nothing_to_resume(project: Path) -> None:
    with pytest.raises(RunError, match="There is nothing to resume: .* does not exist"):
        run_recipe(first(project), "resume")


def unfinished(project: Path) -> Path:
    path = run_recipe(first(project)).path
    runs.Run(path).note(state="running")
    return path


def test_an_unfinished_run_asks_how_to_go_on(project: Path) -> None:
    unfinished(project)
    with pytest.raises(RunError, match="holds an unfinished run. `--resume` continues it"):
        run_recipe(first(project))


def test_resume_verifies_recipe_and_data(project: Path) -> None:
    unfinished(project)
    with pytest.raises(RunError, match=r"(?s)cannot be resumed.*\+ eval: 0\.3"):
        run_recipe(first(project, "eval=0.3"), "resume")
    assert run_recipe(first(project), "resume").path == Path("runs/tiny/1-prepare")
    assert runs.is_finished(Path("runs/tiny/1-prepare"))


def test_a_foreign_folder_is_not_touched(project: Path) -> None:
    target = Path("runs/tiny/1-prepare")
    target.mkdir(parents=True)
    (target / "diary.txt").write_text("mine")
    for mode in ("fresh", "replace", "new"):
        with pytest.raises(RunError, match="exists and is not a run folder"):
            run_recipe(first(project), mode)  # type: ignore[arg-type]
    assert (target / "diary.txt").read_text() == "mine"


def test_a_file_is_no_output_folder(project: Path) -> None:
    with pytest.raises(RunError, match=r"`output_dir` rows\.jsonl is a file"):
        run_recipe(first(project, "output_dir=rows.jsonl"))
    assert Path("rows.jsonl").read_text(encoding="utf-8").count("\n") == len(ROWS)


def test_a_folder_in_use_is_said(project: Path) -> None:
    path = run_recipe(first(project)).path
    with runs.locked(path), pytest.raises(RunError, match="is in use by another seodang"):
        require_writable(first(project, "eval=0.3"), "replace")


def test_a_mistake_before_anything_was_made_leaves_no_folder(project: Path) -> None:
    Path("rows.jsonl").write_text("{broken\n")
    with pytest.raises(DataError):
        run_recipe(first(project))
    assert not Path("runs/tiny/1-prepare").exists()


def test_what_the_check_found_is_told_before_the_run(project: Path) -> None:
    told: list[str] = []
    loaded = load_recipe(project / "1-prepare.yaml")
    assert check_and_run(loaded, "fresh", told.append).path == Path(loaded.recipe.output_dir)
    assert len(told) == 1 and told[0].startswith("check (prepare):")
    assert check_and_run(load_recipe(project / "2-again.yaml"), "fresh").report["rows"]["kept"] > 0


def test_nothing_starts_before_what_it_reads_is_made(project: Path) -> None:
    with pytest.raises(SeodangError, match=r"2-again.yaml cannot start: not made yet: runs/tiny/1-prepare"):
        check_and_run(load_recipe(project / "2-again.yaml"), "fresh")


def test_new_is_for_one_recipe(project: Path) -> None:
    with pytest.raises(RunError, match="`--new` is for one recipe"):
        folder_mode(first(project), "new")


def test_numbers_order_recipes_not_letters(tmp_path: Path) -> None:
    for name in ("10-dpo.yaml", "2-sft.yaml", "notes.yaml", "1-prepare.yaml"):
        (tmp_path / name).write_text("")
    assert [path.name for path in recipe_files(tmp_path)] == ["1-prepare.yaml", "2-sft.yaml", "10-dpo.yaml"]


def test_a_folder_without_recipes(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no numbered recipes"):
        recipe_files(tmp_path)


def test_parents_and_inputs_of_a_recipe_on_runs(project: Path) -> None:
    run_recipe(first(project))
    run_recipe(load_recipe(project / "2-again.yaml").recipe)
    second = load_recipe(project / "2-again.yaml").recipe
    assert parents_of(second) == ["runs/tiny/1-prepare"]
    assert set(input_hashes(second)) == {"runs/tiny/1-prepare/train.jsonl", "runs/tiny/1-prepare/eval.jsonl"}


def test_the_quick_hash_of_a_big_file_sees_its_ends_and_size(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"a" * (3 << 20))
    one = runs.quick_hash(file, whole_below=1 << 20)
    file.write_bytes(b"a" * ((3 << 20) - 1) + b"b")
    other = runs.quick_hash(file, whole_below=1 << 20)
    assert one != other
    assert runs.quick_hash(file) == runs.hash_file(file)


@pytest.mark.parametrize("path", ["set", "set/**/*.jsonl", "set.zip"])
def test_every_file_of_a_folder_is_an_input(tmp_path: Path, path: str) -> None:
    import zipfile

    (tmp_path / "set" / "deep").mkdir(parents=True)
    for name in ("set/a.jsonl", "set/deep/b.jsonl"):
        (tmp_path / name).write_text('{"text": "글"}\n', encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a.jsonl", '{"text": "글"}')
    recipe = Prepare(stage="prepare", sources=[{"path": str(tmp_path / path)}])  # type: ignore[list-item]
    names = {"set.zip"} if path == "set.zip" else {"a.jsonl", "b.jsonl"}
    assert {Path(file).name for file in input_hashes(recipe)} == names
