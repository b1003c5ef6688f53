"""Muon and AdamW as one optimizer: which parameter takes which, against the update written out, and a loaded state."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from seodang.errors import RecipeError
from seodang.recipe_file import from_dict
from seodang.tuning.muon import MuonWithAdamW, muon


def llama(**changed: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"vocab_size": 32, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=2, **changed))


@pytest.fixture
def args(tmp_path: Path) -> TrainingArguments:
    return TrainingArguments(str(tmp_path), learning_rate=0.01, weight_decay=0.1, use_cpu=True)


def step(model: nn.Module, optimizer: MuonWithAdamW, seed: int) -> None:
    ids = torch.randint(0, 32, (2, 6), generator=torch.Generator().manual_seed(seed))
    model(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("tied", [True, False])
def test_matrices_take_muon_and_the_rest_adamw(tied: bool, args: TrainingArguments) -> None:
    model = llama(tie_word_embeddings=tied)
    names = {id(weight): name for name, weight in model.named_parameters()}
    matrices, rest = ({names[id(one)] for one in group["params"]} for group in muon(model, args).param_groups)
    assert {name.split(".")[-2] for name in matrices} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    }  # fmt: skip
    tables = {"model.embed_tokens.weight"} | (set() if tied else {"lm_head.weight"})
    assert tables <= rest and all("norm" in name for name in rest - tables)
    assert matrices | rest == set(names.values())


def test_frozen_weights_are_left_alone(args: TrainingArguments) -> None:
    model = llama()
    model.model.layers[0].mlp.requires_grad_(False)
    assert len(muon(model, args).param_groups[0]["params"]) == 4


def test_a_step_turns_the_gradient_into_a_near_orthogonal_one_of_adamws_size(args: TrainingArguments) -> None:
    model = llama()
    before = model.model.layers[0].mlp.up_proj.weight.detach().clone()
    step(model, muon(model, args), 1)
    moved = (before * (1 - 0.01 * 0.1) - model.model.layers[0].mlp.up_proj.weight).detach() / 0.01
    # Liu et al. 2025: every singular value near 1, times 0.2 √max(rows, columns)
    values = torch.linalg.svdvals(moved) / (0.2 * 16**0.5)
    assert values.min() > 0.5 and values.max() < 1.3
    assert moved.square().mean().sqrt() == pytest.approx(0.2 * (8 / 8) ** 0.5, rel=0.3)


def test_a_loaded_state_goes_on_as_if_never_saved(args: TrainingArguments) -> None:
    model = llama()
    optimizer = muon(model, args)
    for seed in range(3):
        step(model, optimizer, seed)
    twin = copy.deepcopy(model)
    other = muon(twin, args)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for seed in range(3, 6):
        step(model, optimizer, seed)
        step(twin, other, seed)
    pairs = zip(model.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_a_schedule_moves_both_learning_rates(args: TrainingArguments) -> None:
    model = llama()
    optimizer = muon(model, args)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = copy.deepcopy(model.state_dict())
    step(model, optimizer, 1)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_the_closures_loss_is_returned(args: TrainingArguments) -> None:
    model = llama()
    assert muon(model, args).step(lambda: 0.5) == 0.5


def test_only_pretraining_knows_it() -> None:
    given = {"model": {"name_or_path": "seodang-starter"}, "data": {"train": "x.jsonl"}, "training": {"optim": "muon"}}
    assert from_dict({"stage": "pretrain", "output_dir": "out", **given}).training.optim == "muon"
    with pytest.raises(RecipeError, match=r"training\.optim"):
        from_dict({"stage": "sft", "output_dir": "out", "template": "koalpaca", **given})
