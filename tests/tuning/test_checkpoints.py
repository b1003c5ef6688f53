"""tuning/checkpoints.py: whole or not there, the newest that counts, and real kills in the middle of saving."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.recipe_file import from_dict
from seodang.tuning.checkpoints import FOLDER, SEAL, STATE, UNFINISHED, fault_of, latest_checkpoint, seal, step_of
from seodang.workflow import run_recipe

NOUNS = ["학교", "서당", "우산", "기차", "바다", "고양이", "저녁", "아침", "여름", "겨울", "연필", "공책"]


# --- What counts -----------------------------------------------------------------------------------------------------


def checkpoint(folder: Path, step: int) -> Path:
    path = folder / FOLDER / f"checkpoint-{step}"
    (path / "default").mkdir(parents=True)
    (path / STATE).write_text(json.dumps({"global_step": step}), encoding="utf-8")
    (path / "optimizer.pt").write_bytes(bytes(range(200)))
    (path / "default" / "adapter_model.safetensors").write_bytes(bytes(300))
    seal(path)
    return path


def test_the_newest_whole_checkpoint_counts_by_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert latest_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 20)
    (tmp_path / FOLDER / "checkpoint-x").mkdir()
    assert latest_checkpoint(tmp_path) == newest and step_of(newest) == 100
    assert capsys.readouterr().err == ""


def test_a_checkpoint_cut_in_any_file_at_any_place_does_not_count_and_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, draw = checkpoint(tmp_path, 9), random.Random(6)
    for name in (STATE, "optimizer.pt", "default/adapter_model.safetensors", SEAL):
        size = (older / name).stat().st_size
        for left in {0, size - 1, *(draw.randrange(size - 1) for _ in range(10))}:
            torn = checkpoint(tmp_path, 30)
            os.truncate(torn / name, left)
            if name == SEAL and left == size - 1:
                assert latest_checkpoint(tmp_path) == torn  # only its last line end is gone
            else:
                assert latest_checkpoint(tmp_path) == older, (name, left)
                wanted = "its list of files is missing or torn" if name == SEAL else f"{name} missing or cut"
                said = capsys.readouterr().err
                assert f"checkpoint-30 is not whole ({wanted}) and does not count; an older one is used" in said
            shutil.rmtree(torn)


@pytest.mark.parametrize("name", [STATE, "optimizer.pt", SEAL])
def test_a_checkpoint_without_one_of_its_files_does_not_count(name: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 5)
    assert fault_of(path) is None
    (path / name).unlink()
    assert fault_of(path) is not None and latest_checkpoint(tmp_path) is None


def test_one_that_was_being_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / FOLDER / UNFINISHED / "checkpoint-4").mkdir(parents=True)
    assert latest_checkpoint(tmp_path) is None
    assert "a checkpoint was being written when the run ended; it does not count" in capsys.readouterr().err


# --- Killed ----------------------------------------------------------------------------------------------------------


def recipe(model_dir: Path, folder: Path, name: str, **training: Any) -> Any:
    data = folder / "rows.jsonl"
    if not data.exists():
        rows = [
            {
                "messages": [
                    {"role": "user", "content": f"{a}의 높임말은?"},
                    {"role": "assistant", "content": f"{a}입니다."},
                ]
            }
            for a in NOUNS
        ]
        data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    loop = {"num_train_epochs": 4, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 2, "save_steps": 1}
    loop |= {"learning_rate": 1e-2, "eval_steps": 4, "neftune_noise_alpha": 5, "lr_scheduler_type": "cosine"}
    given = {
        "stage": "sft",
        "model": {"name_or_path": str(model_dir)},
        "template": "chatml",
        "data": {"train": str(data), "eval": 0.2},
        "adapter": {"kind": "lora", "r": 4, "lora_dropout": 0.2},
        "training": loop | training,
        "output_dir": str(folder / name),
    }
    return from_dict(given)


@pytest.fixture(scope="module")
def processes() -> Any:
    """A process that has the libraries loaded and makes others out of itself, each of which can really be killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["seodang.tuning.sft", "seodang.workflow", "seodang.reports.html", "peft"])
    return context


def spawn(processes: Any, chosen: Any, mode: str) -> Any:
    process = processes.Process(target=run_recipe, args=(chosen, mode))
    process.start()
    return process


def is_saving(folder: Path) -> bool:
    try:
        return bool(os.listdir(folder / FOLDER / UNFINISHED))
    except FileNotFoundError:
        return False


def kill_in_a_save(process: Any, folder: Path, draw: random.Random) -> bool:
    """Kill -9 at a random moment of a random save; True where the save was cut off."""
    skip, seen = draw.randrange(2), False
    while process.is_alive():
        saving = is_saving(folder)
        if saving and not seen:
            skip -= 1
        seen = saving
        if saving and skip < 0:
            time.sleep(draw.random() * 0.02)
            break
    process.kill()
    process.join()
    return is_saving(folder)


def kill_after(process: Any, seconds: float) -> None:
    process.join(seconds)
    process.kill()
    process.join()


def comparable(folder: Path) -> dict[str, Any]:
    """What a run leaves: its weights to the byte, the log of every step, and the report but for its time."""
    report = runs.read_json(folder / runs.REPORT) or {}
    report["metrics"].pop("seconds")
    log = [
        {name: value for name, value in entry.items() if "time" not in name and "per_second" not in name}
        for entry in runs.read_log(folder)
    ]
    weights = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
    return {"weights": runs.hash_text(weights.hex()), "log": log, "report": report}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_ten_times_inside_a_save_and_at_random_moments_a_run_ends_in_the_same_bytes(
    model_dir: Path, tmp_path: Path, processes: Any
) -> None:
    """Dropout, noise on the embeddings, accumulation, a schedule and evaluations are all on."""
    whole, cut = (recipe(model_dir, tmp_path, name) for name in ("whole", "cut"))
    undisturbed = spawn(processes, whole, "fresh")
    undisturbed.join()
    assert undisturbed.exitcode == 0 and runs.is_finished(tmp_path / "whole")
    folder, draw, kills, attempts = tmp_path / "cut", random.Random(20261121), 0, 0
    while kills < 10 and not runs.is_finished(folder):
        mode = "resume" if runs.manifest(folder) else "fresh"
        kills += kill_in_a_save(spawn(processes, cut, mode), folder, draw)
        attempts += 1
        if attempts in (3, 6, 9) and runs.manifest(folder):
            kill_after(spawn(processes, cut, "resume"), 2 * draw.random())
    assert kills == 10, f"{kills} of {attempts} kills were inside a save"
    last = spawn(processes, cut, "resume")
    last.join()
    assert last.exitcode == 0
    assert comparable(folder) == comparable(tmp_path / "whole")
