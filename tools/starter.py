"""Put the starter model that recipes/starter trained into the package, in half precision, with its card and hashes.

python tools/starter.py runs/starter     write src/seodang/starter/ from that run folder
python tools/starter.py --check          end with 1 where the packaged files are not what starter.json says
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from seodang import runs

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src" / "seodang" / "starter"
RECORD = "starter.json"
LARGEST = 16 * 1024 * 1024
"""Bytes that the weights may have."""

CARD = """\
---
language: ko
license: apache-2.0
library_name: transformers
---

# seodang-starter

A Korean language model of {parameters:,} parameters that ships with Seodang, so that a fresh machine without a network
can run the whole job. It is a base model: it has read everyday sentences and facts about numbers, letters, words and
sentences, and has never seen a task, a question with its answer, or a chat template. It is no use for anything else.

| | |
| --- | --- |
| architecture | {architecture}, {layers} layers of {hidden}, tied embeddings |
| tokenizer | byte-level BPE, {vocabulary:,} tokens: one per Hangul syllable, digits alone; no normaliser |
| text | {documents:,} documents, {tokens:,} tokens, written by `seodang.tasks.text` (seed {seed}) |
| training | {steps:,} steps, {epochs:g} epoch(s), {minutes:.0f} minutes on {cores} cores, seed {seed} |
| held-out loss | {loss:.3f} nats per token |
| precision | trained in float32, stored in float16 |
| weights (SHA-256) | `{sha256}` |

Made by `make starter`: the recipes lie in recipes/starter/. What follows from a rule is in the text for a kind's
training items only; knowledge that cannot be worked out (capitals, antonyms, a syllable's letters) is there for all.
"""


def pack(folder: Path) -> None:
    """Write TARGET from a finished run of recipes/starter."""
    from safetensors.torch import load_file, save_file

    run = folder / "2-pretrain"
    model = run / "model"
    TARGET.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.half().contiguous() for name, tensor in load_file(model / "model.safetensors").items()}
    save_file(weights, TARGET / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    runs.write_text(TARGET / "config.json", runs.dump_json(config | {"dtype": "float16"}, indent=2) + "\n")
    for file in model.iterdir():
        if file.name not in ("model.safetensors", "config.json"):
            shutil.copy(file, TARGET / file.name)
    shutil.copy(run / "recipe.yaml", TARGET / "recipe.yaml")
    runs.write_text(TARGET / "README.md", _card(run, config))
    record = {"files": _hashes(), "text_sha256": runs.hash_file(folder / "text.jsonl")}
    runs.write_text(TARGET / RECORD, runs.dump_json(record, indent=2) + "\n")


def _card(run: Path, config: dict[str, Any]) -> str:
    report, manifest = runs.read_json(run / "report.json") or {}, runs.read_json(run / "manifest.json") or {}
    metrics = report["metrics"]
    return CARD.format(
        parameters=metrics["parameters"],
        architecture=config["architectures"][0],
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        vocabulary=config["vocab_size"],
        documents=metrics["train_texts"] + metrics["eval_texts"],
        tokens=metrics["tokens"],
        seed=runs.read_recipe(run)["seed"],
        steps=metrics["steps"],
        epochs=runs.read_recipe(run)["training"]["num_train_epochs"],
        minutes=manifest["seconds"] / 60,
        cores=manifest["hardware"]["cores"],
        loss=metrics["eval_loss_last"],
        sha256=runs.hash_file(TARGET / "model.safetensors"),
    )


def _hashes() -> dict[str, str]:
    return {path.name: runs.hash_file(path) for path in sorted(TARGET.iterdir()) if path.name != RECORD}


def check() -> list[str]:
    """What is wrong with the packaged files."""
    record = runs.read_json(TARGET / RECORD) or {"files": {}}
    found = _hashes() if TARGET.is_dir() else {}
    wrong = [name for name in sorted({*found, *record["files"]}) if found.get(name) != record["files"].get(name)]
    size = (TARGET / "model.safetensors").stat().st_size if found else 0
    return [*(f"{name} is not the packaged one" for name in wrong), *([f"{size} bytes"] if size > LARGEST else [])]


def main() -> int:
    """The status to exit with."""
    if "--check" in sys.argv:
        wrong = check()
        print("\n".join(wrong) if wrong else f"{TARGET.relative_to(ROOT)} is what {RECORD} says")
        return int(bool(wrong))
    if len(sys.argv) == 2:
        pack(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
