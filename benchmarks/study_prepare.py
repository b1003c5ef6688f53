"""Does `prepare` help? A small model trained on prepared and on raw rows at equal tokens, at three rates of defects.

    python benchmarks/study_prepare.py [--rates 0.1 0.3 0.5] [--seeds 1 2 3] [--tokens 30000]

The rows are the packaged quickstart's seed tasks, the model is the packaged starter, and the loss is that on the
quickstart's held-out rows, which stay clean. Into a share of the rows defects are planted as public sets have them.
The raw arm trains on what this gives, the prepared arm on what `prepare` makes of it, the clean arm on the rows before.
Every arm sees the same number of tokens: rows are repeated in a new order until they are reached. Differences are
paired by seed; the interval is that of Student's t at 95 %. Writes benchmarks/results/<date>-study-prepare.json.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prepare import FILTERS, write_result

from seodang.packaged import STARTER, find, model_path
from seodang.recipe_file import from_dict
from seodang.tokenization import load_light
from seodang.workflow import run_recipe

T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776}
"""Student's t, two-sided 95 %, by degrees of freedom."""
Row = dict[str, str]

DEFECTS: dict[str, Callable[[str], str]] = {
    "leftover behind": lambda text: f"{text}<|endoftext|>",
    "leftover before": lambda text: f"### 답변: {text}",
    "next turn": lambda text: f"{text}\n\n### 질문: 더 알려 주세요.\n\n### 답변: 이미 말씀드렸습니다.",
    "refusal": lambda text: "죄송하지만 그 요청에는 답변을 드릴 수 없습니다.",
    "loop": lambda text: " ".join([text] * 6),
    "English": lambda text: "I am not sure about this question, but here is some general information for you.",
    "another's name": lambda text: f"저는 OpenAI에서 만든 ChatGPT입니다. {text}",
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "zero-width": lambda text: "\u200b".join(text),
    "damaged": lambda text: "".join("\ufffd" if at % 5 == 2 else letter for at, letter in enumerate(text)),
    "wrong encoding": lambda text: text.encode().decode("latin-1"),
    "nothing": lambda text: "\u200b",
}
"""What is done to an answer."""


def quickstart_rows(name: str) -> list[Row]:
    """Rows of the packaged quickstart as instruction and output."""
    path = find("recipes", "quickstart") / "data" / f"{name}.jsonl"
    rows = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [{"instruction": one[0]["content"], "output": one[1]["content"]} for one in rows if len(one) == 2]


def with_defects(rows: Sequence[Row], rate: float, seed: int) -> list[Row]:
    """The rows with defects in a share of the answers, and as many rows again repeated, one for each five planted."""
    draw, names = random.Random(seed), list(DEFECTS)
    found = [
        row | {"output": DEFECTS[draw.choice(names)](row["output"])} if draw.random() < rate else row for row in rows
    ]
    found += draw.choices(found, k=int(rate * len(rows) / 5))
    draw.shuffle(found)
    return found


def prepared(folder: Path, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Any]]:
    """What `prepare` makes of the rows, and its ledger."""
    source = write_lines(folder / "raw.jsonl", rows)
    recipe = {
        "stage": "prepare", "sources": [{"path": str(source), "on_error": "skip"}], "filters": FILTERS, "eval": 0,
        "processes": 1, "output_dir": str(folder / "prepared"),
    }  # fmt: skip
    report = run_recipe(from_dict(recipe)).report
    lines = (folder / "prepared" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    messages = [json.loads(line)["messages"] for line in lines]
    return [{"instruction": one[0]["content"], "output": one[1]["content"]} for one in messages], report["rows"]


def write_lines(path: Path, rows: Sequence[Row] | Iterator[Row]) -> Path:
    """Rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def up_to(rows: Sequence[Row], tokens: int, seed: int, size: Callable[[Row], int]) -> Iterator[Row]:
    """Rows in one random order after another, until so many tokens have come."""
    draw, seen = random.Random(seed), 0
    while True:
        for row in draw.sample(rows, len(rows)):
            seen += size(row)
            if seen > tokens:
                return
            yield row


def trained(folder: Path, rows: Sequence[Row], held: Path, seed: int) -> float:
    """The held-out loss after one pass over the rows."""
    recipe = {
        "stage": "sft", "model": {"name_or_path": STARTER}, "template": "koalpaca", "seed": seed,
        "data": {"train": str(write_lines(folder / "train.jsonl", rows)), "eval": str(held), "max_length": 320},
        "adapter": {"kind": "lora", "r": 32, "lora_alpha": 64},
        "training": {
            "num_train_epochs": 1, "per_device_train_batch_size": 16, "learning_rate": 2e-3, "eval_steps": 1.0,
            "per_device_eval_batch_size": 32, "extra": {"train_sampling_strategy": "group_by_length"},
        },
        "output_dir": str(folder / "sft"),
    }  # fmt: skip
    metrics = run_recipe(from_dict(recipe)).report["metrics"]
    return float(metrics["eval_loss_last"])


def study(folder: Path, rates: Sequence[float], seeds: Sequence[int], tokens: int) -> list[dict[str, Any]]:
    """Every arm at every rate with every seed."""
    clean, tokenizer = quickstart_rows("seeds"), load_light(model_path(STARTER))
    held = write_lines(folder / "held.jsonl", quickstart_rows("held_out"))
    found = []

    def size(row: Row) -> int:
        return min(320, 24 + len(tokenizer.encode(row["instruction"] + row["output"], add_special_tokens=False)))

    for seed in seeds:
        arms = {("clean", 0.0): clean}
        ledgers: dict[float, Any] = {}
        for rate in rates:
            raw = with_defects(clean, rate, seed)
            arms["raw", rate] = [row for row in raw if row["output"].strip()]
            arms["prepared", rate], ledgers[rate] = prepared(folder / f"{seed}-{rate}", raw)
        for (arm, rate), rows in arms.items():
            loss = trained(folder / f"{seed}-{arm}-{rate}", list(up_to(rows, tokens, seed, size)), held, seed)
            one = {"seed": seed, "arm": arm, "rate": rate, "rows": len(rows), "eval_loss": round(loss, 4)}
            found.append(one | ({"ledger": ledgers[rate]} if arm == "prepared" else {}))
            print(json.dumps(one), flush=True)
    return found


def compared(found: Sequence[dict[str, Any]], rates: Sequence[float]) -> list[dict[str, Any]]:
    """At each rate the mean of raw - prepared, with its interval; above 0 preparing helped."""
    losses = {(one["arm"], one["rate"], one["seed"]): one["eval_loss"] for one in found}
    seeds = sorted({one["seed"] for one in found})
    told = []
    for rate in rates:
        gains = [losses["raw", rate, seed] - losses["prepared", rate, seed] for seed in seeds]
        mean, half = statistics.mean(gains), math.inf
        if len(gains) > 1:
            half = T_95[len(gains) - 1] * statistics.stdev(gains) / math.sqrt(len(gains))
        means = {arm: statistics.mean(losses[arm, rate, seed] for seed in seeds) for arm in ("raw", "prepared")}
        verdict = "helps" if mean > half else "harms" if mean < -half else "no difference found"
        verdict = verdict if len(gains) > 1 else "one seed says nothing of chance"
        told.append({"rate": rate, **means, "gain": mean, "interval": [mean - half, mean + half], "verdict": verdict})
        print(
            f"{rate:>5.0%}  raw {means['raw']:.4f}  prepared {means['prepared']:.4f}  gain {mean:+.4f} "
            f"[{mean - half:+.4f}, {mean + half:+.4f}]  {verdict}"
        )
    return told


def main() -> int:
    """Run the study, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.3, 0.5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--tokens", type=int, default=30_000, help="tokens that every arm sees")
    parser.add_argument("--dry", action="store_true", help="write no result")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = study(Path(name), given.rates, given.seeds, given.tokens)
    told = compared(found, given.rates)
    if not given.dry:
        write_result({"tokens": given.tokens, "runs": found, "compared": told}, "study-prepare")
    return 0


if __name__ == "__main__":
    sys.exit(main())
