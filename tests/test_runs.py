"""A run folder: files whole or not at all, rows that add up, a log that survives a kill, one writer at a time."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.errors import ModelError, RunError
from seodang.runs import (
    Ledger,
    Run,
    dump_json,
    finished_run,
    hash_file,
    hash_text,
    is_finished,
    ledger_line,
    locked,
    next_free,
    read_json,
    read_log,
    read_recipe,
    to_trash,
    weights_of,
    write_rows,
    write_text,
)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"나": "가", "a": None}, '{"나": "가", "a": null}'),
        ([1, 2.5, True], "[1, 2.5, true]"),
        ({"loss": math.nan, "sizes": (1.0, -math.inf)}, '{"loss": "nan", "sizes": [1.0, "-inf"]}'),
        ({"text": "줄\u2028끝"}, '{"text": "줄\u2028끝"}'),
        ({"text": "가\ud83d"}, '{"text": "\\uac00\\ud83d"}'),
        ({"text": "\ud83d", "loss": math.inf}, '{"text": "\\ud83d", "loss": "inf"}'),
    ],
)
def test_json_is_readable_valid_and_utf8(data: Any, text: str) -> None:
    assert dump_json(data) == text
    assert json.loads(dump_json(data).encode()) == json.loads(text)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.json"
    write_text(target, "첫째\r\n둘째\n")
    assert target.read_bytes() == "첫째\r\n둘째\n".encode()

    monkeypatch.setattr(runs.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_text(target, "new")
    assert target.read_text(encoding="utf-8") == "첫째\n둘째\n"


def test_rows_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "train.jsonl"
    assert write_rows(target, [{"text": "하나"}, {"text": "둘"}]) == 2
    assert target.read_text(encoding="utf-8") == '{"text": "하나"}\n{"text": "둘"}\n'

    def broken() -> Iterator[dict[str, str]]:
        yield {"text": "셋"}
        raise RuntimeError("the reader stopped")

    with pytest.raises(RuntimeError, match="the reader stopped"):
        write_rows(target, broken())
    assert target.read_text(encoding="utf-8").count("\n") == 2
    assert write_rows(tmp_path / "none.jsonl", []) == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": ', None),
        (b"[1]", None),
        (b"\xff\xfe", None),
        (None, None),
    ],
)
def test_a_torn_or_absent_json_file_is_none(tmp_path: Path, content: bytes | None, found: Any) -> None:
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)

    assert read_json(tmp_path / "x.json") == found


def test_hashes_are_sha256_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("가나다", encoding="utf-8")

    assert hash_file(tmp_path / "x") == hash_text("가나다")
    assert hash_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hash_text("\ud83d") != hash_text("?")


def test_a_ledger_adds_up() -> None:
    ledger = Ledger()
    ledger.keep()
    ledger.drop("too long", {"source": "a:2"})
    ledger.drop("empty", {"source": "a:3", "reason": "the row's own"})
    ledger.drop("empty", {"source": "a:4"})

    assert ledger.close() == {"read": 4, "kept": 1, "dropped": {"empty": 2, "too long": 1}}
    assert [row["reason"] for row in ledger.rows] == ["too long", "empty", "empty"]
    assert list(ledger.rows[1]) == ["reason", "source"]


def test_a_ledger_that_does_not_add_up_is_a_bug_and_says_so() -> None:
    ledger = Ledger(read=3, kept=1, dropped={"empty": 1})

    with pytest.raises(RunError) as error:
        ledger.close()

    assert str(error.value) == (
        "The rows do not add up: 3 read, 1 kept, {'empty': 1} dropped. This is a bug; please report it."
    )


def test_a_run_writes_and_reads_its_files(tmp_path: Path) -> None:
    run = Run(tmp_path)

    run.write_json("report.json", {"rows": {"read": 1}})
    run.write_rows("train.jsonl", [{"text": "가"}])
    run.note(stage="sft", state="running")
    run.note(state="finished")

    assert run.file("report.json").read_text(encoding="utf-8") == '{\n  "rows": {\n    "read": 1\n  }\n}\n'
    assert runs.manifest(tmp_path) == {"stage": "sft", "state": "finished"}
    assert is_finished(tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_the_log_is_read_back_in_order(tmp_path: Path) -> None:
    run = Run(tmp_path)
    entries = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": math.nan}, {"step": 3, "note": "줄\u2028바꿈\x85끝"}]
    for entry in entries:
        run.log(entry)

    assert list(run.read_log()) == [entries[0], {"step": 2, "loss": "nan"}, entries[2]]


@pytest.mark.parametrize("torn", [b'{"step": 2, "lo', b'{"step": 2, "note": "\xea\xb0', b"17\n", b"\n\n"])
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    run = Run(tmp_path)
    run.log({"step": 1})
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(torn)

    assert read_log(tmp_path) == [{"step": 1}]
    run.log({"step": 2})
    assert read_log(tmp_path) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stage: sft\nthinking: keep\n", {"stage": "sft", "thinking": "keep"}),
        ("- 1\n", {}),
        ("a: [", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_the_recipe_of_a_run_is_read_back(tmp_path: Path, text: str | None, found: dict[str, Any]) -> None:
    if text is not None:
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")

    assert read_recipe(tmp_path) == found


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ({"read": 60, "kept": 60, "dropped": {}}, "60 read = 60 kept + 0 dropped (none)"),
        ({"read": 60, "kept": 41, "dropped": {"duplicate": 12, "empty": 7}},
         "60 read = 41 kept + 19 dropped (12 duplicate, 7 empty)"),
    ],
)  # fmt: skip
def test_a_ledger_in_one_line(rows: dict[str, Any], line: str) -> None:
    assert ledger_line(rows) == line


def test_no_log_is_an_empty_log(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (None, "model.run: the run {path} does not exist yet. "),
        ({"state": "running"}, "model.run: the run {path} is not finished. "),
        ({}, "model.run: the run {path} is not finished. "),
    ],
)
def test_a_parent_that_is_not_finished_is_refused(tmp_path: Path, manifest: dict[str, str] | None, text: str) -> None:
    path = tmp_path / "sft"
    if manifest is not None:
        path.mkdir()
        Run(path).note(**manifest)

    with pytest.raises(ModelError) as error:
        finished_run(str(path), "model.run")

    ending = "Run its recipe first (`seodang run`), or name another run."
    assert str(error.value) == text.format(path=path) + ending


def test_a_finished_parent_is_its_folder(tmp_path: Path) -> None:
    Run(tmp_path).note(state="finished")

    assert finished_run(str(tmp_path), "data.run") == tmp_path


@pytest.mark.parametrize(
    ("folders", "found"), [(["adapter"], "adapter"), (["model"], "model"), (["tokenizer", "model"], "model")]
)
def test_the_weights_of_a_run(tmp_path: Path, folders: list[str], found: str) -> None:
    for name in folders:
        (tmp_path / name).mkdir()

    assert weights_of(tmp_path) == tmp_path / found


@pytest.mark.parametrize(("notes", "stage"), [({"stage": "prepare"}, "prepare"), ({}, "?")])
def test_a_run_without_weights_says_what_it_is(tmp_path: Path, notes: dict[str, str], stage: str) -> None:
    Run(tmp_path).note(**notes)

    with pytest.raises(ModelError) as error:
        weights_of(tmp_path)

    assert str(error.value) == (
        f"The run {tmp_path} holds no adapter, model or tokenizer; it is a `{stage}` run. Name a run that trains."
    )


def test_the_next_free_name(tmp_path: Path) -> None:
    path = tmp_path / "koalpaca.v1"
    assert next_free(path) == tmp_path / "koalpaca.v1.2"
    (tmp_path / "koalpaca.v1.2").mkdir()
    assert next_free(path) == tmp_path / "koalpaca.v1.3"


def test_the_trash_keeps_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.time, "strftime", lambda _: "20261120-180000")
    kept = []
    for number in range(3):
        path = tmp_path / "sft"
        path.mkdir()
        (path / "report.json").write_text(str(number))
        kept.append(to_trash(path))
        assert not path.exists()

    assert [(path / "report.json").read_text() for path in kept] == ["0", "1", "2"]
    assert {path.parent for path in kept} == {tmp_path / ".trash"}


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "sft"
    with locked(path):
        assert path.is_dir()
        with pytest.raises(RunError) as error, locked(path):
            pass
    assert str(error.value) == (
        f"The output folder {path} is in use by another seodang. Wait for it, or give another `output_dir`."
    )
    with locked(path):
        pass


def test_the_lock_goes_when_its_process_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from seodang.runs import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(RunError, match="in use by another seodang"), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass


def test_the_lock_goes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError("x")
    with locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_paragraph(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    with pytest.raises(RunError) as error, locked(tmp_path / "file" / "sft"):
        pass
    assert str(error.value) == (
        f"The output folder {tmp_path / 'file' / 'sft'} cannot be written to: Not a directory. "
        "Give another `output_dir`."
    )
    with pytest.raises(RunError, match="cannot be written to: File exists"), locked(tmp_path / "file"):
        pass
