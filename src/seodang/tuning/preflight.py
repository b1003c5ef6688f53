"""What can be refused before any weight is read: the files' own headers and configs decide. No torch in here.

`check` and the loaders ask the same functions, so that what the check lets through is not refused for a reason which it
could have seen. What only the hardware decides (`model.dtype`) stays with tuning/model.py.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

from seodang.errors import Mistake, ModelError, RecipeError
from seodang.language import Phrase
from seodang.recipe import DPO, SFT, Pretrain
from seodang.runs import is_finished, read_json
from seodang.tokenization import local_folder
from seodang.tuning.adapters import PROMPTS, Adapter, Full
from seodang.tuning.launch import require_launch
from seodang.tuning.specs import FreshModel, ModelSpec, Place, Training, locate

REPORTERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}
"""`training.report_to` → the packages of which upstream needs one."""
FLASH = {
    "flash_attention_2": ("flash_attn", "flash-attn"),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3"),
    "flash_attention_4": ("flash_attn", "flash-attn-4"),
}
"""`model.attn_implementation` → the module that computes it and the package that brings it."""
POSITIONS = ("max_position_embeddings", "n_positions")
"""The keys of config.json that say how many positions a model has; the second is GPT-2's and its kin's."""
OUTPUT_LAYER = "lm_head"
RENAMED = frozenset({"hrm_text", "lfm3"})
"""Dense causal models whose stored modules are loaded under other names (transformers 5.23, conversion_mapping.py)."""


def problems_before_loading(recipe: SFT | DPO | Pretrain) -> None:
    """Raise ModelError or RecipeError for what `run` would refuse later: packages, parent, adapter, its modules.

    A parent run that is not finished yet decides nothing; `check` says of it that it is not made.
    """
    require_reporter(recipe.training)
    require_launch(recipe)
    spec = recipe.model
    if isinstance(spec, FreshModel) or (spec.run is not None and not is_finished(Path(spec.run))):
        return
    place = locate(spec)
    local_folder(place.tokenizer, place.revision)
    if isinstance(recipe, Pretrain):
        require_whole_weights(spec, place)
    require_mixture(spec, place, Full() if isinstance(recipe, Pretrain) else recipe.adapter)
    _require_reach(recipe, spec)


def _require_reach(recipe: SFT | DPO | Pretrain, spec: ModelSpec) -> None:
    """Raise RecipeError where the recipe itself asks for longer rows than the model can read.

    The default of `max_length` asks for nothing: there the rows decide (`require_positions`).
    """
    positions, taken = stored_positions(spec), getattr(getattr(recipe, "adapter", None), "num_virtual_tokens", 0)
    if positions is None or "max_length" not in recipe.data.model_fields_set:
        return
    if recipe.data.max_length > positions - taken:
        text = "is {length}, and the model has {positions} positions for a row. Write {positions} or less"
        told = Phrase(text, length=recipe.data.max_length, positions=positions - taken)
        raise RecipeError("The recipe", [Mistake("data.max_length", told)])


def require_reporter(training: Training) -> None:
    """Raise RecipeError where `training.report_to` names a tracker whose package is not installed."""
    packages = REPORTERS.get(training.report_to, ())
    if packages and not any(map(find_spec, packages)):
        text = "`{package}` is not installed. Run `pip install {package}`, or write `none`."
        raise RecipeError("The recipe", [Mistake("training.report_to", Phrase(text, package=packages[0]))])


def require_held_out(training: Training, held_out: int) -> None:
    """Raise RecipeError where the recipe asks for the best evaluation and there are no rows to evaluate."""
    if held_out or not training.keeps_best:
        return
    key = "load_best_model_at_end" if training.early_stopping_patience is None else "early_stopping_patience"
    text = "needs held-out rows to tell the best step by, and there are none. Give `data.eval`, or leave it out."
    raise RecipeError("The recipe", [Mistake(f"training.{key}", Phrase(text))])


def require_whole_weights(spec: ModelSpec, place: Place) -> None:
    """Raise ModelError where `pretrain` is given a quantised model, or an adapter that is not merged."""
    if spec.quantization is not None or (place.adapter is not None and not spec.merge):
        raise ModelError(
            "model: `pretrain` trains every weight, so it needs whole weights in full precision. Leave `quantization` "
            "out; write `merge: true` to train on from a run with an adapter."
        )


def require_mixture(spec: ModelSpec, place: Place, adapter: Adapter | None) -> None:
    """Raise ModelError where model and adapter mean nothing together, or need a package that is not installed."""
    if adapter is None and (place.adapter is None or spec.merge):
        raise ModelError(
            "adapter: is required, because {base} brings none to continue. Write for example `adapter: {{kind: lora, "
            "r: 16}}`, or `adapter: full` to train every weight.",
            base=Phrase("a merged parent") if spec.merge else place.base,
        )
    if adapter is not None and place.adapter is not None and not spec.merge:
        raise ModelError(
            "adapter: {folder} is an adapter already. Leave `adapter` out to continue it, or write `merge: true` under "
            "`model` to put a fresh one on the merged weights.",
            folder=place.adapter,
        )
    if isinstance(adapter, Full) and spec.quantization is not None:
        raise ModelError(
            "adapter: `full` trains every weight, and {kind} weights are frozen. Leave `model.quantization` out, or "
            "train a `lora` adapter.",
            kind=spec.quantization.kind,
        )
    _require_packages(spec)
    if place.adapter is not None:
        _require_continuable(place, spec.merge)
    if adapter is not None and not isinstance(adapter, Full):
        refused = adapter.refuses(spec.quantization.kind if spec.quantization else None)
        if refused:
            raise ModelError("adapter: {why}.", why=refused)
        _require_names(adapter, place)


def peft_type(place: Place) -> str:
    """PEFT's name of the method of a saved adapter (`LORA`); empty where its adapter_config.json does not say."""
    described = (read_json(place.adapter / "adapter_config.json") or {}) if place.adapter else {}
    return str(described.get("peft_type") or "")


def stored_virtual_tokens(spec: ModelSpec) -> int:
    """How many positions the saved adapter of a model takes for vectors before the text."""
    place = locate(spec)
    described = (read_json(place.adapter / "adapter_config.json") or {}) if place.adapter else {}
    return int(described.get("num_virtual_tokens") or 0)


def require_mergeable(place: Place) -> None:
    """Raise ModelError where an adapter changes no weight, so that there is nothing to merge."""
    if peft_type(place) in PROMPTS:
        raise ModelError(
            "model.merge: {folder} is a {kind} adapter: vectors before the text, which change no weight and cannot be "
            "merged. Train a `lora` adapter for a parent to stack on.",
            folder=place.adapter,
            kind=peft_type(place).lower(),
        )


def _require_continuable(place: Place, merge: bool) -> None:
    if merge:
        require_mergeable(place)
    elif peft_type(place) in PROMPTS:
        raise ModelError(
            "model.run: {folder} is a {kind} adapter, which PEFT loads to be used and not to be trained on. Train a "
            "fresh one from the base, or a `lora` adapter.",
            folder=place.adapter,
            kind=peft_type(place).lower(),
        )


def _require_names(adapter: Any, place: Place) -> None:
    """Every name that an adapter gives must be there, whatever its method calls the key."""
    targets = getattr(adapter, "target_modules", None)
    if targets is not None:
        _require_targets("adapter.target_modules", targets, place)
    for key in ("feedforward_modules", "modules_to_save"):
        named = getattr(adapter, key, None)
        if isinstance(named, tuple):
            _require_modules(f"adapter.{key}", named, place)


def _require_packages(spec: ModelSpec) -> None:
    if spec.quantization is not None and find_spec("bitsandbytes") is None:
        raise ModelError(
            "model.quantization: {kind} weights need bitsandbytes, which is not installed. Run `pip install "
            "bitsandbytes`, or leave `quantization` out.",
            kind=spec.quantization.kind,
        )
    wanted = spec.attn_implementation
    module, package = FLASH.get(wanted, ("", ""))
    # upstream takes a flash kernel from the Hub where the `kernels` package is there instead
    if find_spec("kernels") is None and (find_spec(module) is None if module else "/" in wanted):
        raise ModelError(
            "model.attn_implementation: `{wanted}` needs the package {package}, which is not installed. Run `pip "
            "install {package}`, or write `sdpa`.",
            wanted=wanted,
            package=package or "kernels",
        )


def _require_targets(key: str, targets: str | tuple[str, ...], place: Place) -> None:
    if isinstance(targets, str):
        _require_pattern(targets, place)
        return
    if any(_names(target, OUTPUT_LAYER) for target in targets):
        raise output_layer_refused()
    _require_modules(key, targets, place)


def _require_modules(key: str, wanted: tuple[str, ...], place: Place) -> None:
    modules = stored_modules(place)
    tied = {OUTPUT_LAYER} if key.endswith("modules_to_save") else set()  # a tied output layer is not stored
    unknown = [name for name in wanted if name not in tied and not any(_names(name, module) for module in modules)]
    if modules and unknown:
        raise ModelError(
            "{key}: {unknown} names no module of {base}, so nothing of that name would be trained. "
            "Its modules are {known}; `all-linear` takes every linear layer.",
            key=key,
            unknown=", ".join(f"`{target}`" for target in unknown),
            base=place.base,
            known=", ".join(sorted({name.rpartition(".")[2] for name in modules if modules[name]} - {OUTPUT_LAYER})),
        )


def _names(target: str, module: str) -> bool:
    """Whether PEFT's target is this module: its path or its end. A stored path may lack the loaded one's front."""
    return module == target or module.endswith(f".{target}") or target.endswith(f".{module}")


def _require_pattern(pattern: str, place: Place) -> None:
    """Decide what is certain of a text, which PEFT takes for a pattern of a module's whole path."""
    if pattern.lower() == "all-linear":
        return
    try:
        is_output = re.fullmatch(pattern, OUTPUT_LAYER) is not None
    except re.error as error:
        raise ModelError(
            "adapter.target_modules: {pattern} is no regular expression ({why}). Write a list of names, `[q_proj, "
            "v_proj]`, or `all-linear`.",
            pattern=pattern,
            why=error,
        ) from None
    if is_output:
        raise output_layer_refused()
    modules = stored_modules(place)
    if modules and re.fullmatch(r"\w+", pattern) and pattern not in modules:
        raise ModelError(
            "adapter.target_modules: {pattern} as a text is a pattern for a module's whole path, and none of {base} is "
            "called so. Write a list of names: `target_modules: [{pattern}]`.",
            pattern=pattern,
            base=place.base,
        )


def output_layer_refused() -> ModelError:
    """The error for an adapter on the output layer."""
    return ModelError(
        "adapter.target_modules: the output layer (lm_head) cannot be adapted, because the loss reads its weight "
        "directly and the adapter would never be trained. Leave it out of the list."
    )


def stored_modules(place: Place) -> dict[str, bool]:
    """The dotted paths of a base's modules → whether each holds a matrix, from the headers of its safetensors files.

    Empty where that cannot be known: a base that is not on disk, other kinds of files, and models whose modules
    transformers 5 renames and joins while it loads them: mixtures of experts and a few others.
    """
    if _config(place).get("model_type") in RENAMED:
        return {}
    found: dict[str, bool] = {}
    for name, shape in _stored_shapes(place).items():
        path, _, leaf = name.rpartition(".")
        found[path] = found.get(path, False) or (leaf.endswith("weight") and len(shape) == 2)
        while path := path.rpartition(".")[0]:
            found.setdefault(path, False)
    return {} if any("expert" in path for path in found) else found


def _stored_shapes(place: Place) -> dict[str, list[int]]:
    from safetensors import SafetensorError, safe_open

    index = _on_disk(place, "model.safetensors.index.json")
    names = set(((read_json(index) or {}).get("weight_map") or {}).values()) if index else {"model.safetensors"}
    files = [_on_disk(place, name) for name in sorted(names)]
    shapes: dict[str, list[int]] = {}
    for file in files:
        if file is None:
            return {}
        try:
            with safe_open(file, framework="np") as stored:
                shapes |= {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError):
            return {}  # torn: loading says so
    return shapes


def _on_disk(place: Place, name: str) -> Path | None:
    """A file of the base, in its folder or in the cache of the Hub."""
    folder = Path(place.base)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(place.base, name, revision=place.revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _config(place: Place) -> dict[str, Any]:
    config = _on_disk(place, "config.json")
    return (read_json(config) or {}) if config else {}


def stored_positions(spec: ModelSpec) -> int | None:
    """How many positions a model has by its config.json, or None where that cannot be known."""
    described = _config(locate(spec))
    text = described.get("text_config")
    described = text if isinstance(text, dict) else described
    return next((described[key] for key in POSITIONS if isinstance(described.get(key), int)), None)


def stored_parameters(spec: ModelSpec) -> int:
    """How many parameters the base of a model has on disk; 0 where that cannot be known."""
    return sum(prod(shape) for shape in _stored_shapes(locate(spec)).values())


def require_positions(positions: int | None, longest: int, taken: int = 0) -> None:
    """Raise ModelError where the longest row, in tokens, is longer than the model has positions.

    `taken` are those of an adapter's vectors before the text.
    """
    if positions is None or longest <= positions - taken:
        return
    if taken:
        raise ModelError(
            "The longest row has {longest} tokens, and of the model's {positions} positions the adapter takes {taken} "
            "(`num_virtual_tokens`). Set `data.max_length` to {left} or less.",
            longest=longest,
            positions=positions,
            taken=taken,
            left=positions - taken,
        )
    raise ModelError(
        "The longest row has {longest} tokens, and the model has {positions} positions. Set `data.max_length` to "
        "{positions} or less.",
        longest=longest,
        positions=positions,
    )
