"""Stage `pretrain`: causal language modelling on plain text, from an architecture or continuing a model.

Texts are joined with the tokenizer's eos and cut into rows of `data.max_length` tokens, none of which is dropped
(the packing of Brown et al. 2020, arXiv:2005.14165, §B). Every token is trained, through transformers' own Trainer.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seodang.tuning.loop import Setting, arguments, collator, save_trained, steps_of, train, whole_weights

# isort: split
from datasets import Dataset
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

from seodang.data.texts import Texts, read_texts
from seodang.errors import Mistake, ModelError, RecipeError
from seodang.language import Phrase
from seodang.recipe import Pretrain
from seodang.runs import DROPPED, Run, finished_run, is_finished, weights_of
from seodang.tuning.adapters import Full
from seodang.tuning.checkpoints import WholeCheckpoints
from seodang.tuning.launch import processes
from seodang.tuning.model import (
    Aim,
    Loaded,
    load_for_training,
    load_tokenizer,
    require_room,
    tokenizer_of,
)
from seodang.tuning.muon import muon
from seodang.tuning.precision import choose_dtype, find_hardware
from seodang.tuning.preflight import (
    require_held_out,
    require_positions,
    require_reporter,
    require_whole_weights,
    stored_positions,
)
from seodang.tuning.shares import EveryRowOnce
from seodang.tuning.specs import FreshModel, ModelSpec, locate

Rows = list[list[int]]
OLD_NAMES = frozenset({"rope_theta", "rope_scaling"})
"""Keys that transformers 5 still moves into `rope_parameters`."""


class TextTrainer(WholeCheckpoints, EveryRowOnce, Trainer):
    """transformers' own trainer, with checkpoints that are whole."""


def run(recipe: Pretrain, folder: Run) -> dict[str, Any]:
    """Train every weight and write `model/` with its tokenizer; returns the report."""
    require_reporter(recipe.training)
    texts = read_texts(recipe.data)
    folder.write_rows(DROPPED, texts.ledger.rows)
    require_held_out(recipe.training, len(texts.eval))
    spec = recipe.model
    tokenizer = load_tokenizer(_tokenizer_place(spec)) if isinstance(spec, FreshModel) else tokenizer_of(spec)
    rows, held_out = (blocks(tokenizer, part, recipe.data.max_length) for part in (texts.train, texts.eval))
    if isinstance(spec, ModelSpec):
        require_positions(stored_positions(spec), max(map(len, rows)))
    aim = Aim(recipe.seed, steps_of(recipe.training, len(rows), processes(recipe.launch)), folder.path)
    loaded = fresh(spec, tokenizer, recipe.seed) if isinstance(spec, FreshModel) else _continued(spec, aim)
    require_room(loaded, max(map(len, rows)))
    trainer = make_trainer(recipe, loaded, (rows, held_out), folder)
    outcome = train(trainer, folder, recipe.training)
    save_trained(loaded, folder, (loaded.tokenizer.eos_token_id,), whole_weights(trainer))
    metrics = outcome["metrics"] | _counts(loaded, texts, rows, held_out)
    return {"rows": texts.ledger.close(), "metrics": metrics, "figures": outcome["figures"]}


def _tokenizer_place(spec: FreshModel) -> str:
    is_run = is_finished(Path(spec.tokenizer))
    return str(weights_of(finished_run(spec.tokenizer, "model.tokenizer"))) if is_run else spec.tokenizer


def blocks(tokenizer: Any, texts: Sequence[str], length: int) -> Rows:
    """Token ids of all texts, each followed by eos, cut into rows of `length`; the last row may be shorter.

    Control strings in the texts stay text. Raises ModelError where the tokenizer has no eos.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError("The tokenizer has no eos token to put between texts. Set `eos_token` in its config.")
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    stream = [token for ids in encoded for token in (*ids, tokenizer.eos_token_id)]
    return [stream[start : start + length] for start in range(0, len(stream), length)]


def fresh(spec: FreshModel, tokenizer: Any, seed: int) -> Loaded:
    """A model with random weights drawn from the seed. Raises RecipeError for a config that upstream would bend."""
    given = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id}
    given |= {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id} | spec.config
    _require_known(given)
    if given["vocab_size"] < len(tokenizer):
        raise _mistake("vocab_size", Phrase("must be at least {size}, the size of the tokenizer", size=len(tokenizer)))
    precision = choose_dtype("auto", find_hardware(), full=True)
    try:
        config = AutoConfig.for_model(**given)
        set_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=precision.weights)
    except (StrictDataclassError, ValueError, TypeError) as error:
        raise _mistake("", Phrase("upstream refuses it: {why}", why=error)) from error
    return Loaded(model.to(precision.device), tokenizer, "", None, precision)


def _require_known(given: dict[str, Any]) -> None:
    """Upstream keeps an unknown key as an attribute that nothing reads; here a misspelt key never trains."""
    name = given["model_type"]
    if name not in CONFIG_MAPPING:
        raise _mistake("model_type", Phrase("unknown architecture `{name}`", name=name), name, CONFIG_MAPPING)
    kind = CONFIG_MAPPING[name]
    known = {*kind().to_dict(), *kind.attribute_map, *OLD_NAMES}
    unknown = [key for key in given if key not in known]
    if unknown:
        text = Phrase("unknown key of the {name} architecture", name=name)
        raise _mistake(unknown[0], text, unknown[0], known)


def _mistake(key: str, fault: Phrase, got: str = "", known: Any = ()) -> RecipeError:
    near = difflib.get_close_matches(got, known, 1)
    guess = Phrase(", did you mean `{near}`?", near=near[0]) if near else ""
    text = Phrase("{fault}{guess}", fault=fault, guess=guess)
    return RecipeError("The recipe", [Mistake(".".join(filter(None, ("model.config", key))), text)])


def _continued(spec: ModelSpec, aim: Aim) -> Loaded:
    require_whole_weights(spec, locate(spec))
    return load_for_training(spec, Full(), aim)


def make_trainer(recipe: Pretrain, loaded: Loaded, rows: tuple[Rows, Rows], folder: Run) -> Trainer:
    """transformers' own Trainer over rows of ids, each of which is its own label."""
    setting = Setting(folder.path, recipe.seed, loaded.precision, bool(rows[1]), recipe.launch)
    train_part, eval_part = (Dataset.from_dict({"input_ids": part, "labels": part}) for part in rows)
    args = arguments(TrainingArguments, recipe.training, setting)
    return TextTrainer(
        model=loaded.model,
        args=args,
        optimizers=(muon(loaded.model, args) if recipe.training.optim == "muon" else None, None),
        train_dataset=train_part,
        eval_dataset=eval_part if rows[1] else None,
        processing_class=loaded.tokenizer,
        data_collator=collator(loaded.tokenizer),
    )


def _counts(loaded: Loaded, texts: Texts, rows: Rows, held_out: Rows) -> dict[str, int]:
    return {
        "parameters": loaded.model.num_parameters(),
        "train_texts": len(texts.train),
        "eval_texts": len(texts.eval),
        "train_rows": len(rows),
        "tokens": sum(map(len, rows)),
        "eval_tokens": sum(map(len, held_out)),
    }
