"""Several processes train as one would, one of them writes, and where one fails all end with one paragraph."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from seodang.errors import Mistake, ModelError, RecipeError, RunError
from seodang.language import Phrase
from seodang.recipe_file import load_recipe
from seodang.tuning import processes
from seodang.tuning.launch import Launch
from seodang.tuning.processes import ENDED, Failure, failures
from seodang.workflow import run_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

NOUNS = [
    "학교",
    "서당",
    "우산",
    "기차",
    "바다",
    "고양이",
    "저녁",
    "아침",
    "여름",
    "겨울",
    "연필",
    "공책",
    "나무",
    "구름",
    "시장",
    "사과",
]
COMMON = ["training.learning_rate=1e-2"]
STAGES: dict[str, tuple[str, list[str]]] = {
    "sft": (
        "stage: sft\nmodel: {{name_or_path: {model}}}\ntemplate: chatml\nadapter: {{kind: lora, r: 4}}\n"
        "data: {{train: train.jsonl, eval: eval.jsonl, max_length: 512}}\ntraining: {{num_train_epochs: 2}}\n",
        ["loss", "eval_loss", "grad_norm"],
    ),
    "dpo": (
        "stage: dpo\nmodel: {{name_or_path: {model}}}\ntemplate: chatml\nadapter: {{kind: lora, r: 4}}\n"
        "data: {{train: pairs.jsonl, eval: pairs_eval.jsonl, max_length: 512}}\ntraining: {{num_train_epochs: 2}}\n",
        ["loss", "eval_loss", "grad_norm"],
    ),
    "pretrain": (
        "stage: pretrain\nmodel: {{config: {{model_type: llama, hidden_size: 32, intermediate_size: 64, "
        "num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2}}, tokenizer: {model}}}\n"
        "data: {{train: text.jsonl, eval: 0.2, max_length: 64}}\ntraining: {{num_train_epochs: 1}}\n",
        ["loss", "eval_loss", "grad_norm"],
    ),
}


def conversation(number: int) -> dict[str, Any]:
    noun = NOUNS[number % len(NOUNS)]
    said = f"{noun}입니다." + " 그렇습니다." * (number % 4)
    return {"messages": [{"role": "user", "content": f"{noun}의 높임말은?"}, {"role": "assistant", "content": said}]}


def pair(number: int) -> dict[str, Any]:
    question, answer = conversation(number)["messages"]
    other = {"role": "assistant", "content": "몰라." + "아니." * (number % 3)}
    return {"prompt": [question], "chosen": [answer], "rejected": [other]}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def folder(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with rows that divide by nothing, and a recipe per stage."""
    write(tmp_path / "train.jsonl", [conversation(n) for n in range(11)])
    write(tmp_path / "eval.jsonl", [conversation(n) for n in range(11, 16)])
    write(tmp_path / "pairs.jsonl", [pair(n) for n in range(9)])
    write(tmp_path / "pairs_eval.jsonl", [pair(n) for n in range(9, 14)])
    write(
        tmp_path / "text.jsonl", [{"text": f"{n}번째 글. {NOUNS[n % 16]}에 갑니다. " * (1 + n % 3)} for n in range(30)]
    )
    for stage, (text, _) in STAGES.items():
        (tmp_path / f"{stage}.yaml").write_text(text.format(model=model_dir), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "seodang", "run", *arguments]


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(call(*arguments), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def curve(path: Path, names: list[str]) -> list[tuple[int, str, float]]:
    log = [json.loads(line) for line in (path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(entry["step"], name, entry[name]) for entry in log for name in names if name in entry]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "accumulation"), [("sft", 1), ("sft", 2), ("dpo", 2), ("pretrain", 1)])
def test_two_processes_train_as_one_does(stage: str, accumulation: int, folder: Path) -> None:
    shared = [f"{stage}.yaml", *COMMON, f"training.gradient_accumulation_steps={accumulation}"]
    alone = [*shared[1:], "output_dir=runs/one", "training.per_device_train_batch_size=4"]
    run_recipe(load_recipe(shared[0], alone).recipe)
    two = run(*shared, "output_dir=runs/two", "training.per_device_train_batch_size=2", "launch.num_processes=2")
    one, other = (curve(folder / "runs" / name, STAGES[stage][1]) for name in ("one", "two"))
    assert [entry[:2] for entry in one] == [entry[:2] for entry in other] and len(one) > 6
    assert [value for *_, value in other] == pytest.approx([value for *_, value in one], rel=1e-4)
    reports = [json.loads((folder / "runs" / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[0]["rows"] == reports[1]["rows"] and reports[0]["metrics"].keys() == reports[1]["metrics"].keys()
    assert two.stdout.count("   steps: ") == 1 and "Traceback" not in two.stderr and "gloo" not in two.stderr.lower()


@pytest.mark.slow
def test_a_resumed_run_ends_where_an_undisturbed_one_does(folder: Path) -> None:
    shared = ["sft.yaml", *COMMON, "launch.num_processes=2", "training.per_device_train_batch_size=1",
              "training.save_steps=5", "training.num_train_epochs=6"]  # fmt: skip
    run(*shared, "output_dir=runs/whole")
    with started(*shared, "output_dir=runs/cut") as process:
        wait_for(folder / "runs/cut/checkpoints/checkpoint-10/files.json", process)
        os.kill(trainers(process.pid)[1], signal.SIGKILL)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2 and said.count("\n\n") == 0
    assert re.search(r"^Process [12] of 2 was killed \(SIGKILL\), and the others were ended with it\.", said, re.M)
    assert "`--resume` continues from the last checkpoint." in said and "Traceback" not in said
    run(*shared, "output_dir=runs/cut", "--resume")
    whole, cut = (load_file(folder / f"runs/{name}/adapter/adapter_model.safetensors") for name in ("whole", "cut"))
    assert all((cut[name] == whole[name]).all() for name in whole)
    assert curve(folder / "runs/cut", ["loss"]) == curve(folder / "runs/whole", ["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_the_command(by: signal.Signals, folder: Path) -> None:
    arguments = ["sft.yaml", "launch.num_processes=2", "training.per_device_train_batch_size=1",
                 "training.save_steps=2", "training.num_train_epochs=400"]  # fmt: skip
    with started(*arguments, "output_dir=runs/cut") as process:
        wait_for(folder / "runs/cut/checkpoints/checkpoint-2/files.json", process)
        below = descendants(process.pid)
        assert len(below) >= 3
        process.send_signal(by)
        _, said = process.communicate(timeout=120)
    assert process.returncode == (130 if by == signal.SIGINT else -signal.SIGKILL)
    assert by != signal.SIGINT or "Interrupted." in said
    end = time.monotonic() + 60
    while (left := [pid for pid in below if is_alive(pid)]) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []


@pytest.mark.slow
def test_a_mistake_is_told_once_as_with_one_process(folder: Path, model_dir: Path) -> None:
    config = json.loads((model_dir / "config.json").read_text())
    broken = folder / "broken"
    broken.mkdir()
    for file in model_dir.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    shared = ["sft.yaml", f"model.name_or_path={broken}", "output_dir=runs/broken"]
    one, two = run(*shared, code=2).stderr, run(*shared, "launch.num_processes=2", code=2).stderr
    paragraph = [line for line in one.splitlines() if line.startswith("The files of ")]
    assert len(paragraph) == 1 and two.splitlines().count(paragraph[0]) == 1 and "Traceback" not in two
    assert not (folder / "runs/broken").exists()  # nothing was made, so nothing needs --replace


def started(*arguments: str) -> Any:
    """The command as a terminal starts it: a job in the background is started deaf to Ctrl-C, and so are its children."""
    return subprocess.Popen(
        call(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for(path: Path, process: Any) -> None:
    end = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    """The processes below one, oldest first; psutil comes with accelerate."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def trainers(pid: int) -> list[int]:
    import psutil

    return sorted(child for child in descendants(pid) if "train" in psutil.Process(child).cmdline())


def is_alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def failure(rank: int, seconds: float, error: Any = None, trace: str = "Traceback …") -> Failure:
    return Failure(rank, seconds, error, trace)


def test_an_error_comes_back_as_it_was_raised(job: Path) -> None:
    error = ModelError("{path} holds {what}.", path=Path("runs/x"), what=Phrase("nothing"))
    failure(1, 2.0, error).write(job)
    failure(0, 1.0, RecipeError("The recipe", [Mistake("adapter.r", "is odd", 3)])).write(job)
    first, second = failures(job)
    assert isinstance(first.error, RecipeError) and first.error.mistakes[0].path == "adapter.r"
    assert str(first.error) == "The recipe is not a valid recipe:\n  adapter.r: is odd  (line 3)"
    assert isinstance(second.error, ModelError) and str(second.error) == f"{Path('runs/x')} holds nothing."


def test_a_value_that_cannot_travel_is_told_as_text(job: Path) -> None:
    failure(0, 1.0, ModelError("It broke: {why}", why=lambda: None)).write(job)
    assert str(failures(job)[0].error).startswith("It broke: <function")


def test_a_phrase_is_said_in_the_users_language_after_the_way_back() -> None:
    warning = Phrase("{count} rows", count=3)
    again = pickle.loads(pickle.dumps({"warnings": [warning]}))["warnings"][0]
    assert (again, again.text, again.values) == (warning, warning.text, warning.values)


BLAMED = [
    # the mistake comes before those who only lost the others
    ([(0, 1.0, None), (1, 2.0, "mine")], {"rank": 0, "exit": 1}, ModelError, "mine"),
    ([(0, 2.0, None)], {"rank": 1, "exit": -9}, RunError, "Process 2 of 2 was killed (SIGKILL)"),
    ([(0, 2.0, None)], {"rank": 1, "exit": -6}, RunError, "Its last words: terminate called"),
    ([(1, 2.0, None), (0, 1.0, None)], {"rank": 1, "exit": 1}, RuntimeError, "process 1 of 2 failed\nTraceback"),
    ([], None, RunError, "The 2 processes of the training ended without a word (exit status unknown)"),
]


@pytest.mark.parametrize(("left", "ended", "kind", "said"), BLAMED)
def test_the_first_cause_is_blamed(left: Any, ended: Any, kind: type[Exception], said: str, job: Path) -> None:
    for rank, seconds, mistake in left:
        failure(rank, seconds, ModelError(mistake) if mistake else None).write(job)
    if ended:
        (job / ENDED).write_text(json.dumps(ended))
    (job / "process-1.log").write_text("terminate called without an active exception\n")
    found = processes._blame(job, Launch(num_processes=2))
    assert type(found) is kind and said in str(found)


def test_the_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = len(os.sched_getaffinity(0))
    assert processes._environment(Launch(num_processes=2))["OMP_NUM_THREADS"] == str(max(1, cores // 2))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert processes._environment(Launch(num_processes=2))["OMP_NUM_THREADS"] == "7"


def test_a_machine_that_is_not_the_first_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not processes.is_follower()
    monkeypatch.setenv("PET_NNODES", "2")
    monkeypatch.setenv("PET_NODE_RANK", "1")
    assert processes.is_follower()
