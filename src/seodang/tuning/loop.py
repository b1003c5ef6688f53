"""What the training stages share: a trainer's arguments, the loop with its log and checkpoints, what is saved."""

from __future__ import annotations

import copy
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from seodang.tuning.quiet import silence_upstream

# isort: split
import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from seodang.errors import Mistake, ModelError, RecipeError
from seodang.language import Phrase, say
from seodang.progress import Advance, progress
from seodang.runs import LOG, Run, read_json
from seodang.tuning.hooks import write_adapter
from seodang.tuning.model import Loaded, Precision
from seodang.tuning.specs import Training
from seodang.tuning.specs import steps_of as steps_of

A = TypeVar("A", bound=TrainingArguments)

CHECKPOINTS = "checkpoints"
_OURS = {"extra", "engine", "eval_steps", "save_steps", "gradient_checkpointing"}
_NO_UPSTREAM_TRIMMING = {"max_length": None, "packing": False, "padding_free": False}
"""TRL cuts ready-made ids at 1,024 unless it is told not to (trl 1.16.0, SFTTrainer._prepare_dataset)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a trainer's arguments depend on beside the recipe's `training`."""

    folder: Path
    """The run folder; checkpoints go below it."""
    seed: int
    precision: Precision
    has_eval: bool


def arguments(kind: type[A], training: Training, setting: Setting, **own: Any) -> A:
    """The trainer's config: the recipe's `training`, then the stage's `own` keys, then `training.extra`.

    Raises RecipeError where upstream refuses the values or this stage's trainer does not know an extra one.
    """
    silence_upstream()
    known = {field.name for field in fields(kind)}
    unknown = [Mistake(f"training.extra.{name}", "the trainer of this stage has no such argument")
               for name in training.extra if name not in known]  # fmt: skip
    if unknown:
        raise RecipeError("The recipe", unknown)
    given = training.model_dump(exclude=_OURS) | _loop(training, setting)
    if training.optim in training.OWN_OPTIM:
        given.pop("optim")  # the stage brings the optimizer itself
    given |= {name: value for name, value in _NO_UPSTREAM_TRIMMING.items() if name in known}
    try:
        return kind(**(given | own | training.extra))
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(
            "The recipe", [Mistake("training", Phrase("upstream refuses it: {why}", why=error))]
        ) from error


def _loop(training: Training, setting: Setting) -> dict[str, Any]:
    on_cpu = setting.precision.device == "cpu"
    eval_strategy = ("steps" if training.eval_steps else "epoch") if setting.has_eval else "no"
    return {
        "output_dir": str(setting.folder / CHECKPOINTS),
        "seed": setting.seed,
        "data_seed": setting.seed,
        "bf16": setting.precision.bf16,
        "fp16": setting.precision.fp16,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "eval_strategy": eval_strategy,
        "eval_steps": training.eval_steps if setting.has_eval else None,
        "save_strategy": "steps" if training.save_steps else "epoch",
        "save_steps": training.save_steps or 500,
        "activation_checkpointing": training.gradient_checkpointing,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "remove_unused_columns": False,
    }


def collator(tokenizer: Any, pad_to_multiple_of: int | None = None) -> DataCollatorForLanguageModeling:
    """Rows of {input_ids, labels} → right-padded tensors (rows × longest), masked by length and never by id.

    The pad id is only a filler, so that a tokenizer without one (or with pad = eos) trains its stop token all the same.
    """
    filler = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    return DataCollatorForLanguageModeling(pad_token_id=filler, pad_to_multiple_of=pad_to_multiple_of)


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run folder; one counts once its trainer_state.json parses, for it comes last."""
    for path in sorted((folder / CHECKPOINTS).glob("checkpoint-[0-9]*"), key=_step, reverse=True):
        if read_json(path / "trainer_state.json") is not None:
            return path
        text = "{checkpoint} was cut off while it was written; an older one is used"
        print(say(text, checkpoint=path.name), file=sys.stderr)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


class Watch(TrainerCallback):
    """Writes the trainer's log lines to log.jsonl, moves the progress bar, and stops on a loss that is no number."""

    def __init__(self, folder: Run, advance: Advance) -> None:
        self.folder = folder
        self.advance = advance
        self.loss = ""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """One optimizer step is done."""
        self.advance(1, note=self.loss)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """The trainer logs. Raises ModelError where the loss has become NaN or infinite."""
        if "train_runtime" in logs:  # the summary at the end, whose means are wrong after a resume
            return
        numbers = {name: value for name, value in logs.items() if isinstance(value, int | float)}
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        self.folder.log({"step": state.global_step, **finite})
        for name in ("loss", "eval_loss"):
            if name in finite and finite[name] is None:
                raise ModelError(
                    "The {name} at step {step} is not a number: the training has diverged. Lower "
                    "`training.learning_rate`, raise `training.warmup_steps`, or look at the rows (`seodang preview`).",
                    name=name,
                    step=state.global_step,
                )
        if finite.get("loss") is not None:
            self.loss = Phrase("loss {loss:.3f}", loss=finite["loss"])


def train(trainer: Any, folder: Run) -> dict[str, Any]:
    """Run the trainer to its end, from the last whole checkpoint where the run is resumed.

    The held-out loss is measured before the first step and after the last. Returns the report's `metrics` and
    `figures`; the figures are read from log.jsonl, so that a resumed run shows its whole curve.
    """
    checkpoint = latest_checkpoint(folder.path) if folder.resumed else None
    _rewind_log(folder, checkpoint)
    trainer.evaluate = _without_drawing(trainer.evaluate)
    started = time.monotonic()
    with progress("training", steps_of(trainer.args, len(trainer.train_dataset))) as advance:
        advance(_step(checkpoint) if checkpoint else 0)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Watch(folder, advance))
        if trainer.eval_dataset is not None and checkpoint is None:
            trainer.evaluate()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.eval_dataset is not None and not _has_eval(folder, trainer.state.global_step):
            trainer.evaluate()
    return _outcome(list(folder.read_log()), trainer.state.global_step, time.monotonic() - started)


def _without_drawing(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluation that draws no random numbers from training: how often it happens changes no weight, resumed or not."""

    def evaluate_apart(*args: Any, **kwargs: Any) -> Any:
        with torch.random.fork_rng():
            return evaluate(*args, **kwargs)

    return evaluate_apart


def _has_eval(folder: Run, step: int) -> bool:
    return any(entry["step"] == step and "eval_loss" in entry for entry in folder.read_log())


def _rewind_log(folder: Run, checkpoint: Path | None) -> None:
    """Forget the log lines after the checkpoint: those steps are done again."""
    last = _step(checkpoint) if checkpoint else -1
    folder.write_rows(LOG, [entry for entry in folder.read_log() if entry.get("step", 0) <= last])


def _outcome(log: Sequence[dict[str, Any]], steps: int, seconds: float) -> dict[str, Any]:
    loss = [{"step": entry["step"], "loss": entry["loss"]} for entry in log if "loss" in entry]
    held_out = [{"step": entry["step"], "loss": entry["eval_loss"]} for entry in log if "eval_loss" in entry]
    metrics: dict[str, Any] = {"steps": steps, "seconds": round(seconds, 1)}
    for name, curve in (("loss", loss), ("eval_loss", held_out)):
        if curve:
            metrics |= {f"{name}_first": curve[0]["loss"], f"{name}_last": curve[-1]["loss"]}
    return {"metrics": metrics, "figures": {"loss": loss, "eval_loss": held_out}}


def save_trained(loaded: Loaded, folder: Run, stop_ids: Sequence[int]) -> Path:
    """Write what was trained: `adapter/` of a PEFT model, else `model/`, with tokenizer and stop ids and no pickle.

    The tokenizer is saved as it is: set its chat_template before. The folder appears whole or not at all; returns it.
    """
    is_adapter = hasattr(loaded.model, "peft_config")
    target = folder.file("adapter" if is_adapter else "model")
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    if is_adapter:
        loaded.model.peft_config["default"].base_model_name_or_path = loaded.base
        write_adapter(loaded, unfinished)
    else:
        loaded.model.save_pretrained(unfinished)
    loaded.tokenizer.save_pretrained(unfinished)
    config = copy.deepcopy(loaded.model.generation_config)
    config._from_model_config = False  # or transformers would derive the stop ids from the base's config again
    config.eos_token_id, config.pad_token_id = list(stop_ids), loaded.tokenizer.pad_token_id
    config.save_pretrained(unfinished)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(unfinished, target)
    return target
