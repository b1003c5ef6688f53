"""Stage `sft`: supervised fine-tuning of a causal model on conversations, through TRL's SFTTrainer.

The rows arrive as ids and labels that the audit has counted; TRL neither tokenises, masks, packs nor cuts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seodang.tuning.loop import Setting, arguments, collator, own_trainer, save_trained, steps_of, train, whole_weights

# isort: split
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from seodang.data.dataset import TrainingRows, training_rows
from seodang.encoding import IGNORED, Encoded
from seodang.recipe import SFT
from seodang.reports.charts import binned
from seodang.runs import DROPPED, Run
from seodang.spans import previews
from seodang.tuning.answering import examiner
from seodang.tuning.checkpoints import WholeCheckpoints
from seodang.tuning.hooks import AdapterTrainer, Batches, prepare
from seodang.tuning.launch import processes
from seodang.tuning.model import Aim, Loaded, exact_adapters, load_for_training, require_room
from seodang.tuning.parity import prove, prove_saved
from seodang.tuning.preflight import require_held_out, require_reporter
from seodang.tuning.quantized import quantization_cost
from seodang.tuning.shares import EveryRowOnce


class TokenTrainer(SFTTrainer):
    """For a loss of your own: subclass it, override `compute_loss`, and give the class to `seodang.sft(trainer=…)`.

    Upstream's own hooks for this are deprecated and run the model twice (trl 1.16.0, `compute_loss_func`). What an
    adapter's method adds to the loss is added to whatever `compute_loss` returns.
    """

    def token_log_probs(self, model: Any, inputs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """(log-probabilities, labels), both [rows x tokens - 1], of one forward pass.

        Natural logarithm, of the token that each position should say; 0 where the label is -100.
        """
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        labels = inputs["labels"][:, 1:]
        found, counted = (
            self._metrics["train" if self.model.training else "eval"],
            outputs.label_mask.sum().clamp(min=1),
        )
        found["entropy"].append(float(outputs.entropy.detach().sum() / counted))
        found["mean_token_accuracy"].append(float(outputs.is_top1.sum() / counted))
        return outputs.log_probs[:, -labels.shape[1] :], labels

    def per_token(self, total: torch.Tensor, labels: torch.Tensor, num_items_in_batch: Any) -> torch.Tensor:
        """A sum over tokens as a mean over the trained tokens of the whole step, however many batches and processes."""
        if num_items_in_batch is None:
            return total / (labels != IGNORED).sum().clamp(min=1)
        return total / num_items_in_batch * self.accelerator.num_processes


class AdaptedTrainer(WholeCheckpoints, EveryRowOnce, AdapterTrainer, TokenTrainer):
    """Upstream's trainer, with what the adapter's method adds to it, and with checkpoints that are whole."""


def run(recipe: SFT, folder: Run) -> dict[str, Any]:
    """Train the recipe's adapter (or every weight) and write it; returns the report.

    Raises DataError where no row is left, ModelError where the model and the adapter do not fit, TemplateError where
    what is trained is not what a server reads.
    """
    require_reporter(recipe.training)
    own_trainer(folder, AdaptedTrainer)
    rows = training_rows(recipe)
    require_held_out(recipe.training, len(rows.eval))
    folder.write_rows(DROPPED, rows.ledger.rows)
    prove(recipe, rows)
    aim = Aim(recipe.seed, steps_of(recipe.training, len(rows.train), processes(recipe.launch)), folder.path)
    loaded = load_for_training(recipe.model, recipe.adapter, aim)
    require_room(loaded, max(len(row.input_ids) for row in [*rows.train, *rows.eval]))
    loaded.tokenizer.chat_template = rows.chat.jinja
    prepare(
        loaded,
        Batches(ids_of(rows.train), recipe.training.per_device_train_batch_size, loaded.model.device),
        folder.path,
    )
    cost = quantization_cost(loaded, recipe.model, ids_of(rows.eval))
    trainer = make_trainer(recipe, rows, loaded, folder)
    examine = examiner(recipe.training, loaded, rows, folder.brought.get("metrics") or {})
    outcome = train(trainer, folder, recipe.training, examine)
    saved = save_trained(loaded, folder, rows.chat.stop_ids, whole_weights(trainer))
    proof = prove_saved(recipe, rows, saved) if folder.writes else {}
    metrics = outcome["metrics"] | cost | counts(rows)
    figures = outcome["figures"] | {"row_tokens": binned(rows.lengths)}
    report = {"rows": rows.ledger.close(), "metrics": metrics, "figures": figures}
    report |= {"over_length": rows.over_length(recipe.data.over_length), "warnings": rows.warnings()}
    return report | {"parity": proof, "preview": previews(rows)}


def make_trainer(recipe: SFT, rows: TrainingRows, loaded: Loaded, folder: Run) -> SFTTrainer:
    """Upstream's trainer on our rows: its own loss, collator and loop, with nothing left for it to decide."""
    setting = Setting(folder.path, recipe.seed, loaded.precision, bool(rows.eval), recipe.launch)
    config = arguments(SFTConfig, recipe.training, setting)
    with exact_adapters(loaded):
        trainer: Any = own_trainer(folder, AdaptedTrainer)(
            model=loaded.model,
            args=config,
            train_dataset=as_dataset(rows.train),
            eval_dataset=as_dataset(rows.eval) if rows.eval else None,
            processing_class=loaded.tokenizer,
            data_collator=collator(loaded.tokenizer, config.pad_to_multiple_of),
        )
    trainer.adapt(loaded.method)
    return trainer


def ids_of(rows: Sequence[Encoded]) -> list[tuple[list[int], list[int]]]:
    """(input_ids, labels) of every row."""
    return [(row.input_ids, row.labels) for row in rows]


def as_dataset(rows: Sequence[Encoded]) -> Dataset:
    """Encoded rows as the columns `input_ids` and `labels`."""
    return Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})


def counts(rows: TrainingRows) -> dict[str, int]:
    """What was trained on, in rows and tokens of one epoch, and what the encoding noticed."""
    return {
        "train_rows": len(rows.train),
        "eval_rows": len(rows.eval),
        "tokens": sum(len(row.input_ids) for row in rows.train),
        "trained_tokens": sum(row.trained for row in rows.train),
        "longest_row": max(len(row.input_ids) for row in rows.train),
        "border_cuts": sum(row.border_cuts for row in rows.train),
        "control_strings": sum(row.control_strings for row in rows.train),
    }
