"""What the training stages share: a trainer's arguments, the loop with its log and checkpoints, what is saved."""

from __future__ import annotations

import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from seodang.tuning.quiet import silence_upstream

# isort: split
import torch
from transformers import PrinterCallback, TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from seodang.errors import Mistake, ModelError, RecipeError
from seodang.language import Phrase
from seodang.progress import Advance, progress
from seodang.runs import LOG, Run
from seodang.tuning.checkpoints import FOLDER, STATE, step_of
from seodang.tuning.checkpoints import latest_checkpoint as latest_checkpoint
from seodang.tuning.hooks import write_adapter
from seodang.tuning.launch import Launch
from seodang.tuning.model import Loaded
from seodang.tuning.precision import Precision
from seodang.tuning.shares import shares_model
from seodang.tuning.specs import Training
from seodang.tuning.specs import steps_of as steps_of

A = TypeVar("A", bound=TrainingArguments)

Measure: TypeAlias = Callable[[], Mapping[str, float]]
"""What is measured at every evaluation beside the loss: name → value."""
LESS_IS_BETTER = ("repetition", "entropy")
"""Numbers of an evaluation of which less is better beside those whose name ends in `loss`, which upstream knows."""
_OURS = {
    *("extra", "engine", "eval_steps", "save_steps", "gradient_checkpointing"),
    *("load_best_model_at_end", "early_stopping_patience", "early_stopping_threshold", "eval_metrics", "eval_prompts"),
    "eval_max_new_tokens",
}
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
    launch: Launch | None = None


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
    given |= setting.launch.arguments() if setting.launch else {}
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
    save_steps = training.save_steps or (training.eval_steps if training.keeps_best else None)
    return {
        "output_dir": str(setting.folder / FOLDER),
        "seed": setting.seed,
        "data_seed": setting.seed,
        "bf16": setting.precision.bf16,
        "fp16": setting.precision.fp16,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "eval_strategy": eval_strategy,
        "eval_steps": training.eval_steps if setting.has_eval else None,
        "save_strategy": "steps" if save_steps else "epoch",
        "save_steps": save_steps or 500,
        "load_best_model_at_end": training.keeps_best,
        "greater_is_better": False if training.metric_for_best_model in LESS_IS_BETTER else None,
        "run_name": setting.folder.name,
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


def own_trainer(folder: Run, usual: type) -> Any:
    """The trainer class of a run: `usual`, or a caller's own in the place of the last class that `usual` is made of.

    So what adapters and checkpoints need stands in front of whatever the caller overrides. Raises ModelError for a
    class that is not below that last one.
    """
    own, base = folder.brought.get("trainer"), usual.__bases__[-1]
    if own is None:
        return usual
    if not (isinstance(own, type) and issubclass(own, base)) or issubclass(own, usual.__bases__[:-1]):
        raise ModelError(
            "trainer: {own} is not a class below {module}.{base}, which is the one to subclass.",
            own=getattr(own, "__name__", repr(own)),
            module=base.__module__,
            base=base.__name__,
        )
    settings = {name: value for name, value in vars(usual).items() if not name.startswith("__")}
    return type(own.__name__, (*usual.__bases__[:-1], own), settings)


def train(
    trainer: Any, folder: Run, training: Training | None = None, measure: Measure | None = None
) -> dict[str, Any]:
    """Run the trainer to its end, from the last whole checkpoint where the run is resumed.

    The held-out loss, and what `measure` gives, is measured before the first step and after the last. Returns the
    report's `metrics` and `figures`; the figures are read from log.jsonl, so that a resumed run shows its whole curve.
    """
    checkpoint = latest_checkpoint(folder.path) if folder.resumed else None
    _rewind_log(folder, checkpoint)
    trainer.evaluate = _own_evaluation(trainer, training or Training(), measure)
    _keep_board(trainer, folder)
    started = time.monotonic()
    with progress("training", steps_of(trainer.args, len(trainer.train_dataset), trainer.args.world_size)) as advance:
        advance(step_of(checkpoint) if checkpoint else 0)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Watch(folder, advance))
        if trainer.eval_dataset is not None and checkpoint is None and shares_model(trainer):
            trainer.args.eval_on_start = True  # a model is shared out once, together with its optimizer
        elif trainer.eval_dataset is not None and checkpoint is None:
            _require_metric(trainer.args, trainer.evaluate())
        _to_the_end(trainer, checkpoint, training or Training())
        if trainer.eval_dataset is not None and not _has_eval(trainer.state):
            trainer.evaluate()
    outcome = _outcome(list(folder.read_log()), trainer.state.global_step, time.monotonic() - started)
    outcome["metrics"] |= _best(trainer)
    return outcome


def _to_the_end(trainer: Any, checkpoint: Path | None, training: Training) -> None:
    if checkpoint is None:
        trainer.train()
        return
    state = TrainerState.load_from_json(str(checkpoint / STATE))
    if hasattr(trainer, "_total_train_tokens"):  # upstream's count of tokens begins anew (trl 1.16.0)
        trainer._total_train_tokens = state.num_input_tokens_seen
    if is_exhausted(state.log_history, trainer.args, training):
        trainer.state = state  # it was stopping when it was killed: upstream would go on for one step
        trainer._load_best_model()
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint))


def _own_evaluation(trainer: Any, training: Training, measure: Measure | None) -> Callable[..., Any]:
    """Upstream's evaluation, then `measure`, then the question whether it is time to stop.

    It draws no random numbers from training: how often it happens changes no weight, resumed or not.
    """
    upstream = trainer.evaluate

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        with torch.random.fork_rng():
            metrics = upstream(*args, **kwargs)
            if measure is not None:
                found = {f"eval_{name}": value for name, value in measure().items()}
                trainer.log(dict(found))
                metrics |= found
        if trainer.is_in_train and is_exhausted(trainer.state.log_history, trainer.args, training):
            trainer.control.should_training_stop = True
        return metrics

    return evaluate


def is_exhausted(history: Sequence[Mapping[str, Any]], args: TrainingArguments, training: Training) -> bool:
    """Whether the last `early_stopping_patience` evaluations were no better than the best before them.

    Upstream's callback counts in itself and forgets the count when a run is resumed (transformers 5.23); the history is
    in every checkpoint.
    """
    name = f"eval_{str(args.metric_for_best_model).removeprefix('eval_')}"
    values = [entry[name] if args.greater_is_better else -entry[name] for entry in history if name in entry]
    count, best = 0, -math.inf
    for value in values:
        count = 0 if value - best > training.early_stopping_threshold else count + 1
        best = max(best, value)
    return training.early_stopping_patience is not None and count >= training.early_stopping_patience


def _require_metric(args: TrainingArguments, found: Mapping[str, Any]) -> None:
    """Before the first step, not at the first evaluation after it."""
    wanted = str(args.metric_for_best_model).removeprefix("eval_")
    if args.load_best_model_at_end and f"eval_{wanted}" not in found:
        known = sorted(name.removeprefix("eval_") for name in found if name.startswith("eval_"))
        text = Phrase("`{wanted}` is not measured here (known: {known})", wanted=wanted, known=", ".join(known))
        raise RecipeError("The recipe", [Mistake("training.metric_for_best_model", text)])


def _best(trainer: Any) -> dict[str, Any]:
    """Which step's weights were kept, where the best are."""
    if not trainer.args.load_best_model_at_end or not trainer.state.best_global_step:
        return {}
    name = str(trainer.args.metric_for_best_model).removeprefix("eval_")
    return {"best_step": trainer.state.best_global_step, f"eval_{name}_best": trainer.state.best_metric}


def _keep_board(trainer: Any, folder: Run) -> None:
    """TensorBoard's files would lie among the checkpoints, which go when the run is finished."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder.file("tensorboard"))


def _has_eval(state: TrainerState) -> bool:
    """Whether the last step was evaluated; the state says the same in every process, log.jsonl is one's."""
    return any(entry.get("step") == state.global_step and "eval_loss" in entry for entry in state.log_history)


def _rewind_log(folder: Run, checkpoint: Path | None) -> None:
    """Forget the log lines after the checkpoint: those steps are done again."""
    last = step_of(checkpoint) if checkpoint else -1
    folder.write_rows(LOG, [entry for entry in folder.read_log() if entry.get("step", 0) <= last])


def _outcome(log: Sequence[dict[str, Any]], steps: int, seconds: float) -> dict[str, Any]:
    loss = [{"step": entry["step"], "loss": entry["loss"]} for entry in log if "loss" in entry]
    held_out = [{"step": entry["step"], "loss": entry["eval_loss"]} for entry in log if "eval_loss" in entry]
    metrics: dict[str, Any] = {"steps": steps, "seconds": round(seconds, 1)}
    for name, curve in (("loss", loss), ("eval_loss", held_out)):
        if curve:
            metrics |= {f"{name}_first": curve[0]["loss"], f"{name}_last": curve[-1]["loss"]}
    return {"metrics": metrics, "figures": {"loss": loss, "eval_loss": held_out}}


def whole_weights(trainer: Any) -> dict[str, Any] | None:
    """The weights by name where each process holds a part of them (FSDP, ZeRO-3), else None. Every process must ask.

    Written by accelerate's documentation ("Saving and loading a model", FSDP and DeepSpeed guides); it needs several
    GPUs and has not been run by us.
    """
    zero = trainer.accelerator.deepspeed_config if trainer.is_deepspeed_enabled else {}
    if trainer.is_fsdp_enabled or (zero or {}).get("zero_optimization", {}).get("stage") == 3:
        return dict(trainer.accelerator.get_state_dict(trainer.model_wrapped))
    return None


def save_trained(loaded: Loaded, folder: Run, stop_ids: Sequence[int], state: dict[str, Any] | None = None) -> Path:
    """Write what was trained: `adapter/` of a PEFT model, else `model/`, with tokenizer and stop ids and no pickle.

    The tokenizer is saved as it is: set its chat_template before. `state` holds the weights where the model itself has
    only a part of them. The folder appears whole or not at all; returns it.
    """
    is_adapter = hasattr(loaded.model, "peft_config")
    target = folder.file("adapter" if is_adapter else "model")
    if not folder.writes:
        return target
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    if is_adapter:
        loaded.model.peft_config["default"].base_model_name_or_path = loaded.base
        write_adapter(loaded, unfinished, state)
    else:
        loaded.model.save_pretrained(unfinished, **({} if state is None else {"state_dict": state}))
    loaded.tokenizer.save_pretrained(unfinished)
    config = copy.deepcopy(loaded.model.generation_config)
    config._from_model_config = False  # or transformers would derive the stop ids from the base's config again
    config.eos_token_id, config.pad_token_id = list(stop_ids), loaded.tokenizer.pad_token_id
    config.save_pretrained(unfinished)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(unfinished, target)
    return target
