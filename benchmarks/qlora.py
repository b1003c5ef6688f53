"""QLoRA (nf4) beside LoRA in full precision: held-out loss, time and memory, on long Korean answers.

    python benchmarks/qlora.py [FOLDER] [--model NAME_OR_PATH] [--epochs N] [--keep DIR]

FOLDER holds `kullm_style_evol.jsonl` (VAIV-2023/RLHF-Korean-Friendly-LLM) and `web_text_0.jsonl` (EleutherAI/dps);
without it nothing is measured. The base is the packaged starter, trained on by `pretrain` on the web text. Its
syllables fit such text (2 % of the tokens of these rows are bytes), and two hours of pretraining are in it: a larger
model from nothing would have minutes, and rounding can only cost what has been learnt.

Every stage runs in a fresh process with one thread. Both arms train the same rows with the same keys; `model.
quantization` is the only difference. Time is that of the optimizer steps alone, on the wall and of the processor;
memory is the resident size before the first step and its peak in the steps. Losses are those of stage `evaluate` on
held-out rows, with the difference paired row by row and its 95 % interval (bootstrap over rows). At the starter's size
the weights weigh next to nothing, so memory is measured once more where they are most of it: 340 M random weights and
short rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import plan
from prepare import write_result

ROWS, TEXT = "kullm_style_evol.jsonl", "web_text_0.jsonl"
LENGTH = 1024
ARMS = {"lora": "", "qlora": ", quantization: {kind: nf4}"}
DRAWS = 10_000
LARGE = {"hidden_size": 1536, "intermediate_size": 4096, "num_hidden_layers": 12, "num_attention_heads": 16,
         "num_key_value_heads": 16, "head_dim": 96, "tie_word_embeddings": True}  # fmt: skip
"""Llama's architecture at 340 M parameters."""

PRETRAIN = """\
stage: pretrain
model: {{name_or_path: {model}}}
data: {{train: {folder}/web_text_0.jsonl, eval: 0.02, max_length: {length}}}
training: {{max_steps: {pretrain}, per_device_train_batch_size: 4, learning_rate: 1e-3, warmup_steps: 0.05,
           eval_steps: 0.5, save_steps: 100000}}
output_dir: {work}/base
"""
SFT = """\
stage: sft
model: {{name_or_path: {work}/base/model{quantization}}}
template: koalpaca
data: {{train: {folder}/kullm_style_evol.jsonl, eval: 0.2, max_length: {length}, over_length: drop}}
adapter: {{kind: lora, r: 16, lora_alpha: 32}}
training: {{num_train_epochs: {epochs}, per_device_train_batch_size: 2, learning_rate: 1e-3, save_steps: 100000}}
output_dir: {work}/{arm}
"""
SHORT = """\
stage: sft
model: {{name_or_path: {work}/large{quantization}}}
template: koalpaca
data: {{train: {work}/short.jsonl, eval: 0.0, max_length: 64}}
adapter: {{kind: lora, r: 16, lora_alpha: 32}}
training: {{max_steps: 3, per_device_train_batch_size: 1, save_steps: 100000}}
output_dir: {work}/large-{arm}
"""
EVALUATE = """\
stage: evaluate
models:
  base: {{name_or_path: {work}/base/model}}
  base_nf4: {{name_or_path: {work}/base/model, quantization: {{kind: nf4}}}}
  lora: {{run: {work}/lora}}
  qlora: {{run: {work}/qlora}}
data: {{train: {folder}/kullm_style_evol.jsonl, eval: 0.2, max_length: {length}, over_length: drop}}
sampling: {{temperature: 0, max_new_tokens: 1}}
output_dir: {work}/evaluate
"""


def run_stage(file: Path) -> dict[str, Any]:
    """Run a recipe in this process; returns its metrics, and what its optimizer steps took in seconds and bytes."""
    from seodang.tuning.quiet import silence_upstream  # first, so that it hears everything

    silence_upstream()
    import torch
    from transformers import TrainerCallback, trainer

    from seodang.recipe_file import load_recipe
    from seodang.workflow import run_recipe

    torch.set_num_threads(1)
    found: dict[str, Any] = {"seconds": 0.0, "cpu_seconds": 0.0, "steps": 0}

    class Watch(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            if "resident" not in found:
                plan.start_peak(found)
            self.begun = time.perf_counter(), time.process_time()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            found["seconds"] += time.perf_counter() - self.begun[0]
            found["cpu_seconds"] += time.process_time() - self.begun[1]
            found["steps"] += 1
            found["peak"] = plan.status("VmHWM")

    trainer.DEFAULT_CALLBACKS.append(Watch)
    return found | {"metrics": run_recipe(load_recipe(file).recipe).report["metrics"]}


def in_fresh_process(name: str, text: str, work: Path) -> dict[str, Any]:
    """Run a recipe's text in a process of its own. Raises CalledProcessError where the stage fails."""
    file = work / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, __file__, "--run", str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=one_thread())
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_thread() -> dict[str, str]:
    """The environment of a process that computes in one thread and asks no hub."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def losses(work: Path) -> dict[str, Any]:
    """Loss per model (nats per trained token), and the paired differences of quantised and not, with intervals."""
    lines = (work / "evaluate" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    rows: dict[str, list[tuple[float, int]]] = {}
    for line in map(json.loads, lines):
        rows.setdefault(line["model"], []).append((line["reference_nll"], line["reference_tokens"]))
    found: dict[str, Any] = {"rows": len(rows["base"]), "tokens": sum(tokens for _, tokens in rows["base"])}
    found["loss"] = {name: _mean([nll for nll, _ in part], part) for name, part in rows.items()}
    for name, one, other in (("base", "base_nf4", "base"), ("trained", "qlora", "lora")):
        apart = [a - b for (a, _), (b, _) in zip(rows[one], rows[other], strict=True)]
        found[f"cost_{name}"] = {"mean": _mean(apart, rows[one]), "interval": _interval(apart, rows[one])}
    return found


def _mean(sums: list[float], rows: list[tuple[float, int]]) -> float:
    return sum(sums) / sum(tokens for _, tokens in rows)


def _interval(sums: list[float], rows: list[tuple[float, int]]) -> list[float]:
    drawn = random.Random(0)
    means = []
    for _ in range(DRAWS):
        chosen = drawn.choices(range(len(rows)), k=len(rows))
        means.append(sum(sums[i] for i in chosen) / sum(rows[i][1] for i in chosen))
    means.sort()
    return [means[DRAWS // 40], means[-DRAWS // 40]]


def memory_of_a_large_one(work: Path) -> dict[str, int]:
    """Peak of both arms on 340 M random weights, in bytes."""
    make_large(work)
    found = {}
    for arm, quantization in ARMS.items():
        took = in_fresh_process(f"large-{arm}", SHORT.format(arm=arm, quantization=quantization, work=work), work)
        found[arm] = took["peak"]
    return found


def make_large(work: Path) -> None:
    """A model that is large beside its rows, with the starter's tokenizer."""
    import shutil

    from transformers import LlamaConfig, LlamaForCausalLM

    from seodang.packaged import model_path

    starter = Path(model_path("seodang-starter"))
    LlamaForCausalLM(LlamaConfig.from_pretrained(starter, **LARGE)).save_pretrained(work / "large")
    for file in starter.glob("tokenizer*.json"):
        shutil.copy(file, work / "large")
    turns = [{"role": "user", "content": "오늘 날씨는 어때요?"}, {"role": "assistant", "content": "맑고 따뜻해요."}]
    (work / "short.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")


def measure(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Pretrain, train both arms, evaluate, and measure memory once more where weights weigh."""
    known = {"folder": given.folder.resolve(), "work": work, "length": LENGTH, "model": given.model}
    known |= {"epochs": given.epochs, "pretrain": given.pretrain_steps}
    found: dict[str, Any] = {"model": given.model, "length": LENGTH, "epochs": given.epochs, "threads": 1}
    found["pretrain"] = in_fresh_process("pretrain", PRETRAIN.format(**known), work)
    print(f"base: held-out loss on web text {found['pretrain']['metrics']['eval_loss_last']:.3f}", flush=True)
    for arm, quantization in ARMS.items():
        found[arm] = in_fresh_process(arm, SFT.format(arm=arm, quantization=quantization, **known), work)
        took = found[arm]
        print(f"{arm:<6}{took['seconds'] / took['steps']:>7.2f} s/step on the wall"
              f"{took['cpu_seconds'] / took['steps']:>7.2f} s/step of the processor"
              f"{took['resident'] / 2**20:>7.0f} MiB before the first step{took['peak'] / 2**20:>7.0f} MiB at the peak",
              flush=True)  # fmt: skip
    in_fresh_process("evaluate", EVALUATE.format(**known), work)
    found |= losses(work)
    for name in ("base", "trained"):
        cost = found[f"cost_{name}"]
        print(f"nf4 costs {name:<8}{cost['mean']:+.4f} nats per token [{cost['interval'][0]:+.4f}, "
              f"{cost['interval'][1]:+.4f}]")  # fmt: skip
    print("  ".join(f"{name} {loss:.4f}" for name, loss in found["loss"].items()), flush=True)
    found["peak_340m"] = memory_of_a_large_one(work)
    for arm, peak in found["peak_340m"].items():
        print(f"340 M {arm:<6}{peak / 2**20:>7.0f} MiB at the peak")
    return found


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, nargs="?", help="public Korean files; without them nothing is measured")
    parser.add_argument("--model", default="seodang-starter", help="what the base is trained on from")
    parser.add_argument("--epochs", type=float, default=1, help="of an arm")
    parser.add_argument("--pretrain-steps", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a new folder for the runs; else they are thrown away")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_stage(given.run)))
        return 0
    if given.folder is None or not all((given.folder / name).is_file() for name in (ROWS, TEXT)):
        print(f"nothing is measured without a folder that holds {ROWS} and {TEXT}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        work = (given.keep or Path(name)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        write_result(measure(given, work), "qlora")
    return 0


if __name__ == "__main__":
    sys.exit(main())
