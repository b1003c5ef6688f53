"""The same decisions about the same rows by `prepare` and by datatrove, one process each: rows per second.

    python benchmarks/prepare_peers.py --python VENV/bin/python [--data FOLDER] [--rows 10000]

VENV is a throw-away environment with `datatrove ftfy kiwipiepy<0.22 orjson xxhash<4 nltk regex tldextract
tokenizers`. Its pipeline is
made of its own blocks where it has one: reading JSON lines, ftfy, PII, repetition (Gopher), MinHash in four steps; and
of plain functions with our patterns where it has none: empty, leftovers, refusal, identity, share of Hangul, lists.
Words are cut by kiwi, as datatrove does for Korean, and once more by white space, which is the fastest it has. Seconds
are of the processor, since a machine is seldom idle; the time to import is not counted on either side.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LANGUAGES = {"kiwi": "kor_Hang", "white space": "kok_Deva"}
"""How words are cut → the name of a language for which datatrove cuts them so."""
_HANGUL, _LETTER = re.compile("[가-힣ㄱ-ㅎㅏ-ㅣ]"), re.compile(r"[^\W\d_]")


def datatrove(source: Path, folder: Path, language: str) -> None:
    """Run the pipeline of datatrove; prints its seconds and how many rows are left. Needs no package of ours."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import GopherRepetitionFilter, LambdaFilter, RegexFilter
    from datatrove.pipeline.formatters import FTFYFormatter, PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.word_tokenizers import load_word_tokenizer

    def row(self: Any, data: dict[str, Any], path: str, number: int) -> dict[str, Any]:
        text = f"{data['instruction']}\n\n{data['output']}"
        return {"text": text, "id": f"{path}:{number}", "metadata": {"answer": data["output"]}}

    patterns = json.loads((folder / "patterns.json").read_text(encoding="utf-8"))
    made, signed, buckets, gone = (str(folder / name) for name in ("made", "signed", "buckets", "gone"))
    steps: list[Any] = [
        lambda: [
            JsonlReader(str(source.parent), glob_pattern=source.name, adapter=row),
            FTFYFormatter(),
            LambdaFilter(lambda document: bool(document.metadata["answer"].strip())),
            *(RegexFilter(pattern) for pattern in patterns),
            LambdaFilter(lambda document: hangul(document.metadata["answer"]) >= 0.3),
            GopherRepetitionFilter(language=language),
            PIIFormatter(),
            JsonlWriter(made, compression=None),
        ],
        lambda: [JsonlReader(made), MinhashDedupSignature(output_folder=signed, language=language)],
        lambda: [MinhashDedupBuckets(input_folder=signed, output_folder=buckets)],
        lambda: [MinhashDedupCluster(input_folder=buckets, output_folder=gone)],
        lambda: [JsonlReader(made), MinhashDedupFilter(gone), JsonlWriter(str(folder / "out"), compression=None)],
    ]
    began, wall = time.process_time(), time.perf_counter()
    for number, pipeline in enumerate(steps):
        tasks = 14 if number == 2 else 1  # a bucket is a task; all of them run one after another in this process
        load_word_tokenizer.cache_clear()  # the executor copies its steps, and a loaded kiwi cannot be copied
        LocalPipelineExecutor(pipeline(), tasks=tasks, workers=1, logging_dir=str(folder / f"log{number}")).run()
    left = sum(path.read_bytes().count(b"\n") for path in (folder / "out").glob("*"))
    told = {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall, "kept": left}
    print(json.dumps(told))


def hangul(text: str) -> float:
    """The share of Hangul among the letters; 1 where there is none."""
    letters = len(_LETTER.findall(text))
    return len(_HANGUL.findall(text)) / letters if letters else 1.0


def seodang(source: Path, folder: Path) -> dict[str, Any]:
    """`prepare` in this process, with all its filters and both kinds of duplicates."""
    from prepare import FILTERS

    from seodang.data.prepare import run
    from seodang.recipe import Prepare
    from seodang.runs import Run

    recipe = {"stage": "prepare", "sources": [{"path": str(source)}], "filters": FILTERS, "processes": 1}
    (folder / "run").mkdir()
    began, wall = time.process_time(), time.perf_counter()
    report = run(Prepare.model_validate(recipe), Run(folder / "run"))
    kept = report["rows"]["kept"]
    return {"cpu_s": time.process_time() - began, "wall_s": time.perf_counter() - wall, "kept": kept}


def measure_peer(python: str, source: Path, folder: Path, language: str) -> dict[str, Any]:
    """`datatrove` in an interpreter of its own."""
    folder.mkdir()
    from seodang.data.filters.patterns import any_of, marks

    patterns = [marks()[0].pattern, any_of("refusal").pattern, any_of("ai_named").pattern]
    (folder / "patterns.json").write_text(json.dumps(patterns), encoding="utf-8")
    command = [python, __file__, "--peer", str(source), str(folder), language]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Measure and print. Returns 1 where `prepare` is less than three times as fast."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--peer", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer:
        datatrove(Path(given.peer[0]), Path(given.peer[1]), given.peer[2])
        return 0
    from prepare import made_rows, public_rows, varied, write_result, write_rows

    rows = public_rows(given.data) if given.data else made_rows()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_rows(folder / "rows.jsonl", varied(rows, given.rows))
        found = {"prepare": seodang(source, folder)}
        for cut, language in LANGUAGES.items():
            found[f"datatrove, {cut}"] = measure_peer(given.python, source, folder / language, language)
    for title, one in found.items():
        one["rows_per_s"] = round(given.rows / one["cpu_s"])
        print(f"{title:<24}{one['cpu_s']:>9.1f} s cpu {one['rows_per_s']:>8,} rows/s {one['kept']:>8,} kept")
    write_result({"rows": given.rows, "peers": found}, "prepare-peers")
    best = max(one["rows_per_s"] for title, one in found.items() if title != "prepare")
    return int(found["prepare"]["rows_per_s"] < 3 * best)


if __name__ == "__main__":
    sys.exit(main())
