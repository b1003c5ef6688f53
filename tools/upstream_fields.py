"""Make src/seodang/upstream_fields.json: which upstream arguments `training.extra` may pass.

    python tools/upstream_fields.py            write the table from the installed transformers and trl
    python tools/upstream_fields.py --check    exit with 1 when the table is stale

The light half checks `training.extra` against this table, because the config classes themselves import torch.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parents[1] / "src" / "seodang" / "upstream_fields.json"

NOTHING_SENT = "nothing is sent anywhere while training; take a finished run away with `seodang export`"
MASK = "the template decides which tokens are trained; `seodang preview` shows them"
WHOLE_ROWS = "a row is trained whole and alone: nothing is packed"
PADDING = "padding is masked by length, with the tokenizer's own pad token"
ROWS = "the rows are ours to read: write `data`"
LOSS = "write `loss` (its kind and its own knobs)"
REFERENCE = "the reference is the parent run as saved on disk, computed once"
SEED = "write `seed` at the top of the recipe"
DTYPE = "write `model.dtype`; precision follows from it and the hardware"
LAUNCH = "write `launch`; it says how several devices train together"
STAGE = "the stage decides what is done"
EVALUATION = "write `training.eval_steps`"
SAVING = "write `training.save_steps`"

REFUSED: dict[str, str] = {
    "max_length": "write `data.max_length`",
    "truncation_mode": "an answer is never cut: write `data.over_length`",
    "packing": WHOLE_ROWS,
    "packing_strategy": WHOLE_ROWS,
    "eval_packing": WHOLE_ROWS,
    "padding_free": WHOLE_ROWS,
    "completion_only_loss": MASK,
    "assistant_only_loss": MASK,
    "chat_template_path": "write `template`",
    "eos_token": "write `template`; it says which token stops an answer",
    "pad_token": PADDING,
    "dataset_kwargs": ROWS,
    "dataset_num_proc": ROWS,
    "dataset_text_field": ROWS,
    "shuffle_dataset": "rows are shuffled in every epoch, from `seed`",
    "remove_unused_columns": ROWS,
    "label_names": ROWS,
    "dataloader_drop_last": "no row vanishes: the last batch is trained too",
    "ignore_data_skip": "a resumed run goes on with the rows that an undisturbed one would see",
    "push_to_hub": NOTHING_SENT,
    "hub_model_id": NOTHING_SENT,
    "hub_strategy": NOTHING_SENT,
    "hub_token": NOTHING_SENT,
    "hub_private_repo": NOTHING_SENT,
    "hub_always_push": NOTHING_SENT,
    "hub_revision": NOTHING_SENT,
    "trackio_space_id": NOTHING_SENT,
    "trackio_bucket_id": NOTHING_SENT,
    "trackio_static_space_id": NOTHING_SENT,
    "model_init_kwargs": "write `model` (dtype, quantization, attn_implementation, revision)",
    "trust_remote_code": "write `model.trust_remote_code`",
    "output_dir": "write `output_dir` at the top of the recipe",
    "seed": SEED,
    "data_seed": SEED,
    "activation_checkpointing": "write `training.gradient_checkpointing`",
    "gradient_checkpointing_kwargs": "upstream calls it `activation_checkpointing_kwargs` now",
    "resume_from_checkpoint": "run it again with `--resume`",
    "save_only_model": "a checkpoint holds what `--resume` needs",
    "eval_strategy": EVALUATION,
    "eval_on_start": "the held-out loss is always measured before the first step",
    "save_strategy": SAVING,
    "logging_strategy": "write `training.logging_steps`",
    "precompute_ref_log_probs": REFERENCE,
    "precompute_ref_batch_size": REFERENCE,
    "sync_ref_model": REFERENCE,
    "ref_model_mixup_alpha": REFERENCE,
    "ref_model_sync_steps": REFERENCE,
    "loss_type": LOSS,
    "loss_weights": LOSS,
    "beta": "write `loss.beta`",
    "label_smoothing": "write `loss.label_smoothing`",
    "label_smoothing_factor": "write `loss.label_smoothing` in preference tuning; SFT trains on plain likelihood",
    "ld_alpha": LOSS,
    "discopop_tau": LOSS,
    "f_divergence_type": LOSS,
    "f_alpha_divergence_coef": LOSS,
    "use_weighting": LOSS,
    "fp16": DTYPE,
    "bf16": DTYPE,
    "fp16_full_eval": DTYPE,
    "bf16_full_eval": DTYPE,
    "use_cpu": "the hardware decides; hide the GPU with CUDA_VISIBLE_DEVICES= to train on the CPU",
    "deepspeed": LAUNCH,
    "fsdp": LAUNCH,
    "fsdp_config": LAUNCH,
    "parallelism_config": LAUNCH,
    "accelerator_config": LAUNCH,
    "local_rank": LAUNCH,
    "do_train": STAGE,
    "do_eval": STAGE,
    "do_predict": STAGE,
}
"""Everything that changes which tokens are trained, the data, the reference or what is sent anywhere."""


def type_name(annotation: Any) -> str:
    """A type as the table writes it: `float | None`; an enum of strings is `str`, a generic is its container."""
    if annotation is type(None):
        return "None"
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        names = [type_name(argument) for argument in typing.get_args(annotation)]
        return " | ".join(sorted(dict.fromkeys(names), key=lambda name: name == "None"))
    if origin is typing.Literal:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in typing.get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "str"
    found = origin or annotation
    return found.__name__ if isinstance(found, type) else str(found)


def choices_of(annotation: Any) -> list[str]:
    """The values of the enum in a type; empty where any value of the type will do."""
    inner = [choice for argument in typing.get_args(annotation) for choice in choices_of(argument)]
    is_enum = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return [str(member.value) for member in annotation] if is_enum else inner


def default_of(field: dataclasses.Field[Any]) -> Any:
    """A field's default as JSON: enums by their value, factories called."""
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    return value.value if isinstance(value, enum.Enum) else value


def build() -> dict[str, Any]:
    """The whole table. Raises KeyError when a refused name no longer exists upstream: then the list above is stale."""
    from transformers import TrainingArguments
    from trl import DPOConfig, SFTConfig

    found: dict[str, Any] = {}
    for kind in (TrainingArguments, SFTConfig, DPOConfig):
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            entry = {"type": type_name(hints[field.name]), "default": default_of(field)}
            if choices := choices_of(hints[field.name]):
                entry["choices"] = choices
            found.setdefault(field.name, entry)
    gone = sorted(REFUSED.keys() - found.keys())
    if gone:
        raise KeyError(f"refused here but unknown upstream: {', '.join(gone)}")
    fields = {name: found[name] for name in sorted(found) if name not in REFUSED}
    return {"fields": fields, "refused": dict(sorted(REFUSED.items()))}


def main(arguments: list[str]) -> int:
    """Write the table, or with `--check` compare it. Returns the exit status."""
    text = json.dumps(build(), ensure_ascii=False, indent=2) + "\n"
    if "--check" not in arguments:
        TABLE.write_text(text, encoding="utf-8")
        return 0
    if TABLE.is_file() and TABLE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TABLE.name} is stale: run `python tools/upstream_fields.py` and commit it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
