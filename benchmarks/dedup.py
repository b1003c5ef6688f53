"""How long duplicates of 100,000 rows take to find, beside datasketch on the same rows, and what a row costs in memory.

    python benchmarks/dedup.py FOLDER [--rows 100000] [--memory 1000000] [--datasketch]

The rows are those of the public files in FOLDER (see duplicates.py), again and again with one change each: half of
the copies are duplicates, the other half differ in a number, a name, a negation or a slot. datasketch gets the same
syllable bigrams, as many permutations and the same bands, once by `update`, as its documentation writes it, and once
by its quicker `update_batch`; its candidates are verified by the same function, in the same order. Ours runs before,
between and after the two, and the median counts. It is no dependency:
`pip install datasketch` first, or leave `--datasketch` out. Prints a table and writes
benchmarks/results/<date>-dedup.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from duplicates import DIFFERENT, DUPLICATES, Planter, record_of, texts_of

from seodang.data.agreement import same
from seodang.data.dedup import sides_of, spelt
from seodang.data.fingerprints import BAND, KEYS, Prints, exact_and_outlines, fingerprint
from seodang.data.near import repeats
from seodang.machine import git_state, hardware, versions
from seodang.records import Conversation, Message, Record

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS, RATIO, BYTES = 15.0, 20.0, 400.0
"""The longest that 100,000 rows may take, the least that datasketch takes more, and the most that a row may cost."""
BATCH = 256


def varied(folder: Path, count: int, seed: int = 0) -> list[Record]:
    """Rows with an answer, and changed copies of them until there are enough."""
    rows = [row for row in dict.fromkeys(texts_of(folder)) if row[1]]
    draw, planter = random.Random(seed), Planter([text for row in rows for text in row])
    found = list(rows)[:count]
    while len(found) < count:
        prompt, answer = draw.choice(rows)
        kind = draw.choice([draw.choice(DUPLICATES), draw.choice(DIFFERENT)])
        change: Callable[[str, random.Random], str | None] = getattr(planter, "slot" if kind == "name" else kind)
        found.append((change(prompt, draw) or f"{prompt} {len(found)}", answer))
    draw.shuffle(found)
    return [record_of(*row, f"row {number}") for number, row in enumerate(found)]


def ours(records: Sequence[Record]) -> dict[str, Any]:
    """Fingerprints in batches, as `prepare` makes them, and what repeats what."""
    wall, cpu = time.perf_counter(), time.process_time()
    parts = [fingerprint(records[at : at + BATCH]) for at in range(0, len(records), BATCH)]
    prints = Prints.joined(parts)
    middle = time.process_time()
    found = repeats(prints, lambda row: spelt(records[row]))
    pairs = {row: int(found.of[row]) for row in range(len(records)) if found.near[row]}
    return {
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "fingerprints_s": round(middle - cpu, 2),
        "exact": int((~found.kept & ~found.near).sum()),
        "compared": found.compared,
        "pairs": pairs,
    }


def theirs(records: Sequence[Record], by_batch: bool) -> dict[str, Any]:
    """datasketch's MinHash and MinHashLSH over the rows that no exact key drops, verified as ours are."""
    from datasketch import MinHash, MinHashLSH  # type: ignore[import-not-found]

    wall, cpu = time.perf_counter(), time.process_time()
    index, first, of = MinHashLSH(num_perm=KEYS * BAND, params=(KEYS, BAND)), dict[int, int](), dict[int, int]()
    exact = compared = 0
    keys, texts = exact_and_outlines([sides_of(record) for record in records])
    for row, (record, key, text) in enumerate(zip(records, keys.tolist(), texts, strict=True)):
        if first.setdefault(key, row) != row:
            exact += 1
            continue
        bigrams = {text[at : at + 2].encode() for at in range(max(1, len(text) - 1))}
        sketch = MinHash(num_perm=KEYS * BAND)
        if by_batch:
            sketch.update_batch(bigrams)
        else:
            for bigram in bigrams:
                sketch.update(bigram)
        for other in sorted(index.query(sketch)):
            compared += 1
            if same(spelt(records[other]), spelt(record)):
                of[row] = other
                break
        else:
            index.insert(row, sketch)
    times = {"wall_s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}
    return times | {"exact": exact, "compared": compared, "pairs": of}


def memory(count: int) -> float:
    """Bytes of a row, in a process of its own: fingerprints and search over so many short rows."""
    command = [sys.executable, __file__, "--only-memory", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _peak() -> int:
    """Bytes, of this process alone: `ru_maxrss` begins with that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def _only_memory(count: int) -> None:
    def record(number: int) -> Conversation:
        asked = f"{number}번째 손님은 {number * 7919 % 1000003}호실에서 무엇을 드셨나요? 아는 대로 말해 주세요."
        return Conversation((Message("user", asked), Message("assistant", f"{number * 31 % 65537}번 요리입니다.")))

    fingerprint([record(0)])
    before = _peak()
    prints = Prints.joined(
        [fingerprint([record(n) for n in range(at, min(count, at + BATCH))]) for at in range(0, count, BATCH)]
    )
    repeats(prints, lambda row: spelt(record(row)))
    print((_peak() - before) / count)


def compared(records: Sequence[Record], with_datasketch: bool) -> dict[str, Any]:
    """The table: ours, and where it is asked for datasketch's two ways, over the same rows."""
    characters = sum(len(turn.content) for one in records if isinstance(one, Conversation) for turn in one.messages)
    runs = [ours(records)]
    results: dict[str, dict[str, Any]] = {"seodang": runs[0]}
    if with_datasketch:
        for name, by_batch in (("datasketch update_batch", True), ("datasketch update", False)):
            results[name] = theirs(records, by_batch)
            runs.append(ours(records))
        results["seodang"] = sorted(runs, key=lambda one: float(one["cpu_s"]))[1]
    table: dict[str, Any] = {"rows": len(records), "characters_per_row": round(characters / len(records), 1)}
    known = set(results["seodang"]["pairs"])
    for name, one in results.items():
        pairs = set(one.pop("pairs"))
        one |= {
            "near": len(pairs),
            "shared": len(pairs & known),
            "ratio_cpu": round(one["cpu_s"] / results["seodang"]["cpu_s"], 1),
        }
        told = (
            f"{one['exact']:>9,} exact{one['near']:>9,} near{one['shared']:>9,} shared{one['compared']:>11,} compared"
        )
        print(f"{name:<26}{one['wall_s']:>8.1f} s{one['cpu_s']:>8.1f} s cpu{told}   x {one['ratio_cpu']}")
    return table | {"runs": results}


def main() -> int:
    """Measure, print, write. Returns 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="public Korean files; without them nothing is measured")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--memory", type=int, default=1_000_000)
    parser.add_argument("--datasketch", action="store_true")
    parser.add_argument("--only-memory", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_memory:
        _only_memory(given.only_memory)
        return 0
    if given.folder is None:
        print("no FOLDER with public files was given: nothing to measure")
        return 0
    records = varied(given.folder, given.rows)
    table = compared(records, given.datasketch)
    if given.memory:
        table["bytes_per_row"] = round(memory(given.memory), 1)
        print(f"{table['bytes_per_row']:.0f} bytes per row over {given.memory:,} rows")
    today = datetime.date.today().isoformat()
    record = {"benchmark": "dedup", "date": today, "hardware": hardware(), "git": git_state(), "versions": versions()}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(record | table, ensure_ascii=False, indent=2)
    (RESULTS / f"{today}-dedup.json").write_text(text + "\n", encoding="utf-8")
    runs: dict[str, Any] = table["runs"]
    slow = runs["seodang"]["wall_s"] > SECONDS or table.get("bytes_per_row", 0) > BYTES
    return int(slow or runs.get("datasketch update", {"ratio_cpu": RATIO})["ratio_cpu"] < RATIO)


if __name__ == "__main__":
    sys.exit(main())
