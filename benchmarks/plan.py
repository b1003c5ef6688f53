"""What `seodang plan` says of memory beside what training takes: LoRA, QLoRA, full, DPO, and LoRA on 152k words.

    python benchmarks/plan.py [--case lora …]

Each case is a whole stage in a fresh process on random weights: a Qwen3 of 42 M parameters in float32, three optimizer
steps of at least 4,096 tokens. Measured is the peak of the resident size (the kernel's own VmHWM, set back before the
first step) above the resident size before the first step. Predicted is what the plan of the same recipe says is added
by then: everything but the weights. Prints predicted, measured and their ratio, and writes
benchmarks/results/<date>-plan.json. Memory is measured well beside other work on the machine; time is not.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seodang.machine import git_state, hardware, versions

RESULTS = Path(__file__).resolve().parent / "results"
LIMIT = 0.15
"""How far a prediction may be off."""
LENGTH = 544
SHAPE = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8,
         "num_key_value_heads": 4, "head_dim": 64, "max_position_embeddings": 2048,
         "tie_word_embeddings": True}  # fmt: skip
"""Qwen3's architecture at 42 M parameters with 32,000 words, 25 M of them in the layers."""
SMALL, LARGE = 32_000, 152_064
"""Vocabularies: one of a Korean model, and Qwen's padded one."""


@dataclass(frozen=True, slots=True)
class Case:
    """A recipe to plan and to run: its stage and what it trains."""

    name: str
    stage: str = "sft"
    adapter: str = "{kind: lora, r: 16, lora_alpha: 32}"
    model: str = ""
    vocabulary: int = SMALL
    batch: int = 8

    def recipe(self, folder: Path) -> str:
        """The recipe's text."""
        data = "pairs.jsonl" if self.stage == "dpo" else "rows.jsonl"
        return f"""\
stage: {self.stage}
model: {{name_or_path: {folder}/model-{self.vocabulary}{self.model}}}
template: chatml
data: {{train: {folder}/{data}, eval: 0.0, max_length: {LENGTH}}}
adapter: {self.adapter}
training: {{max_steps: 3, per_device_train_batch_size: {self.batch}, save_steps: 1000}}
check: {{max_duplicate_ratio: 1.0}}
output_dir: {folder}/runs/{self.name}
"""


CASES = (
    Case("lora"),
    Case("qlora", model=", quantization: {kind: nf4}"),
    Case("full", adapter="full"),
    Case("dpo", stage="dpo", batch=4),
    Case("lora-152k", vocabulary=LARGE),
)


def make_project(folder: Path, vocabularies: set[int]) -> None:
    """A small tokenizer, rows and pairs of up to 530 tokens, and a model with random weights per vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    control = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        WORDS, trainers.BpeTrainer(vocab_size=400, special_tokens=control, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>")
    _write_rows(folder, tokenizer)
    for size in vocabularies:
        _write_model(folder / f"model-{size}", tokenizer, size)


WORDS = [
    "나는",
    "오늘",
    "아침",
    "학교",
    "도서관에서",
    "책을",
    "읽고",
    "저녁에는",
    "가족과",
    "함께",
    "밥을",
    "먹었습니다",
]


def _write_rows(folder: Path, tokenizer: Any) -> None:
    drawn = random.Random(0)

    def text(tokens: int) -> str:
        words: list[str] = []
        while len(tokenizer(" ".join(words))["input_ids"]) < tokens:
            words += drawn.choices(WORDS, k=4)
        return " ".join(words)

    rows, pairs = [], []
    for number in range(32):
        asked = f"{number}번 글을 이어 써 주세요. " + text(40)
        length = LENGTH - 120 - 40 * (number % 3)
        rows.append({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": text(length)}]})
        prompt = [{"role": "user", "content": asked}]
        sides = {name: [{"role": "assistant", "content": text(length)}] for name in ("chosen", "rejected")}
        pairs.append({"prompt": prompt, **sides})
    for name, made in (("rows", rows), ("pairs", pairs)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in made]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def _write_model(folder: Path, tokenizer: Any, vocabulary: int) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(vocab_size=vocabulary, **SHAPE)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run_case(recipe_file: Path) -> dict[str, Any]:
    """Run a stage in this process; returns {"resident", "peak"} in bytes, both of the kernel's counting."""
    from transformers.trainer_callback import DefaultFlowCallback

    from seodang.recipe_file import load_recipe
    from seodang.workflow import run_recipe

    found: dict[str, Any] = {}
    after_step = DefaultFlowCallback.on_step_end

    def before(self: Any, *args: Any, **kwargs: Any) -> None:
        if "resident" not in found:
            start_peak(found)

    def after(self: Any, *args: Any, **kwargs: Any) -> Any:
        found["peak"] = status("VmHWM")
        return after_step(self, *args, **kwargs)

    DefaultFlowCallback.on_step_begin, DefaultFlowCallback.on_step_end = before, after
    run_recipe(load_recipe(recipe_file).recipe)
    return found


def start_peak(found: dict[str, Any]) -> None:
    """Note the resident size, give free memory back before, and let the kernel's peak begin here."""
    ctypes.CDLL(None).malloc_trim(0)
    found["resident"] = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")


def status(key: str) -> int:
    """A size from the kernel's account of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def predicted(recipe_file: Path) -> float:
    """Bytes that the plan of a recipe adds to the model in memory."""
    from seodang.planning.plan import plan
    from seodang.recipe_file import load_recipe

    return plan(load_recipe(recipe_file).recipe, "cpu").memory.above_weights


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Plan a case, then run it in a fresh process. Raises CalledProcessError where the stage fails."""
    file = folder / f"{case.name}.yaml"
    file.write_text(case.recipe(folder), encoding="utf-8")
    expected = predicted(file)
    done = subprocess.run([sys.executable, __file__, "--run", str(file)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    above = found["peak"] - found["resident"]
    return {"case": case.name, "predicted": round(expected), "measured": above, "ratio": round(expected / above, 3)}


def main() -> int:
    """Measure, print, write. Returns 1 where a prediction is further off than the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--case", nargs="+", choices=[case.name for case in CASES], help="only these")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(json.dumps(run_case(given.run)))
        return 0
    cases = [case for case in CASES if given.case is None or case.name in given.case]
    results = []
    print(f"{'case':<12}{'predicted':>12}{'measured':>12}{'ratio':>8}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        make_project(Path(name), {case.vocabulary for case in cases})
        for case in cases:
            results.append(measure(case, Path(name)))
            sizes = "".join(f"{results[-1][key] / 2**20:>8.0f} MiB" for key in ("predicted", "measured"))
            print(f"{case.name:<12}{sizes}{results[-1]['ratio']:>8.3f}", flush=True)
    _write(results)
    return int(any(abs(result["ratio"] - 1) > LIMIT for result in results))


def _write(results: list[dict[str, Any]]) -> None:
    today = datetime.date.today().isoformat()
    record = {"benchmark": "plan", "date": today, "hardware": hardware(), "git": git_state(), "versions": versions(),
              "limit": LIMIT, "results": results}  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-plan.json"
    path.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(RESULTS.parent.parent)}")


if __name__ == "__main__":
    sys.exit(main())
