"""Stage pretrain: rows cut from joined texts with nothing lost, a model from an architecture, and one continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from seodang import runs
from seodang.errors import DataError, ModelError, RecipeError
from seodang.recipe_file import from_dict
from seodang.runs import Run
from seodang.tuning import pretrain
from seodang.tuning.pretrain import blocks

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

TEXTS = [
    f"{place}의 {who}는 {what} 읽고 나서 {end}"
    for place in ("한양", "전주", "강릉")
    for who in ("돌쇠", "분이", "막동이", "훈장")
    for what in ("천자문을", "소학을", "논어를")
    for end in ("집으로 돌아갔다.", "마당을 쓸었다.")
]
ARCHITECTURE = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "texts.jsonl"
    rows = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in TEXTS)
    path.write_text(rows, encoding="utf-8")
    return {"train": str(path), "eval": 0.1, "max_length": 64}


def recipe(model: dict[str, Any], data: dict[str, Any], **training: Any) -> Any:
    given = {"num_train_epochs": 3, "learning_rate": 1e-2, "per_device_train_batch_size": 4} | training
    return from_dict({"stage": "pretrain", "model": model, "data": data, "training": given, "output_dir": "unused"})


def fresh(tokenizer: Path, **changed: Any) -> dict[str, Any]:
    return {"config": ARCHITECTURE | changed, "tokenizer": str(tokenizer)}


def open_run(path: Path, resumed: bool = False) -> Run:
    path.mkdir(exist_ok=True)
    return Run(path, resumed)


# --- Rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [8, 13, 1000])
def test_texts_are_joined_with_eos_and_cut_without_losing_a_token(length: int, tokenizer: Any) -> None:
    rows = blocks(tokenizer, TEXTS, length)
    assert {len(row) for row in rows[:-1]} <= {length} and 0 < len(rows[-1]) <= length
    stream = [token for row in rows for token in row]
    expected = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
    assert stream == [token for ids in expected for token in (*ids, tokenizer.eos_token_id)]


def test_control_strings_in_a_text_stay_text(tokenizer: Any) -> None:
    (row,) = blocks(tokenizer, ["<|im_start|>user<|endoftext|>"], 1000)
    control = {tokenizer.convert_tokens_to_ids("<|im_start|>"), tokenizer.eos_token_id}
    assert control & set(row[:-1]) == set() and row[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(row[:-1]) == "<|im_start|>user<|endoftext|>"


def test_no_text_is_no_row_and_a_tokenizer_without_eos_is_refused(tokenizer_dir: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    assert blocks(tokenizer, [], 8) == []
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="The tokenizer has no eos token to put between texts"):
        blocks(tokenizer, ["글"], 8)


# --- From an architecture --------------------------------------------------------------------------------------------


def test_a_model_from_an_architecture_learns_and_loads_anywhere(
    tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    folder = open_run(tmp_path / "run")
    report = pretrain.run(recipe(fresh(tokenizer_dir), data), folder)
    metrics = report["metrics"]
    assert report["rows"] == {"read": len(TEXTS), "kept": len(TEXTS), "dropped": {}}
    assert metrics["eval_loss_last"] < 0.8 * metrics["eval_loss_first"]
    assert metrics["loss_last"] < 0.8 * metrics["loss_first"]
    assert metrics["train_texts"] + metrics["eval_texts"] == len(TEXTS)
    assert len(report["figures"]["loss"]) == metrics["steps"]
    tokenizer = AutoTokenizer.from_pretrained(folder.file("model"))
    model = AutoModelForCausalLM.from_pretrained(folder.file("model"))
    assert metrics["parameters"] == model.num_parameters()
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    assert not list(folder.file("model").glob("*.bin"))


def test_every_token_but_the_first_of_a_row_is_trained(
    tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    chosen = recipe(fresh(tokenizer_dir), data)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    loaded = pretrain.fresh(chosen.model, tokenizer, 1)
    rows = blocks(tokenizer, TEXTS[:5], 64)
    trainer = pretrain.make_trainer(chosen, loaded, (rows, rows), open_run(tmp_path / "run"))
    found = trainer.evaluate()["eval_loss"]
    losses = []
    for row in rows:
        with torch.no_grad():
            scores = torch.log_softmax(loaded.model(torch.tensor([row])).logits[0], dim=-1)
        losses += [-float(scores[at - 1, token]) for at, token in enumerate(row) if at]
    assert found == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_the_weights_are_drawn_from_the_seed(tokenizer_dir: Path, data: dict[str, Any]) -> None:
    tokenizer, spec = AutoTokenizer.from_pretrained(tokenizer_dir), recipe(fresh(tokenizer_dir), data).model
    one, again, other = (pretrain.fresh(spec, tokenizer, seed).model.state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_tokenizer_run_names_its_own_folder(tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    made = tmp_path / "tokenizer-run"
    shutil.copytree(tokenizer_dir, made / "tokenizer")
    runs.write_text(made / runs.MANIFEST, '{"state": "finished", "stage": "tokenizer"}\n')
    folder = open_run(tmp_path / "run")
    pretrain.run(recipe(fresh(made), data, max_steps=1), folder)
    assert AutoTokenizer.from_pretrained(folder.file("model")).get_vocab()


@pytest.mark.parametrize("model_type", ["gpt2", "qwen3"])
def test_other_architectures_and_their_own_names_will_do(
    model_type: str, tokenizer_dir: Path, data: dict[str, Any]
) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "max_position_embeddings": 64}
    own = {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64} if model_type == "gpt2" else {"rope_theta": 5e5}
    given = {"config": {"model_type": model_type} | (own if model_type == "gpt2" else small | own)}
    spec = recipe(given | {"tokenizer": str(tokenizer_dir)}, data).model
    model = pretrain.fresh(spec, AutoTokenizer.from_pretrained(tokenizer_dir), 1).model
    assert (model.config.hidden_size, model.config.max_position_embeddings) == (32, 64)
    if model_type == "qwen3":
        assert model.config.rope_parameters["rope_theta"] == 5e5


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"hidden_sise": 64}, r"model\.config\.hidden_sise: unknown key of the llama architecture, did you mean "
         r"`hidden_size`\?"),
        ({"model_type": "lama"}, r"model\.config\.model_type: unknown architecture `lama`, did you mean `llama`\?"),
        ({"vocab_size": 100}, r"model\.config\.vocab_size: must be at least 600, the size of the tokenizer"),
        ({"hidden_size": 30}, r"model\.config: upstream refuses it: (.|\n)*not a multiple of the number of attention"),
        ({"hidden_size": "wide"}, r"model\.config: upstream refuses it: (.|\n)*hidden_size"),
        ({"model_type": "t5"}, r"unknown key of the t5 architecture"),
    ],
)  # fmt: skip
def test_an_architecture_that_upstream_would_bend_is_refused(
    changed: dict[str, Any], text: str, tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=text):
        pretrain.run(recipe(fresh(tokenizer_dir, **changed), data), open_run(tmp_path / "run"))


def test_rows_longer_than_the_models_positions_are_refused(
    tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="The longest row has 256 tokens, and the model has 128 positions"):
        pretrain.run(recipe(fresh(tokenizer_dir), data | {"max_length": 256}), open_run(tmp_path / "run"))


# --- Continuing ------------------------------------------------------------------------------------------------------


def test_a_model_is_trained_on(model_dir: Path, data: dict[str, Any], tmp_path: Path) -> None:
    folder = open_run(tmp_path / "run")
    report = pretrain.run(recipe({"name_or_path": str(model_dir)}, data), folder)
    assert report["metrics"]["eval_loss_last"] < report["metrics"]["eval_loss_first"]
    runs.write_text(folder.path / runs.MANIFEST, '{"state": "finished", "stage": "pretrain"}\n')
    again = pretrain.run(recipe({"run": str(folder.path)}, data, max_steps=1), open_run(tmp_path / "again"))
    first, last = again["metrics"]["eval_loss_first"], report["metrics"]["eval_loss_last"]
    assert first == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("spec", [{"quantization": "nf4"}, {"adapter": True}])
def test_whole_weights_in_full_precision_are_asked_for(
    spec: dict[str, Any], model_dir: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    given: dict[str, Any] = {"name_or_path": str(model_dir)} | spec
    if given.pop("adapter", False):
        (tmp_path / "adapter").mkdir()
        shutil.copytree(model_dir, tmp_path / "adapter", dirs_exist_ok=True)
        described = json.dumps({"base_model_name_or_path": str(model_dir)})
        (tmp_path / "adapter" / "adapter_config.json").write_text(described, encoding="utf-8")
        given = {"name_or_path": str(tmp_path / "adapter")}
    with pytest.raises(ModelError, match="`pretrain` trains every weight, so it needs whole weights in full precision"):
        pretrain.run(recipe(given, data), open_run(tmp_path / "run"))


class StopAt(TrainerCallback):
    """A user's Ctrl-C."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 5:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optim", ["adamw_torch", "muon"])
def test_a_run_cut_off_and_resumed_ends_in_the_same_bytes(
    optim: str, tokenizer_dir: Path, data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(fresh(tokenizer_dir, attention_dropout=0.1), data, max_steps=8, save_steps=2, optim=optim)
    pretrain.run(chosen, open_run(tmp_path / "whole"))
    plain = pretrain.make_trainer

    def interrupted(*args: Any) -> Any:
        trainer = plain(*args)
        trainer.add_callback(StopAt())
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(pretrain, "make_trainer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pretrain.run(chosen, open_run(tmp_path / "broken"))
    pretrain.run(chosen, open_run(tmp_path / "broken", resumed=True))
    files = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]


def test_a_file_without_texts_stops_before_anything_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"txt": "글"}\n', encoding="utf-8")
    data = {"train": str(path)}
    with pytest.raises(DataError, match="the row has no `text`"):
        pretrain.run(recipe({"name_or_path": "no/such/model/here"}, data), open_run(tmp_path / "run"))
