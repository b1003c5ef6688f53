"""How long `seodang check` takes on 52,000 Alpaca-shaped rows, and how many bytes a row costs it.

    python benchmarks/check.py [--rows 52000] [--memory 50000 1000000] [--tokenizer FOLDER]...

The floor is the `encode_batch` of the tokenizers library on the same rendered texts, in a process of its own; the ratio
says what reading, rendering, masking and judging cost on top of it. Memory is the difference of the peaks of two checks
over short rows, by the difference of their rows. Measured are a byte-level BPE trained here, the packaged starter's
tokenizer, and every further FOLDER. Prints a table and writes benchmarks/results/<date>-check.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seodang.machine import git_state, hardware, versions
from seodang.packaged import STARTER, model_path
from seodang.tasks.text import document

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS, BYTES = 60.0, 16.0
"""The longest that 52,000 rows may take on two cores, and the most that a row may cost."""
BATCH, DOCUMENTS = 256, 2000
RECIPE = {"stage": "sft", "adapter": {"kind": "lora"}, "check": {"max_duplicate_ratio": 1, "max_echo_ratio": 1}}


def korean_text(seed: int) -> str:
    """A third of a million characters of the starter's text."""
    draw = random.Random(seed)
    return " ".join(document(draw) for _ in range(DOCUMENTS))


def alpaca_rows(count: int) -> Iterator[dict[str, str]]:
    """Rows with the lengths of Alpaca's: 60 characters of instruction, an input in two of five, 270 of output."""
    draw, text = random.Random(0), korean_text(seed=0)

    def piece(size: int) -> str:
        at = draw.randrange(len(text) - 2000)
        return text[at : at + max(8, int(draw.gauss(size, size / 3)))].strip()

    for number in range(count):
        given = piece(60) if draw.random() < 0.4 else ""
        yield {"instruction": f"{piece(60)} ({number})", "input": given, "output": piece(270)}


def short_rows(count: int) -> Iterator[dict[str, str]]:
    """Rows that hardly take room themselves."""
    for number in range(count):
        yield {"instruction": f"{number} 다음 수는 무엇인가요?", "input": "", "output": f"{number + 1}입니다."}


def write_lines(path: Path, rows: Iterator[dict[str, str]]) -> Path:
    """Rows as JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return path


def train_tokenizer(folder: Path) -> Path:
    """A byte-level BPE of 8,000 tokens, as GPT-2's kin have it, in a folder that looks like a model's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=8000, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    raw.train_from_iterator(korean_text(seed=1).splitlines(), trainer)
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>").save_pretrained(folder)
    return folder


def as_model(source: Path, folder: Path) -> Path:
    """The tokenizer's files beside a config, without weights: all that the check reads of a model."""
    folder.mkdir()
    for file in [*source.glob("*token*"), *source.glob("chat_template*"), *source.glob("*.model")]:
        shutil.copyfile(file, folder / file.name)
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    return folder


def run(command: list[str], folder: Path) -> dict[str, float]:
    """Wall seconds, processor seconds and peak MiB of a command. Raises RuntimeError where it fails."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    seconds = time.perf_counter() - start
    cpu = used.ru_utime + used.ru_stime
    return {"wall_s": round(seconds, 2), "cpu_s": round(cpu, 2), "peak_mib": round(used.ru_maxrss / 1024, 1)}


def check(folder: Path, model: Path, rows: Path) -> dict[str, float]:
    """`seodang check` over a file, from the prompt to the answer."""
    template = "model" if "chat_template" in _tokenizer_config(model) else "koalpaca"
    recipe = RECIPE | {"model": {"name_or_path": str(model)}, "template": template, "data": {"train": str(rows)}}
    path = folder / f"{model.name}-{rows.stem}.yaml"
    path.write_text(json.dumps(recipe | {"output_dir": f"runs/{model.name}"}), encoding="utf-8")
    return run([sys.executable, "-m", "seodang", "check", str(path)], folder)


def _tokenizer_config(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    return found | ({"chat_template": ""} if (model / "chat_template.jinja").exists() else {})


def floor(model: Path, rows: Path) -> None:
    """Encode the rendered rows with nothing but `encode_batch`; prints the seconds that it took."""
    from seodang.chats import make_chat
    from seodang.data.reading import open_records
    from seodang.records import turns
    from seodang.tokenization import load_light

    chat = make_chat(load_light(str(model)), None if "chat_template" in _tokenizer_config(model) else "koalpaca")
    pieces = (chat.renderer.examples(turns(item.found)) for item in open_records(rows).items)  # type: ignore[arg-type]
    texts = ["".join(piece.text for piece in row) for one in pieces for row in one]
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = 0
    for at in range(0, len(texts), BATCH):
        found = chat.tokenizer.backend_tokenizer.encode_batch(texts[at : at + BATCH], add_special_tokens=False)
        tokens += sum(len(one) for one in found)
    used = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps({name: round(value, 2) for name, value in used.items()} | {"tokens": tokens}))


def measure_floor(model: Path, rows: Path) -> dict[str, float]:
    """`floor` in a fresh process."""
    command = [sys.executable, __file__, "--floor", str(model), str(rows)]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure_speed(folder: Path, models: list[Path], count: int) -> list[dict[str, Any]]:
    """The check and its floor, for every tokenizer."""
    rows = write_lines(folder / "alpaca.jsonl", alpaca_rows(count))
    results = []
    for model in models:
        base, found = measure_floor(model, rows), check(folder, model, rows)
        ratio = round(found["cpu_s"] / base["cpu_s"], 2)
        results.append({"tokenizer": model.name, "rows": count, "check": found, "floor": base, "ratio_cpu": ratio})
        times = f"{found['wall_s']:>8.1f} s {found['cpu_s']:>7.1f} s cpu"
        least = f"{base['wall_s']:>8.1f} s {base['cpu_s']:>7.1f} s cpu"
        print(f"{model.name:<16}{count:>8,} rows{base['tokens']:>12,} tokens{times}   floor{least}   ratio {ratio:.2f}")
    return results


def measure_memory(folder: Path, model: Path, counts: list[int]) -> dict[str, Any]:
    """The peaks of the checks over fewer and more short rows, and what a row more costs."""
    few, many = sorted(counts)
    found = {count: check(folder, model, write_lines(folder / f"short-{count}.jsonl", short_rows(count)))
             for count in (few, many)}  # fmt: skip
    cost = (found[many]["peak_mib"] - found[few]["peak_mib"]) * 2**20 / (many - few)
    for count, one in found.items():
        print(f"{model.name:<16}{count:>9,} short rows{one['peak_mib']:>10.1f} MiB{one['wall_s']:>9.1f} s")
    print(f"{cost:.1f} bytes per row")
    return {"rows": {str(count): one for count, one in found.items()}, "bytes_per_row": round(cost, 1)}


def main() -> int:
    """Measure, print, write. Returns 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=52_000)
    parser.add_argument("--memory", type=int, nargs=2, default=[50_000, 1_000_000], metavar=("FEW", "MANY"))
    parser.add_argument("--tokenizer", type=Path, action="append", default=[])
    parser.add_argument("--floor", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.floor:
        floor(*given.floor)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [as_model(train_tokenizer(folder / "trained"), folder / "bpe-8000")]
        others = [Path(model_path(STARTER)), *given.tokenizer]
        models += [as_model(source, folder / source.name) for source in others]
        speed = measure_speed(folder, models, given.rows)
        memory = measure_memory(folder, models[0], given.memory)
    today = datetime.date.today().isoformat()
    record = {"benchmark": "check", "date": today, "hardware": hardware(), "git": git_state(), "versions": versions()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{today}-check.json"
    text = json.dumps(record | {"speed": speed, "memory": memory}, ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(RESULTS.parent.parent)}")
    too_slow = any(result["check"]["wall_s"] > SECONDS for result in speed)
    return int(too_slow or memory["bytes_per_row"] > BYTES)


if __name__ == "__main__":
    sys.exit(main())
