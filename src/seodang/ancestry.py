"""Who was made from whom: the chain of runs, models and rows behind a run, from the manifests and recipes on disk.

A run's manifest keeps the whole chain as it was when the run began (`lineage`), so that it is told also where a parent
is gone. What is still there is compared with what the run was made from, by the hashes in its manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from seodang import runs
from seodang.errors import ModelError, RunError
from seodang.language import Phrase, joined, say
from seodang.schema import Schema

HOW = {
    "continued": Phrase("its adapter is continued"),
    "merged": Phrase("merged, with a fresh adapter stacked on it"),
    "merged_away": Phrase("merged, not kept, with a fresh adapter stacked on it"),
    "adapted": Phrase("with a fresh adapter on it"),
    "full": Phrase("with every weight trained"),
    "read": Phrase(""),
}
"""What a run did with a parent → how it is told."""
_SOURCES = ("run", "path", "train", "eval", "name_or_path", "tokenizer", "name")
"""Keys of a recipe that name what goes in."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A run, or a model, file or set that no run of ours has made, with what went into it."""

    role: str
    """The recipe's key: `model`, `data`, `sources`, `seeds`; empty for the run that is asked about."""
    name: str
    """A run folder, a file, or a name on the Hub."""
    stage: str = ""
    """Of a run; empty of anything else."""
    how: str = "read"
    """A key of `HOW`."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of a run: `kept` rows, `adapter`, `quantization`, `finished`."""
    parents: tuple[Ancestor, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether what this names is on disk; a name on the Hub counts as there."""
        return not (self.stage or self.role != "model") or Path(self.name).exists()


def of_recipe(recipe: Schema) -> tuple[Ancestor, ...]:
    """What goes into a recipe, each with its own chain."""
    given = recipe.model_dump(mode="json", exclude={"output_dir", "stage", "seed"})
    return tuple(_ancestors(given, {}))


def of_run(path: Path, role: str = "", how: str = "read") -> Ancestor:
    """The chain behind a run folder. Raises RunError where it is none."""
    manifest = runs.manifest(path)
    if manifest is None:
        raise RunError("{path} is not a run folder: it has no manifest.json.", path=path)
    recipe = runs.read_recipe(path)
    kept = {one.name: one for one in map(from_json, manifest.get("lineage", ()))}
    parents = tuple(_ancestors(recipe, kept))
    return Ancestor(role, str(path), manifest.get("stage", ""), how, _facts(path, manifest, recipe), parents)


def _facts(path: Path, manifest: Mapping[str, Any], recipe: Mapping[str, Any]) -> dict[str, Any]:
    adapter, model = recipe.get("adapter"), recipe.get("model")
    quantization = model.get("quantization") if isinstance(model, dict) else None
    rows = (runs.read_json(path / runs.REPORT) or {}).get("rows") or {}
    found = {
        "state": manifest.get("state"),
        "finished": str(manifest.get("finished", ""))[:10],
        "kept": rows.get("kept"),
        "adapter": adapter.get("kind") if isinstance(adapter, dict) else None,
        "r": adapter.get("r") if isinstance(adapter, dict) else None,
        "quantization": quantization.get("kind") if isinstance(quantization, dict) else None,
    }
    return {name: value for name, value in found.items() if value}


def _ancestors(recipe: Mapping[str, Any], kept: Mapping[str, Ancestor]) -> Iterator[Ancestor]:
    for role, value in recipe.items():
        for key, name in dict.fromkeys(_named(value)):
            how = _how(recipe) if role == "model" and key in ("run", "name_or_path") else "read"
            if key == "run" and runs.manifest(Path(name)) is not None:
                yield of_run(Path(name), role, how)
            elif key == "run":
                lost = kept.get(name)
                yield Ancestor(role, name, lost.stage if lost else "?", how, lost.facts if lost else {},
                               lost.parents if lost else ())  # fmt: skip
            else:
                yield Ancestor(role, name, how=how)


def _named(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _named(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part, key)
    elif isinstance(value, str) and key in _SOURCES:
        yield key, value


def _how(recipe: Mapping[str, Any]) -> str:
    model, adapter = recipe["model"], recipe.get("adapter")
    if recipe.get("stage") == "pretrain" or (isinstance(adapter, dict) and adapter.get("kind") == "full"):
        return "full"
    if adapter is None:
        return "continued" if "adapter" in recipe else "read"
    if model.get("merge"):
        return "merged" if model.get("keep_base", True) else "merged_away"
    return "adapted"


def to_json(ancestors: tuple[Ancestor, ...]) -> list[dict[str, Any]]:
    """The chain as a manifest keeps it."""
    return [asdict(one) | {"parents": to_json(one.parents)} for one in ancestors]


def from_json(kept: Mapping[str, Any]) -> Ancestor:
    """What `to_json` made."""
    given = dict(kept) | {"parents": tuple(map(from_json, kept.get("parents", ())))}
    return Ancestor(**{name: given[name] for name in Ancestor.__slots__ if name in given})


def changed_inputs(path: Path, below: str = ".") -> list[str]:
    """The input files of a run, of those in a folder, that are gone or have other content than when it was made."""
    inputs: dict[str, str] = (runs.manifest(path) or {}).get("inputs") or {}
    asked = {name: digest for name, digest in inputs.items() if below == "." or _is_below(name, below)}
    return [name for name, digest in asked.items() if _hash_now(Path(name)) != digest]


def tree(ancestor: Ancestor, changed: tuple[str, ...] = (), told: set[str] | None = None) -> Iterator[str]:
    """The chain as the lines of a tree: the run at the root, what went into it below.

    `changed` are the input files of the run above that have other content than when it was made; `told` the runs whose
    own chain stands further up already.
    """
    told = set() if told is None else told
    if ancestor.parents and ancestor.name in told:
        yield f"{line(ancestor, changed)} · {say(Phrase('see above'))}"
        return
    told.add(ancestor.name)
    yield line(ancestor, changed)
    own = tuple(changed_inputs(Path(ancestor.name))) if ancestor.stage and ancestor.is_there else ()
    for number, parent in enumerate(ancestor.parents, 1):
        is_last = number == len(ancestor.parents)
        first, *below = tree(parent, own, told)
        yield ("└─ " if is_last else "├─ ") + first
        yield from (("   " if is_last else "│  ") + text for text in below)


def line(ancestor: Ancestor, changed: tuple[str, ...] = ()) -> str:
    """One run or source in a line: `model  runs/sft · sft · lora r 16 · its adapter is continued`."""
    facts = ancestor.facts
    parts: list[str] = [ancestor.name]
    if ancestor.stage:
        parts.append(ancestor.stage)
    if facts.get("adapter"):
        parts.append(f"{facts['adapter']} r {facts['r']}" if facts.get("r") else str(facts["adapter"]))
    parts += [str(facts["quantization"])] if facts.get("quantization") else []
    parts += [say("{kept:,} rows", kept=facts["kept"])] if facts.get("kept") else []
    parts += [say(HOW[ancestor.how])] if HOW[ancestor.how] else []
    parts += [say(state) for state in _state(ancestor, changed)]
    return "  ".join(filter(None, (ancestor.role, " · ".join(parts))))


def _state(ancestor: Ancestor, changed: tuple[str, ...]) -> Iterator[Phrase]:
    if not ancestor.is_there:
        yield Phrase("NOT THERE ANY MORE")
    elif any(_is_below(name, ancestor.name) for name in changed):
        yield Phrase("CHANGED SINCE")
    elif ancestor.facts.get("state") not in (None, "finished"):
        yield Phrase("not finished")
    elif ancestor.facts.get("finished"):
        yield Phrase("finished {day}", day=ancestor.facts["finished"])


def _is_below(file: str, name: str) -> bool:
    path, top = Path(file).resolve(), Path(name).resolve()
    return path == top or top in path.parents


def require_unchanged(run: Path, parent: str, wanted: str) -> None:
    """Raise RunError where a parent that a run cannot do without is gone, or is not what the run was made from."""
    if not runs.is_finished(Path(parent)):
        raise RunError(
            "{wanted}: {run} stands on {parent}, merged and not kept, and that run is not there any more. Put it back, "
            "or train {run} again with `keep_base: true`.",
            wanted=wanted,
            run=run,
            parent=parent,
        )
    changed = changed_inputs(run, below=parent)
    if changed:
        raise RunError(
            "{wanted}: {run} stands on {parent}, merged and not kept, and that run has changed since ({changed}). "
            "Train {run} again, or put the old parent back (it may lie in {trash}).",
            wanted=wanted,
            run=run,
            parent=parent,
            changed=joined(", ", changed),
            trash=Path(parent).parent / ".trash",
        )


def require_same_base(run: Path, base: str) -> None:
    """Raise ModelError where the whole weights under a run's adapter are not those that it was trained on."""
    inputs: dict[str, str] = (runs.manifest(run) or {}).get("inputs") or {}
    for name, digest in inputs.items():
        path = Path(name)
        if path.suffix == ".safetensors" and str(path.resolve().parent) == base and digest != _hash_now(path):
            raise ModelError(
                "{run} was trained on {base}, whose {file} has changed since, so its adapter would stand on other "
                "weights. Put the old ones back, or train it again.",
                run=run,
                base=base,
                file=path.name,
            )


def _hash_now(path: Path) -> str | None:
    if not path.is_file():
        return None
    found = path.stat()
    return _hash_at(path, found.st_size, found.st_mtime_ns)


@lru_cache
def _hash_at(path: Path, size: int, time: int) -> str:
    return runs.quick_hash(path)
