"""tuning/loop.py: a trainer's arguments, the collator, checkpoints that count, the log, the curve and what is saved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl import DPOConfig, SFTConfig

import seodang
from seodang import runs
from seodang.errors import ModelError, RecipeError
from seodang.runs import Run
from seodang.tuning.adapters import Full, Lora, PromptTuning
from seodang.tuning.loop import (
    Setting,
    Watch,
    arguments,
    collator,
    is_exhausted,
    save_trained,
    steps_of,
    train,
    whole_weights,
)
from seodang.tuning.model import Aim, load_for_training
from seodang.tuning.precision import Precision
from seodang.tuning.pretrain import TextTrainer
from seodang.tuning.sft import AdaptedTrainer
from seodang.tuning.specs import ModelSpec, Training

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

CPU = Precision(torch.float32)
A100 = Precision(torch.bfloat16, bf16=True, device="cuda")


def make(kind: Any, folder: Path, precision: Precision = CPU, has_eval: bool = True, **training: Any) -> Any:
    return arguments(kind, Training.model_validate(training), Setting(folder, 7, precision, has_eval))


# --- Arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SFTConfig, DPOConfig, TrainingArguments])
def test_the_recipes_values_reach_upstream_and_upstream_trims_nothing(kind: Any, tmp_path: Path) -> None:
    config = make(kind, tmp_path, learning_rate=3e-4, warmup_steps=0.1, gradient_accumulation_steps=2)
    assert (config.learning_rate, config.warmup_steps, config.gradient_accumulation_steps) == (3e-4, 0.1, 2)
    assert (config.seed, config.data_seed, config.output_dir) == (7, 7, str(tmp_path / "checkpoints"))
    assert getattr(config, "max_length", None) is None
    assert not getattr(config, "packing", False) and not getattr(config, "padding_free", False)
    assert config.report_to in ([], "none")
    assert config.logging_steps == 1 and not config.logging_nan_inf_filter


def test_a_cpu_computes_in_float32_without_recomputing(tmp_path: Path) -> None:
    config = make(SFTConfig, tmp_path)
    assert (config.bf16, config.fp16, config.use_cpu, config.gradient_checkpointing) == (False, False, True, False)
    assert not config.dataloader_pin_memory


def test_a_key_of_the_stage_and_an_extra_one_reach_upstream(tmp_path: Path) -> None:
    training = Training.model_validate({"extra": {"adam_beta2": "0.95"}, "neftune_noise_alpha": 5})
    config = arguments(DPOConfig, training, Setting(tmp_path, 1, CPU, False), beta=0.3)
    assert (config.beta, config.adam_beta2, config.neftune_noise_alpha) == (0.3, 0.95, 5.0)


@pytest.mark.parametrize(
    ("training", "has_eval", "wanted"),
    [
        ({}, True, ("epoch", "epoch")),
        ({}, False, ("no", "epoch")),
        ({"eval_steps": 5, "save_steps": 0.5}, True, ("steps", "steps")),
        ({"eval_steps": 5}, False, ("no", "epoch")),
    ],
)
def test_when_it_evaluates_and_saves(training: dict[str, Any], has_eval: bool, wanted: Any, tmp_path: Path) -> None:
    config = make(SFTConfig, tmp_path, has_eval=has_eval, **training)
    assert (config.eval_strategy, config.save_strategy) == wanted
    if wanted[0] == "steps":
        assert (config.eval_steps, config.save_steps) == (5, 0.5)


def test_recomputing_activations_is_asked_by_upstreams_new_name(tmp_path: Path) -> None:
    config = make(SFTConfig, tmp_path, gradient_checkpointing=True)
    assert config.activation_checkpointing and config.gradient_checkpointing


def test_what_upstream_refuses_is_a_mistake_in_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training: upstream refuses it: .*load_best_model_at_end requires"):
        make(SFTConfig, tmp_path, eval_steps=2, save_steps=3, load_best_model_at_end=True)
    with pytest.raises(RecipeError, match=r"training\.extra\.disable_dropout: the trainer of this stage has no such"):
        make(TrainingArguments, tmp_path, extra={"disable_dropout": False})
    assert make(DPOConfig, tmp_path, extra={"disable_dropout": False}).disable_dropout is False


# --- Batches and steps -----------------------------------------------------------------------------------------------


def test_padding_is_masked_by_length_and_never_by_id(tokenizer: Any) -> None:
    pad = tokenizer.pad_token_id
    rows = [{"input_ids": [5, pad, 6, pad], "labels": [-100, pad, 6, pad]}, {"input_ids": [7], "labels": [7]}]
    batch = collator(tokenizer)(rows)
    assert batch["input_ids"].tolist() == [[5, pad, 6, pad], [7, pad, pad, pad]]
    assert batch["labels"].tolist() == [[-100, pad, 6, pad], [7, -100, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize(("pad", "eos", "filler"), [(3, 2, 3), (None, 2, 2), (0, 2, 0), (None, None, 0)])
def test_a_tokenizer_without_a_pad_token_pads_all_the_same(pad: int | None, eos: int | None, filler: int) -> None:
    found = collator(SimpleNamespace(pad_token_id=pad, eos_token_id=eos), pad_to_multiple_of=4)
    batch = found([{"input_ids": [9, 2], "labels": [9, 2]}])
    assert batch["input_ids"].tolist() == [[9, 2, filler, filler]]
    assert batch["labels"].tolist() == [[9, 2, -100, -100]]


def tiny(kind: str) -> Any:
    torch.manual_seed(0)
    if kind == "rope":
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
        return LlamaForCausalLM(LlamaConfig(vocab_size=64, **sizes, initializer_range=0.2)).eval()
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, **sizes, initializer_range=0.2, eos_token_id=2)).eval()


@pytest.mark.parametrize("kind", ["rope", "learned"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_row_alone_and_in_a_padded_batch_gives_equal_logits(kind: str, side: str) -> None:
    model, rows = tiny(kind), [[9, 8, 2, 7, 6, 2], [5, 2], [4, 3, 11]]
    batch = collator(SimpleNamespace(pad_token_id=2, eos_token_id=2))([{"input_ids": r, "labels": r} for r in rows])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    if side == "left":
        shift = [len(rows[0]) - len(row) for row in rows]
        ids, mask = (torch.stack([x.roll(n) for x, n in zip(xs, shift, strict=True)]) for xs in (ids, mask))
    at = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask, position_ids=at).logits
        unseen = model(input_ids=ids, position_ids=at).logits
        for row, logits, bare, seen in zip(rows, together, unseen, mask.bool(), strict=True):
            alone = model(input_ids=torch.tensor([row])).logits[0]
            torch.testing.assert_close(logits[seen], alone, atol=1e-5, rtol=0)
            if side == "left" and len(row) < len(rows[0]):
                assert (bare[seen] - alone).abs().max() > 1e-3  # what the mask is for


@pytest.mark.parametrize(
    ("rows", "batch", "accumulate", "epochs", "max_steps", "steps"),
    [
        (10, 2, 1, 1, -1, 5),
        (11, 2, 1, 1, -1, 6),
        (11, 2, 4, 1, -1, 2),
        (11, 2, 4, 2.5, -1, 5),
        (3, 8, 4, 1, -1, 1),
        (100, 8, 1, 1, 7, 7),
        (7, 2, 3, 0.4, -1, 1),
    ],
)
def test_steps_are_counted_as_upstream_counts_them(
    rows: int, batch: int, accumulate: int, epochs: float, max_steps: int, steps: int, tmp_path: Path
) -> None:
    training = Training(
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulate,
        num_train_epochs=epochs,
        max_steps=max_steps,
    )
    args = arguments(TrainingArguments, training, Setting(tmp_path, 1, CPU, False))
    trainer = Trainer(torch.nn.Linear(1, 1), args, train_dataset=[0] * rows)  # type: ignore[arg-type]
    upstream = trainer.set_initial_training_values(args, trainer.get_train_dataloader())
    assert steps_of(training, rows) == steps_of(args, rows) == steps
    assert steps in upstream


# --- The log -------------------------------------------------------------------------------------------------------


def test_log_lines_are_numbers_and_a_loss_that_is_none_stops_the_run(tmp_path: Path) -> None:
    watch = Watch(Run(tmp_path), lambda n=1, note="": None)
    state = SimpleNamespace(global_step=3)
    watch.on_log(None, state, None, {"loss": 2.5, "grad_norm": float("inf"), "epoch": 0.5, "note": "text"})
    watch.on_log(None, state, None, {"train_runtime": 1.0, "train_loss": 9.0})
    assert runs.read_log(tmp_path) == [{"step": 3, "loss": 2.5, "grad_norm": None, "epoch": 0.5}]
    with pytest.raises(ModelError, match=r"The eval_loss at step 3 is not a number: the training has diverged\. Lower"):
        watch.on_log(None, state, None, {"eval_loss": float("nan")})
    assert runs.read_log(tmp_path)[-1]["eval_loss"] is None


def test_the_bar_moves_with_every_step_and_shows_the_loss(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    watch = Watch(Run(tmp_path), lambda n=1, note="": seen.append((n, note)))
    watch.on_step_end(None, None, None)
    watch.on_log(None, SimpleNamespace(global_step=1), None, {"loss": 1.23456})
    watch.on_step_end(None, None, None)
    assert seen == [(1, ""), (1, "loss 1.235")]


# --- The loop --------------------------------------------------------------------------------------------------------


DROPOUT = Lora(r=4, lora_dropout=0.2)


class StopAt(TrainerCallback):
    """A user's Ctrl-C in the middle of a run."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def trainer_of(model_dir: Path, folder: Path, adapter: Any, **training: Any) -> tuple[Trainer, Any]:
    given = {"num_train_epochs": 2, "per_device_train_batch_size": 2, "learning_rate": 1e-2, "save_steps": 2} | training
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), adapter, Aim(7, 10, folder))
    rows = [{"input_ids": [5, 20 + n, 90 + n, 5, 20 + n], "labels": [5, 20 + n, 90 + n, 5, 20 + n]} for n in range(10)]
    trainer = TextTrainer(
        loaded.model,
        make(TrainingArguments, folder, **given),
        collator(loaded.tokenizer),
        rows[:8],  # type: ignore[arg-type]
        rows[8:],  # type: ignore[arg-type]
    )
    return trainer, loaded


@pytest.mark.parametrize(("adapter", "cut_at"), [(DROPOUT, 5), (DROPOUT, 7), (DROPOUT, 8), (Full(), 7)])
def test_a_resumed_run_ends_in_the_same_weights_and_shows_its_whole_curve(
    adapter: Any, cut_at: int, model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut off one step after an epoch's end, in the middle of an epoch, and before the last step."""
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    for folder in (whole, broken):
        folder.path.mkdir()
    undisturbed, _ = trainer_of(model_dir, whole.path, adapter)
    wanted = train(undisturbed, whole)
    cut, _ = trainer_of(model_dir, broken.path, adapter)
    cut.add_callback(StopAt(cut_at - 1))
    with pytest.raises(KeyboardInterrupt):
        train(cut, broken)
    assert [entry["step"] for entry in broken.read_log()][-1] == cut_at - 1
    again, _ = trainer_of(model_dir, broken.path, adapter)
    broken.resumed = True
    found = train(again, broken)
    assert "does not count" not in capsys.readouterr().err
    state, other = undisturbed.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert found["figures"] == wanted["figures"]
    assert found["metrics"] | {"seconds": 0} == wanted["metrics"] | {"seconds": 0}


def test_the_report_holds_the_held_out_loss_before_the_first_step_and_after_the_last(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Run(tmp_path)
    trainer, _ = trainer_of(model_dir, tmp_path, Lora(r=4), eval_steps=3)
    outcome = train(trainer, folder)
    assert [point["step"] for point in outcome["figures"]["loss"]] == list(range(1, 9))
    assert [point["step"] for point in outcome["figures"]["eval_loss"]] == [0, 3, 6, 8]
    metrics = outcome["metrics"]
    assert metrics["steps"] == 8
    assert metrics["eval_loss_first"] == outcome["figures"]["eval_loss"][0]["loss"]
    assert metrics["eval_loss_last"] < metrics["eval_loss_first"]
    assert metrics["loss_last"] < metrics["loss_first"]
    assert capsys.readouterr().out == ""


def test_how_often_it_evaluates_changes_no_weight(model_dir: Path, tmp_path: Path) -> None:
    states = []
    for number, training in enumerate(({"eval_steps": 1}, {"eval_steps": 8})):
        folder = Run(tmp_path / str(number))
        folder.path.mkdir()
        trainer, loaded = trainer_of(model_dir, folder.path, DROPOUT, **training)
        train(trainer, folder)
        states.append(loaded.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_held_out_rows_there_is_no_held_out_curve(model_dir: Path, tmp_path: Path) -> None:
    trainer, _ = trainer_of(model_dir, tmp_path, Lora(r=4), max_steps=2)
    trainer.eval_dataset = None
    trainer.args.eval_strategy = "no"
    outcome = train(trainer, Run(tmp_path))
    assert outcome["figures"]["eval_loss"] == []
    assert "eval_loss_first" not in outcome["metrics"]


# --- Accumulation, noise, the best and when to stop -------------------------------------------------------------------


UNEVEN = [
    {"input_ids": [7, *range(20, 20 + 3 * n)], "labels": [-100, *[-100] * n, *range(20 + n, 20 + 3 * n)]}
    for n in (1, 9, 2, 14, 1, 5, 20, 1, 3, 1, 11, 2, 8, 1, 6, 4)
]


def tuned(kind: Any, model_dir: Path, folder: Path, rows: Any = UNEVEN, **training: Any) -> tuple[Trainer, Any]:
    """A trainer of a stage on ready-made rows, of which the last four are held out."""
    folder.mkdir(parents=True, exist_ok=True)
    given = {"num_train_epochs": 1, "learning_rate": 1e-2, "per_device_train_batch_size": 8} | training
    loaded = load_for_training(ModelSpec(name_or_path=str(model_dir)), Lora(r=4), Aim(7, 10, folder))
    config = SFTConfig if kind is AdaptedTrainer else TrainingArguments
    trainer = kind(
        model=loaded.model,
        args=make(config, folder, **given),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows[-4:]),
        processing_class=loaded.tokenizer,
        data_collator=collator(loaded.tokenizer),
    )
    return trainer, loaded


@pytest.mark.parametrize("kind", [AdaptedTrainer, TextTrainer])
def test_accumulating_four_batches_of_two_is_one_batch_of_eight(kind: Any, model_dir: Path, tmp_path: Path) -> None:
    """Answers of 2 to 40 tokens: the mean of the batches' means would be another loss."""
    found = []
    for size, accumulate in ((8, 1), (2, 4)):
        folder = Run(tmp_path / f"{size}")
        trainer, loaded = tuned(
            kind,
            model_dir,
            folder.path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulate,
            num_train_epochs=3,
            optim="sgd",
            learning_rate=0.1,
        )
        train(trainer, folder)
        log = [entry for entry in folder.read_log() if "loss" in entry]
        weights = {name: value for name, value in loaded.model.state_dict().items() if "lora" in name}
        found.append((torch.tensor([[entry["loss"], entry["grad_norm"]] for entry in log]), weights))
    (one, its_weights), (other, other_weights) = found
    assert len(one) == 6 and its_weights
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for name, value in its_weights.items():
        torch.testing.assert_close(value, other_weights[name], rtol=0, atol=1e-6)
    assert (next(iter(its_weights.values())) != 0).any() and one[0, 1] > 1e-3


def test_a_batchs_mean_of_means_would_be_another_loss(model_dir: Path, tmp_path: Path) -> None:
    trainer, loaded = tuned(AdaptedTrainer, model_dir, tmp_path)
    make_batch = collator(loaded.tokenizer)
    with torch.no_grad():
        whole = float(loaded.model(**make_batch(UNEVEN[:8])).loss)
        parts = [float(loaded.model(**make_batch(UNEVEN[at : at + 2])).loss) for at in range(0, 8, 2)]
    assert abs(whole - sum(parts) / 4) > 1e-3


def test_noise_on_the_embeddings_is_there_in_training_only(model_dir: Path, tmp_path: Path) -> None:
    logs = []
    for noise in (None, 5.0):
        folder = Run(tmp_path / str(noise))
        trainer, loaded = tuned(AdaptedTrainer, model_dir, folder.path, max_steps=1, neftune_noise_alpha=noise)
        train(trainer, folder)
        logs.append(list(folder.read_log()))
        assert not loaded.model.get_input_embeddings()._forward_hooks
    assert logs[0][0]["eval_loss"] == logs[1][0]["eval_loss"] and logs[0][1]["loss"] != logs[1][1]["loss"]


@pytest.mark.parametrize("adapter", [DROPOUT, Full(), PromptTuning(num_virtual_tokens=4)])
def test_the_weights_of_the_best_evaluation_are_kept(adapter: Any, model_dir: Path, tmp_path: Path) -> None:
    """By a number that is highest after the third step."""
    folder = Run(tmp_path)
    loop = {"eval_steps": 1, "save_steps": None, "load_best_model_at_end": True, "save_total_limit": 1}
    loop |= {"metric_for_best_model": "score"}
    trainer, loaded = trainer_of(model_dir, tmp_path, adapter, learning_rate=0.3, lr_scheduler_type="constant", **loop)
    states: dict[int, Any] = {}
    trainer.add_callback(Remember(states, loaded.model))
    score = lambda: {"score": -abs(trainer.state.global_step - 3)}  # noqa: E731
    outcome = train(trainer, folder, Training.model_validate(loop), score)
    assert outcome["metrics"]["best_step"] == 3 and outcome["metrics"]["eval_score_best"] == 0
    assert [entry["eval_score"] for entry in folder.read_log() if "eval_score" in entry][1:4] == [-2, -1, 0]
    kept = loaded.model.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in states[3].items())
    assert any(not torch.equal(value, kept[name]) for name, value in states[8].items())


class Remember(TrainerCallback):
    """The weights after every step."""

    def __init__(self, states: dict[int, Any], model: Any) -> None:
        self.states, self.model = states, model

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.states[state.global_step] = {name: value.clone() for name, value in self.model.state_dict().items()}


@pytest.mark.parametrize(
    ("values", "patience", "threshold", "stops"),
    [
        ([3, 2, 1], 1, 0, False),
        ([3, 2, 2], 1, 0, True),
        ([3, 2, 2.5, 1.9], 2, 0, False),
        ([3, 2, 2.5, 2.1], 2, 0, True),
        ([3, 2.95, 2.9], 2, 0.2, True),
        ([3, 2.95, 2.7], 2, 0.2, False),
        ([3, 3, 3], None, 0, False),
        ([], 1, 0, False),
    ],
)
def test_when_it_stops_early(values: list[float], patience: int | None, threshold: float, stops: bool) -> None:
    training = Training(early_stopping_patience=patience, early_stopping_threshold=threshold)
    args = SimpleNamespace(metric_for_best_model="loss", greater_is_better=False)
    history = [{"eval_loss": value, "step": step} for step, value in enumerate(values)] + [{"loss": 9.0}]
    assert is_exhausted(history, args, training) is stops  # type: ignore[arg-type]
    args = SimpleNamespace(metric_for_best_model="eval_accuracy", greater_is_better=True)
    history = [{"eval_accuracy": -value} for value in values]
    assert is_exhausted(history, args, training) is stops  # type: ignore[arg-type]


@pytest.mark.parametrize("cut_at", [3, None])
def test_a_run_that_stops_early_stops_at_the_same_step_when_it_was_cut_off(
    cut_at: int | None, model_dir: Path, tmp_path: Path
) -> None:
    """Cut off on the way, and after its last checkpoint, when it had already decided to stop."""
    loop = {"eval_steps": 1, "save_steps": None, "early_stopping_patience": 2, "num_train_epochs": 5}
    training, results = Training.model_validate(loop), []
    for name in ("whole", "cut"):
        folder = Run(tmp_path / name)
        folder.path.mkdir()
        given = loop | {"learning_rate": 0.3, "lr_scheduler_type": "constant"}
        trainer, loaded = trainer_of(model_dir, folder.path, DROPOUT, **given)
        if name == "cut":
            trainer.add_callback(StopAt(cut_at) if cut_at else StopAtEnd())
            with pytest.raises(KeyboardInterrupt):
                train(trainer, folder, training)
            folder.resumed = True
            trainer, loaded = trainer_of(model_dir, folder.path, DROPOUT, **given)
        outcome = train(trainer, folder, training)
        outcome["metrics"]["seconds"] = 0
        results.append((outcome, loaded.model.state_dict()))
    (whole, weights), (cut, others) = results
    assert whole == cut and 3 <= whole["metrics"]["steps"] < 20
    assert whole["metrics"]["best_step"] == whole["metrics"]["steps"] - 2
    assert all(torch.equal(value, others[name]) for name, value in weights.items())


class StopAtEnd(TrainerCallback):
    """A kill between the last checkpoint and what comes after it."""

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if control.should_training_stop:
            raise KeyboardInterrupt


def test_what_is_not_measured_cannot_be_the_best(model_dir: Path, tmp_path: Path) -> None:
    loop = {"load_best_model_at_end": True, "metric_for_best_model": "bleu"}
    trainer, _ = trainer_of(model_dir, tmp_path, Lora(r=4), save_steps=None, **loop)
    with pytest.raises(
        RecipeError, match=r"training\.metric_for_best_model: `bleu` is not measured here \(known: .*loss"
    ):
        train(trainer, Run(tmp_path), Training.model_validate(loop))


def test_tensorboards_files_stay_when_the_checkpoints_go(model_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    trainer, _ = trainer_of(model_dir, tmp_path, Lora(r=4), max_steps=2, report_to="tensorboard")
    train(trainer, Run(tmp_path))
    assert list((tmp_path / "tensorboard").glob("events.*")) and trainer.args.run_name == tmp_path.name
    assert not list((tmp_path / "checkpoints").rglob("events.*"))


# --- Without a pad token ----------------------------------------------------------------------------------------------


TURNS = [
    {"messages": [{"role": "user", "content": f"{n}의 높임말은?"}, {"role": "assistant", "content": f"{n}입니다." * k}]}
    for k, n in enumerate(("학교", "서당", "우산", "기차", "바다", "저녁"), 1)
]
PAIRS = [
    {
        "prompt": row["messages"][:1],
        "chosen": row["messages"][1:],
        "rejected": [{"role": "assistant", "content": "몰라."}],
    }
    for row in TURNS
]
ONE_STEP: dict[str, Any] = {"max_steps": 1, "per_device_train_batch_size": 6}
KEYS = {"template": "chatml", "adapter": {"kind": "lora", "r": 2}, "training": ONE_STEP}


def without(model_dir: Path, folder: Path, *tokens: str) -> Path:
    """The model without these special tokens in its configs; their ids stay in the vocabulary."""
    shutil.copytree(model_dir, folder)
    for name in ("tokenizer_config.json", "config.json", "generation_config.json"):
        given = json.loads((folder / name).read_text(encoding="utf-8"))
        for token in tokens:
            given.pop(token, None)
            given.pop(f"{token}_id", None)
        (folder / name).write_text(json.dumps(given), encoding="utf-8")
    return folder


@pytest.mark.parametrize("tokens", [("pad_token",), ("pad_token", "eos_token")])
def test_without_a_pad_token_rows_are_padded_all_the_same(
    tokens: tuple[str, ...], model_dir: Path, tmp_path: Path
) -> None:
    base = without(model_dir, tmp_path / "base", *tokens)
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer.pad_token is None and (tokenizer.eos_token is None) == ("eos_token" in tokens)
    losses = []
    for number, place in enumerate((model_dir, base)):
        first = seodang.sft(place, TURNS, tmp_path / f"sft{number}", **KEYS)
        second = seodang.dpo(place, PAIRS, tmp_path / f"dpo{number}", **KEYS)
        losses.append([runs.read_log(run.path)[0]["loss"] for run in (first, second)])
        saved = AutoTokenizer.from_pretrained(first.weights)
        assert saved.pad_token == AutoTokenizer.from_pretrained(place).pad_token
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


# --- Saving ----------------------------------------------------------------------------------------------------------


def test_an_adapter_is_saved_with_its_tokenizer_its_stop_ids_and_an_absolute_base(
    model_dir: Path, tmp_path: Path
) -> None:
    _, loaded = trainer_of(model_dir, tmp_path, Lora(r=4))
    loaded.tokenizer.chat_template = "{{ messages }}"
    (tmp_path / ".adapter.unfinished").mkdir()
    folder = save_trained(loaded, Run(tmp_path), (1, 2))
    assert folder == tmp_path / "adapter"
    names = {path.name for path in folder.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "generation_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))] and "ref" not in names
    described = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert described["base_model_name_or_path"] == str(model_dir) and Path(str(model_dir)).is_absolute()
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [1, 2]
    assert AutoTokenizer.from_pretrained(folder).chat_template == "{{ messages }}"
    assert not list(tmp_path.glob(".adapter*"))


def test_whole_weights_are_saved_as_a_model(model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    _, loaded = trainer_of(model_dir, tmp_path, Full())
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("left by an earlier try", encoding="utf-8")
    assert save_trained(loaded, Run(tmp_path), (2,)) == tmp_path / "model"
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(again(ids).logits, loaded.model.eval()(ids).logits)
    assert again.generation_config.eos_token_id == [2]
    assert AutoTokenizer.from_pretrained(tmp_path / "model").eos_token == "<|endoftext|>"
    assert not (tmp_path / "model" / "old").exists() and not (tmp_path / "adapter").exists()


def test_weights_that_were_brought_together_are_saved_in_place_of_the_models_own(
    model_dir: Path, tmp_path: Path
) -> None:
    trainer, loaded = trainer_of(model_dir, tmp_path, Lora(r=4))
    assert whole_weights(trainer) is None
    state = {name: torch.full_like(value, 0.5) for name, value in loaded.model.state_dict().items()}
    folder = save_trained(loaded, Run(tmp_path), (1,), state)
    saved = load_file(folder / "adapter_model.safetensors")
    assert saved and all(bool((value == 0.5).all()) for value in saved.values())


@pytest.mark.parametrize(("stage", "asked"), [(3, True), (2, False)])
def test_zero_3_asks_every_process_for_its_part(stage: int, asked: bool) -> None:
    parts = {"weight": torch.ones(1)}
    accelerator = SimpleNamespace(
        deepspeed_config={"zero_optimization": {"stage": stage}}, get_state_dict=lambda model: parts
    )
    trainer = SimpleNamespace(
        accelerator=accelerator, is_deepspeed_enabled=True, is_fsdp_enabled=False, model_wrapped=None
    )
    assert whole_weights(trainer) == (parts if asked else None)
