"""How long `prepare` takes on 100,000 instruction rows, how much memory on a million, and which part takes what.

    python benchmarks/prepare.py [--data FOLDER] [--rows 100000] [--memory 100000 1000000] [--processes 1 2]

The rows are those of public Korean instruction sets in FOLDER (kullm_style_*.jsonl, preference_mk4.jsonl,
chatbot_data.csv), repeated with variation: answers are made of the sentences of two; a row in fifty is repeated, and a
row in fifty nearly so. Without FOLDER they are the starter's text. All filters are asked; duplicates are looked for
exactly and nearly. Memory is the peak of `prepare` and its workers together; bytes per row are the difference of two
peaks by the difference of their rows. Prints a table and writes benchmarks/results/<date>-prepare.json.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seodang.machine import git_state, hardware, versions
from seodang.tasks.text import document

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS, PEAK_MIB = 40.0, 1536.0
"""The longest that 100,000 rows may take on two cores, and the most memory that a million may take."""
FILTERS = [
    "empty", "leftover", "prompt_equals_answer", "broken", "repeated", "hangul_share", "untranslated", "refusal",
    "ai_identity", "list_only", "mixed_register", "pii", "length", "ends_with_colon",
]  # fmt: skip
OUTPUTS = ("train.jsonl", "eval.jsonl", "dropped.jsonl")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def public_rows(folder: Path) -> list[tuple[str, str]]:
    """(instruction, answer) of the sets in a folder."""
    found: list[tuple[str, str]] = []
    for name in ("kullm_style_conversation.jsonl", "kullm_style_evol.jsonl", "preference_mk4.jsonl"):
        for line in (folder / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.append(
                (row.get("instruction") or row.get("prompt") or "", row.get("output") or row.get("chosen") or "")
            )
    with (folder / "chatbot_data.csv").open(encoding="utf-8", newline="") as file:
        found += [(row["Q"], row["A"]) for row in csv.DictReader(file)]
    return [(question, answer) for question, answer in found if question and answer]


def made_rows() -> list[tuple[str, str]]:
    """Rows of the starter's text, where no public ones are at hand."""
    draw = random.Random(0)
    return [(document(draw).split(".")[0] + "?", document(draw)) for _ in range(5000)]


def varied(rows: list[tuple[str, str]], count: int) -> Iterator[dict[str, str]]:
    """`count` Alpaca rows; the same for the same rows."""
    draw, last = random.Random(0), {"instruction": "처음", "input": "", "output": "시작합니다."}
    for number in range(count):
        kind = draw.random()
        if kind < 0.02:
            yield last
            continue
        if kind < 0.04:
            yield last | {"output": last["output"].replace("을 ", " ", 1).replace(" ", "  ", 1)}
            continue
        (question, one), (_, other) = draw.choice(rows), draw.choice(rows)
        pieces = [piece for piece in _SENTENCE.split(one) + _SENTENCE.split(other) if piece.strip()]
        some = [piece for piece in pieces if draw.random() < 0.7] or pieces
        last = {"instruction": f"{question} ({number % 977})", "input": "", "output": " ".join(some)}
        yield last


def write_rows(path: Path, rows: Iterator[dict[str, str]]) -> Path:
    """Rows as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def prepare(folder: Path, source: Path, processes: int) -> dict[str, Any]:
    """A recipe in a fresh process: seconds, peak MiB of it and its workers, the ledger, a hash of the bytes written."""
    name = f"{source.stem}-{processes}"
    recipe = {"stage": "prepare", "sources": [{"path": str(source)}], "filters": FILTERS, "processes": processes}
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(recipe | {"output_dir": f"runs/{name}"}), encoding="utf-8")
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", _RUN, str(path)], cwd=folder, stdout=subprocess.DEVNULL)
    peak, ended = 0.0, 0
    while not ended:
        peak = max(peak, sum(map(resident, family(process.pid))))
        time.sleep(0.1)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"prepare ended with {process.returncode}")
    seconds = time.perf_counter() - start
    report = json.loads((folder / "runs" / name / "report.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256()
    for output in OUTPUTS:
        digest.update((folder / "runs" / name / output).read_bytes())
    return {
        "processes": processes,
        "wall_s": round(seconds, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "rows_per_s": round(report["rows"]["read"] / seconds),
        "peak_mib": round(peak, 1),
        "rows": report["rows"],
        "sha256": digest.hexdigest()[:16],
    }


_RUN = """
import sys
from seodang.recipe_file import load_recipe
from seodang.workflow import run_recipe
run_recipe(load_recipe(sys.argv[1]).recipe)
"""


def family(parent: int) -> list[int]:
    """A process and its children."""
    found = [parent]
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def resident(process: int) -> float:
    """MiB in memory, what is shared with others counted once."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def measure(folder: Path, rows: list[tuple[str, str]], count: int, processes: list[int]) -> list[dict[str, Any]]:
    """The same rows with each number of processes."""
    source = write_rows(folder / f"rows-{count}.jsonl", varied(rows, count))
    size, found = source.stat().st_size, []
    for number in processes:
        one = prepare(folder, source, number)
        found.append(one)
        print(
            f"{count:>9,} rows {size / 2**20:>7.1f} MiB  {number} processes {one['wall_s']:>7.1f} s "
            f"{one['cpu_s']:>7.1f} s cpu {one['rows_per_s']:>7,} rows/s  peak {one['peak_mib']:>7.1f} MiB  "
            f"{one['sha256']}  {one['rows']['dropped']}",
            flush=True,
        )
    return found


def main() -> int:
    """Measure, print, write. Returns 1 where a limit is broken or the bytes differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--memory", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--dry", action="store_true", help="write no results")
    given = parser.parse_args()
    rows = public_rows(given.data) if given.data else made_rows()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speed = measure(folder, rows, given.rows, given.processes)
        memory = [measure(folder, rows, count, [given.processes[-1]])[0] for count in sorted(given.memory)]
    found: dict[str, Any] = {"speed": speed, "memory": memory}
    if len(memory) > 1:
        counts = [one["rows"]["read"] for one in memory]
        cost = (memory[-1]["peak_mib"] - memory[0]["peak_mib"]) * 2**20 / (counts[-1] - counts[0])
        found["bytes_per_row"] = round(cost)
        print(f"{cost:.0f} bytes per row")
    if not given.dry:
        write_result(found)
    same = len({one["sha256"] for one in speed}) == 1
    too_slow = min(one["wall_s"] for one in speed) > SECONDS * given.rows / 100_000
    return int(not same or too_slow or any(one["peak_mib"] > PEAK_MIB for one in memory))


def write_result(found: dict[str, Any], name: str = "prepare") -> None:
    """Write the dated result beside the others."""
    today = datetime.date.today().isoformat()
    record = {"benchmark": name, "date": today, "hardware": hardware(), "git": git_state(), "versions": versions()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-{name}.json"
    path.write_text(json.dumps(record | found, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    sys.exit(main())
