"""What a Python caller brings in memory (rows, a loaded model) → files in the run folder that a recipe can name.

A run made from Python so has the lineage of every other run: it can be resumed, and its manifest says what went in.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from seodang import runs
from seodang.errors import DataError, ModelError, RunError
from seodang.language import Phrase

Row: TypeAlias = Mapping[str, Any]
Formatting: TypeAlias = Callable[[Row], Any]
"""row → messages, {"messages"}, {"prompt", "completion"}, or {"prompt", "chosen", "rejected"}."""

ROWS, EVAL_ROWS, WEIGHTS = "input.jsonl", "input_eval.jsonl", "input_model"


@dataclass(slots=True)
class Inputs:
    """The inputs of one call: what a recipe says of them, and how to write those that exist only in memory."""

    path: Path
    """The run folder."""
    formatting_func: Formatting | None = None
    writers: dict[str, Callable[[Path], Any]] = field(default_factory=dict)

    def data(self, data: Any) -> dict[str, Any]:
        """A recipe's `data:`; rows in memory become files. Raises DataError for what is no row."""
        keys = dict(data) if isinstance(data, Mapping) else {"train": data}
        if _is_run(keys.get("train")) and self.formatting_func is None:
            keys["run"] = os.fspath(keys.pop("train"))
        for key, name in (("train", ROWS), ("eval", EVAL_ROWS)):
            if key in keys and not isinstance(keys[key], (int, float, type(None))):
                keys[key] = self._rows(keys[key], name)
        return keys

    def _rows(self, data: Any, name: str) -> str:
        if isinstance(data, (str, os.PathLike)) and self.formatting_func is None:
            return str(os.fspath(data))
        rows = list(_formatted(_in_memory(data), self.formatting_func))
        if not rows:
            raise DataError("The data given in Python has no rows.")
        self.writers[name] = lambda path: runs.write_rows(path, rows)
        return str(self.path / name)

    def model(self, model: Any) -> dict[str, Any]:
        """A recipe's `model:`; a model in memory becomes a folder. Raises ModelError for one that cannot be saved."""
        if isinstance(model, Mapping):
            return dict(model)
        if isinstance(model, (str, os.PathLike)):
            return {"run" if _is_run(model) else "name_or_path": os.fspath(model)}
        weights, tokenizer = model if isinstance(model, tuple) else (model, None)
        require_saveable(weights)
        tokenizer = tokenizer if tokenizer is not None else _tokenizer_of(weights)
        self.writers[WEIGHTS] = lambda path: (weights.save_pretrained(path), tokenizer.save_pretrained(path))
        return {"name_or_path": str(self.path / WEIGHTS)}

    def tokenizer(self, model: Any) -> dict[str, Any]:
        """A recipe's `model:` of which only the tokenizer is read: a tokenizer in memory, or anything that has one."""
        found = model[1] if isinstance(model, tuple) else model
        if isinstance(found, (str, os.PathLike, Mapping)):
            return self.model(found)
        if not hasattr(found, "apply_chat_template"):
            require_saveable(found)
            found = _tokenizer_of(found)
        self.writers[WEIGHTS] = lambda path: found.save_pretrained(path)
        return {"name_or_path": str(self.path / WEIGHTS)}

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Write the inputs; take them back where no run began. Raises RunError where others lie there."""
        is_new = not self.path.exists()
        try:
            for name, write in self.writers.items():
                self.path.mkdir(parents=True, exist_ok=True)
                fresh = self.path / f".{name}.fresh"
                write(fresh)
                _place(fresh, self.path / name)
            yield
        finally:
            if is_new and self.path.exists() and not (self.path / runs.MANIFEST).exists():
                shutil.rmtree(self.path)


def _is_run(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike)) and (Path(value) / runs.MANIFEST).is_file()


def _place(fresh: Path, target: Path) -> None:
    """Move an input to its place, or find the same one there: what a run was made from is never written over."""
    if not target.exists():
        os.replace(fresh, target)
        return
    same = _content(fresh) == _content(target)
    shutil.rmtree(fresh) if fresh.is_dir() else fresh.unlink()
    if not same:
        raise RunError(
            '{folder} was run with other {what} than the call brings. Give another `output_dir`, or say `mode="new"` '
            '(beside it) or `mode="replace"` (in its place; the old folder moves to .trash).',
            folder=target.parent,
            what=Phrase("weights") if target.is_dir() else Phrase("rows"),
        )


def _content(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(path)): runs.hash_file(file) for file in files}


def _in_memory(data: Any) -> Iterable[Any]:
    """The rows of a list, a pandas DataFrame, a datasets.Dataset, or a file."""
    if isinstance(data, (str, os.PathLike)):
        from seodang.data.sources import read_rows

        return _good(read_rows(os.fspath(data)))
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        return list(data.to_dict("records"))
    if isinstance(data, Iterable):
        return data
    raise DataError(
        "Data of type `{kind}` is not read. Give a path, a list of dictionaries, a pandas DataFrame, or a "
        "datasets.Dataset.",
        kind=type(data).__name__,
    )


def _good(rows: Iterable[tuple[Any, str]]) -> Iterator[Any]:
    for row, _ in rows:
        if isinstance(row, DataError):
            raise row
        yield row


def _formatted(rows: Iterable[Any], formatting_func: Formatting | None) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(
                "Row {number} is a `{kind}`, not a dictionary. Every row needs keys, such as `messages`, or "
                "`instruction` and `output`.",
                number=number,
                kind=type(row).__name__,
            )
        made = row if formatting_func is None else _turns(formatting_func(row), number)
        yield {
            str(key): _plain(value, Phrase("Row {number}, `{key}`", number=number, key=key))
            for key, value in made.items()
        }


def _turns(made: Any, number: int) -> Row:
    """What a formatting_func returned, as a row. A bare string is refused: every token of it would be trained."""
    if isinstance(made, Mapping):
        return made
    if isinstance(made, (list, tuple)) and made and all(isinstance(turn, Mapping) for turn in made):
        return {"messages": list(made)}
    bare = Phrase("a bare string, so every token of it would be trained, the question's too")
    what = bare if isinstance(made, str) else Phrase("a `{kind}`", kind=type(made).__name__)
    raise DataError(
        "formatting_func returned {what} (row {number}). Return messages, [{{'role': 'user', 'content': …}}, {{'role': "
        "'assistant', 'content': …}}], or {{'prompt': …, 'completion': …}}; the template then marks what is trained.",
        what=what,
        number=number,
    )


def _plain(value: Any, where: str) -> Any:
    """A value as JSON holds it: numpy's numbers and arrays become Python's, a missing one (NaN) becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, where) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise DataError(
        "{where} holds a `{kind}`, which JSON cannot hold. Turn it into text or a number first, or leave the column "
        "out.",
        where=where,
        kind=type(value).__name__,
    )


def require_saveable(model: Any) -> None:
    """Raise ModelError where a loaded model cannot be written down and loaded again as it is."""
    torch, transformers = sys.modules.get("torch"), sys.modules.get("transformers")
    if torch is None or transformers is None or not isinstance(model, torch.nn.Module):
        raise ModelError(
            "A `{kind}` is not a model. Give a name or folder, a run, or a loaded transformers model.",
            kind=type(model).__name__,
        )
    if hasattr(model, "peft_config"):
        why = "it carries an adapter; give the run or the adapter's folder, or `merge_and_unload()` it first"
    elif not isinstance(model, transformers.PreTrainedModel):
        why = "it is no transformers PreTrainedModel, so it has no config to save and load it by"
    elif getattr(model, "hf_quantizer", None) is not None:
        why = "it is quantised; give its name with `quantization`: model={'name_or_path': …, 'quantization': 'nf4'}"
    else:
        return
    kind = type(model).__name__
    raise ModelError("The loaded `{kind}` cannot be trained from memory: {why}.", kind=kind, why=Phrase(why))


def _tokenizer_of(model: Any) -> Any:
    if not model.name_or_path:
        raise ModelError("The loaded model does not know its tokenizer. Give both: model=(model, tokenizer).")
    from seodang.tokenization import load_light

    return load_light(model.name_or_path)
