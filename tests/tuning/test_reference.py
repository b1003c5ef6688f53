"""The reference: log-probabilities per trained token against a plain loop, and the cache that refuses what is stale."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from seodang.errors import RunError
from seodang.runs import Run
from seodang.tuning import reference
from seodang.tuning.adapters import Adapter
from seodang.tuning.reference import answer_logps, cached, fingerprint, hash_weights, token_logps

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

PAIRS = [
    ([5, 6, 7], [8, 9, 2], [10, 2]),
    ([11], [12, 13, 14, 15, 16, 2], [17, 2]),
    ([18, 19, 20, 21, 22, 23, 24], [2], [25, 26, 2]),
]


@pytest.fixture
def model(model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir)


@pytest.fixture
def folder(tmp_path: Path) -> Run:
    return Run(tmp_path)


def plainly(model: Any, given: Any, answer: Any) -> list[float]:
    """One row at a time, one token at a time, nothing padded: what the log-probabilities mean."""
    logps = []
    with torch.no_grad():
        for size in range(len(answer)):
            ids = torch.tensor([[*given, *answer[:size]]])
            scores = torch.log_softmax(model.eval()(input_ids=ids).logits[0, -1].double(), dim=-1)
            logps.append(float(scores[answer[size]]))
    return logps


def test_every_answer_token_has_the_log_probability_of_a_plain_loop(model: Any) -> None:
    rows = [(prompt, answer) for prompt, *answers in PAIRS for answer in answers]
    for (given, answer), found in zip(rows, token_logps(model, rows), strict=True):
        assert found.dtype == torch.float32 and found.shape == (len(answer),)
        assert found.tolist() == pytest.approx(plainly(model, given, answer), rel=1e-5)


@pytest.mark.parametrize("kind", ["prompt_tuning", "prefix_tuning"])
def test_virtual_tokens_stand_before_every_row(kind: str, model: Any) -> None:
    import peft

    config: Any = TypeAdapter(Adapter).validate_python({"kind": kind, "num_virtual_tokens": 5})
    led = peft.get_peft_model(model, config.to_peft(1))
    torch.manual_seed(4)
    for weight in led.prompt_encoder.parameters():
        weight.data = torch.randn_like(weight)
    rows = [(prompt, answer) for prompt, *answers in PAIRS for answer in answers]
    for (given, answer), found in zip(rows, token_logps(led, rows), strict=True):
        assert found.tolist() == pytest.approx(plainly(led, given, answer), rel=1e-5)
    with led.disable_adapter():
        assert abs(token_logps(led, rows)[0][0] - plainly(model, *rows[0])[0]) < 1e-5


def test_an_answer_is_the_sum_over_its_tokens_chosen_first(model: Any) -> None:
    for (prompt, chosen, rejected), found in zip(PAIRS, answer_logps(model, PAIRS), strict=True):
        expected = sum(plainly(model, prompt, chosen)), sum(plainly(model, prompt, rejected))
        assert found == pytest.approx(expected, rel=1e-5)


def test_no_pairs_give_no_numbers(model: Any) -> None:
    assert answer_logps(model, []) == []


@pytest.mark.parametrize(("tokens", "logits"), [(1, 2**27), (16, 2**27), (8192, 1), (8192, 640 * 12)])
def test_the_bounds_of_a_forward_change_no_number(model: Any, monkeypatch: Any, tokens: int, logits: int) -> None:
    whole = answer_logps(model, PAIRS)
    monkeypatch.setattr(reference, "TOKENS_AT_ONCE", tokens)
    monkeypatch.setattr(reference, "LOGITS_AT_ONCE", logits)
    assert sum(whole, ()) == pytest.approx(sum(answer_logps(model, PAIRS), ()), rel=1e-5)


def test_batches_hold_every_row_once_within_the_bounds(monkeypatch: Any) -> None:
    rows = [([1] * given, [2] * answer) for given in (1, 7, 30) for answer in (1, 5, 40)]
    monkeypatch.setattr(reference, "TOKENS_AT_ONCE", 100)
    batches = list(reference._batches(rows, vocabulary=640))
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    widths = [len(batch) * max(len(rows[i][0]) + len(rows[i][1]) for i in batch) for batch in batches]
    assert max(widths) <= 100 and max(map(len, batches)) > 1


def test_only_the_logits_of_answers_are_kept(model: Any) -> None:
    """Else a prompt of 2,000 tokens over a vocabulary of 150,000 would take 1.2 GB per row."""
    kept: list[int] = []
    original = model.forward

    def forward(**given: Any) -> Any:
        kept.append(given["logits_to_keep"])
        return original(**given)

    model.forward = forward
    forward.__wrapped__ = original  # type: ignore[attr-defined]
    token_logps(model, [([5] * 100, [6, 2])])
    assert kept == [3]


def test_a_model_without_logits_to_keep_gives_the_same(model: Any, monkeypatch: Any) -> None:
    rows = [([5, 6], [7, 2]), ([8] * 9, [9, 10, 2])]
    expected = [logps.tolist() for logps in token_logps(model, rows)]
    monkeypatch.setattr(reference, "_keeps_logits", lambda model: False)
    for logps, before in zip(token_logps(model, rows), expected, strict=True):
        assert logps.tolist() == pytest.approx(before, rel=1e-5)


def test_dropout_is_off_and_the_mode_is_put_back(model: Any) -> None:
    import peft

    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_dropout=0.5, init_lora_weights=False)
    model = peft.get_peft_model(model, config).train()
    frozen = next(module for name, module in model.named_modules() if name.endswith("embed_tokens"))
    frozen.eval()
    assert answer_logps(model, PAIRS) == answer_logps(model, PAIRS)
    assert model.training and not frozen.training


# --- The cache -------------------------------------------------------------------------------------------------------

TRAIN, HELD_OUT = [(-1.5, -2.25), (-3.0, -0.1)], [(-7.0, -8.0)]


def never() -> Any:
    raise AssertionError("computed again")


def test_the_numbers_are_kept_exactly_and_not_computed_again(folder: Run) -> None:
    third = [(1 / 3, float(torch.tensor(-0.1)))]
    parts = {"weights 1": "a", "data": "b"}
    first = cached(folder, parts, lambda: (TRAIN, third))
    again = cached(folder, parts, never)
    assert not first.cached and again.cached
    assert (again.train, again.eval) == (TRAIN, third)


def test_a_torn_cache_is_computed_again(folder: Run) -> None:
    folder.file(reference.FILE).write_text('{"fingerprint": {"da', encoding="utf-8")
    assert cached(folder, {"data": "b"}, lambda: (TRAIN, HELD_OUT)).train == TRAIN
    assert json.loads(folder.file(reference.FILE).read_text(encoding="utf-8"))["eval"] == [[-7.0, -8.0]]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"data": "other"}, "data changed"),
        ({"weights 1": "other", "template": "other"}, "template and weights 1 changed"),
        ({"weights 2": "more"}, "weights 2 changed"),
    ],
)
def test_a_stale_cache_is_refused_and_says_what_changed(folder: Run, changed: dict[str, str], named: str) -> None:
    parts = {"weights 1": "a", "data": "b", "template": "c"}
    cached(folder, parts, lambda: (TRAIN, HELD_OUT))
    with pytest.raises(RunError, match=re.escape(named)) as raised:
        cached(folder, parts | changed, never)
    assert "belong to another run" in str(raised.value) and "`--replace`" in str(raised.value)


def test_the_fingerprint_knows_weights_data_and_settings(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    made = fingerprint([tmp_path, "hub/name"], [PAIRS, []], template="t", precision="float32")
    assert sorted(made) == ["data", "precision", "template", "weights 1", "weights 2"]
    assert made["weights 2"] == "hub/name"
    assert made == fingerprint([tmp_path, "hub/name"], [PAIRS, []], template="t", precision="float32")
    moved = fingerprint([tmp_path, "hub/name"], [PAIRS[:2], PAIRS[2:]], template="t", precision="float32")
    assert made["data"] != moved["data"]
    (tmp_path / "model.safetensors").write_bytes(b"others!")
    assert made["weights 1"] != fingerprint([tmp_path], [PAIRS, []])["weights 1"]


def test_weights_are_known_by_their_files_and_not_by_their_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(b"same")
        (tmp_path / name / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert hash_weights(tmp_path / "one") == hash_weights(tmp_path / "two")
    (tmp_path / "two" / "adapter_config.json").write_text('{"r": 8}', encoding="utf-8")
    assert hash_weights(tmp_path / "one") != hash_weights(tmp_path / "two")
