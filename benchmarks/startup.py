"""How long the light verbs take from the prompt to the answer: --help, show, schema, check.

    python benchmarks/startup.py [--runs 5]

Each command is a fresh process, run once unmeasured so that files are in the page cache, then measured; the median
counts. Prints a table and writes benchmarks/results/<date>-startup.json with the machine and the versions.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from seodang.machine import git_state, hardware, versions

RESULTS = Path(__file__).resolve().parent / "results"
ROWS = 200

PREPARE = """\
stage: prepare
sources:
  - {path: seed.jsonl, format: alpaca}
output_dir: runs/prepare
"""

SFT = """\
stage: sft
model: {name_or_path: model}
template: chatml
data: {train: seed.jsonl, max_length: 256}
adapter: {kind: lora}
output_dir: runs/sft
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A command and the longest it may take, in seconds (None: no promise)."""

    name: str
    arguments: tuple[str, ...]
    limit: float | None = None


CASES = (
    Case("--help", ("--help",), 0.4),
    Case("show 2-sft.yaml", ("show", "2-sft.yaml"), 1.0),
    Case("schema", ("schema",), 1.0),
    Case("schema sft", ("schema", "sft"), 1.0),
    Case("check 1-prepare.yaml", ("check", "1-prepare.yaml")),
    Case("check 2-sft.yaml", ("check", "2-sft.yaml")),
)


def make_project(folder: Path) -> None:
    """Two recipes, a KoAlpaca-shaped file of 200 rows, and a folder with a small tokenizer and a config."""
    rows = [{"instruction": f"{n}을 한글로 읽어 주세요.", "input": "", "output": f"{n}입니다."} for n in range(ROWS)]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "seed.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "1-prepare.yaml").write_text(PREPARE, encoding="utf-8")
    (folder / "2-sft.yaml").write_text(SFT, encoding="utf-8")
    _make_tokenizer(folder / "model", lines)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 32, "vocab_size": 400}
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _make_tokenizer(folder: Path, lines: list[str]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    control = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        lines, trainers.BpeTrainer(vocab_size=400, special_tokens=control, initial_alphabet=alphabet)
    )
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>").save_pretrained(folder)


def measure(case: Case, folder: Path, runs: int) -> dict[str, Any]:
    """Wall seconds of `runs` fresh processes. Raises CalledProcessError where the command fails."""
    command = [str(Path(sys.executable).with_name("seodang")), *case.arguments]
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        seconds.append(round(time.perf_counter() - start, 4))
    return {"command": case.name, "median_s": median(seconds[1:]), "seconds": seconds[1:], "limit_s": case.limit}


def table(results: list[dict[str, Any]]) -> str:
    """The results for a terminal."""
    lines = [f"{'seodang …':<24}{'median':>9}{'fastest':>9}{'slowest':>9}{'limit':>8}"]
    for result in results:
        limit = f"{result['limit_s']:.1f} s" if result["limit_s"] else "–"
        times = (result["median_s"], min(result["seconds"]), max(result["seconds"]))
        lines.append(f"{result['command']:<24}" + "".join(f"{t:>7.2f} s" for t in times) + f"{limit:>8}")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, write. Returns 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        make_project(Path(name))
        results = [measure(case, Path(name), runs) for case in CASES]
    print(table(results))
    today = datetime.date.today().isoformat()
    record = {
        "benchmark": "startup",
        "date": today,
        "hardware": hardware(),
        "git": git_state(),
        "versions": versions(),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-startup.json"
    path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(RESULTS.parent.parent)}")
    return int(any(result["limit_s"] and result["median_s"] > result["limit_s"] for result in results))


if __name__ == "__main__":
    sys.exit(main())
