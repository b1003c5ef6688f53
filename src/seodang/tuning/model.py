"""The only loaders of weights: which precision, which base, which adapter on it. Torch starts here.

load_model(spec)                          to read with: generate, evaluate, chat, a reference
load_for_training(spec, adapter, aim)     to train: checks the mixture first, then loads and adapts
"""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from seodang.tuning.quiet import quiet_peft, silence_upstream

# isort: split
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from seodang.errors import ModelError
from seodang.language import Phrase, joined
from seodang.runs import read_recipe
from seodang.schema import check_schema
from seodang.served import require_trained_template
from seodang.tokenization import compare, load_light
from seodang.tuning.adapters import Adapter, Full
from seodang.tuning.precision import (
    Precision,
    choose_dtype,
    find_hardware,
    keep_differentiable,
    leave_the_file,
    quantizer,
    require_trainable_dtype,
)
from seodang.tuning.preflight import output_layer_refused, require_mergeable, require_mixture, require_positions
from seodang.tuning.shares import first_before_others
from seodang.tuning.specs import ModelSpec, Place, inherited_quantization, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seodang.tuning.adapters import Method


_UNREADABLE = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)
"""What upstream raises for files that are missing, torn, of another architecture or of other shapes."""


@dataclass(slots=True)
class Loaded:
    """A model in memory with its tokenizer, and where both came from."""

    model: Any
    """A PreTrainedModel, or the PeftModel around it."""
    tokenizer: Any
    base: str
    """The whole weights under the adapter: an absolute folder, or a name on the Hub."""
    parent: Path | None
    """The folder of the adapter that was loaded."""
    precision: Precision
    quantized: bool = False
    method: Method | None = None
    """What the adapter was asked for, a continued one by the run that began it; None where every weight is trained."""
    initial: Path | None = None
    """The folder of a fresh adapter's first weights, where they are needed to save it."""


def load_tokenizer(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """AutoTokenizer's tokenizer, proved to give the ids that the audit saw. Raises ModelError or TemplateError."""
    light = load_light(name_or_path, revision)
    auto = AutoTokenizer.from_pretrained(name_or_path, revision=revision, trust_remote_code=trust_remote_code)
    compare(light, auto)
    return auto


def tokenizer_of(spec: ModelSpec) -> Any:
    """The tokenizer that belongs to a model, without loading its weights.

    Raises TemplateError where a run's chat template is not the one it was finished with.
    """
    place = locate(spec)
    tokenizer = load_tokenizer(place.tokenizer, place.revision, spec.trust_remote_code)
    require_trained_template(place.adapter or place.base, tokenizer)
    return tokenizer


def load_model(spec: ModelSpec, *, is_trainable: bool = False, full: bool = False) -> Loaded:
    """The model of a recipe with its run's adapter on it, in eval mode. Raises ModelError where it cannot be loaded."""
    silence_upstream()
    place = locate(spec)
    precision = choose_dtype(spec.dtype, find_hardware(), full)
    tokenizer, quantized = tokenizer_of(spec), spec.quantization is not None
    if spec.merge:
        with TemporaryDirectory() as folder:
            model = load_base(Place(merge(place, spec, Path(folder) / "base"), None, ""), spec, precision)
        return Loaded(model, tokenizer, place.base, None, precision, quantized)
    model = load_base(place, spec, precision)
    if place.adapter is not None:
        model = with_adapter(model, place.adapter, is_trainable)
    return Loaded(model.eval(), tokenizer, place.base, place.adapter, precision, quantized)


def own_device(precision: Precision) -> int | str:
    """Where this process puts quantised weights: its own GPU by number, as accelerate asks of each of several."""
    return torch.cuda.current_device() if precision.device == "cuda" else precision.device


def load_base(place: Place, spec: ModelSpec, precision: Precision) -> Any:
    """Whole weights, quantised as the recipe says, on the device that computes. Raises ModelError."""
    if place.merged is not None:
        with TemporaryDirectory() as folder:
            merged = merge(locate(place.merged), place.merged, Path(folder) / "base")
            return load_base(Place(merged, None, ""), spec, precision)
    given = {"attn_implementation": spec.attn_implementation, "trust_remote_code": spec.trust_remote_code}
    if spec.quantization is not None:
        given["quantization_config"] = quantizer(spec.quantization, precision)
        given["device_map"] = {"": own_device(precision)}
    try:
        model, info = AutoModelForCausalLM.from_pretrained(
            place.base, dtype=precision.weights, revision=place.revision, output_loading_info=True, **given
        )
    except _UNREADABLE as error:
        raise ModelError("The model {name} cannot be loaded: {why}", name=place.base, why=_why(error)) from error
    _require_all_weights(place.base, info)
    keep_differentiable(model)
    if spec.quantization is None:
        return model.to(precision.device)
    leave_the_file(model)
    return model


def _why(error: BaseException) -> str:
    return textwrap.shorten(str(error), 400, placeholder=" …")


def _require_all_weights(name_or_path: str, info: dict[str, Any]) -> None:
    missing = sorted(info["missing_keys"])
    if missing:
        raise ModelError(
            "The files of {name} lack {count} of the model's weights ({first}, …); upstream would have made them up at "
            "random. The folder is incomplete, or its config.json belongs to another model.",
            name=name_or_path,
            count=len(missing),
            first=missing[0],
        )


def with_adapter(model: Any, folder: Path, is_trainable: bool) -> Any:
    """The model with a saved adapter on it, named `default`. Raises ModelError where the two do not fit."""
    from peft import PeftModel

    try:
        with quiet_peft():
            return PeftModel.from_pretrained(model, str(folder), is_trainable=is_trainable)
    except _UNREADABLE as error:
        raise ModelError("The adapter {folder} does not fit its base: {why}", folder=folder, why=_why(error)) from error


def _dequantized(model: Any) -> Any:
    whole = model.dequantize(torch.float32)
    whole.is_loaded_in_4bit = whole.is_loaded_in_8bit = False  # upstream forgets, and IA3 merges only where they are
    return whole


def merge(place: Place, spec: ModelSpec, into: Path) -> str:
    """Merge an adapter into its base in float32 and write the whole model; returns the folder.

    The base of an adapter that was trained on quantised weights is those weights dequantised, so that the merged model
    is the one that was trained; merging into the 4-bit weights themselves would round the adapter away.
    Raises ModelError for an adapter that changes no weight.
    """
    assert place.adapter is not None
    require_mergeable(place)
    if not (into / "config.json").is_file():
        precision = Precision(torch.float32, device=find_hardware().device)
        trained_on = inherited_quantization(spec.run) if spec.run else None
        known = {"name_or_path": place.base, "trust_remote_code": spec.trust_remote_code, "quantization": trained_on}
        base = load_base(place, ModelSpec.model_validate(known), precision)
        model = with_adapter(_dequantized(base) if trained_on else base, place.adapter, False)
        unfinished = into.with_name(f".{into.name}.unfinished")
        model.merge_and_unload(safe_merge=True).save_pretrained(unfinished)
        tokenizer_of(spec).save_pretrained(unfinished)
        unfinished.rename(into)
    return str(into.resolve())


@dataclass(frozen=True, slots=True)
class Aim:
    """What a training run brings to the model: its seed, its number of optimizer steps, and where it writes."""

    seed: int
    steps: int
    folder: Path


def load_for_training(spec: ModelSpec, adapter: Adapter | None, aim: Aim) -> Loaded:
    """Load a model and put what is trained on it: the run's own adapter, a fresh one, or every weight.

    A merged parent is written to `base/` of the run folder, because the fresh adapter stands on it.
    Raises ModelError for mixtures that mean nothing.
    """
    place = locate(spec)
    require_mixture(spec, place, adapter)
    config = _as_peft(adapter, aim.steps)
    if spec.merge:
        with first_before_others():
            merged = merge(place, spec, aim.folder / "base")
        spec = spec.model_copy(update={"run": None, "merge": False, "name_or_path": merged, "revision": None})
        place = locate(spec)
    loaded = load_model(spec, is_trainable=adapter is None, full=isinstance(adapter, Full))
    if adapter is not None and not isinstance(adapter, Full):
        config.revision = place.revision
        _add_adapter(loaded, adapter, config, aim.seed)
    elif loaded.parent is not None and spec.run is not None:
        begun = inherited_adapter(spec.run)
        loaded.method = begun and begun.continued()
    return loaded


def inherited_adapter(run: str) -> Method | None:
    """What the first run of a chain asked for the adapter that the later ones continue; None where none tells.

    Raises ModelError where its recipe.yaml cannot be understood any more.
    """
    seen: set[str] = set()
    while run and run not in seen:
        seen.add(run)
        recipe = read_recipe(Path(run))
        if recipe.get("adapter") is not None:
            found, mistakes = check_schema(Adapter, recipe["adapter"])
            if mistakes:
                raise ModelError(
                    "The adapter of {run} cannot be continued, because its recipe.yaml is not understood: {mistakes}. "
                    "It was written by another version or changed by hand; put it right, or train a fresh adapter.",
                    run=run,
                    mistakes=joined("; ", (mistake.phrase for mistake in mistakes)),
                )
            return None if isinstance(found, Full) else found
        run = (recipe.get("model") or {}).get("run") or ""
    return None


def _as_peft(adapter: Adapter | None, steps: int) -> Any:
    try:
        return None if adapter is None else adapter.to_peft(steps)
    except (ValueError, TypeError) as error:
        raise refused_by_peft(error) from error


def _add_adapter(loaded: Loaded, method: Method, config: Any, seed: int) -> None:
    from peft import get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    _require_parameters(loaded.model, getattr(method, "target_parameters", None) or ())
    set_seed(seed)
    try:
        with quiet_peft():
            loaded.model = get_peft_model(loaded.model, config, revision=config.revision)
    except (ValueError, TypeError, AssertionError, RuntimeError) as error:
        raise refused_by_peft(error) from error
    loaded.method = method
    if isinstance(loaded.model.get_output_embeddings(), BaseTunerLayer):
        raise output_layer_refused()
    require_trainable_dtype(loaded.model, loaded.precision)


def refused_by_peft(error: BaseException) -> ModelError:
    """The error for an adapter that PEFT cannot make, or cannot start, on this model."""
    return ModelError("adapter: PEFT refuses it: {why}", why=error)


def _require_parameters(model: Any, wanted: tuple[str, ...]) -> None:
    known = [name for name, weight in model.named_parameters() if not name.endswith((".weight", ".bias"))]
    unknown = [name for name in wanted if not any(have == name or have.endswith(f".{name}") for have in known)]
    if unknown:
        ends = sorted({".".join(name.split(".")[-3:]) for name in known})
        raise ModelError(
            "adapter.target_parameters: {unknown} names no parameter of the model. It has {known}; the weight of a "
            "linear layer belongs under `target_modules`.",
            unknown=", ".join(f"`{name}`" for name in unknown),
            known=", ".join(f"`{name}`" for name in ends) or Phrase("none that is not a module's weight"),
        )


def require_room(loaded: Loaded, longest: int) -> None:
    """Raise ModelError where the longest row, and what an adapter puts before it, has more tokens than positions."""
    require_positions(positions_of(loaded.model), longest, virtual_tokens(loaded.model))


def positions_of(model: Any) -> int | None:
    """How many positions a loaded model has; None where its config does not say."""
    found: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return found


def virtual_tokens(model: Any) -> int:
    """How many of a loaded model's positions its adapter takes for vectors before the text."""
    return getattr(model.active_peft_config, "num_virtual_tokens", 0) if hasattr(model, "peft_config") else 0


@contextmanager
def exact_adapters(loaded: Loaded) -> Iterator[None]:
    """Build a TRL trainer inside: what it rounds to bfloat16 has its dtype and values back at the end.

    TRL casts the trainable weights of a quantised model to bfloat16 on any device (trl 1.16.0, sft_trainer.py). That is
    kept where bfloat16 is native, and undone elsewhere.
    """
    rounds = loaded.quantized and not loaded.precision.bf16
    kept = [(weight, weight.data.clone()) for weight in loaded.model.parameters() if rounds and weight.requires_grad]
    yield
    for weight, data in kept:
        weight.data = data.to(weight.device)
