"""Tokenizers and configs without a pad token: they train as all others, and without an eos what is missing is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

import seodang
from seodang import runs
from seodang.errors import SeodangError

ROWS = [
    {"messages": [{"role": "user", "content": f"{n}의 높임말은?"}, {"role": "assistant", "content": f"{n}입니다." * k}]}
    for k, n in enumerate(("학교", "서당", "우산", "기차", "바다", "저녁"), 1)
]
PAIRS = [
    {
        "prompt": row["messages"][:1],
        "chosen": row["messages"][1:],
        "rejected": [{"role": "assistant", "content": "몰라."}],
    }
    for row in ROWS
]
LOOP: dict[str, Any] = {"max_steps": 1, "per_device_train_batch_size": 6}
KEYS = {"template": "chatml", "adapter": {"kind": "lora", "r": 2}, "training": LOOP}


def without(model_dir: Path, folder: Path, *tokens: str) -> Path:
    """The model without these special tokens in its configs; their ids stay in the vocabulary."""
    shutil.copytree(model_dir, folder)
    for name in ("tokenizer_config.json", "config.json", "generation_config.json"):
        given = json.loads((folder / name).read_text(encoding="utf-8"))
        for token in tokens:
            given.pop(token, None)
            given.pop(f"{token}_id", None)
        (folder / name).write_text(json.dumps(given), encoding="utf-8")
    return folder


@pytest.mark.parametrize("tokens", [("pad_token",), ("pad_token", "eos_token")])
def test_without_a_pad_token_rows_are_padded_all_the_same(
    tokens: tuple[str, ...], model_dir: Path, tmp_path: Path
) -> None:
    base = without(model_dir, tmp_path / "base", *tokens)
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert tokenizer.pad_token is None and (tokenizer.eos_token is None) == ("eos_token" in tokens)
    losses = []
    for number, place in enumerate((model_dir, base)):
        first = seodang.sft(place, ROWS, tmp_path / f"sft{number}", **KEYS)
        second = seodang.dpo(place, PAIRS, tmp_path / f"dpo{number}", **KEYS)
        losses.append([runs.read_log(run.path)[0]["loss"] for run in (first, second)])
        saved = AutoTokenizer.from_pretrained(first.weights)
        assert saved.pad_token == AutoTokenizer.from_pretrained(place).pad_token
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_finished_run_is_not_resumed(model_dir: Path, tmp_path: Path) -> None:
    run = seodang.sft(model_dir, ROWS, tmp_path / "run", **KEYS)
    before = {file: file.stat().st_mtime_ns for file in run.path.rglob("*") if file.is_file()}
    with pytest.raises(SeodangError) as error:
        seodang.sft(model_dir, ROWS, tmp_path / "run", mode="resume", **KEYS)
    assert error.value.exit_code == 2
    assert str(error.value).startswith(
        f"{run.path} is finished; there is nothing to resume. `--new` runs it again beside"
    )
    assert {file: file.stat().st_mtime_ns for file in before} == before
