"""Stage dpo: the reference is the parent on disk, the ids are ours, the start is proved, and the loss falls."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from seodang import runs
from seodang.data.dataset import EncodedPair, training_rows
from seodang.errors import DataError, ModelError, RecipeError, RunError
from seodang.recipe_file import from_dict
from seodang.records import Message
from seodang.runs import Run
from seodang.tuning import dpo, reference
from seodang.tuning.model import load_model
from seodang.tuning.specs import FourBit, ModelSpec

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

WORDS = (
    "학교", "서당", "우산", "기차", "바다", "고양이", "저녁", "아침", "여름", "겨울",
    "연필", "공책", "사과", "포도", "구름", "강물", "시계", "안경", "의자", "책상",
)  # fmt: skip
ROWS = [
    {"prompt": f"{word}: 이 낱말을 읽어 주세요.", "chosen": f"{word}입니다.", "rejected": f"{word}잖아."}
    for word in WORDS
]
"""One regularity to learn, the polite ending, and held-out words to show it on."""


def write_pairs(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def parents(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two finished runs as `sft` leaves them: a LoRA parent, and one whose base was quantised to NF4."""
    return {kind: make_parent(model_dir, tmp_path_factory.mktemp(kind), kind) for kind in ("lora", "nf4")}


def make_parent(model_dir: Path, folder: Path, kind: str, learnt: bool = True) -> Path:
    import peft

    quantization = FourBit() if kind == "nf4" else None
    loaded = load_model(ModelSpec(name_or_path=str(model_dir), quantization=quantization))
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=not learnt)
    torch.manual_seed(3)
    model = peft.get_peft_model(loaded.model, config)
    for name, weight in model.named_parameters():
        if "lora_B" in name and learnt:
            weight.data = 0.2 * torch.randn_like(weight)
    model.peft_config["default"].base_model_name_or_path = str(model_dir)
    model.save_pretrained(folder / "adapter")
    loaded.tokenizer.save_pretrained(folder / "adapter")
    runs.write_text(folder / runs.MANIFEST, '{"state": "finished", "stage": "sft"}\n')
    return folder


def recipe(parent: Path, rows: Path, **changed: Any) -> Any:
    """Rows with held-out rows beside them have these as their eval file."""
    held_out = rows.with_name("held_out.jsonl")
    given: dict[str, Any] = {
        "stage": "dpo",
        "model": {"run": str(parent)},
        "template": "chatml",
        "data": {"train": str(rows), "eval": str(held_out) if held_out.exists() else None, "max_length": 256},
        "training": {"max_steps": 6, "learning_rate": 5e-3, "per_device_train_batch_size": 4, "save_steps": 3},
        "output_dir": str(rows.parent / "run"),
    }
    return from_dict(given | changed)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "held_out.jsonl", ROWS[14:])
    return write_pairs(tmp_path / "pairs.jsonl", ROWS[:14])


@pytest.fixture
def folder(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def plain_logps(model: Any, prompt: list[int], answer: list[int]) -> list[float]:
    """Log-probabilities of an answer's tokens from one whole, unpadded row."""
    with torch.no_grad():
        scores = torch.log_softmax(model.eval()(input_ids=torch.tensor([prompt + answer])).logits[0].double(), dim=-1)
    return [float(scores[len(prompt) - 1 + at, token]) for at, token in enumerate(answer)]


def parent_on_disk(parent: Path, kind: str) -> Any:
    """The parent read by PEFT itself, with no code of this project's."""
    from peft import AutoPeftModelForCausalLM
    from transformers import BitsAndBytesConfig

    if kind == "lora":
        return AutoPeftModelForCausalLM.from_pretrained(parent / "adapter", dtype=torch.float32)
    quantized = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoPeftModelForCausalLM.from_pretrained(
        parent / "adapter", dtype=torch.float32, quantization_config=quantized
    )
    for module in model.modules():
        module.support_avx512bf16_for_cpu = False
    return model


def spec(parent: Path, kind: str) -> dict[str, Any]:
    return {"run": str(parent)} | ({"quantization": {"kind": "nf4"}} if kind == "nf4" else {})


# --- The reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lora", "nf4"])
def test_the_reference_is_the_parent_on_disk_per_trained_token(
    parents: dict[str, Path], kind: str, data: Path, folder: Run
) -> None:
    """Swap the reference for the base (or TRL's copy, or a re-quantised parent) and this fails."""
    job = recipe(parents[kind], data, model=spec(parents[kind], kind))
    report = dpo.run(job, folder)
    rows, parent = training_rows(job), parent_on_disk(parents[kind], kind)
    kept = runs.read_json(folder.file(reference.FILE)) or {}
    for part, pairs in (("train", rows.train), ("eval", rows.eval)):
        assert len(kept[part]) == len(pairs) > 0
        for sums, pair in zip(kept[part], pairs, strict=True):
            for logp, answer in zip(sums, (pair.chosen, pair.rejected), strict=True):
                plain = plain_logps(parent, pair.prompt, answer)
                [ours] = reference.token_logps(parent, [(pair.prompt, answer)])
                assert ours.tolist() == pytest.approx(plain, rel=1e-5)
                assert logp == pytest.approx(sum(plain), rel=1e-5)
    assert report["reference"]["base_difference"] > 0.01
    assert report["reference"]["policy_difference"] < 1e-5
    assert abs(report["reference"]["step0_margin"]) < 1e-4


def test_a_reference_that_is_the_base_stops_the_run(
    parents: dict[str, Path], data: Path, folder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dpo, "_as_parent", lambda loaded: loaded.model.disable_adapter())
    with pytest.raises(ModelError, match="Before the first step the policy differs from its reference"):
        dpo.run(recipe(parents["lora"], data), folder)


def test_upstreams_loss_is_asked_too(
    parents: dict[str, Path], data: Path, folder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns that reach TRL's loss are wrong by a little: our own comparison has not seen them."""
    exact = dpo.as_dataset
    monkeypatch.setattr(dpo, "as_dataset", lambda pairs, logps: exact(pairs, [(c - 2.0, r) for c, r in logps]))
    with pytest.raises(ModelError, match=r"Upstream's loss starts with a margin of 0\.2 between"):
        dpo.run(recipe(parents["lora"], data), folder)


def test_without_held_out_rows_the_first_step_is_looked_at(
    parents: dict[str, Path], data: Path, folder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = dpo.as_dataset
    monkeypatch.setattr(dpo, "as_dataset", lambda pairs, logps: exact(pairs, [(c - 2.0, r) for c, r in logps]))
    with pytest.raises(ModelError, match="Upstream's loss starts with a margin"):
        dpo.run(recipe(parents["lora"], data, data={"train": str(data), "max_length": 256}), folder)


def test_a_parent_that_has_learnt_nothing_is_refused(model_dir: Path, data: Path, folder: Run, tmp_path: Path) -> None:
    idle = make_parent(model_dir, tmp_path / "idle", "lora", learnt=False)
    with pytest.raises(ModelError, match="this adapter has learnt nothing"):
        dpo.run(recipe(idle, data), folder)


def test_a_fresh_adapter_is_measured_against_what_it_stands_on(model_dir: Path, data: Path, folder: Run) -> None:
    job = recipe(model_dir, data, model={"name_or_path": str(model_dir)}, adapter={"kind": "lora", "r": 4})
    report = dpo.run(job, folder)
    base = load_model(ModelSpec(name_or_path=str(model_dir))).model
    kept = runs.read_json(folder.file(reference.FILE)) or {}
    for sums, pair in zip(kept["train"], training_rows(job).train, strict=True):
        assert sums[0] == pytest.approx(sum(plain_logps(base, pair.prompt, pair.chosen)), rel=1e-5)
    assert report["reference"]["base_difference"] is None
    assert report["reference"]["model"] == str(model_dir.resolve())


@pytest.mark.parametrize(
    "adapter",
    [
        {"kind": "lora", "r": 4, "init_lora_weights": "pissa"},
        {"kind": "lora", "r": 4, "init_lora_weights": "olora"},
        {"kind": "lora", "r": 4, "init_lora_weights": "eva"},
        {"kind": "lora", "r": 4, "use_dora": True, "loraplus_lr_ratio": 4},
        {"kind": "adalora", "init_r": 4, "target_r": 2},
        {"kind": "ia3"},
        {"kind": "vera", "r": 16},
        {"kind": "oft", "oft_block_size": 8},
        {"kind": "boft"},
    ],
    ids=lambda adapter: str(adapter.get("init_lora_weights", adapter["kind"])),
)
def test_every_method_starts_as_its_reference(
    adapter: dict[str, Any], model_dir: Path, data: Path, folder: Run
) -> None:
    """Upstream's own copy of the adapter is the base for some of them, and damages PiSSA's policy."""
    job = recipe(model_dir, data, model={"name_or_path": str(model_dir)}, adapter=adapter)
    report = dpo.run(job, folder)
    assert report["reference"]["policy_difference"] < 1e-5 and abs(report["reference"]["step0_margin"]) < 1e-4
    assert report["metrics"]["steps"] == 6
    runs.write_text(folder.file(runs.MANIFEST), '{"state": "finished", "stage": "dpo"}\n')
    (data.parent / "next").mkdir()
    continued = dpo.run(recipe(folder.path, data, training={"max_steps": 2}), Run(data.parent / "next"))
    assert continued["reference"]["policy_difference"] < 1e-5 < continued["reference"]["base_difference"]


@pytest.mark.parametrize("adapter", [{"kind": "lora", "init_lora_weights": "loftq"}, "prompt_tuning", "prefix_tuning"])
def test_what_starts_apart_from_its_reference_is_refused(adapter: Any, model_dir: Path, data: Path) -> None:
    with pytest.raises(RecipeError, match="adapter: must start as its reference, and this one answers otherwise"):
        recipe(model_dir, data, model={"name_or_path": str(model_dir), "quantization": "nf4"}, adapter=adapter)


def test_a_fresh_adapter_on_a_merged_parent_is_measured_against_the_parent(
    parents: dict[str, Path], data: Path, folder: Run
) -> None:
    model = {"run": str(parents["lora"]), "merge": True}
    job = recipe(parents["lora"], data, model=model, adapter={"kind": "lora", "r": 4})
    dpo.run(job, folder)
    parent = parent_on_disk(parents["lora"], "lora")
    kept = runs.read_json(folder.file(reference.FILE)) or {}
    for sums, pair in zip(kept["train"], training_rows(job).train, strict=True):
        assert sums[1] == pytest.approx(sum(plain_logps(parent, pair.prompt, pair.rejected)), rel=1e-4)


def test_every_weight_can_be_trained_against_a_cached_parent(model_dir: Path, data: Path, folder: Run) -> None:
    job = recipe(model_dir, data, model={"name_or_path": str(model_dir)}, adapter="full")
    report = dpo.run(job, folder)
    assert report["reference"]["policy_difference"] == 0
    assert (folder.path / "model" / "model.safetensors").is_file()


def test_what_quantisation_cost_is_measured_on_the_held_out_chosen_answers(
    parents: dict[str, Path], model_dir: Path, data: Path, folder: Run
) -> None:
    """Under a name of its own: `eval_loss` of a preference run is no loss per token."""
    job = recipe(parents["nf4"], data, model=spec(parents["nf4"], "nf4"), training={"max_steps": 1})
    found = dpo.run(job, folder)["metrics"]
    base = load_model(ModelSpec(name_or_path=str(model_dir))).model
    logps = [plain_logps(base, pair.prompt, pair.chosen) for pair in training_rows(job).eval]
    assert found["base_chosen_loss_full"] == pytest.approx(-sum(map(sum, logps)) / sum(map(len, logps)), abs=1e-5)
    assert 0 < abs(found["base_chosen_loss_quantized"] - found["base_chosen_loss_full"]) < 0.1


def test_without_held_out_pairs_or_quantisation_there_is_no_cost(
    parents: dict[str, Path], data: Path, folder: Run, tmp_path: Path
) -> None:
    whole = dpo.run(recipe(parents["lora"], data, training={"max_steps": 1}), folder)["metrics"]
    (tmp_path / "other").mkdir()
    alone = {"train": str(data), "max_length": 256}
    job = recipe(parents["nf4"], data, model=spec(parents["nf4"], "nf4"), training={"max_steps": 1}, data=alone)
    unheld = dpo.run(job, Run(tmp_path / "other"))["metrics"]
    assert not [name for name in [*whole, *unheld] if name.startswith("base_")]


def test_rounded_adapters_have_a_rounded_reference(parents: dict[str, Path], data: Path, folder: Run) -> None:
    """Where bfloat16 is chosen TRL's cast of a QLoRA adapter stays, and the reference is computed with it."""
    model = spec(parents["nf4"], "nf4") | {"dtype": "bfloat16"}
    report = dpo.run(recipe(parents["nf4"], data, model=model), folder)
    assert report["reference"]["policy_difference"] < 1e-6


# --- The cache -------------------------------------------------------------------------------------------------------


def interrupted(job: Any, folder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the run after its first checkpoint, as a power cut would."""
    with monkeypatch.context() as patch:
        patch.setattr(dpo, "save_trained", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            dpo.run(job, folder)
    assert sorted(path.name for path in folder.file("checkpoints").glob("c*")) == ["checkpoint-3", "checkpoint-6"]
    assert not list(folder.file("checkpoints").glob("*/ref")), "TRL's reference copy is in the checkpoints"


def test_a_resumed_run_reads_its_reference_and_ends_like_an_unbroken_one(
    parents: dict[str, Path], data: Path, folder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = recipe(parents["lora"], data)
    interrupted(job, folder, monkeypatch)
    import shutil

    shutil.rmtree(folder.file("checkpoints") / "checkpoint-6")
    resumed = dpo.run(job, Run(folder.path, resumed=True))
    (tmp_path / "whole").mkdir()
    whole = dpo.run(job, Run(tmp_path / "whole"))
    assert resumed["reference"]["cached"] and not whole["reference"]["cached"]
    assert resumed["figures"] == whole["figures"]
    one, other = (
        runs.hash_file(place / "adapter/adapter_model.safetensors") for place in (folder.path, tmp_path / "whole")
    )
    assert one == other


def test_a_resumed_run_refuses_the_reference_of_other_rows(
    parents: dict[str, Path], data: Path, folder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(recipe(parents["lora"], data), folder, monkeypatch)
    rows = [{"prompt": "다른 물음", "chosen": "네, 그렇습니다.", "rejected": "몰라."}] * 4
    other = write_pairs(tmp_path / "other.jsonl", rows)
    with pytest.raises(RunError, match="belong to another run: data changed"):
        dpo.run(recipe(parents["lora"], other, data={"train": str(other)}), Run(folder.path, resumed=True))


# --- What reaches the loss -------------------------------------------------------------------------------------------


def seen_batches(job: Any, folder: Run, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every batch that upstream's loss was given."""
    batches: list[dict[str, Any]] = []
    loss = dpo.DPOTrainer._compute_loss

    def watched(self: Any, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        batches.append({name: value.clone() for name, value in inputs.items()})
        return loss(self, model, inputs, return_outputs)

    monkeypatch.setattr(dpo.DPOTrainer, "_compute_loss", watched)
    dpo.run(job, folder)
    return batches


def test_a_row_of_1500_tokens_arrives_whole_with_its_stop(
    parents: dict[str, Path], folder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "숫자를 " * 1200, "chosen": "하나 " * 200 + "입니다.", "rejected": "몰라."}]
    long = write_pairs(tmp_path / "long.jsonl", rows)
    given = {"train": str(long), "max_length": 4096}
    job = recipe(parents["lora"], long, data=given, training={"max_steps": 1})
    [pair] = training_rows(job).train
    [batch] = seen_batches(job, folder, monkeypatch)
    assert pair.length >= 1500
    assert batch["input_ids"][0].tolist() == pair.prompt + pair.chosen
    assert batch["completion_mask"][0].tolist() == [0] * len(pair.prompt) + [1] * len(pair.chosen)
    assert pair.chosen[-1] == training_rows(job).chat.stop_ids[0]


def test_typed_control_strings_stay_text_on_all_sides(
    parents: dict[str, Path], folder: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = {"prompt": "<|im_end|>는 뭐예요?", "chosen": "<|im_end|>는 끝입니다.", "rejected": "<|im_start|> 몰라."}
    job = recipe(parents["lora"], write_pairs(tmp_path / "typed.jsonl", [typed]), training={"max_steps": 1})
    [batch] = seen_batches(job, folder, monkeypatch)
    tokenizer = training_rows(job).chat.tokenizer
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    for row, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True):
        answer = row[mask.bool()].tolist()
        assert (row == start).sum() == 2 and (row == end).sum() == 2  # user and assistant open and close, nothing else
        assert answer.count(end) == 1 and answer[-1] == end and start not in answer


@pytest.mark.parametrize("template", ["chatml", "koalpaca"])
def test_what_is_trained_is_what_the_served_model_reads_and_writes(
    parents: dict[str, Path], data: Path, folder: Run, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    """Also where the border between prompt and answer is plain text, which TRL would encode as one."""
    job = recipe(parents["lora"], data, template=template, training={"max_steps": 1})
    chat = training_rows(job).chat
    prompts = [chat.prompt_ids([Message("user", row["prompt"])]) for row in ROWS]
    for batch in seen_batches(job, folder, monkeypatch):
        for row, mask, attended in zip(
            batch["input_ids"], batch["completion_mask"], batch["attention_mask"], strict=True
        ):
            given, answer = row[(attended == 1) & (mask == 0)].tolist(), row[mask == 1].tolist()
            place = prompts.index(given)
            assert chat.tokenizer.decode(answer, skip_special_tokens=True).strip() in (
                ROWS[place]["chosen"], ROWS[place]["rejected"],
            )  # fmt: skip
            assert answer[-1] == chat.stop_ids[0]


def test_the_reference_reaches_the_loss_with_its_own_row(
    parents: dict[str, Path], data: Path, folder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = recipe(parents["lora"], data)
    batches = seen_batches(job, folder, monkeypatch)
    kept = runs.read_json(folder.file(reference.FILE)) or {}
    rows = training_rows(job)
    expected = {
        tuple(p.chosen): logps[0]
        for part in ("train", "eval")
        for p, logps in zip(getattr(rows, part), kept[part], strict=True)
    }
    for batch in batches:
        for row, mask, logp in zip(
            batch["input_ids"], batch["completion_mask"], batch["ref_chosen_logps"], strict=False
        ):
            assert float(logp) == pytest.approx(expected[tuple(row[mask.bool()].tolist())], rel=1e-6)


# --- What comes out --------------------------------------------------------------------------------------------------


def test_preference_tuning_lowers_the_held_out_loss(parents: dict[str, Path], data: Path, folder: Run) -> None:
    report = dpo.run(recipe(parents["lora"], data), folder)
    metrics, figures = report["metrics"], report["figures"]
    assert metrics["eval_loss_first"] == pytest.approx(math.log(2), abs=1e-4)
    assert metrics["eval_loss_last"] < metrics["eval_loss_first"] - 0.01
    assert metrics["reward_margin_last"] > 0 and metrics["reward_accuracy_last"] > 0.5
    assert 0 <= metrics["preference_accuracy_first"] <= metrics["preference_accuracy_last"] <= 1
    assert [point["step"] for point in figures["margin"]] == [1, 2, 3, 4, 5, 6]
    assert abs(figures["margin"][0]["margin"]) < 1e-4 < figures["margin"][-1]["margin"]
    assert report["rows"] == {"read": 20, "kept": 20, "dropped": {}}
    assert report["over_length"] == {"mode": "drop", "dropped": 0} and sum(figures["row_tokens"]["counts"]) == 20
    assert report["parity"]["compared"] == report["parity"]["equal"] >= 28, "both answers of every training pair"
    assert (metrics["train_rows"], metrics["eval_rows"]) == (14, 6)


def test_the_run_folder_holds_one_adapter_that_peft_and_transformers_load(
    parents: dict[str, Path], data: Path, folder: Run
) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    dpo.run(recipe(parents["lora"], data), folder)
    names = {path.name for path in folder.file("adapter").iterdir()}
    assert "adapter_model.safetensors" in names and "ref" not in names and "training_args.bin" not in names

    tuned = AutoPeftModelForCausalLM.from_pretrained(folder.file("adapter"))
    before = parent_on_disk(parents["lora"], "lora")
    prompt = AutoTokenizer.from_pretrained(folder.file("adapter")).apply_chat_template(
        [{"role": "user", "content": WORDS[0]}], add_generation_prompt=True, return_dict=False
    )
    assert list(tuned.peft_config) == ["default"]
    assert plain_logps(tuned, prompt, [5, 6]) != plain_logps(before, prompt, [5, 6])


def test_a_qlora_parent_keeps_a_float32_adapter_on_a_cpu(parents: dict[str, Path], data: Path, folder: Run) -> None:
    from safetensors.torch import load_file

    dpo.run(recipe(parents["nf4"], data, model=spec(parents["nf4"], "nf4")), folder)
    saved = load_file(folder.file("adapter") / "adapter_model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.float32}


@pytest.mark.parametrize("loss", [{"kind": "ipo"}, {"kind": "hinge", "beta": 0.5}, {"kind": "sigmoid", "beta": 0.3}])
def test_every_loss_of_the_grammar_runs(
    parents: dict[str, Path], data: Path, folder: Run, loss: dict[str, Any]
) -> None:
    report = dpo.run(recipe(parents["lora"], data, loss=loss, training={"max_steps": 2, "learning_rate": 5e-3}), folder)
    assert report["metrics"]["eval_loss_last"] < report["metrics"]["eval_loss_first"]


# --- Nothing to prefer -----------------------------------------------------------------------------------------------


def test_equal_answers_everywhere_are_a_paragraph(parents: dict[str, Path], folder: Run, tmp_path: Path) -> None:
    rows = [row | {"rejected": row["chosen"]} for row in ROWS]
    with pytest.raises(DataError, match=r"(?i)chosen.equals.rejected"):
        dpo.run(recipe(parents["lora"], write_pairs(tmp_path / "equal.jsonl", rows)), folder)


def test_equal_ids_everywhere_are_refused_also_when_they_come_from_elsewhere() -> None:
    pair = EncodedPair([5], [6, 2], [6, 2], "pairs.jsonl:1")
    with pytest.raises(DataError) as raised:
        dpo.require_preferences([pair, pair])
    assert str(raised.value) == (
        "Chosen equals rejected in every pair (2 of 2), so there is nothing to prefer. The two answers must differ; "
        "look at the file with `seodang inspect`."
    )
    dpo.require_preferences([pair, EncodedPair([5], [6, 2], [7, 2])])
