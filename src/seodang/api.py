"""The Python API: `sft` and `dpo` run a recipe made of keywords, `encode` and `preview` show what they train on.

A key has the name and the place that it has in a recipe: `adapter={"kind": "lora", "r": 8}`, `training={…}`, `seed=1`.
Rows and weights that exist only in memory are written into the run folder first (inputs.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from seodang import runs
from seodang.errors import RunError
from seodang.inputs import Formatting, Inputs, Row
from seodang.language import Phrase, joined, say

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from seodang.data.preview import Preview
    from seodang.evaluation.metrics import Metric
    from seodang.workflow import Mode

Data: TypeAlias = "str | os.PathLike[str] | Iterable[Row] | Mapping[str, Any]"
"""A file, a run that makes rows, a list of dictionaries, a pandas DataFrame, a datasets.Dataset, or the keys of a
recipe's `data:` with any of these under `train` and `eval`."""
Model: TypeAlias = "str | os.PathLike[str] | Mapping[str, Any] | PreTrainedModel | tuple[Any, Any]"
"""A name or folder, a run, the keys of a recipe's `model:`, a loaded model, or (loaded model, its tokenizer)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run: its folder, its report, and where its weights lie. It stands for a path wherever one is read."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def report(self) -> dict[str, Any]:
        """report.json: `rows`, `metrics`, `figures`."""
        return runs.read_json(self.path / runs.REPORT) or {}

    @property
    def weights(self) -> Path:
        """The folder that PEFT and transformers load: adapter/ or model/."""
        return runs.weights_of(self.path)


def sft(
    model: Model,
    data: Data,
    output_dir: str | os.PathLike[str] = "runs/sft",
    *,
    mode: Mode = "fresh",
    formatting_func: Formatting | None = None,
    trainer: type | None = None,
    metrics: Mapping[str, Metric] | None = None,
    **keys: Any,
) -> Finished:
    """Supervised fine-tuning; `keys` are those of an `sft` recipe. Raises SeodangError with one clear paragraph.

    `trainer` is a class below `seodang.tuning.sft.TokenTrainer` with a `compute_loss` of its own. `metrics` are
    functions of an `Answer` (seodang.evaluation.metrics) to a number or None, measured on held-out prompts at every
    evaluation and logged as `eval_<name>`. A finished run that is asked for again, unchanged, is given back as it is.
    """
    brought = {name: one for name, one in (("trainer", trainer), ("metrics", metrics)) if one}
    return _run({"stage": "sft", **keys}, model, data, _Job(Path(output_dir), mode, formatting_func, brought))


def dpo(
    model: Model,
    data: Data,
    output_dir: str | os.PathLike[str] = "runs/dpo",
    *,
    mode: Mode = "fresh",
    formatting_func: Formatting | None = None,
    trainer: type | None = None,
    **keys: Any,
) -> Finished:
    """Preference tuning of a run, which is also the reference; `keys` are those of a `dpo` recipe.

    `trainer` is a class below `seodang.tuning.dpo.PairTrainer` with a `compute_loss` of its own. Raises SeodangError
    with one clear paragraph.
    """
    brought = {"trainer": trainer} if trainer else {}
    return _run({"stage": "dpo", **keys}, model, data, _Job(Path(output_dir), mode, formatting_func, brought))


def encode(
    data: Data, model: Any, *, formatting_func: Formatting | None = None, **keys: Any
) -> tuple[Dataset, DataCollatorForLanguageModeling]:
    """What an `sft` recipe trains on, for a loop of your own: a Dataset of `input_ids` and `labels`, and a collator.

    Answers and stops have a label, everything else has -100. `model` may be a tokenizer alone. What was dropped is said
    on stderr. Raises SeodangError.
    """
    from seodang.data.dataset import training_rows

    with _on_tokens("encode", data, model, formatting_func, keys) as recipe:
        rows = training_rows(recipe)
    ledger = rows.ledger.close()
    if ledger["dropped"]:
        text, lost = "encode: {read} rows read, {kept} kept, dropped: {lost}", runs.counted(ledger["dropped"].items())
        print(say(text, read=ledger["read"], kept=ledger["kept"], lost=lost), file=sys.stderr)
    from seodang.tuning.loop import collator
    from seodang.tuning.sft import as_dataset

    return as_dataset(rows.train), collator(rows.chat.tokenizer)


def preview(data: Data, model: Any, *, formatting_func: Formatting | None = None, **keys: Any) -> Preview:
    """What an `sft` recipe trains, to look at: print it, or let a notebook show it in colour.

    `row`, `beside`, `steps` and `text` say what to show, as on the command line: `row="seed.jsonl:17"`, `beside="trl"`,
    `steps=True`. All other keys are the recipe's. `model` may be a tokenizer alone. Raises SeodangError.
    """
    from seodang.data import preview as previews

    wanted = previews.Wanted(**{name: keys.pop(name) for name in previews.WANTED if name in keys})
    with _on_tokens("preview", data, model, formatting_func, keys) as recipe:
        return previews.preview(recipe, wanted)


@contextmanager
def _on_tokens(
    function: str, data: Data, model: Any, formatting_func: Formatting | None, keys: Mapping[str, Any]
) -> Iterator[Any]:
    """The `sft` recipe of a call that reads rows and a tokenizer and leaves nothing behind."""
    from seodang.recipe_file import from_dict

    with TemporaryDirectory() as folder:
        inputs = Inputs(Path(folder) / "run", formatting_func)
        given = {"model": inputs.tokenizer(model), "data": inputs.data(data), "output_dir": str(inputs.path)}
        recipe = from_dict(
            {"stage": "sft"} | dict(keys) | given, Phrase("The call of seodang.{function}", function=function)
        )
        with inputs.placed():
            yield recipe


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    mode: Mode
    formatting_func: Formatting | None
    brought: Mapping[str, Any] = field(default_factory=dict)


def _run(recipe: dict[str, Any], model: Model, data: Data, job: _Job) -> Finished:
    from seodang.data.audit import check
    from seodang.recipe_file import from_dict
    from seodang.workflow import require_writable, run_recipe

    is_beside = job.mode == "new" and job.path.exists()
    inputs = Inputs(runs.next_free(job.path) if is_beside else job.path, job.formatting_func)
    given = {"model": inputs.model(model), "data": inputs.data(data), "output_dir": str(inputs.path)}
    call = Phrase("The call of seodang.{function}", function=recipe["stage"])
    checked: Any = from_dict(recipe | given, call)
    mode = _settled("fresh" if is_beside else job.mode, inputs)
    if runs.manifest(inputs.path) is None:
        require_writable(checked, mode, job.brought)  # before anything is written into a folder that is not ours
    with inputs.placed():
        require_writable(checked, mode, job.brought)
        found = check(checked, keep=True)
        found.require()
        if found.pending:
            raise RunError("The call cannot start. Not made yet: {pending}.", pending=joined("; ", found.pending))
        return Finished(run_recipe(checked, mode, job.brought).path)


def _settled(mode: Mode, inputs: Inputs) -> Mode:
    """Inputs in memory belong into the folder that will be run, so the old one makes room before they are written."""
    if mode != "replace" or not inputs.writers or runs.manifest(inputs.path) is None:
        return mode
    with runs.locked(inputs.path):
        pass
    runs.to_trash(inputs.path)
    return "fresh"
