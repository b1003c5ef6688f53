"""Stage `dpo`: preference tuning through TRL's DPOTrainer, from the parent run and with the parent as its reference.

Upstream's loss, collator and loop run as they are. Two private seams are overridden (tests/test_upstream.py states
both): `_prepare_dataset`, because TRL encodes prompt and answer as one text and cuts the prompt where a token crosses
the border between them, so that it would train a context which no served model reads; and `_precompute_ref_logps`,
because the reference is the parent on disk (tuning/reference.py). What reaches the loss is this project's ids, whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

from seodang.tuning.loop import Setting, arguments, collator, own_trainer, save_trained, steps_of, train

# isort: split
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from seodang.data.dataset import TrainingRows, training_rows
from seodang.data.outcomes import EncodedPair
from seodang.errors import DataError, ModelError
from seodang.recipe import DPO
from seodang.reports.charts import binned
from seodang.runs import DROPPED, Run, dump_json
from seodang.spans import previews
from seodang.tuning import reference
from seodang.tuning.checkpoints import WholeCheckpoints
from seodang.tuning.hooks import AdapterTrainer, Batches, Row, prepare
from seodang.tuning.launch import processes
from seodang.tuning.model import Aim, Loaded, exact_adapters, load_for_training, require_room
from seodang.tuning.parity import prove, prove_saved
from seodang.tuning.precision import autocast
from seodang.tuning.preflight import require_held_out, require_reporter
from seodang.tuning.quantized import quantization_cost
from seodang.tuning.reference import Logps, Pair, Reference, answer_logps, largest_difference
from seodang.tuning.shares import EveryRowOnce

STEP0_PAIRS = 8
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""How far policy and reference may differ before the first step: natural logarithm, per trained token."""


class PairTrainer(DPOTrainer):
    """Upstream's trainer on rows that bring their ids and their reference; subclass it for a loss of your own."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        return dataset


class AdaptedPairTrainer(WholeCheckpoints, EveryRowOnce, AdapterTrainer, PairTrainer):
    """The trainer, with what the adapter's method adds to it, and with checkpoints that are whole."""

    means_rows = True


def run(recipe: DPO, folder: Run) -> dict[str, Any]:
    """Train on preference pairs and write the adapter (or model); returns the report with what the reference was.

    Raises DataError where there is nothing to prefer, ModelError where policy and reference are not one model before
    the first step, RunError where a resumed run's reference belongs to something else, TemplateError where what is
    trained is not what a server reads.
    """
    require_reporter(recipe.training)
    own_trainer(folder, AdaptedPairTrainer)
    rows = training_rows(recipe)
    require_preferences(rows.train)
    require_held_out(recipe.training, len(rows.eval))
    folder.write_rows(DROPPED, rows.ledger.rows)
    prove(recipe, rows)
    aim = Aim(recipe.seed, steps_of(recipe.training, len(rows.train), processes(recipe.launch)), folder.path)
    loaded = load_for_training(recipe.model, recipe.adapter, aim)
    require_room(loaded, max(pair.length for pair in [*rows.train, *rows.eval]))
    loaded.tokenizer.chat_template = rows.chat.jinja
    batch = recipe.training.per_device_train_batch_size
    prepare(loaded, Batches(_chosen(rows.train), batch, loaded.model.device), folder.path)
    cost = quantization_cost(loaded, recipe.model, _chosen(rows.eval), of="chosen")
    parent = find_reference(recipe, folder, loaded, rows)
    trainer = make_trainer(recipe, rows, loaded, parent, folder)
    start = prove_start(recipe, loaded, _pairs(rows.train[:STEP0_PAIRS]), parent)
    outcome = train(trainer, folder, recipe.training)
    metrics = outcome["metrics"] | preferences(recipe, loaded, _pairs(rows.eval), parent) | cost | counts(rows)
    figures = outcome["figures"] | {"margin": _margins(folder), "row_tokens": binned(rows.lengths)}
    saved = save_trained(loaded, folder, rows.chat.stop_ids)
    proof = prove_saved(recipe, rows, saved) if folder.writes else {}
    report = {"rows": rows.ledger.close(), "metrics": metrics, "figures": figures}
    report |= {"over_length": rows.over_length(recipe.data.over_length), "warnings": rows.warnings()}
    return report | {"reference": start, "parity": proof, "preview": previews(rows)}


def require_preferences(pairs: Sequence[EncodedPair]) -> None:
    """Raise DataError where chosen and rejected are the same ids in every pair: the loss would have no gradient."""
    if all(pair.chosen == pair.rejected for pair in pairs):
        raise DataError(
            "Chosen equals rejected in every pair ({count} of {count}), so there is nothing to prefer. The two answers "
            "must differ; look at the file with `seodang inspect`.",
            count=len(pairs),
        )


def _chosen(pairs: Sequence[EncodedPair]) -> list[Row]:
    """(input_ids, labels) of the chosen side, as an SFT on it would read them."""
    return [([*pair.prompt, *pair.chosen], [-100] * len(pair.prompt) + list(pair.chosen)) for pair in pairs]


def _pairs(rows: Sequence[EncodedPair]) -> list[Pair]:
    return [(pair.prompt, pair.chosen, pair.rejected) for pair in rows]


def find_reference(recipe: DPO, folder: Run, loaded: Loaded, rows: TrainingRows) -> Reference:
    """The log-probabilities of the parent's files, from the run folder or from the model just loaded, untouched yet."""
    train_pairs, eval_pairs = _pairs(rows.train), _pairs(rows.eval)

    def compute() -> tuple[Logps, Logps]:
        with _as_parent(loaded), autocast(loaded.precision):
            return answer_logps(loaded.model, train_pairs), answer_logps(loaded.model, eval_pairs)

    quantization = recipe.model.quantization
    parts = reference.fingerprint(
        [place for place in (loaded.base, loaded.parent) if place is not None],
        [train_pairs, eval_pairs],
        template=rows.chat.fingerprint,
        revision=str(recipe.model.revision),
        precision=f"{loaded.precision} {dump_json(quantization and quantization.model_dump())}",
    )
    return reference.cached(folder, parts, compute)


def _as_parent(loaded: Loaded) -> AbstractContextManager[Any]:
    """A fresh adapter is no part of the parent: that is what it stands on, unless the base was moved into it."""
    is_fresh = loaded.parent is None and loaded.method is not None and not loaded.method.moves_base
    return loaded.model.disable_adapter() if is_fresh else nullcontext()


def _tolerance(loaded: Loaded) -> float:
    if loaded.precision.bf16:
        return TOLERANCE[torch.bfloat16]
    return TOLERANCE[torch.float16 if loaded.precision.fp16 else loaded.precision.weights]


def make_trainer(recipe: DPO, rows: TrainingRows, loaded: Loaded, parent: Reference, folder: Run) -> PairTrainer:
    """Upstream's trainer over the loaded policy, without the reference copy that upstream makes of it.

    Upstream sets every dropout to 0 (`disable_dropout`), an adapter's too: the policy is scored as the reference was.
    """
    setting = Setting(folder.path, recipe.seed, loaded.precision, bool(rows.eval), recipe.launch)
    own = recipe.loss.to_trl() | {"precompute_ref_log_probs": True}
    config = arguments(DPOConfig, recipe.training, setting, **own)
    filler = collator(loaded.tokenizer).pad_token_id
    with exact_adapters(loaded), _without_copy(loaded.model):
        trainer: PairTrainer = own_trainer(folder, AdaptedPairTrainer)(
            loaded.model,
            args=config,
            train_dataset=as_dataset(rows.train, parent.train),
            eval_dataset=as_dataset(rows.eval, parent.eval) if rows.eval else None,
            processing_class=loaded.tokenizer,
            data_collator=DataCollatorForPreference(filler, pad_to_multiple_of=config.pad_to_multiple_of),
        )
    trainer.adapt(loaded.method)
    longest = max(len(ids) for pair in [*rows.train, *rows.eval] for ids in (pair.chosen, pair.rejected))
    trainer.add_callback(SameStart(2 * recipe.loss.beta * longest * _tolerance(loaded)))
    return trainer


@contextmanager
def _without_copy(model: Any) -> Iterator[None]:
    """Upstream's trainer gets no copy of the adapter as its reference while it is built inside.

    The copy is wrong for half of the methods, moves PiSSA's base a second time and is refused by AdaLoRA; the columns
    of the reference are in the rows, so nobody asks it (trl 1.16.0, dpo_trainer.py).
    """
    if not hasattr(model, "peft_config"):
        yield
        return
    look_up, nowhere = model.get_parameter, SimpleNamespace(data=SimpleNamespace(copy_=lambda values: None))
    model.add_adapter = lambda *given, **more: None
    model.get_parameter = lambda name: nowhere if ".ref." in name else look_up(name)
    yield
    del model.add_adapter, model.get_parameter


def as_dataset(pairs: Sequence[EncodedPair], logps: Logps) -> Dataset:
    """Encoded pairs with their reference, as the columns that upstream's collator reads."""
    columns: dict[str, list[Any]] = {
        "prompt_ids": [pair.prompt for pair in pairs],
        "chosen_ids": [pair.chosen for pair in pairs],
        "rejected_ids": [pair.rejected for pair in pairs],
        "ref_chosen_logps": [chosen for chosen, _ in logps],
        "ref_rejected_logps": [rejected for _, rejected in logps],
    }
    return Dataset.from_dict(columns)


def prove_start(recipe: DPO, loaded: Loaded, pairs: list[Pair], parent: Reference) -> dict[str, Any]:
    """Prove before the first step that the policy is the reference; returns the report's `reference`.

    Raises ModelError where they differ, or where a continued adapter's reference is nothing but its base.
    """
    logps = parent.train[: len(pairs)]
    with autocast(loaded.precision):
        policy = answer_logps(loaded.model, pairs)
    difference = largest_difference(pairs, policy, logps)
    if not difference <= _tolerance(loaded):
        raise ModelError(
            "Before the first step the policy differs from its reference, the parent as it lies on disk, by "
            "{difference:.2g} per trained token (allowed: {allowed:.0e}): it would be measured against another model "
            "than it starts from. Start anew with `--replace`; if it happens again, this adapter cannot be continued.",
            difference=difference,
            allowed=_tolerance(loaded),
        )
    return {
        "model": str(loaded.parent or loaded.base),
        "cached": parent.cached,
        "pairs_compared": len(pairs),
        "policy_difference": difference,
        "step0_margin": max(map(abs, _rewards(recipe, policy, logps))),
        "base_difference": _require_learnt(loaded, pairs, logps) if loaded.parent else None,
    }


def _require_learnt(loaded: Loaded, pairs: list[Pair], parent: Logps) -> float:
    with loaded.model.disable_adapter(), autocast(loaded.precision):
        base = answer_logps(loaded.model, pairs)
    difference = largest_difference(pairs, base, parent)
    if difference == 0:
        raise ModelError(
            "The reference {parent} gives every answer the probability that its bare base {base} gives it: this "
            "adapter has learnt nothing, or its weights were not the ones loaded. Run the parent's recipe again.",
            base=loaded.base,
            parent=loaded.parent,
        )
    return difference


class SameStart(TrainerCallback):
    """Upstream's own loss must see no margin before the first update: the same proof through upstream's forward."""

    def __init__(self, allowed: float) -> None:
        self.allowed = allowed

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
        """Raise ModelError where upstream's loss starts with a margin."""
        found = logs.get("eval_rewards/margins") if state.global_step == 0 else None
        if state.global_step == 1 and args.logging_steps == 1:
            found = logs.get("rewards/margins")
        if found is not None and not abs(found) <= self.allowed:
            raise ModelError(
                "Upstream's loss starts with a margin of {found:.2g} between policy and reference, which are one model "
                "before the first step (allowed: {allowed:.2g}). A dropout in the model's config.json would do this: "
                "set it to 0.",
                found=found,
                allowed=self.allowed,
            )


def _rewards(recipe: DPO, policy: Logps, parent: Logps) -> list[float]:
    """The reward margin of every pair: β times how much more the policy prefers chosen to rejected than the parent."""
    return [recipe.loss.beta * ((c - rc) - (r - rr)) for (c, r), (rc, rr) in zip(policy, parent, strict=True)]


def preferences(recipe: DPO, loaded: Loaded, pairs: list[Pair], parent: Reference) -> dict[str, float]:
    """Held out, before and after: how often the chosen answer is the likelier one, and the reward margin."""
    if not pairs:
        return {}
    with autocast(loaded.precision):
        policy = answer_logps(loaded.model, pairs)
    margins = _rewards(recipe, policy, parent.eval)
    return {
        "preference_accuracy_first": _share(c > r for c, r in parent.eval),
        "preference_accuracy_last": _share(c > r for c, r in policy),
        "reward_accuracy_last": _share(margin > 0 for margin in margins),
        "reward_margin_last": sum(margins) / len(margins),
    }


def _share(found: Any) -> float:
    values = list(found)
    return sum(values) / len(values)


def counts(rows: TrainingRows) -> dict[str, int]:
    """What was trained on, in pairs and in tokens of one epoch."""
    return {
        "train_rows": len(rows.train),
        "eval_rows": len(rows.eval),
        "trained_tokens": sum(len(pair.chosen) + len(pair.rejected) for pair in rows.train),
        "longest_row": max(pair.length for pair in rows.train),
    }


def _margins(folder: Run) -> list[dict[str, float]]:
    """The reward margin of every logged step, of the whole run also where it was resumed."""
    log = folder.read_log()
    return [{"step": entry["step"], "margin": entry["rewards/margins"]} for entry in log if "rewards/margins" in entry]
