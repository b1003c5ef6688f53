"""A run folder: where a stage writes, what it was made from, and whether it is finished.

    recipe.yaml    every value filled in      manifest.json  inputs' hashes, versions, hardware, git state, parents
    report.json    counts, metrics, figures   report.html    the same, to look at
    log.jsonl      one line per step          dropped.jsonl  rows not used, each with its reason
    adapter/ or model/ or tokenizer/          checkpoints/   removed when the run is finished

Files are written to a temporary name and renamed. A lock file says who is writing; it goes when the process goes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from seodang.errors import ModelError, RunError
from seodang.language import Phrase, joined

TRAIN, EVAL, DROPPED, LOG = "train.jsonl", "eval.jsonl", "dropped.jsonl", "log.jsonl"
REPORT, MANIFEST, RECIPE = "report.json", "manifest.json", "recipe.yaml"
WEIGHTS = ("adapter", "model", "tokenizer")


def dump_json(data: Any, indent: int | None = None) -> str:
    """JSON as this project writes it: Hangul readable, keys in the order given; NaN and infinities as strings."""
    try:
        text = json.dumps(data, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, indent=indent, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # half of a surrogate pair, as broken JSON escapes make it, is no UTF-8; escaped it is still JSON
        text = json.dumps(_finite(data), indent=indent)
    return text


def _finite(data: Any) -> Any:
    """A loss that became NaN is to be seen in the log; JSON has no number for it."""
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, (list, tuple)) else data


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    os.replace(temporary, path)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines whole or not at all; returns how many."""
    temporary, count = path.with_name(f".{path.name}.{os.getpid()}.tmp"), 0
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(dump_json(row) + "\n")
            count += 1
    os.replace(temporary, path)
    return count


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None where the file is absent or torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quick_hash(path: Path, whole_below: int = 1 << 28) -> str:
    """SHA-256 of a file; of its size, first and last MiB where it has 256 MiB or more."""
    size = path.stat().st_size
    if size < whole_below:
        return hash_file(path)
    with path.open("rb") as file:
        head = file.read(1 << 20)
        file.seek(-(1 << 20), 2)
        return hash_text(f"{size} {head.hex()} {file.read().hex()}")


def hash_text(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class Ledger:
    """What became of rows: read = kept + dropped(by reason), asserted when it is closed."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def keep(self) -> None:
        """Count one row as read and kept."""
        self.read += 1
        self.kept += 1

    def drop(self, reason: str, row: Mapping[str, Any]) -> None:
        """Count one row as read and dropped, and keep it with its reason for dropped.jsonl."""
        self.read += 1
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        self.rows.append({"reason": reason} | dict(row) | {"reason": reason})

    def close(self) -> dict[str, Any]:
        """The `rows` entry of a report. Raises RunError when the sum does not hold: a row would have vanished."""
        if self.read != self.kept + sum(self.dropped.values()):
            raise RunError(
                "The rows do not add up: {read} read, {kept} kept, {dropped} dropped. This is a bug; please report it.",
                read=self.read,
                kept=self.kept,
                dropped=self.dropped,
            )
        return {"read": self.read, "kept": self.kept, "dropped": dict(sorted(self.dropped.items()))}


def ledger_line(rows: Mapping[str, Any]) -> Phrase:
    """A closed ledger in one line: `60 read = 41 kept + 19 dropped (12 duplicate, 7 empty)`."""
    line = "{read} read = {kept} kept + {lost} dropped ({reasons})"
    lost, reasons = sum(rows["dropped"].values()), counted(rows["dropped"].items())
    return Phrase(line, read=rows["read"], kept=rows["kept"], lost=lost, reasons=reasons)


def counted(reasons: Iterable[tuple[str, int]]) -> Phrase:
    """Reasons with their counts in one line: `12 duplicate, 7 empty`, or `none`."""
    told = [Phrase("{count} {reason}", count=count, reason=reason) for reason, count in reasons]
    return joined(", ", told) if told else Phrase("none")


@dataclass(slots=True)
class Run:
    """An open run folder that one stage writes to."""

    path: Path
    resumed: bool = False
    writes: bool = True
    """False in every process but the first where several train together: what they would write is not written."""
    brought: Mapping[str, Any] = field(default_factory=dict)
    """What a Python caller brings that no recipe can name: `trainer`, a class, and `metrics`, name → function."""

    def file(self, name: str) -> Path:
        """A path inside the folder."""
        return self.path / name

    def write_json(self, name: str, data: Any) -> None:
        """Write a JSON file whole or not at all."""
        if self.writes:
            write_text(self.path / name, dump_json(data, indent=2) + "\n")

    def write_rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Write a JSONL file whole or not at all; returns how many rows."""
        return write_rows(self.path / name, rows) if self.writes else 0

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to log.jsonl; a line that a kill has torn stays a line of its own."""
        if not self.writes:
            return
        with (self.path / LOG).open("ab+") as file:
            if file.tell() and not _ends_line(file):
                file.write(b"\n")
            file.write(dump_json(dict(entry)).encode() + b"\n")

    def read_log(self) -> Iterator[dict[str, Any]]:
        """The lines of log.jsonl; a torn last line is passed over."""
        return iter(read_log(self.path))

    def note(self, **entries: Any) -> None:
        """Add entries to manifest.json."""
        self.write_json(MANIFEST, (manifest(self.path) or {}) | entries)


def _ends_line(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def read_log(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a run's log.jsonl."""
    return read_rows(path / LOG)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a JSONL file that this project wrote; none where it is absent."""
    try:
        lines = path.read_bytes().split(b"\n")  # not splitlines: U+2028 in a text ends no line
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of a run folder, or None where there is none."""
    return read_json(path / MANIFEST)


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe of a run as it was filled in; empty where there is none."""
    import yaml

    try:
        found = yaml.safe_load((path / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def is_finished(path: Path) -> bool:
    """Whether a stage ran to its end in this folder."""
    return (manifest(path) or {}).get("state") == "finished"


def finished_run(path: str, wanted: str) -> Path:
    """The folder of a finished run. Raises ModelError that says what to run first."""
    folder = Path(path)
    if not is_finished(folder):
        state = Phrase("is not finished") if folder.exists() else Phrase("does not exist yet")
        raise ModelError(
            "{wanted}: the run {path} {state}. Run its recipe first (`seodang run`), or name another run.",
            wanted=wanted,
            path=path,
            state=state,
        )
    return folder


def weights_of(path: Path) -> Path:
    """The folder inside a run that holds what it trained: adapter/, model/ or tokenizer/."""
    for name in WEIGHTS:
        if (path / name).is_dir():
            return path / name
    raise ModelError(
        "The run {path} holds no adapter, model or tokenizer; it is a `{stage}` run. Name a run that trains.",
        path=path,
        stage=(manifest(path) or {}).get("stage", "?"),
    )


def next_free(path: Path) -> Path:
    """`runs/x` → `runs/x.2`, or the first number that is free."""
    number = 2
    while path.with_name(f"{path.name}.{number}").exists():
        number += 1
    return path.with_name(f"{path.name}.{number}")


def to_trash(path: Path) -> Path:
    """Move a run folder into `.trash` beside it; nothing is deleted. Returns where it went."""
    trash = path.parent / ".trash"
    trash.mkdir(exist_ok=True)
    target = trash / f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.{os.getpid()}"
    target = next_free(target) if target.exists() else target
    os.replace(path, target)
    return target


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a run folder for writing. Raises RunError when another process holds it or it cannot be made."""
    lock = FileLock(path / ".lock", timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunError(
            "The output folder {path} is in use by another seodang. Wait for it, or give another `output_dir`.",
            path=path,
        ) from None
    except OSError as error:
        raise RunError(
            "The output folder {path} cannot be written to: {why}. Give another `output_dir`.",
            path=path,
            why=error.strerror or error,
        ) from None
    try:
        yield
    finally:
        lock.release()
