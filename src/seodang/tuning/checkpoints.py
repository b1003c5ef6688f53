"""Checkpoints that are there whole or not at all, and the one that a killed run continues from.

Upstream writes a checkpoint in place and takes the one with the highest number (transformers 5.23, trainer.py). Here it
is written into a folder of another name, sealed with a list of its files and their sizes, brought to the disk, and only
then given its name. A folder with a checkpoint's name whose files are not those of its list does not count.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seodang.tuning.quiet import silence_upstream

# isort: split
from transformers import Trainer
from transformers.trainer_utils import rotate_checkpoints

from seodang.errors import ModelError
from seodang.language import Phrase, say
from seodang.runs import dump_json, read_json, write_text

silence_upstream()

FOLDER = "checkpoints"
"""Inside a run folder."""
UNFINISHED = ".unfinished"
"""Inside `checkpoints`: where the next one is being written."""
SEAL = "files.json"
"""{"files": {name: bytes}}: the last file of a checkpoint to be written."""
STATE = "trainer_state.json"


def step_of(checkpoint: Path) -> int:
    """The optimizer step of a checkpoint folder, from its name."""
    return int(checkpoint.name.rpartition("-")[2])


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run folder, or None. What is torn is passed over, and said on stderr."""
    if list((folder / FOLDER / UNFINISHED).glob("checkpoint-[0-9]*")):
        print(say("a checkpoint was being written when the run ended; it does not count"), file=sys.stderr)
    for path in sorted((folder / FOLDER).glob("checkpoint-[0-9]*"), key=step_of, reverse=True):
        fault = fault_of(path)
        if fault is None:
            return path
        text = "{checkpoint} is not whole ({fault}) and does not count; an older one is used, if there is one"
        print(say(text, checkpoint=path.name, fault=fault), file=sys.stderr)
    return None


def fault_of(checkpoint: Path) -> Phrase | None:
    """Why a checkpoint is not whole; None where every file is there with the size that its list says."""
    listed = (read_json(checkpoint / SEAL) or {}).get("files")
    if not isinstance(listed, dict) or STATE not in listed:
        return Phrase("its list of files is missing or torn")
    found = sizes_of(checkpoint)
    wrong = sorted(name for name, size in listed.items() if found.get(name) != size)
    return Phrase("{files} missing or cut", files=", ".join(wrong)) if wrong else None


def sizes_of(folder: Path) -> dict[str, int]:
    """Path inside the folder → bytes, of every file but the list itself."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SEAL)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def seal(folder: Path) -> None:
    """Bring every file of a written checkpoint to the disk, and list them."""
    sizes = sizes_of(folder)
    write_text(folder / SEAL, dump_json({"files": sizes}) + "\n")
    for path in [*(folder / name for name in sizes), folder / SEAL, folder]:
        _to_disk(path)


def _to_disk(path: Path) -> None:
    """A rename may reach the disk before what was written (fsync(2)); a folder cannot be synced on Windows."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class WholeCheckpoints(Trainer):
    """In front of upstream's trainer: a checkpoint gets its name once it is whole."""

    args: Any
    state: Any
    accelerator: Any
    _writing_to: Path | None = None

    def _get_output_dir(self, trial: Any) -> str:
        """Where upstream writes below: apart while a checkpoint is not whole."""
        return str(self._writing_to or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        if self.args.include_num_input_tokens_seen == "no":
            self.state.num_input_tokens_seen = getattr(self, "_total_train_tokens", 0)
        with self._apart(folder / UNFINISHED):
            super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # every process writes its own random state
        self._name_the_best(folder)
        if self.args.should_save:
            self.state.save_to_json(str(folder / UNFINISHED / name / STATE))
            seal(folder / UNFINISHED / name)
            shutil.rmtree(folder / name, ignore_errors=True)  # a torn one of an earlier attempt
            os.replace(folder / UNFINISHED / name, folder / name)
            _to_disk(folder)
            (folder / UNFINISHED).rmdir()
            # by number: an older time stamp says nothing once a run was resumed
            rotate_checkpoints(str(folder), self.args.save_total_limit, self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    def _load_best_model(self) -> None:
        """As a resumed run loads its checkpoint, so that every method reads all of what it wrote."""
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._load_best_model()
            return
        best = Path(self.state.best_model_checkpoint)
        fault = fault_of(best)
        if fault is not None:
            raise ModelError(
                "The best checkpoint {best} is not whole ({fault}), so its weights cannot be kept. Start again with "
                "`--replace`.",
                best=best,
                fault=fault,
            )
        self._load_from_checkpoint(str(best))

    @contextmanager
    def _apart(self, place: Path) -> Iterator[None]:
        if self.args.should_save:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        self._writing_to = place
        try:
            yield
        finally:
            self._writing_to = None

    def _name_the_best(self, folder: Path) -> None:
        """Say where the best checkpoint will lie; upstream has looked for it beside the one that it wrote."""
        best = self.state.best_global_step
        path = folder / f"checkpoint-{best}"
        if best and (best == self.state.global_step or path.is_dir()):
            self.state.best_model_checkpoint = str(path)
