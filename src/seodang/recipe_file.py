"""A recipe file → a recipe: YAML and overrides through one door, every mistake at once with its line.

    load_recipe("recipes/ko/2-sft.yaml", ["adapter.r=32"]) → Loaded(recipe, path, origins)

Overrides are set in the dictionary before validation. `origins` says of every written key where it comes from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import yaml

from seodang.errors import Mistake, RecipeError
from seodang.language import Phrase
from seodang.overrides import Loader, first_key, read_yaml, set_override
from seodang.recipe import STAGES, Recipe, Stage, stage_class
from seodang.schema import check_schema, field_paths
from seodang.tuning.specs import inherited_quantization

PATH_KEYS = frozenset(
    {"path", "run", "train", "eval", "name_or_path", "tokenizer", "template", "output_dir", "prompt", "config_file"}
)
"""Keys whose value may be a path; one that starts with ./ or ../ is relative to the recipe's folder."""


T = TypeVar("T")
DATA_FILES = frozenset({".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid recipe, the file it came from, and the origin (`file:line`, `override`) of every key that was written."""

    recipe: Stage
    path: Path | None = None
    origins: dict[str, str] = field(default_factory=dict)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read, override and validate a recipe. Raises RecipeError with every mistake."""
    path = Path(path)
    data, lines, mistakes = _read(path)
    origins = {key: f"{path}:{line}" for key, line in lines.items()}
    for text in overrides:
        problem = set_override(data, text, origins)
        if problem:
            mistakes.append(problem)
    recipe, found = validate(data, path)
    mistakes += [_placed(mistake, lines, origins) for mistake in found]
    if recipe is None or mistakes:
        raise RecipeError(str(path), sorted(mistakes, key=lambda m: (m.line or 0, m.path)))
    return Loaded(recipe, path, origins)


def validate(data: dict[str, Any], path: Path | None = None) -> tuple[Stage | None, list[Mistake]]:
    """A dictionary as a recipe, with its paths resolved and its output folder filled in."""
    if path is not None:
        data = _resolve(data, path.parent)
        data.setdefault("output_dir", str(Path("runs") / (path.resolve().parent.name or "recipe") / path.stem))
    data = _continued(data)
    stage = data.get("stage")
    if stage not in STAGES:
        import difflib

        near = difflib.get_close_matches(str(stage), STAGES, 1)
        guess = Phrase(", did you mean `{near}`?", near=near[0]) if near else ""
        unknown = Phrase("unknown stage `{stage}`{guess}", stage=stage, guess=guess)
        fault = Phrase("is required") if stage is None else unknown
        return None, [Mistake("stage", Phrase("{fault} (known: {names})", fault=fault, names=", ".join(STAGES)))]
    kind = stage_class(stage)
    return check_schema(kind, data, lambda parent, key: _hint(kind, parent, key))


def from_dict(data: dict[str, Any], name: str = "the recipe") -> Recipe:
    """A recipe from a dictionary, as Python callers make it. Raises RecipeError with every mistake."""
    recipe, mistakes = validate(data)
    if recipe is None:
        raise RecipeError(name, mistakes)
    return recipe  # type: ignore[return-value]


def part(kind: type[T], data: dict[str, Any], overrides: Sequence[str]) -> T:
    """A part of the grammar from overrides alone, as a verb without a recipe takes them. Raises RecipeError."""
    mistakes = [mistake for text in overrides if (mistake := set_override(data, text, {}))]
    found, more = check_schema(kind, data)
    if found is None or mistakes:
        raise RecipeError(f"`{' '.join(overrides)}`", mistakes + more, f"{kind.__name__.lower()}")
    return found


def overrides_for(files: Sequence[Path], overrides: Sequence[str]) -> dict[Path, list[str]]:
    """Which override of a folder's run goes to which recipe: to those whose stage has its first key.

    Raises RecipeError for an override that no recipe takes, and for `output_dir`, which would make the runs one.
    """
    known = {file: frozenset(stage_class(_stage_of(file)).model_fields) for file in files}
    mistakes = []
    for text in overrides:
        first, why = first_key(text), None
        if first == "output_dir":
            why = "would be the same for every recipe; name one recipe file to override it there"
        elif not any(first in fields for fields in known.values()):
            why = "no recipe of the folder has this key"
        if why:
            mistakes.append(Mistake(text.partition("=")[0], why))
    if mistakes:
        raise RecipeError(str(files[0].parent), mistakes)
    return {file: [o for o in overrides if first_key(o) in known[file]] for file in files}


def _stage_of(file: Path) -> str:
    data, _, _ = _read(file)
    stage = data.get("stage")
    if stage not in STAGES:
        load_recipe(file)  # raises with every mistake
    return str(stage)


def dump_recipe(recipe: Stage) -> str:
    """The recipe as YAML with every value filled in."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), allow_unicode=True, sort_keys=False)


def explain(loaded: Loaded) -> Iterator[tuple[str, Any, str]]:
    """Every value of a recipe: (key path, value, where it comes from)."""
    for path, value in _leaves(loaded.recipe.model_dump(mode="json")):
        yield path, value, _origin(path, loaded.origins)


def _origin(path: str, origins: dict[str, str]) -> str:
    parts = path.split(".")
    for size in range(len(parts), 0, -1):
        found = origins.get(".".join(parts[:size]))
        if found and (size == len(parts) or f"{'.'.join(parts[:size])}." not in " ".join(origins)):
            return found
    return Phrase("default")


def _leaves(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(data, list) and any(isinstance(item, (dict, list)) for item in data):
        for index, value in enumerate(data):
            yield from _leaves(value, f"{prefix}.{index}")
    else:
        yield prefix, data


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int], list[Mistake]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, Loader=Loader)
    except FileNotFoundError:
        raise RecipeError(str(path), [Mistake("", "the file does not exist")]) from None
    except IsADirectoryError:
        raise RecipeError(str(path), [Mistake("", "is a folder; name one recipe in it")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(str(path), [Mistake("", Phrase("the file cannot be read: {why}", why=error))]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = Phrase("is not YAML: {why}", why=getattr(error, "problem", None) or error)
        if path.suffix in DATA_FILES:
            why = Phrase("is a data file; `seodang init {name} --model NAME` writes recipes for it", name=path.name)
        raise RecipeError(str(path), [Mistake("", why, mark.line + 1 if mark else None)]) from None
    if not isinstance(node, yaml.MappingNode) or path.suffix in DATA_FILES:
        raise RecipeError(str(path), [Mistake("", "must be a mapping of keys to values that begins with `stage:`")])
    lines: dict[str, int] = {}
    mistakes = list(_walk(node, "", lines))
    return read_yaml(text), lines, mistakes


def _walk(node: yaml.Node, prefix: str, lines: dict[str, int]) -> Iterator[Mistake]:
    """Note the line of every key; a key written twice is a mistake, because YAML would keep only the last."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}.{key.value}" if prefix else str(key.value)
            if path in lines:
                text = Phrase("written twice, first in line {first}; keep one", first=lines[path])
                yield Mistake(path, text, key.start_mark.line + 1)
            lines[path] = key.start_mark.line + 1
            yield from _walk(value, path, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[f"{prefix}.{index}"] = value.start_mark.line + 1
            yield from _walk(value, f"{prefix}.{index}", lines)


def _placed(mistake: Mistake, lines: dict[str, int], origins: dict[str, str]) -> Mistake:
    if origins.get(mistake.path) == "override":
        return Mistake(mistake.path, Phrase("{text}  (override)", text=Phrase(mistake.text)))
    return Mistake(mistake.path, mistake.text, lines.get(mistake.path) or _line_above(mistake.path, lines))


def _line_above(path: str, lines: dict[str, int]) -> int | None:
    """The line of the nearest key above, for a mistake about a key that was not written."""
    while "." in path:
        path = path.rpartition(".")[0]
        if path in lines:
            return lines[path]
    return None


def _resolve(data: Any, folder: Path, key: str = "") -> Any:
    if isinstance(data, dict):
        return {name: _resolve(value, folder, name) for name, value in data.items()}
    if isinstance(data, list):
        return [_resolve(value, folder, key) for value in data]
    if key in PATH_KEYS and isinstance(data, str) and data.startswith(("./", "../")):
        return os.path.normpath(folder / data)
    return data


def _continued(data: dict[str, Any]) -> dict[str, Any]:
    """The dictionary with the quantisation of the runs it continues, where it does not say one itself.

    A merged parent is whole again: its base is dequantised first.
    """
    models = data.get("models")
    filled = dict(data)
    if isinstance(data.get("model"), dict):
        filled["model"] = _with_quantization(data["model"])
    if isinstance(models, dict):
        filled["models"] = {name: _with_quantization(spec) for name, spec in models.items()}
    return filled


def _with_quantization(spec: Any) -> Any:
    if (
        not isinstance(spec, dict)
        or not isinstance(spec.get("run"), str)
        or "quantization" in spec
        or spec.get("merge")
    ):
        return spec
    found = inherited_quantization(spec["run"])
    return spec if found is None else spec | {"quantization": found}


@lru_cache
def _aliases() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(files("seodang").joinpath("peer_aliases.yaml").read_text(encoding="utf-8"))
    return found


def _hint(kind: type[Stage], parent: str, key: str) -> str | None:
    """The name of ours for a peer's key, or the place where a key of ours belongs."""
    known = set(field_paths(kind))
    full = f"{parent}.{key}" if parent else key
    target = _aliases().get(key)
    if target in known and target != full:
        return Phrase("unknown key; here it is called `{target}`", target=target)
    elsewhere = sorted((path for path in known if path.rpartition(".")[2] == key), key=len)
    if elsewhere:
        return Phrase("unknown key here; it belongs to `{elsewhere}`", elsewhere=elsewhere[0])
    return None
