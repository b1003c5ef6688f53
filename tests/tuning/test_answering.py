"""tuning/answering.py and a caller's own trainer: metrics see answers and log-probabilities, a loss of one's own trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import seodang
from seodang import runs
from seodang.errors import ModelError, RecipeError, RunError
from seodang.evaluation.metrics import Answer
from seodang.recipe_file import from_dict
from seodang.tuning.dpo import PairTrainer
from seodang.tuning.sft import AdaptedTrainer, TokenTrainer
from seodang.workflow import run_recipe

NOUNS = ["학교", "서당", "우산", "기차", "바다", "고양이", "저녁", "아침", "여름", "겨울"]
ROWS = [
    {"messages": [{"role": "user", "content": f"{n}의 높임말은?"}, {"role": "assistant", "content": f"{n}입니다." * k}]}
    for k, n in enumerate(NOUNS, 1)
]
KEYS: dict[str, Any] = {"template": "chatml", "adapter": {"kind": "lora", "r": 4}}
LOOP = {"max_steps": 3, "learning_rate": 1e-2, "per_device_train_batch_size": 8, "eval_steps": 1}
SHORT = {"eval_max_new_tokens": 4, "eval_prompts": 2}
SEEN: list[Answer] = []


class Weighted(TokenTrainer):
    """Cross-entropy in which the first ids of the vocabulary count three times: an example to start from."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        log_probs, labels = self.token_log_probs(model, inputs)
        weights = torch.where(labels < 100, 3.0, 1.0)
        return self.per_token(-(weights * log_probs).sum(), labels, num_items_in_batch)


class Same(TokenTrainer):
    """Upstream's loss, written anew."""

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        log_probs, labels = self.token_log_probs(model, inputs)
        return self.per_token(-log_probs.sum(), labels, num_items_in_batch)


class Doubled(PairTrainer):
    """Twice DPO's loss."""

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        return 2 * super().compute_loss(*args, **kwargs)


def remember(answer: Answer) -> float:
    SEEN.append(answer)
    return sum(answer.token_logps) / len(answer.token_logps)


def said_nothing(answer: Answer) -> float | None:
    return None


def files(folder: Path) -> dict[str, Any]:
    for name, rows in (("train", ROWS[:8]), ("eval", ROWS[8:])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return {"train": str(folder / "train.jsonl"), "eval": str(folder / "eval.jsonl")}


def sft(model_dir: Path, folder: Path, name: str, **more: Any) -> tuple[list[dict[str, Any]], Path]:
    given = KEYS | {"training": LOOP | SHORT} | more
    run = seodang.sft(model_dir, files(folder), folder / name, **given)
    return runs.read_log(run.path), run.path


def curve(log: list[dict[str, Any]], name: str) -> list[float]:
    return [entry[name] for entry in log if name in entry]


# --- Metrics ---------------------------------------------------------------------------------------------------------


def test_a_metric_sees_what_was_said_and_what_the_right_answer_costs(model_dir: Path, tmp_path: Path) -> None:
    SEEN.clear()
    metrics = {"mean_logp": remember, "never": said_nothing}
    log, path = sft(model_dir, tmp_path, "run", metrics=metrics, training=LOOP | SHORT | {"eval_metrics": ["stop"]})
    found = curve(log, "eval_mean_logp")
    assert len(found) == 4 and found[-1] > found[0] and len(curve(log, "eval_stop")) == 4
    assert not curve(log, "eval_never")
    assert {answer.prompt for answer in SEEN} == {"여름의 높임말은?", "겨울의 높임말은?"}
    assert {answer.accept for answer in SEEN} == {("여름입니다." * 9,), ("겨울입니다." * 10,)}
    # the same numbers as the loss, token by token: what upstream's loss is the mean of
    tokens = sum(len(answer.token_logps) for answer in SEEN[-2:])
    mean = -sum(sum(answer.token_logps) for answer in SEEN[-2:]) / tokens
    assert mean == pytest.approx(curve(log, "eval_loss")[-1], rel=1e-5)
    assert runs.read_json(path / "manifest.json")["inputs"].keys() >= {"Python: metrics mean_logp"}  # type: ignore[index]


def test_answering_changes_no_weight(model_dir: Path, tmp_path: Path) -> None:
    adapter = {"kind": "lora", "r": 4, "lora_dropout": 0.2}
    _, plain = sft(model_dir, tmp_path, "plain", adapter=adapter)
    asked = LOOP | SHORT | {"eval_metrics": ["stop", "repetition"]}
    _, other = sft(model_dir, tmp_path, "asked", adapter=adapter, training=asked)
    name = "adapter/adapter_model.safetensors"
    assert (plain / name).read_bytes() == (other / name).read_bytes()


def test_a_metric_may_decide_which_step_is_the_best(model_dir: Path, tmp_path: Path) -> None:
    loop = LOOP | SHORT | {"load_best_model_at_end": True, "metric_for_best_model": "mean_logp"}
    _, path = sft(model_dir, tmp_path, "run", metrics={"mean_logp": remember}, training=loop)
    metrics = (runs.read_json(path / "report.json") or {})["metrics"]
    log = runs.read_log(path)
    values = {entry["step"]: entry["eval_mean_logp"] for entry in log if "eval_mean_logp" in entry}
    assert metrics["best_step"] == max((1, 2, 3), key=values.__getitem__)
    assert metrics["eval_mean_logp_best"] == values[metrics["best_step"]]


def test_an_unknown_metric_is_a_mistake_in_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"unknown metric bleu \(known: exact_match, stop"):
        from_dict(
            {
                "stage": "sft",
                "model": {"name_or_path": "x"},
                "data": {"train": "x"},
                "training": {"eval_metrics": ["bleu"]},
            }
        )


# --- A loss of one's own ---------------------------------------------------------------------------------------------


def test_a_loss_of_ones_own_that_is_upstreams_trains_as_upstream_does(model_dir: Path, tmp_path: Path) -> None:
    wanted, one = sft(model_dir, tmp_path, "usual")
    found, other = sft(model_dir, tmp_path, "own", trainer=Same)
    for name in ("loss", "eval_loss", "grad_norm", "entropy", "mean_token_accuracy"):
        assert curve(found, name) == pytest.approx(curve(wanted, name), rel=1e-6), name
    name = "adapter/adapter_model.safetensors"
    assert (one / name).stat().st_size == (other / name).stat().st_size


def test_weights_count_and_accumulation_is_exact(model_dir: Path, tmp_path: Path) -> None:
    usual, _ = sft(model_dir, tmp_path, "usual")
    whole, _ = sft(model_dir, tmp_path, "whole", trainer=Weighted)
    parts = LOOP | {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    cut, _ = sft(model_dir, tmp_path, "cut", trainer=Weighted, training=parts)
    assert curve(whole, "loss")[0] > 1.2 * curve(usual, "loss")[0]
    assert curve(cut, "loss") == pytest.approx(curve(whole, "loss"), rel=1e-6)


def test_the_methods_penalty_is_added_to_whatever_the_loss_is(model_dir: Path, tmp_path: Path) -> None:
    logs = []
    for weight in (0.0, 50.0):
        adapter = {"kind": "adalora", "init_r": 4, "target_r": 2, "orth_reg_weight": weight}
        log, _ = sft(model_dir, tmp_path, str(weight), trainer=Same, adapter=adapter, training=LOOP | {"max_steps": 10})
        logs.append(curve(log, "loss"))
    assert logs[1][0] > logs[0][0] + 0.1


def test_a_class_that_is_no_trainer_of_ours_is_refused(model_dir: Path, tmp_path: Path) -> None:
    for wrong in (dict, AdaptedTrainer):
        with pytest.raises(ModelError) as error:
            sft(model_dir, tmp_path, "run", trainer=wrong)
        assert str(error.value) == (
            f"trainer: {wrong.__name__} is not a class below seodang.tuning.sft.TokenTrainer, which is the one to subclass."
        )


def test_a_run_is_resumed_with_the_code_that_it_began_with(model_dir: Path, tmp_path: Path) -> None:
    _, path = sft(model_dir, tmp_path, "run", trainer=Weighted)
    runs.write_text(path / "manifest.json", (path / "manifest.json").read_text().replace('"finished"', '"running"'))
    with pytest.raises(RunError, match=r"(?s)cannot be resumed.*Python: trainer Weighted is gone"):
        run_recipe(from_dict(runs.read_recipe(path) | {"output_dir": str(path)}), "resume")
    with pytest.raises(RunError, match=r"(?s)cannot be resumed.*Python: trainer Same is new"):
        sft(model_dir, tmp_path, "run", trainer=Same, mode="resume")
    log, _ = sft(model_dir, tmp_path, "run", trainer=Weighted, mode="resume")
    assert len(curve(log, "loss")) == 3


def test_dpo_takes_a_loss_of_ones_own(model_dir: Path, tmp_path: Path) -> None:
    pairs = [{"prompt": row["messages"][:1], "chosen": [row["messages"][1]],
              "rejected": [{"role": "assistant", "content": "몰라."}]} for row in ROWS]  # fmt: skip
    losses = []
    for name, more in (("usual", {}), ("own", {"trainer": Doubled})):
        keys = KEYS | {"training": {"max_steps": 1, "per_device_train_batch_size": 4}} | more
        run = seodang.dpo(model_dir, pairs, tmp_path / name, **keys)
        losses.append(curve(runs.read_log(run.path), "loss")[0])
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-6)
