"""Run a recipe, or a folder of numbered recipes, into run folders: fresh, resumed, anew or in place of an old one.

The workflow opens and locks the folder, writes recipe.yaml and manifest.json, hands over to the stage's doer, and
writes report.json and report.html. A folder of recipes is run in order; what is finished and unchanged is skipped.
"""

from __future__ import annotations

import datetime
import difflib
import importlib
import inspect
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from seodang import ancestry, runs
from seodang.data.audit import check
from seodang.errors import DataError, RunError, SeodangError
from seodang.language import Phrase, joined
from seodang.machine import git_state, hardware, versions
from seodang.packaged import model_path
from seodang.recipe import STAGES, Stage
from seodang.recipe_file import Loaded, dump_recipe
from seodang.runs import Run
from seodang.tuning.launch import is_many
from seodang.tuning.processes import is_follower, run_in_processes

Mode = Literal["fresh", "resume", "new", "replace"]
BOOKKEEPING = frozenset(
    {runs.RECIPE, runs.MANIFEST, runs.DROPPED, ".lock", "input.jsonl", "input_eval.jsonl", "input_model"}
)
"""What lies in a run folder before its stage has made anything; the inputs are those of a call from Python."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe: its run folder, and whether it had been finished before and is unchanged."""

    path: Path
    unchanged: bool = False
    report: dict[str, Any] = field(default_factory=dict, compare=False)
    """The report as the stage made it, whose sentences can still be said in the user's language."""


def run_recipe(recipe: Stage, mode: Mode = "fresh", brought: Mapping[str, Any] | None = None) -> Outcome:
    """Do what a recipe says. Raises RunError where its output folder cannot be used as asked.

    `brought` is what a caller from Python adds (`Run.brought`); a run is resumed with the same, or not at all.
    """
    if _follows(recipe):
        followed = Run(Path(recipe.output_dir), resumed=mode == "resume", writes=False)
        return Outcome(followed.path, report=run_in_processes(recipe, followed))
    inputs = input_hashes(recipe) | code_hashes(brought or {})
    path = _where(recipe, mode, inputs)
    if path is None:
        return Outcome(Path(recipe.output_dir), unchanged=True)
    if mode == "replace" and path.exists():
        runs.to_trash(path)
    is_new = runs.manifest(path) is None
    with runs.locked(path):
        folder = Run(path, resumed=mode == "resume", brought=brought or {})
        _begin(folder, recipe, inputs)
        started = time.monotonic()
        try:
            report = _do(recipe, folder)
        except BaseException:
            if is_new and {file.name for file in path.iterdir()} <= BOOKKEEPING:
                shutil.rmtree(path)  # nothing was made yet: the next try needs no --replace
            raise
        _finish(folder, report, time.monotonic() - started)
    return Outcome(path, report=report)


def _follows(recipe: Stage) -> bool:
    """Whether this machine only computes for another one, which holds the run folder."""
    return is_many(getattr(recipe, "launch", None)) and is_follower()


def _do(recipe: Stage, folder: Run) -> dict[str, Any]:
    if is_many(getattr(recipe, "launch", None)):
        if folder.brought:
            raise RunError(
                "launch: the processes get a recipe, which can name no {names} of your own. Leave `launch` out.",
                names=joined(", ", folder.brought),
            )
        return run_in_processes(recipe, folder)
    return dict(importlib.import_module(STAGES[recipe.stage]).run(recipe, folder))


def check_and_run(loaded: Loaded, mode: Mode, tell: Callable[[str], object] | None = None) -> Outcome:
    """Audit a recipe, `tell` what was found, then do it. Raises the error of what stands in the way."""
    if not _follows(loaded.recipe):
        require_writable(loaded.recipe, mode)
    found = check(loaded.recipe, keep=True)
    if tell:
        tell(found.text)
    found.require()
    if found.pending:
        pending = joined("; ", (Phrase("not made yet: {run}", run=run) for run in found.pending))
        raise SeodangError("{file} cannot start: {pending}.", file=loaded.path, pending=pending)
    return run_recipe(loaded.recipe, mode)


def folder_mode(recipe: Stage, mode: Mode) -> Mode:
    """How one recipe of a folder is run: `resume` and `replace` speak only of the runs that are there."""
    if mode == "new":
        raise RunError("`--new` is for one recipe: the later recipes of a folder name the runs of the earlier ones.")
    there = runs.manifest(Path(recipe.output_dir))
    if there is None or (mode == "resume" and there.get("state") == "finished"):
        return "fresh"
    return mode


def is_unchanged(recipe: Stage) -> bool:
    """Whether the recipe's run is finished, with this recipe and these inputs."""
    path = Path(recipe.output_dir)
    there = runs.manifest(path)
    if there is None or there.get("state") != "finished":
        return False
    return not _changes(recipe, path, there, input_hashes(recipe))


def recipe_files(folder: Path) -> list[Path]:
    """The numbered recipes of a folder, in order. Raises RunError where there is none."""
    found = [path for path in folder.glob("*.yaml") if path.name.partition("-")[0].isdigit()]
    if not found:
        raise RunError(
            "{folder} holds no numbered recipes (1-prepare.yaml, 2-sft.yaml, …). Name a recipe file, or a folder that "
            "has them.",
            folder=folder,
        )
    return sorted(found, key=lambda path: (int(path.name.partition("-")[0]), path.name))


def require_writable(recipe: Stage, mode: Mode, brought: Mapping[str, Any] | None = None) -> None:
    """Raise RunError where the output folder cannot be used as asked, before anything is read."""
    _where(recipe, mode, input_hashes(recipe) | code_hashes(brought or {}))


def _where(recipe: Stage, mode: Mode, inputs: dict[str, str]) -> Path | None:
    """The folder to write, or None where a finished run is unchanged. Raises RunError that says what to type."""
    path = Path(recipe.output_dir)
    if path.exists() and not path.is_dir():
        raise RunError("`output_dir` {path} is a file. Give the name of a folder that is new or a run.", path=path)
    there = runs.manifest(path)
    if there is None:
        if path.exists() and any(file.name not in BOOKKEEPING for file in path.iterdir()):
            raise RunError(
                "The output folder {path} exists and is not a run folder. Give another `output_dir`, so that nothing "
                "in it is touched.",
                path=path,
            )
        if mode == "resume":
            raise RunError("There is nothing to resume: {path} does not exist. Leave out --resume.", path=path)
        return path
    if mode == "new":
        return runs.next_free(path)
    with runs.locked(path):
        pass
    if mode == "replace":
        return path
    changes = _changes(recipe, path, there, inputs)
    return _again(path, there, mode, changes)


def _again(path: Path, there: dict[str, Any], mode: Mode, changes: list[str]) -> Path | None:
    difference = joined("\n", (Phrase("  {line}", line=line) for line in changes))
    if there.get("state") == "finished":
        if mode == "resume":
            raise RunError(
                "{path} is finished; there is nothing to resume. `--new` runs it again beside it, `--replace` in its "
                "place (the old folder moves to {trash}).",
                path=path,
                trash=path.parent / ".trash",
            )
        if not changes:
            return None
        raise RunError(
            "{path} is finished, and its recipe or data has changed since:\n{difference}\n`--new` runs it into "
            "{free}, `--replace` in its place (the old folder moves to {trash}).",
            path=path,
            difference=difference,
            free=runs.next_free(path),
            trash=path.parent / ".trash",
        )
    if mode != "resume":
        raise RunError(
            "{path} holds an unfinished run. `--resume` continues it, `--replace` starts again (the old folder moves "
            "to {trash}), `--new` runs beside it.",
            path=path,
            trash=path.parent / ".trash",
        )
    if changes:
        raise RunError(
            "{path} cannot be resumed, because its recipe or data has changed since it began:\n{difference}\nSet them "
            "back, or start again with `--replace` or `--new`.",
            path=path,
            difference=difference,
        )
    return path


def _changes(recipe: Stage, path: Path, there: dict[str, Any], inputs: dict[str, str]) -> list[str]:
    """The lines in which recipe and inputs differ from those the run was made with."""
    try:
        old = (path / runs.RECIPE).read_text(encoding="utf-8").splitlines()
    except OSError:
        old = []
    new = dump_recipe(recipe).splitlines()
    lines = [line for line in difflib.ndiff(old, new) if line[:2] in ("- ", "+ ") and "output_dir:" not in line]
    before: dict[str, str] = there.get("inputs", {})
    changed = [name for name in inputs if name in before and before[name] != inputs[name]]
    lines += [Phrase("~ {name} has other content", name=name) for name in changed]
    lines += [Phrase("~ {name} is new", name=name) for name in inputs if name not in before]
    return lines + [Phrase("~ {name} is gone", name=name) for name in before if name not in inputs]


def _begin(folder: Run, recipe: Stage, inputs: dict[str, str]) -> None:
    runs.write_text(folder.file(runs.RECIPE), dump_recipe(recipe))
    folder.note(
        state="running",
        stage=recipe.stage,
        recipe_sha256=runs.hash_text(dump_recipe(recipe)),
        inputs=inputs,
        parents=parents_of(recipe),
        lineage=ancestry.to_json(ancestry.of_recipe(recipe)),
        versions=versions(),
        hardware=hardware(),
        git=git_state(),
        started=_now(),
    )


def _finish(folder: Run, report: dict[str, Any], seconds: float) -> None:
    from seodang.reports.html import write_report

    folder.write_json(runs.REPORT, report)
    jinja = next((folder.file(f"{name}/chat_template.jinja") for name in runs.WEIGHTS
                  if folder.file(f"{name}/chat_template.jinja").exists()), None)  # fmt: skip
    if jinja is not None:
        folder.note(template={"fingerprint": runs.hash_text(jinja.read_text(encoding="utf-8"))})
    shutil.rmtree(folder.file("checkpoints"), ignore_errors=True)
    model = runs.read_recipe(folder.path).get("model")
    if isinstance(model, dict) and not model.get("keep_base", True):
        shutil.rmtree(folder.file("base"), ignore_errors=True)
    folder.note(state="finished", finished=_now(), seconds=round(seconds, 3), hardware=hardware())
    write_report(folder.path)


def parents_of(recipe: Stage) -> list[str]:
    """The runs that a recipe names, in order of appearance."""
    return list(dict.fromkeys(value for key, value in _strings(recipe.model_dump(mode="json")) if key == "run"))


def input_hashes(recipe: Stage) -> dict[str, str]:
    """SHA-256 of every local file that the recipe reads: data files, parents' rows and weights, models."""
    found: dict[str, str] = {}
    for key, value in _strings(recipe.model_dump(mode="json", exclude={"output_dir"})):
        if key in ("run", "path", "train", "eval", "name_or_path", "tokenizer"):
            for file in _source_files(value) if key in _ROWS else _input_files(key, Path(model_path(value))):
                found[str(file)] = runs.quick_hash(file)
    return found


def code_hashes(brought: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of the source of every class and function that a caller brings."""
    flat = {f"{kind} {name}": one for kind, given in brought.items()
            for name, one in (given if isinstance(given, Mapping) else {given.__name__: given}).items()}  # fmt: skip
    return {f"Python: {name}": runs.hash_text(_source_of(one)) for name, one in flat.items()}


def _source_of(code: Any) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # typed at a prompt: only its name is known
        return f"{code.__module__}.{code.__qualname__}"


_ROWS = ("path", "train", "eval")
"""Keys that name rows: a file, a folder, a glob or an archive."""
_TOP = (runs.TRAIN, runs.EVAL)
_MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")


def _source_files(path: str) -> list[Path]:
    """The files behind a path to rows: of an archive the archive; none where there is nothing yet."""
    from seodang.data.files import find

    try:
        return sorted({file.path for file in find(path).files})
    except DataError:
        return []


def _input_files(key: str, path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    folders = [path / name for name in runs.WEIGHTS] if (path / runs.MANIFEST).exists() else [path]
    folders += [base for folder in folders if (base := _base_of(folder)) is not None]
    patterns = [(folder, pattern) for folder in folders for pattern in _MODEL_FILES]
    weights = [file for folder, pattern in patterns for file in folder.glob(pattern)]
    return sorted({*weights, *(path / name for name in _TOP if (path / name).exists())})


def _base_of(folder: Path) -> Path | None:
    """The folder of whole weights that an adapter stands on, where it is one."""
    base = (runs.read_json(folder / "adapter_config.json") or {}).get("base_model_name_or_path")
    return Path(base) if base and Path(base).is_absolute() and Path(base).is_dir() else None


def _strings(data: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _strings(value, name)
    elif isinstance(data, list):
        for value in data:
            yield from _strings(value, key)
    elif isinstance(data, str):
        yield key, data


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
