"""Every adapter on every kind of weights: it trains, loads on the untouched base in a fresh process, and merges."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from adapter_table import EXAMPLES, MERGED, WEIGHTS, Example, page

from seodang import runs
from seodang.data.dataset import training_rows
from seodang.errors import ModelError
from seodang.recipe_file import from_dict
from seodang.runs import Run
from seodang.tuning import sft
from seodang.tuning.hooks import Batches, prepare
from seodang.tuning.loop import save_trained, train
from seodang.tuning.model import Aim, load_for_training, load_model, merge
from seodang.tuning.specs import ModelSpec, locate

pytestmark = [
    pytest.mark.xdist_group("adapter table"),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*inputs will be cast.*"),
]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "adapters.md"
IDS = torch.tensor([[5, 17, 40, 301, 77, 9], [5, 60, 61, 90, 300, 11]])
STEPS = 6
NOUNS = ["학교", "서당", "우산", "기차", "바다", "고양이"]
PAIRS = [(example, weights) for example in EXAMPLES for weights in WEIGHTS]
TRAINED = [(example, weights) for example, weights in PAIRS if example.refused(weights) is None]
READ_ANEW = """
import sys, torch
from seodang.tuning.model import load_model
from seodang.tuning.specs import ModelSpec, spec_of_run
from pathlib import Path
for folder in map(Path, sys.argv[1:]):
    model = load_model(spec_of_run(folder)).model
    with torch.no_grad():
        found = model(input_ids=torch.load(folder / "ids.pt")).logits
    torch.save(found, folder / "anew.pt")
"""


def called(pair: tuple[Example, str | None]) -> str:
    return f"{pair[0].title}-{pair[1] or 'full precision'}".replace(" ", "_")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("data") / "train.jsonl"
    turns = [[{"role": "user", "content": f"{noun}의 높임말은?"}, {"role": "assistant", "content": f"{noun}입니다."}]
             for noun in NOUNS]  # fmt: skip
    file.write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns), encoding="utf-8")
    return {"train": str(file), "max_length": 256}


@pytest.fixture(scope="module")
def dense_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a louder output layer: a frozen one of std 0.02 can say next to nothing at width 32."""
    folder = tmp_path_factory.mktemp("dense")
    shutil.copytree(model_dir, folder, dirs_exist_ok=True)
    return louder(folder)


def louder(folder: Path) -> Path:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] *= 15
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def mixture_dir(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer mixture of four experts, whose weights are parameters of no linear layer."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    folder = tmp_path_factory.mktemp("mixture")
    shutil.copytree(tokenizer_dir, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    config = Qwen3MoeConfig(
        vocab_size=640, hidden_size=32, intermediate_size=64, moe_intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, num_experts=4, num_experts_per_tok=2,
        bos_token_id=None, eos_token_id=2, pad_token_id=3,
    )  # fmt: skip
    Qwen3MoeForCausalLM(config).save_pretrained(folder)
    return louder(folder)


@dataclass
class Trained:
    """What is left of a training: its folder, and the logits that the model in memory gave."""

    folder: Path
    logits: torch.Tensor
    losses: list[float]


def train_one(base: Path, pair: tuple[Example, str | None], data: dict[str, Any], path: Path) -> Trained:
    example, weights = pair
    path.mkdir()
    folder = Run(path, False)
    model = {"name_or_path": str(base), **({"quantization": weights} if weights else {})}
    rate = 5e-3 if example.adapter.kind in ("lora", "full") else 3e-2
    rate /= getattr(example.adapter, "loraplus_lr_ratio", None) or 1
    training = {"max_steps": STEPS, "learning_rate": rate, "per_device_train_batch_size": 3}
    recipe: Any = from_dict({"stage": "sft", "model": model, "template": "chatml", "data": data, "training": training,
                             "adapter": example.recipe, "output_dir": str(path)})  # fmt: skip
    rows = training_rows(recipe)
    loaded = load_for_training(recipe.model, recipe.adapter, Aim(7, STEPS, path))
    loaded.tokenizer.chat_template = rows.chat.jinja
    prepare(loaded, Batches([(row.input_ids, row.labels) for row in rows.train], 3, "cpu"), path)
    outcome = train(sft.make_trainer(recipe, rows, loaded, folder), folder)
    loaded.model.eval()
    with torch.no_grad():
        logits = loaded.model(input_ids=IDS).logits
    save_trained(loaded, folder, rows.chat.stop_ids)
    runs.write_text(path / "recipe.yaml", runs.dump_json({"model": recipe.model.model_dump(mode="json")}))
    runs.write_text(path / runs.MANIFEST, '{"state": "finished", "stage": "sft"}\n')
    torch.save(IDS, path / "ids.pt")
    return Trained(path, logits, [entry["loss"] for entry in outcome["figures"]["loss"]])


@pytest.fixture(scope="module")
def trained(
    dense_dir: Path, mixture_dir: Path, data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Trained]:
    """Every pair of the table that trains, trained, and read anew in one fresh process."""
    root = tmp_path_factory.mktemp("table")
    found = {
        called(pair): train_one(mixture_dir if pair[0].mixture else dense_dir, pair, data, root / str(number))
        for number, pair in enumerate(TRAINED)
    }
    folders = [str(one.folder) for one in found.values()]
    subprocess.run([sys.executable, "-c", READ_ANEW, *folders], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return found


def base_logits(pair: tuple[Example, str | None], base: Path) -> torch.Tensor:
    model = load_model(ModelSpec.model_validate({"name_or_path": str(base), "quantization": pair[1]})).model
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("pair", TRAINED, ids=called)
def test_what_is_saved_is_what_was_trained(
    pair: tuple[Example, str | None], trained: dict[str, Trained], dense_dir: Path, mixture_dir: Path
) -> None:
    one = trained[called(pair)]
    anew = torch.load(one.folder / "anew.pt")
    assert (anew - one.logits).abs().max() <= 1e-5
    base = base_logits(pair, mixture_dir if pair[0].mixture else dense_dir)
    assert (anew[:, -base.shape[1] :] - base).abs().max() > 1e-3
    half = STEPS // 2
    assert len(one.losses) == STEPS and sum(one.losses[half:]) < sum(one.losses[:half])


@pytest.mark.parametrize("pair", [pair for pair in TRAINED if pair[0].adapter.kind != "full"], ids=called)
def test_merged_weights_are_the_adapter(
    pair: tuple[Example, str | None], trained: dict[str, Trained], tmp_path: Path
) -> None:
    one = trained[called(pair)]
    spec = ModelSpec(run=str(one.folder), merge=True)
    if not pair[0].merges:
        with pytest.raises(ModelError, match="vectors before the text, which change no weight and cannot be merged"):
            merge(locate(spec), spec, tmp_path / "base")
        return
    whole = load_model(ModelSpec(name_or_path=merge(locate(spec), spec, tmp_path / "base"))).model
    with torch.no_grad():
        assert (whole(input_ids=IDS).logits - one.logits).abs().max() <= MERGED[pair[1]]


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0].refused(pair[1])], ids=called)
def test_what_the_table_refuses_is_refused_before_any_weight_is_read(
    pair: tuple[Example, str | None], model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seodang.tuning.model.load_base", lambda *_: pytest.fail("weights were read"))
    spec = ModelSpec.model_validate({"name_or_path": str(model_dir), "quantization": pair[1]})
    with pytest.raises(ModelError) as caught:
        load_for_training(spec, pair[0].adapter, Aim(7, STEPS, tmp_path))
    reason = str(pair[0].refused(pair[1])).replace("quantised weights are frozen", f"{pair[1]} weights are frozen")
    assert reason in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", ["prompt_tuning", "prefix_tuning"])
def test_an_adapter_that_cannot_be_continued_says_so(kind: str, trained: dict[str, Trained], tmp_path: Path) -> None:
    found = next(one for name, one in trained.items() if name.startswith(kind.split("_")[0].title()))
    with pytest.raises(ModelError, match=f"is a {kind} adapter, which PEFT loads to be used and not to be trained on"):
        load_for_training(ModelSpec(run=str(found.folder)), None, Aim(7, STEPS, tmp_path))


def test_the_page_is_the_table() -> None:
    assert DOCS.read_text(encoding="utf-8") == page()
