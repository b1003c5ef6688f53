"""The verbs from the outside: exit statuses, paragraphs on stderr, what is printed. Slow imports stay out of the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seodang.cli import cli, main

ROWS = [{"instruction": f"{n}에 하나를 더하면?", "output": f"{n + 1}입니다."} for n in range(20)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_dir: Path) -> Path:
    """A working directory with rows, a prepare recipe and an sft recipe on it."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    Path("rows.jsonl").write_text(lines, encoding="utf-8")
    folder = Path("recipes/tiny")
    folder.mkdir(parents=True)
    (folder / "1-prepare.yaml").write_text("stage: prepare\nsources: [{path: rows.jsonl}]\neval: 0.2\n")
    (folder / "2-sft.yaml").write_text(
        f"stage: sft\nmodel: {{name_or_path: {model_dir}}}\ntemplate: chatml\nadapter: {{kind: lora, r: 4}}\n"
        "data: {run: runs/tiny/1-prepare}\ntraining: {max_steps: 2}\n"
    )
    return folder


def call(*arguments: Any) -> tuple[int, str, str]:
    """The command in this process: (exit status, stdout, stderr)."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["seodang", *map(str, arguments)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            status: Any = 0
        except SystemExit as error:
            status = error.code
    return int(status or 0), out.getvalue(), err.getvalue()


def test_the_verbs() -> None:
    names = "chat check doctor init inspect plan preview quickstart run schema show"
    assert sorted(cli.commands) == names.split()


@pytest.mark.parametrize("verb", ["", *cli.commands])
def test_every_verb_has_help(verb: str) -> None:
    status, out, _ = call(*([verb] if verb else []), "--help")
    assert status == 0
    assert "Usage:" in out


def test_a_misspelt_key_never_trains(project: Path) -> None:
    status, out, err = call("run", project / "2-sft.yaml", "adapter.lora_alfa=3")
    assert status == 2
    assert err.strip().splitlines() == [
        f"{project / '2-sft.yaml'} is not a valid recipe:",
        "  adapter.lora_alfa: unknown key, did you mean `lora_alpha`?  (override)",
    ]
    assert not Path("runs").exists()


def test_run_checks_then_does_then_says_where_the_report_is(project: Path) -> None:
    status, out, err = call("run", project / "1-prepare.yaml")
    assert (status, err) == (0, "")
    assert "check (prepare):" in out
    assert "rows: 20 read = 20 kept + 0 dropped (none)" in out
    assert "report: runs/tiny/1-prepare/report.html" in out


def test_a_warning_is_printed(project: Path) -> None:
    _, out, _ = call("run", project / "1-prepare.yaml", "eval=0.0001")
    assert "WARNING: " in out and "Raise `eval`, or write `eval: 0`" in out


def test_a_second_run_is_skipped_and_a_changed_one_refused(project: Path) -> None:
    call("run", project / "1-prepare.yaml")
    assert "finished before and unchanged: skipped" in call("run", project / "1-prepare.yaml")[1]
    status, _, err = call("run", project / "1-prepare.yaml", "eval=0.5")
    assert status == 2
    assert "--new" in err and "--replace" in err


@pytest.fixture
def chain(project: Path) -> Path:
    """A folder of two prepare recipes, the second on the run of the first."""
    (project / "2-sft.yaml").unlink()
    (project / "2-again.yaml").write_text("stage: prepare\nsources: [{run: runs/tiny/1-prepare}]\neval: 0.2\n")
    return project


def skipped(out: str) -> list[bool]:
    """Of each recipe that a folder's run has printed, whether it was skipped."""
    return ["skipped" in block for block in out.split("== ")[1:]]


def test_a_folder_runs_in_order_and_skips_what_is_finished(chain: Path) -> None:
    status, out, _ = call("run", chain)
    assert status == 0
    assert out.index("1-prepare.yaml") < out.index("2-again.yaml")
    assert skipped(out) == [False, False]
    assert skipped(call("run", chain)[1]) == [True, True]


def test_replace_on_a_folder_repeats_only_what_changed(chain: Path) -> None:
    call("run", chain)
    (chain / "2-again.yaml").write_text((chain / "2-again.yaml").read_text().replace("0.2", "0.4"))
    assert call("run", chain)[0] == 2
    assert skipped(call("run", chain, "--replace")[1]) == [True, False]


def test_a_changed_parent_makes_its_child_stale(chain: Path) -> None:
    call("run", chain)
    lines = Path("rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("rows.jsonl").write_text("".join(lines[:10]), encoding="utf-8")
    assert skipped(call("run", chain, "--replace")[1]) == [False, False]


def test_new_is_for_one_recipe(chain: Path) -> None:
    status, _, err = call("run", chain, "--new")
    assert status == 2
    assert "`--new` is for one recipe" in err


def test_an_override_of_a_folder_goes_to_the_recipes_that_have_its_key(project: Path) -> None:
    status, out, _ = call("check", project, "training.max_steps=1", "eval=0.3")
    assert status == 0
    assert call("check", project, "trianing.max_steps=1")[2].splitlines()[1:] == [
        "  trianing.max_steps: no recipe of the folder has this key"
    ]
    assert "would be the same for every recipe" in call("run", project, "output_dir=x")[2]


def test_a_stage_whose_input_is_not_made_yet(project: Path) -> None:
    status, out, err = call("run", project / "2-sft.yaml")
    assert status == 2
    assert "not made yet: runs/tiny/1-prepare (run its recipe first)" in out
    assert "cannot start" in err
    status, out, _ = call("check", project / "2-sft.yaml")
    assert status == 0
    assert "not made yet" in out


def test_check_ends_with_1_where_a_threshold_is_broken(project: Path) -> None:
    call("run", project / "1-prepare.yaml")
    assert call("check", project)[0] == 0
    status, out, _ = call("check", project / "2-sft.yaml", "data.max_length=32", "check.max_drop_ratio=0.1")
    assert status == 1
    assert "PROBLEM:" in out
    status, _, err = call("run", project / "2-sft.yaml", "data.max_length=32", "check.max_drop_ratio=0.1")
    assert status == 1
    assert "The check found problems" in err


def test_preview_shows_the_trained_tokens(project: Path) -> None:
    call("run", project / "1-prepare.yaml")
    status, out, _ = call("preview", project / "2-sft.yaml")
    assert status == 0
    assert "입니다.<|im_end|>⟧" in out
    status, _, err = call("preview", project / "1-prepare.yaml")
    assert status == 2
    assert "preview looks at sft and dpo" in err


def test_preview_lays_trl_beside_it_and_walks_a_text(project: Path) -> None:
    call("run", project / "1-prepare.yaml")
    status, out, _ = call("preview", project / "2-sft.yaml", "--beside", "trl", "--ids")
    assert status == 0
    assert "-- the same row by a bare `trl sft`" in out and "<|im_end|>[1]" in out
    status, out, _ = call("preview", project / "2-sft.yaml", "--text", "하나를 더하면?")
    assert status == 0
    assert "text            하나를␣더하면?" in out and "⟦" not in out
    assert call("preview", project / "2-sft.yaml", "--beside", "axolotl")[0] == 2


def test_show_names_the_origin_of_every_value(project: Path) -> None:
    status, out, _ = call("show", project / "2-sft.yaml", "adapter.r=8")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert status == 0
    assert lines["adapter.r"].endswith("8  (override)")
    assert lines["adapter.lora_alpha"].endswith("32  (default)")
    assert lines["training.max_steps"].endswith(f"2  ({project / '2-sft.yaml'}:6)")


def test_schema(project: Path) -> None:
    status, out, _ = call("schema", "sft")
    assert status == 0
    assert json.loads(out)["properties"]["stage"]["const"] == "sft"
    assert json.loads(call("schema")[1])["discriminator"]["propertyName"] == "stage"
    status, _, err = call("schema", "stf")
    assert status == 2
    assert "There is no stage `stf`" in err


def test_inspect(project: Path) -> None:
    status, out, _ = call("inspect", "rows.jsonl")
    assert status == 0
    assert "alpaca" in out


def test_from_a_file_and_a_model_to_recipes_in_one_command(project: Path, model_dir: Path) -> None:
    status, out, err = call("init", "rows.jsonl", "--model", model_dir, "--out", "recipes/mine")
    assert (status, err) == (0, "")
    assert sorted(path.name for path in Path("recipes/mine").iterdir()) == ["1-prepare.yaml", "2-sft.yaml"]
    assert "next: seodang run recipes/mine" in out
    assert call("run", "recipes/mine/1-prepare.yaml")[0] == 0
    assert call("check", "recipes/mine/2-sft.yaml")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "rows.jsonl"), "rows.jsonl is not a valid recipe:\n  is a data file; `seodang init rows.jsonl"),
        (("show", "recipes"), "recipes is not a valid recipe:\n  is a folder; name one recipe in it"),
        (("chat", "runs/none", "temprature=1"), "temprature: unknown key, did you mean `temperature`?"),
        (("run", "nowhere.yaml"), "nowhere.yaml is not a valid recipe:\n  the file does not exist"),
        (("inspect", "nowhere.jsonl"), "nowhere.jsonl"),
        (("chat", "runs/none"), "runs/none"),
        (("walk",), "No such command 'walk'"),
        (("run", "recipes"), "holds no numbered recipes"),
    ],
)
def test_a_users_mistake_is_a_paragraph_and_2(project: Path, arguments: tuple[str, ...], said: str) -> None:
    status, _, err = call(*arguments)
    assert status == 2
    assert said in err
    assert "Traceback" not in err


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seodang.recipe_file.load_recipe", interrupt)
    status, _, err = call("show", "x.yaml")
    assert status == 130
    assert "an unfinished run continues with --resume" in err


def test_help_show_and_schema_import_neither_torch_nor_transformers(project: Path) -> None:
    code = (
        "import sys, seodang.cli as c; sys.argv = ['seodang', *{arguments!r}]\n"
        "try: c.main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'trl', 'peft', 'datasets') if m in sys.modules], file=sys.stderr)"
    )
    for arguments in (["--help"], ["schema", "sft"], ["show", str(project / "2-sft.yaml")]):
        run = [sys.executable, "-c", code.format(arguments=arguments)]
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        assert done.stderr.strip() == "[]", arguments
