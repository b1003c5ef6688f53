"""The light half of tuning: what a recipe says of the model, its data and the loop. No torch in here.

Values that only pass through keep upstream's names (transformers' TrainingArguments, bitsandbytes' kinds), so
upstream's documentation is ours. `training.extra` passes any further TrainingArguments by name; it is checked against
`upstream_fields.json`, a table made from the pinned config classes by `tools/upstream_fields.py`.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from seodang.ancestry import require_same_base, require_unchanged
from seodang.errors import ModelError
from seodang.language import Phrase, joined
from seodang.packaged import model_path
from seodang.runs import MANIFEST, finished_run, read_json, read_recipe, weights_of
from seodang.schema import Schema, by_name


class FourBit(Schema):
    """4-bit weights through bitsandbytes (QLoRA, Dettmers et al. 2023, arXiv:2305.14314)."""

    kind: Literal["nf4", "fp4"] = "nf4"
    """The 4-bit data type: normal-float or float."""
    double: bool = True
    """Quantise the quantisation constants too: 0.37 bit per parameter less."""


class EightBit(Schema):
    """8-bit weights through bitsandbytes (LLM.int8, Dettmers et al. 2022, arXiv:2208.07339)."""

    kind: Literal["int8"] = "int8"


ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4", "flex_attention")
"""The attention implementations of transformers; any other is a kernel's `owner/name` on the Hub."""

Quantization = Annotated[FourBit | EightBit, Field(discriminator="kind"), by_name]


class ModelSpec(Schema):
    """Which weights: a name or path, or the run that made them."""

    name_or_path: str | None = None
    """A folder, a name on the Hub, or `seodang-starter`, the small Korean model in the package. A path that starts with
    `./` is relative to the recipe."""
    run: str | None = None
    """The folder of a finished run: its adapter, tokenizer and template come with it."""
    merge: bool = False
    """Merge the run's adapter into its base first, so that a fresh adapter can be stacked on it."""
    keep_base: bool = True
    """Keep the merged weights as `base/` of the run folder. `false` saves the room: they are merged again whenever the
    run is used, from its parent, which must stay as it is."""
    quantization: Quantization | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 where the hardware computes it natively, else float32 weights."""
    attn_implementation: str = "sdpa"
    """`eager`, `sdpa`, `flash_attention_2` (or 3, 4), `flex_attention`, or a kernel's `owner/name` on the Hub."""
    revision: str | None = None
    """Commit of a Hub model; nothing else pins it."""
    trust_remote_code: bool = False

    @field_validator("attn_implementation")
    @classmethod
    def _known_attention(cls, value: str) -> str:
        if value not in ATTENTION and "/" not in value:
            text = "cannot be `{value}`{guess} (known: {known}, or a kernel's `owner/name` on the Hub)"
            raise ValueError(Phrase(text, value=value, guess=_guess(value, ATTENTION), known=", ".join(ATTENTION)))
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.name_or_path is None) == (self.run is None):
            raise ValueError("give `name_or_path` or `run`, one of the two")
        if self.merge and not self.run:
            raise ValueError("`merge` needs a `run` with an adapter to merge")
        if not self.keep_base and not self.merge:
            raise ValueError("`keep_base: false` is about the weights that `merge: true` makes")
        return self


@dataclass(frozen=True, slots=True)
class Place:
    """Where the parts of a model lie: the whole weights, PEFT's files on top of them, and the tokenizer."""

    base: str
    """An absolute folder, or a name on the Hub."""
    adapter: Path | None
    tokenizer: str
    revision: str | None = None
    """The commit of a base on the Hub: the recipe's, or the one that the adapter was trained on."""
    merged: ModelSpec | None = None
    """The parent whose merged weights are the base, where they were not kept."""


def inherited_quantization(run: str) -> dict[str, Any] | None:
    """The quantisation that a run trained on, which goes on where its adapter is continued or used; None for none."""
    model = read_recipe(Path(run)).get("model")
    found = model.get("quantization") if isinstance(model, dict) else None
    return found if isinstance(found, dict) else None


def spec_of_run(run: str | Path) -> ModelSpec:
    """The model of a run as it was trained: its adapter on its base, quantised where that was."""
    return ModelSpec.model_validate({"run": str(run), "quantization": inherited_quantization(str(run))})


def locate(spec: ModelSpec) -> Place:
    """Find a model's parts without loading them. Raises ModelError where a run, an adapter or its base is not there."""
    if spec.run is not None:
        folder = weights_of(finished_run(spec.run, "model.run")).resolve()
    else:
        folder = Path(model_path(str(spec.name_or_path)))
        if not folder.is_dir():
            return Place(str(spec.name_or_path), None, str(spec.name_or_path), spec.revision)
        folder = folder.resolve()
    if (folder / "adapter_config.json").is_file():
        return _place_of_adapter(folder)
    if spec.merge:
        raise ModelError("model.merge: the run {run} trained whole weights; leave `merge` out.", run=spec.run)
    _require_model(folder)
    return Place(str(folder), None, str(folder))


def _place_of_adapter(folder: Path) -> Place:
    described = read_json(folder / "adapter_config.json") or {}
    base = str(described.get("base_model_name_or_path") or "")
    tokenizer = str(folder) if (folder / "tokenizer_config.json").is_file() else base
    merged = _merged_away(Path(base).parent) if Path(base).name == "base" else None
    if merged is not None:
        return Place(base, folder, tokenizer, merged=merged)
    if not base or (Path(base).is_absolute() and not Path(base).is_dir()):
        raise ModelError(
            "The adapter {folder} stands on {base}, which is not there. Put the model back, or correct "
            "`base_model_name_or_path` in its adapter_config.json.",
            folder=folder,
            base=base or Phrase("a base that its adapter_config.json does not name"),
        )
    require_same_base(folder.parent, base)
    return Place(base, folder, tokenizer, described.get("revision"))


def _merged_away(run: Path) -> ModelSpec | None:
    """The parent that a run's base is to be merged from again. Raises RunError where it is gone or has changed."""
    model = read_recipe(run).get("model")
    if (run / "base").is_dir() or not isinstance(model, dict) or model.get("keep_base", True):
        return None
    require_unchanged(run, model["run"], "model.run")
    given = {"run": model["run"], "merge": True, "trust_remote_code": model.get("trust_remote_code", False)}
    return ModelSpec.model_validate(given)


def _require_model(folder: Path) -> None:
    if (folder / "config.json").is_file():
        return
    if (folder / MANIFEST).is_file():
        raise ModelError("{folder} is a run folder: write `run: {folder}` instead of `name_or_path`.", folder=folder)
    raise ModelError(
        "{folder} holds no model (no config.json and no adapter_config.json). Name the folder that `save_pretrained` "
        "wrote, or a run that trains.",
        folder=folder,
    )


class FreshModel(Schema):
    """A causal model from nothing: an architecture and a tokenizer, weights drawn from the seed."""

    config: dict[str, Any]
    """The architecture in transformers' own terms; `model_type` is required."""
    tokenizer: str
    """A tokenizer run, a folder, or a name on the Hub."""

    @field_validator("config")
    @classmethod
    def _has_type(cls, value: dict[str, Any]) -> dict[str, Any]:
        if "model_type" not in value:
            raise ValueError("needs `model_type` (llama, qwen3, gpt2, …)")
        return value


class Training(Schema):
    """The loop, in transformers' TrainingArguments terms."""

    num_train_epochs: float = Field(1.0, gt=0)
    max_steps: int = Field(-1, ge=-1)
    """Optimizer steps; -1 lets the epochs decide."""
    learning_rate: float = Field(2e-4, gt=0)
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = Field(0.03, ge=0)
    """Steps, or below 1 the share of all steps."""
    per_device_train_batch_size: int = Field(8, ge=1)
    per_device_eval_batch_size: int = Field(8, ge=1)
    gradient_accumulation_steps: int = Field(1, ge=1)
    gradient_checkpointing: bool = False
    weight_decay: float = Field(0.0, ge=0)
    max_grad_norm: float = Field(1.0, ge=0)
    optim: str = "adamw_torch"
    logging_steps: int = Field(1, ge=1)
    eval_steps: float | None = Field(None, gt=0)
    """Evaluate every so many steps, or below 1 that share of all steps; unset means at the end of every epoch."""
    save_steps: float | None = Field(None, gt=0)
    """Checkpoint every so many steps, or below 1 that share of all; unset means at the end of every epoch."""
    save_total_limit: int | None = Field(2, ge=1)
    load_best_model_at_end: bool = False
    """Keep the weights of the best evaluation instead of the last step's; checkpoints then go with the evaluations."""
    early_stopping_patience: int | None = Field(None, ge=1)
    """Stop after so many evaluations that were no better than the best before them, and keep the best."""
    early_stopping_threshold: float = Field(0.0, ge=0)
    """By how much an evaluation must be better to count."""
    metric_for_best_model: str | None = None
    """What `best` means: a number of the evaluation, as log.jsonl calls it behind `eval_`; unset it is the `loss`."""
    neftune_noise_alpha: float | None = Field(None, gt=0)
    """Noise on the embeddings in training (NEFTune, Jain et al. 2023, arXiv:2310.05914); the paper's values are 5 to
    15."""
    report_to: Literal["none", "tensorboard", "wandb", "trackio"] = "none"
    engine: Literal["trl"] = "trl"
    """`trl` runs upstream's own loss, collator and loop."""
    extra: dict[str, Any] = Field({})
    """Further TrainingArguments by their upstream names, checked before anything is loaded."""

    OWN_OPTIM: ClassVar[frozenset[str]] = frozenset()

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best evaluation are kept."""
        return self.load_best_model_at_end or self.early_stopping_patience is not None

    @field_validator("max_steps")
    @classmethod
    def _some_steps(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be -1 (the epochs decide) or at least 1, got 0")
        return value

    @field_validator("eval_steps", "save_steps")
    @classmethod
    def _whole_or_share(cls, value: float | None) -> float | None:
        if value is None or value < 1:
            return value
        if value != int(value):
            text = "must be a whole number of steps, or below 1 a share of all steps, got {value}"
            raise ValueError(Phrase(text, value=value))
        return int(value)

    @field_validator("lr_scheduler_type", "optim")
    @classmethod
    def _known_upstream(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "optim" and value in cls.OWN_OPTIM:
            return value
        _, fault = _coerce(value, upstream_fields()["fields"][info.field_name])
        if fault:
            raise ValueError(fault)
        return value

    @field_validator("extra")
    @classmethod
    def _extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        return check_extra(value, owned=frozenset(cls.model_fields))


class AnsweringTraining(Training):
    """The loop over conversations: at every evaluation the model also answers."""

    eval_metrics: tuple[str, ...] = ()
    """Metrics of `evaluate`, measured on greedy answers at every evaluation; `metric_for_best_model` may name one."""
    eval_prompts: int = Field(32, ge=1)
    """How many held-out prompts are answered for `eval_metrics`."""
    eval_max_new_tokens: int = Field(128, ge=1)
    """The longest such answer."""


class Pretraining(Training):
    """The loop over plain text: also `optim: muon`, which needs whole matrices to train."""

    OWN_OPTIM: ClassVar[frozenset[str]] = frozenset({"muon"})


def steps_of(training: Training | Any, rows: int, processes: int = 1) -> int:
    """Optimizer steps of a run over so many rows, as transformers' Trainer counts them in so many processes.

    `training` is a recipe's, or transformers' TrainingArguments.
    """
    if training.max_steps > 0:
        return int(training.max_steps)
    batches = math.ceil(rows / (training.per_device_train_batch_size * processes))
    return math.ceil(training.num_train_epochs * max(1, math.ceil(batches / training.gradient_accumulation_steps)))


@lru_cache
def upstream_fields() -> dict[str, Any]:
    """The generated table: {"fields": {name: {"type", "default", "choices"}}, "refused": {name: our key or reason}}."""
    table: dict[str, Any] = json.loads(files("seodang").joinpath("upstream_fields.json").read_text(encoding="utf-8"))
    return table


def check_extra(extra: dict[str, Any], owned: frozenset[str]) -> dict[str, Any]:
    """Check and coerce `training.extra`. Raises ValueError naming every key that is unknown, ours, or refused."""
    table = upstream_fields()
    found: list[Phrase] = []
    coerced = {}
    for name, value in extra.items():
        if name in table["refused"]:
            why = Phrase(table["refused"][name])
            found.append(Phrase("`{name}` is not passed through: {why}", name=name, why=why))
        elif name in owned:
            found.append(Phrase("`{name}` is ours: write `training.{name}`", name=name))
        elif name not in table["fields"]:
            near = difflib.get_close_matches(name, table["fields"], 1)
            guess = Phrase(", did you mean `{near}`?", near=near[0]) if near else ""
            found.append(Phrase("unknown key `{name}`{guess}", name=name, guess=guess))
        else:
            coerced[name], fault = _coerce(value, table["fields"][name])
            found += [Phrase("`{name}` {fault}", name=name, fault=fault)] if fault else []
    if found:
        raise ValueError(joined("; ", found))
    return coerced


_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "str": (str,),
    "dict": (dict,),
    "list": (list, tuple),
    "None": (type(None),),
}


def _coerce(value: Any, field: dict[str, Any]) -> tuple[Any, Phrase | None]:
    """(value, fault). `1e-8` is a string and `no` is False in YAML 1.1; the table's type says what was meant."""
    kinds = field["type"].split(" | ")
    if value is False and "str" in kinds and "bool" not in kinds:
        value = "no"
    if isinstance(value, str) and "float" in kinds and "str" not in kinds:
        value = _number(value)
    choices = field.get("choices")
    if choices and isinstance(value, str) and value not in (*choices, field["default"]):
        guess = _guess(value, choices) or Phrase(" (known: {known})", known=", ".join(choices))
        return value, Phrase("cannot be `{value}`{guess}", value=value, guess=guess)
    for kind in kinds:
        if isinstance(value, _KINDS[kind]) and (kind == "bool" or not isinstance(value, bool)):
            return (float(str(value)) if kind == "float" else value), None
    return value, Phrase("must be {type}, got {value!r}", type=field["type"], value=value)


def _guess(value: str, known: Sequence[str]) -> Phrase:
    """The nearest value as a question: of those alike the first that shares the longest beginning, if that is long."""
    near = difflib.get_close_matches(value, known, 5, cutoff=0.55)
    if not near:
        return Phrase("")
    alike = [sum(1 for _ in takewhile(bool, map(eq, value, name))) for name in known]
    best = known[alike.index(max(alike))] if max(alike) > 3 else near[0]
    return Phrase(", did you mean `{near}`?", near=best)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
