"""Stage sft: LoRA, QLoRA and whole weights through TRL on our ids; nothing is cut, and what is saved loads unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig, TrainerCallback

from seodang import runs
from seodang.data.dataset import training_rows
from seodang.errors import DataError, ModelError, TemplateError
from seodang.recipe_file import from_dict
from seodang.runs import Run
from seodang.tuning import loop, sft
from seodang.tuning.model import Aim, load_for_training, load_model
from seodang.tuning.specs import ModelSpec
from seodang.workflow import run_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

NOUNS = ["학교", "서당", "우산", "기차", "바다", "고양이", "저녁", "아침", "여름", "겨울", "연필", "공책"]
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"{noun}의 높임말은?"},
            {"role": "assistant", "content": f"{noun}입니다."},
        ]
    }
    for noun in NOUNS
]
IDS = torch.tensor([[5, 17, 40, 301, 77, 9]])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def teachable(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a louder output layer: a frozen one of std 0.02 can say next to nothing at width 32."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("teachable")
    shutil.copytree(model_dir, folder, dirs_exist_ok=True)
    weights = weights_in(folder)
    weights["lm_head.weight"] *= 15
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    train = write(tmp_path / "train.jsonl", ROWS[:9])
    return {"train": str(train), "eval": str(write(tmp_path / "eval.jsonl", ROWS[9:])), "max_length": 2048}


def recipe(model: dict[str, Any], data: dict[str, Any], **changed: Any) -> Any:
    given: dict[str, Any] = {
        "stage": "sft",
        "model": model,
        "template": "chatml",
        "data": data,
        "adapter": {"kind": "lora", "r": 4},
        "training": {"num_train_epochs": 4, "learning_rate": 2e-2, "per_device_train_batch_size": 3, "save_steps": 2},
    }
    return from_dict(given | {"output_dir": "unused"} | changed)


def open_run(path: Path, resumed: bool = False) -> Run:
    path.mkdir(exist_ok=True)
    return Run(path, resumed)


def finish(folder: Run) -> None:
    runs.write_text(folder.path / runs.MANIFEST, '{"state": "finished", "stage": "sft"}\n')


def weights_in(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(next(folder.glob("*.safetensors")))


def row_of(length: int) -> dict[str, Any]:
    """A conversation of more than `length` tokens."""
    answer = " ".join(NOUNS * (length // 12))
    return {"messages": [{"role": "user", "content": "길게 써 주세요."}, {"role": "assistant", "content": answer}]}


# --- Training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantization", [None, "nf4", "int8"])
def test_lora_and_qlora_lower_the_loss_on_trained_and_on_held_out_rows(
    quantization: str | None, teachable: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    folder = open_run(tmp_path / "run")
    report = sft.run(recipe({"name_or_path": str(teachable), "quantization": quantization}, data), folder)
    metrics = report["metrics"]
    assert metrics["steps"] == 12 and len(report["figures"]["loss"]) == 12
    assert metrics["loss_last"] < 0.8 * metrics["loss_first"]
    assert metrics["eval_loss_last"] < 0.9 * metrics["eval_loss_first"]
    assert [point["step"] for point in report["figures"]["eval_loss"]] == [0, 3, 6, 9, 12]
    assert {weight.dtype for weight in weights_in(folder.file("adapter")).values()} == {torch.float32}


def test_the_report_counts_rows_and_tokens(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    long = row_of(400)
    write(Path(data["train"]), [*ROWS[:9], long])
    chosen = recipe({"name_or_path": str(model_dir)}, data | {"max_length": 64}, training={"max_steps": 1})
    folder = open_run(tmp_path / "run")
    report = sft.run(chosen, folder)
    assert report["rows"] == {"read": 13, "kept": 12, "dropped": {"over_length": 1}}
    assert (report["over_length"], report["warnings"]) == ({"mode": "drop", "dropped": 1}, [])
    assert sum(report["figures"]["row_tokens"]["counts"]) == 13 and report["figures"]["row_tokens"]["edges"][-1] > 64
    dropped = [json.loads(line) for line in folder.file("dropped.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["reason"], row["source"]) for row in dropped] == [("over_length", "train.jsonl:10")]
    rows = training_rows(chosen)
    metrics = report["metrics"]
    assert (metrics["train_rows"], metrics["eval_rows"]) == (9, 3)
    assert metrics["tokens"] == sum(len(row.input_ids) for row in rows.train)
    assert metrics["trained_tokens"] == sum(label != -100 for row in rows.train for label in row.labels)
    assert metrics["longest_row"] == max(len(row.input_ids) for row in rows.train)
    assert report["parity"]["compared"] == report["parity"]["equal"] > 9


def test_every_weight_is_trained_where_the_recipe_says_full(
    model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    folder = open_run(tmp_path / "run")
    chosen = recipe({"name_or_path": str(model_dir)}, data, adapter="full", training={"max_steps": 2})
    sft.run(chosen, folder)
    before, after = weights_in(model_dir), weights_in(folder.file("model"))
    assert all(not torch.equal(before[name], after[name]) for name in before if "norm" not in name)
    assert not folder.file("adapter").exists()


def test_a_row_of_1500_tokens_arrives_whole_with_its_stop(
    model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    write(Path(data["train"]), [row_of(1500)])
    chosen = recipe({"name_or_path": str(model_dir)}, data | {"max_length": 9999})
    rows = training_rows(chosen)
    row = rows.train[0]
    assert len(row.input_ids) >= 1500
    folder = open_run(tmp_path / "run")
    loaded = load_for_training(chosen.model, chosen.adapter, Aim(1, 1, folder.path))
    (batch,) = sft.make_trainer(chosen, rows, loaded, folder).get_train_dataloader()
    assert batch["input_ids"][0].tolist() == row.input_ids
    assert batch["labels"][0].tolist() == row.labels
    assert batch["attention_mask"].all()
    assert batch["labels"][0, -1] == loaded.tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_trl_trains_exactly_our_labels(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    """Upstream's loss of a batch equals the mean over the labels that are not -100, computed here by hand."""
    chosen = recipe({"name_or_path": str(model_dir)}, data)
    rows, folder = training_rows(chosen), open_run(tmp_path / "run")
    loaded = load_for_training(chosen.model, chosen.adapter, Aim(1, 1, folder.path))
    found = sft.make_trainer(chosen, rows, loaded, folder).evaluate()["eval_loss"]
    total, count = 0.0, 0
    for row in rows.eval:
        with torch.no_grad():
            scores = torch.log_softmax(loaded.model(torch.tensor([row.input_ids])).logits[0].double(), dim=-1)
        trained = [(at, label) for at, label in enumerate(row.labels) if label != -100]
        total -= sum(float(scores[at - 1, label]) for at, label in trained)
        count += len(trained)
    assert found == pytest.approx(total / count, rel=1e-5)


def test_the_number_of_steps_is_the_one_that_was_planned(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    training = {"num_train_epochs": 1.5, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}
    chosen = recipe({"name_or_path": str(model_dir)}, data, training=training)
    report = sft.run(chosen, open_run(tmp_path / "run"))
    assert report["metrics"]["steps"] == loop.steps_of(chosen.training, 9) == 5


def test_a_row_beyond_the_models_positions_is_refused(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    write(Path(data["train"]), [row_of(1500)])
    with pytest.raises(ModelError, match=r"and the model has 2048 positions\. Set `data\.max_length` to 2048 or less"):
        sft.run(recipe({"name_or_path": str(model_dir)}, data | {"max_length": 9999}), open_run(tmp_path / "run"))


def test_nothing_is_loaded_where_no_row_is_left(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No row is left to train on"):
        sft.run(recipe({"name_or_path": str(model_dir)}, data | {"max_length": 8}), open_run(tmp_path / "run"))


# --- Quantised training ----------------------------------------------------------------------------------------------


def test_trls_rounding_of_a_quantised_models_adapter_is_undone(
    model_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe({"name_or_path": str(model_dir), "quantization": "nf4"}, data)
    rows, folder = training_rows(chosen), open_run(tmp_path / "run")

    def start() -> tuple[dict[str, Any], dict[str, Any]]:
        loaded = load_for_training(chosen.model, chosen.adapter, Aim(7, 1, folder.path))
        before = {name: w.detach().clone() for name, w in loaded.model.named_parameters() if w.requires_grad}
        sft.make_trainer(chosen, rows, loaded, folder)
        return before, {name: w for name, w in loaded.model.named_parameters() if w.requires_grad}

    before, after = start()
    assert all(torch.equal(before[name], after[name]) for name in before)
    monkeypatch.setattr(sft, "exact_adapters", lambda loaded: _nothing())
    _, rounded = start()
    assert {weight.dtype for weight in rounded.values()} == {torch.bfloat16}, "upstream no longer rounds"


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *args: object) -> None:
        return None


class Gradients(TrainerCallback):
    """Keeps the first layer's gradients of every step."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        first = next(w for name, w in model.named_parameters() if "layers.0" in name and "lora_B" in name)
        self.seen.append(first.grad.clone())


@pytest.mark.parametrize("eval_steps", [1, 2])
def test_evaluating_within_qlora_training_leaves_the_first_layers_gradients_unchanged(
    eval_steps: int, model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    seen = []
    for number, changed in enumerate((data, {**data, "eval": None})):
        training = {"max_steps": 4, "per_device_train_batch_size": 3, "eval_steps": eval_steps}
        spec = {"name_or_path": str(model_dir), "quantization": "nf4"}
        chosen, folder = recipe(spec, changed, training=training), open_run(tmp_path / str(number))
        loaded = load_for_training(chosen.model, chosen.adapter, Aim(7, 4, folder.path))
        trainer, watch = sft.make_trainer(chosen, training_rows(chosen), loaded, folder), Gradients()
        trainer.add_callback(watch)
        loop.train(trainer, folder)
        seen.append(watch.seen)
    assert len(seen[0]) == 4
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
    assert all(gradient.abs().max() > 0 for gradient in seen[0])


# --- What is saved ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_the_adapter_loads_unchanged_with_upstreams_own_loaders(
    quantization: str | None, model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    from peft import AutoPeftModelForCausalLM

    folder = open_run(tmp_path / "run")
    chosen = recipe({"name_or_path": str(model_dir), "quantization": quantization}, data)
    sft.run(chosen, folder)
    finish(folder)
    place = folder.file("adapter")
    given = load_model(ModelSpec(name_or_path=str(model_dir), quantization=chosen.model.quantization))
    upstream = AutoPeftModelForCausalLM.from_pretrained(place)
    ours = load_model(ModelSpec(run=str(folder.path)))
    with torch.no_grad():
        assert torch.equal(upstream.eval()(IDS).logits, ours.model(IDS).logits)
        assert not torch.allclose(ours.model(IDS).logits, given.model(IDS).logits, atol=1e-2)
    tokenizer = AutoTokenizer.from_pretrained(place)
    chat = training_rows(chosen).chat
    assert tokenizer.chat_template == chat.jinja
    assert GenerationConfig.from_pretrained(place).eos_token_id == list(chat.stop_ids)
    turns = [{"role": "user", "content": "서당의 높임말은? <|im_end|>"}]
    from seodang.records import Message

    served = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
    )
    assert served == chat.prompt_ids([Message("user", turns[0]["content"])])
    assert not [path for path in place.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_a_second_sft_continues_the_first_ones_adapter_and_template(
    model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    first = open_run(tmp_path / "first")
    sft.run(recipe({"name_or_path": str(model_dir)}, data), first)
    finish(first)
    second = open_run(tmp_path / "second")
    again = recipe({"run": str(first.path)}, data, adapter=None, template=None, training={"max_steps": 1})
    report = sft.run(again, second)
    known = json.loads((second.path / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    before = runs.read_log(first.path)[-1]
    assert known["eval_loss"] == pytest.approx(before["eval_loss"], rel=1e-5)
    assert report["metrics"]["eval_loss_first"] == known["eval_loss"]
    config = json.loads((second.path / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str(model_dir)
    assert AutoTokenizer.from_pretrained(second.path / "adapter").chat_template


def test_a_fresh_adapter_on_a_merged_parent_loads_from_its_own_folder(
    model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    from peft import AutoPeftModelForCausalLM

    first, second = open_run(tmp_path / "first"), open_run(tmp_path / "second")
    sft.run(recipe({"name_or_path": str(model_dir)}, data), first)
    finish(first)
    training = {"max_steps": 1}
    sft.run(recipe({"run": str(first.path), "merge": True}, data, template=None, training=training), second)
    model = AutoPeftModelForCausalLM.from_pretrained(second.file("adapter"))
    assert model.peft_config["default"].base_model_name_or_path == str(second.path / "base")
    assert runs.read_log(second.path)[0]["eval_loss"] == pytest.approx(
        runs.read_log(first.path)[-1]["eval_loss"], rel=1e-4
    )


def test_a_template_that_is_saved_otherwise_stops_the_run_and_loses_nothing(
    model_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One character changes between saving and reading anew; once it is as trained, `--resume` ends the run."""
    chosen = recipe({"name_or_path": str(model_dir)}, data, training={"max_steps": 2}, output_dir=str(tmp_path / "run"))
    save = sft.save_trained

    def save_otherwise(*args: Any) -> Path:
        jinja = save(*args) / "chat_template.jinja"
        jinja.write_text(jinja.read_text(encoding="utf-8").replace("assistant\\n", "assistant "), encoding="utf-8")
        return jinja.parent

    monkeypatch.setattr(sft, "save_trained", save_otherwise)
    with pytest.raises(TemplateError, match=r"train.jsonl:1: a fresh process makes other ids of the prompt") as error:
        run_recipe(chosen)
    place = tmp_path / "run" / "adapter"
    assert f"what was trained stays in {place}; but the run is not finished" in str(error.value)
    trained = weights_in(place)
    assert not runs.is_finished(tmp_path / "run")
    monkeypatch.undo()
    report = run_recipe(chosen, "resume").report
    assert report["parity"]["compared"] == report["parity"]["equal"] > 9
    assert all(torch.equal(weight, trained[name]) for name, weight in weights_in(place).items())
    chat = training_rows(chosen).chat
    manifest = runs.manifest(tmp_path / "run") or {}
    assert (manifest["state"], manifest["template"]) == ("finished", {"fingerprint": chat.fingerprint})
    assert runs.read_json(tmp_path / "run" / "report.json")["parity"] == report["parity"]  # type: ignore[index]


# --- Resuming and silence --------------------------------------------------------------------------------------------


class StopAt(TrainerCallback):
    """A user's Ctrl-C."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_a_run_cut_off_and_resumed_ends_in_the_same_bytes(
    quantization: str | None, model_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(
        {"name_or_path": str(model_dir), "quantization": quantization},
        data,
        adapter={"kind": "lora", "r": 4, "lora_dropout": 0.1},
    )
    whole, broken = open_run(tmp_path / "whole"), open_run(tmp_path / "broken")
    wanted = sft.run(chosen, whole)
    plain = sft.make_trainer

    def interrupted(*args: Any) -> Any:
        trainer = plain(*args)
        trainer.add_callback(StopAt(7))
        return trainer

    monkeypatch.setattr(sft, "make_trainer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sft.run(chosen, broken)
    monkeypatch.setattr(sft, "make_trainer", plain)
    (broken.path / "checkpoints" / "checkpoint-8").mkdir()
    found = sft.run(chosen, open_run(tmp_path / "broken", resumed=True))
    files = [folder.file("adapter/adapter_model.safetensors").read_bytes() for folder in (whole, broken)]
    assert files[0] == files[1]
    assert found["figures"] == wanted["figures"]


def test_no_socket_is_opened_in_a_users_interpreter(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    """huggingface_hub is imported first, CI and offline mode are unset, and every socket raises."""
    chosen = recipe({"name_or_path": str(model_dir)}, data, training={"max_steps": 1}).model_dump(mode="json")
    code = f"""
        import socket
        from huggingface_hub import constants
        asked = []
        def refuse(*args, **kwargs):
            asked.append(args)
            raise OSError("no network in this test")
        socket.socket.connect = refuse
        socket.getaddrinfo = refuse
        from pathlib import Path
        from seodang.recipe_file import from_dict
        from seodang.runs import Run
        from seodang.tuning import sft
        sft.run(from_dict({chosen!r}), Run(Path({str(tmp_path)!r})))
        import threading, time
        time.sleep(0.5)
        assert not asked, asked
        from huggingface_hub.utils import _telemetry
        assert _telemetry._TELEMETRY_THREAD is None, "TRL queued a ping"
    """
    unset = {"CI", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"}
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    source = str(Path(__file__).resolve().parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=200, env=clean | {"PYTHONPATH": source}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
