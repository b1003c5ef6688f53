"""The Python API: the ten-line job, a user's own Accelerate loop on the same tokens, and every shape of data and model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import seodang as sd
from seodang import runs
from seodang.errors import DataError, ModelError, RecipeError, RunError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]

SEEDS = [
    {"instruction": f"{word}: 이 낱말을 읽어 주세요.", "output": f"{word}입니다."}
    for word in ("학교", "서당", "우산", "기차", "바다", "저녁", "여름", "연필", "사과", "구름", "시계", "의자")
]
PAIRS = [
    {"prompt": row["instruction"], "chosen": row["output"], "rejected": row["output"].replace("입니다", "이야")}
    for row in SEEDS
]
SMALL: dict[str, Any] = {
    "template": "chatml",
    "adapter": {"kind": "lora", "r": 4},
    "training": {"max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-3},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(dataset: Any) -> list[tuple[list[int], list[int]]]:
    return [(row["input_ids"], row["labels"]) for row in dataset]


# --- The job ---------------------------------------------------------------------------------------------------------


def test_the_ten_line_job(model_dir: Path) -> None:
    """As the README has it: seeds → SFT → DPO → a model that PEFT loads."""
    from peft import AutoPeftModelForCausalLM

    run = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)
    better = sd.dpo(run, PAIRS, "runs/dpo", template="chatml", training={"max_steps": 2})
    assert run.report["rows"] == {"read": 12, "kept": 12, "dropped": {}}
    assert better.report["reference"]["model"] == str(run.weights.resolve())
    assert AutoPeftModelForCausalLM.from_pretrained(better.weights).peft_config["default"].r == 4


def test_a_run_from_python_has_the_lineage_of_every_run(model_dir: Path) -> None:
    run = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)
    assert [json.loads(line) for line in (run.path / "input.jsonl").read_text(encoding="utf-8").splitlines()] == SEEDS
    manifest = runs.manifest(run.path) or {}
    assert manifest["state"] == "finished"
    assert manifest["inputs"]["runs/sft/input.jsonl"] == runs.hash_file(run.path / "input.jsonl")
    assert "train: runs/sft/input.jsonl" in (run.path / "recipe.yaml").read_text(encoding="utf-8")


def test_the_same_call_again_gives_the_finished_run_back(model_dir: Path) -> None:
    first = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)
    written = (first.path / "report.json").stat().st_mtime_ns
    assert sd.sft(model_dir, SEEDS, "runs/sft", **SMALL) == first
    assert (first.path / "report.json").stat().st_mtime_ns == written


def test_other_rows_never_write_over_a_finished_run(model_dir: Path) -> None:
    run = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)
    with pytest.raises(RunError, match="was run with other rows than the call brings") as raised:
        sd.sft(model_dir, SEEDS[:6], "runs/sft", **SMALL)
    assert 'mode="new"' in str(raised.value)
    assert len((run.path / "input.jsonl").read_text(encoding="utf-8").splitlines()) == 12


def test_new_runs_beside_and_replace_moves_the_old_one_away(model_dir: Path) -> None:
    first = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)
    beside = sd.sft(model_dir, SEEDS[:6], "runs/sft", mode="new", **SMALL)
    again = sd.sft(model_dir, SEEDS[:8], "runs/sft", mode="replace", **SMALL)
    assert beside.path == Path("runs/sft.2") and beside.report["rows"]["read"] == 6
    assert again.path == first.path and again.report["rows"]["read"] == 8
    assert [len((old / "input.jsonl").read_text().splitlines()) for old in Path("runs/.trash").iterdir()] == [12]


def test_a_call_that_fails_leaves_nothing_in_the_way(model_dir: Path) -> None:
    with pytest.raises(ModelError, match="adapter: is required"):
        sd.sft(model_dir, SEEDS, "runs/sft", template="chatml")
    assert not Path("runs/sft").exists()
    assert sd.sft(model_dir, SEEDS, "runs/sft", **SMALL).report["rows"]["kept"] == 12


def test_a_folder_that_is_no_run_is_not_touched(model_dir: Path) -> None:
    Path("notes").mkdir()
    Path("notes/todo.txt").write_text("사기: 우산", encoding="utf-8")
    with pytest.raises(RunError, match="is not a run folder"):
        sd.sft(model_dir, SEEDS, "notes", **SMALL)
    assert [path.name for path in Path("notes").iterdir()] == ["todo.txt"]


def test_the_audit_of_the_command_line_holds_here_too(model_dir: Path) -> None:
    long = [{"instruction": "길게 " * 300, "output": "네."}] * 11 + SEEDS[:1]
    with pytest.raises(sd.SeodangError, match=r"11 of 12 rows \(91\.7%\) are dropped"):
        sd.sft(model_dir, {"train": long, "max_length": 64}, "runs/sft", **SMALL)
    assert not Path("runs/sft").exists()


# --- A loop of one's own ---------------------------------------------------------------------------------------------


def test_an_accelerate_loop_trains_on_the_same_tokens(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen lines of a user's, and every batch of `sft` beside them."""
    import torch
    from accelerate import Accelerator
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM

    dataset, collator = sd.encode(SEEDS, model_dir, template="chatml")
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    accelerator = Accelerator(cpu=True)
    loader = DataLoader(dataset, batch_size=4, shuffle=True, collate_fn=collator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    losses = []
    for _ in range(3):
        for batch in loader:
            loss = model(**batch).loss
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert rows_of(dataset) == sorted_like(dataset, batches_of_sft(model_dir, monkeypatch))


def batches_of_sft(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], list[int]]]:
    """Every row that upstream's loss sees in one epoch of `sft`, without its padding."""
    from trl import SFTTrainer

    seen: list[tuple[list[int], list[int]]] = []
    loss = SFTTrainer.compute_loss

    def watched(self: Any, model: Any, inputs: Any, *given: Any, **named: Any) -> Any:
        for ids, labels, mask in zip(inputs["input_ids"], inputs["labels"], inputs["attention_mask"], strict=True):
            seen.append((ids[mask == 1].tolist(), labels[mask == 1].tolist()))
        return loss(self, model, inputs, *given, **named)

    monkeypatch.setattr(SFTTrainer, "compute_loss", watched)
    sd.sft(model_dir, SEEDS, "runs/seen", **(SMALL | {"training": {"num_train_epochs": 1}}))
    return seen


def sorted_like(dataset: Any, found: list[tuple[list[int], list[int]]]) -> list[tuple[list[int], list[int]]]:
    order = {tuple(ids): place for place, (ids, _) in enumerate(rows_of(dataset))}
    return sorted(found, key=lambda row: order[tuple(row[0])])


def test_encoded_rows_train_the_answer_and_its_stop_alone(model_dir: Path, tokenizer: Any) -> None:
    dataset, collator = sd.encode(SEEDS, model_dir, template="chatml")
    for row, seed in zip(dataset, SEEDS, strict=True):
        trained = [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(trained) == f"{seed['output']}<|im_end|>"
    batch = collator([dataset[0], dataset[3]])
    assert sorted(batch) == ["attention_mask", "input_ids", "labels"]


def test_a_preview_shows_what_encode_gives(model_dir: Path, tokenizer: Any) -> None:
    (view,) = sd.preview(SEEDS, model_dir, template="chatml").views
    row = sd.encode(SEEDS, tokenizer, template="chatml")[0][0]
    assert [token for span in view.spans for token in span.ids] == row["input_ids"]
    trained = [token for span in view.spans if span.kind in ("trained", "stop") for token in span.ids]
    assert trained == [label for label in row["labels"] if label != -100]


def test_a_preview_looks_at_what_is_asked_for(tokenizer: Any) -> None:
    found = sd.preview(SEEDS, tokenizer, template="chatml", row="input.jsonl:2", beside="trl")
    assert found.facts["source"] == "input.jsonl:2"
    assert "⟦서당입니다.<|im_end|>⟧" in str(found) and "-- the same row by a bare `trl sft`" in str(found)
    assert "<mark" in found._repr_html_()
    assert "text            우산" in str(sd.preview(SEEDS, tokenizer, template="chatml", text="우산"))
    with pytest.raises(RecipeError, match="The call of seodang.preview is not a valid recipe:\n  besides: unknown key"):
        sd.preview(SEEDS, tokenizer, template="chatml", besides="trl")


def test_encode_says_what_it_dropped(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {"instruction": "길게 " * 300, "output": "네."}
    dataset, _ = sd.encode({"train": [*SEEDS, long], "max_length": 256}, model_dir, template="chatml")
    assert len(dataset) == 12
    assert capsys.readouterr().err.strip() == "encode: 13 rows read, 12 kept, dropped: 1 over_length"


# --- Shapes of data --------------------------------------------------------------------------------------------------


def as_path() -> str:
    Path("seed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SEEDS), encoding="utf-8")
    return "seed.jsonl"


def as_frame() -> Any:
    import pandas

    return pandas.DataFrame(SEEDS)


def as_dataset() -> Any:
    from datasets import Dataset

    return Dataset.from_list(SEEDS)


SHAPES = {
    "a path": as_path,
    "a Path": lambda: Path(as_path()),
    "a list": lambda: list(SEEDS),
    "a generator": lambda: (row for row in SEEDS),
    "a DataFrame": as_frame,
    "a Dataset": as_dataset,
    "the keys of data": lambda: {"train": as_frame(), "max_length": 512},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_data_gives_the_same_tokens(shape: str, model_dir: Path) -> None:
    expected, _ = sd.encode(SEEDS, model_dir, template="chatml")
    found, _ = sd.encode(SHAPES[shape](), model_dir, template="chatml")
    assert rows_of(found) == rows_of(expected)


def test_a_run_that_makes_rows_is_data(model_dir: Path) -> None:
    Path("runs/prepared").mkdir(parents=True)
    runs.write_rows(Path("runs/prepared/train.jsonl"), [{"messages": messages(row)} for row in SEEDS])
    Path("runs/prepared/manifest.json").write_text('{"state": "finished", "stage": "prepare"}', encoding="utf-8")
    dataset, _ = sd.encode("runs/prepared", model_dir, template="chatml")
    assert rows_of(dataset) == rows_of(sd.encode(SEEDS, model_dir, template="chatml")[0])


def test_held_out_rows_may_be_in_memory_too(model_dir: Path) -> None:
    data = {"train": SEEDS[:8], "eval": SEEDS[8:]}
    run = sd.sft(model_dir, data, "runs/sft", **SMALL)
    assert (run.report["metrics"]["train_rows"], run.report["metrics"]["eval_rows"]) == (8, 4)
    assert (run.path / "input_eval.jsonl").is_file()


# --- formatting_func -------------------------------------------------------------------------------------------------


def messages(row: Any) -> list[dict[str, str]]:
    return [{"role": "user", "content": row["instruction"]}, {"role": "assistant", "content": row["output"]}]


FORMATTINGS = {
    "messages": messages,
    "a dictionary of messages": lambda row: {"messages": messages(row)},
    "prompt and completion": lambda row: {"prompt": row["instruction"], "completion": row["output"]},
}


@pytest.mark.parametrize("name", FORMATTINGS)
@pytest.mark.parametrize("shape", ["a list", "a path", "a Dataset"])
def test_a_formatting_func_says_who_speaks_and_the_template_what_is_trained(
    name: str, shape: str, model_dir: Path
) -> None:
    expected, _ = sd.encode(SEEDS, model_dir, template="chatml")
    found, _ = sd.encode(SHAPES[shape](), model_dir, template="chatml", formatting_func=FORMATTINGS[name])
    assert rows_of(found) == rows_of(expected)


def test_a_formatting_func_makes_pairs(model_dir: Path) -> None:
    run = sd.sft(model_dir, SEEDS, "runs/sft", **SMALL)

    def made(row: Any) -> dict[str, str]:
        return {"prompt": row["q"], "chosen": row["good"], "rejected": row["bad"]}

    rows = [{"q": pair["prompt"], "good": pair["chosen"], "bad": pair["rejected"]} for pair in PAIRS]
    better = sd.dpo(run, rows, "runs/dpo", template="chatml", training={"max_steps": 1}, formatting_func=made)
    assert better.report["rows"]["kept"] == 12


def test_a_bare_string_is_refused_with_the_way_out(model_dir: Path) -> None:
    with pytest.raises(DataError) as raised:
        sd.sft(model_dir, SEEDS, formatting_func=lambda row: f"질문: {row['instruction']} 답: {row['output']}", **SMALL)
    assert str(raised.value) == (
        "formatting_func returned a bare string, so every token of it would be trained, the question's too (row 1). "
        "Return messages, [{'role': 'user', 'content': …}, {'role': 'assistant', 'content': …}], or {'prompt': …, "
        "'completion': …}; the template then marks what is trained."
    )
    assert not Path("runs").exists()


# --- Shapes of models ------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir)


def test_a_loaded_model_is_trained_as_it_is_in_memory(loaded: Any, tokenizer: Any) -> None:
    import torch
    from safetensors.torch import load_file

    with torch.no_grad():
        loaded.lm_head.weight.mul_(1.5)
    run = sd.sft((loaded, tokenizer), SEEDS, "runs/sft", **SMALL)
    written = load_file(run.path / "input_model" / "model.safetensors")
    assert torch.equal(written["lm_head.weight"], loaded.lm_head.weight)
    config = json.loads((run.weights / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == str((run.path / "input_model").resolve())
    assert sd.sft((loaded, tokenizer), SEEDS, "runs/sft", **SMALL) == run


def test_a_loaded_model_finds_its_tokenizer(loaded: Any) -> None:
    assert sd.sft(loaded, SEEDS, "runs/sft", **SMALL).report["rows"]["kept"] == 12


def test_changed_weights_never_write_over_a_finished_run(loaded: Any) -> None:
    import torch

    sd.sft(loaded, SEEDS, "runs/sft", **SMALL)
    with torch.no_grad():
        loaded.lm_head.weight.mul_(2)
    with pytest.raises(RunError, match="was run with other weights than the call brings"):
        sd.sft(loaded, SEEDS, "runs/sft", **SMALL)


def test_a_tokenizer_alone_is_enough_to_encode(tokenizer: Any, loaded: Any, model_dir: Path) -> None:
    expected = rows_of(sd.encode(SEEDS, model_dir, template="chatml")[0])
    for given in (tokenizer, loaded, (loaded, tokenizer), {"name_or_path": str(model_dir)}):
        assert rows_of(sd.encode(SEEDS, given, template="chatml")[0]) == expected


# --- Mistakes --------------------------------------------------------------------------------------------------------


def test_a_misspelt_key_is_named_with_its_place(model_dir: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        sd.sft(model_dir, SEEDS, template="chatml", adapter={"kind": "lora", "lora_alfa": 3}, lora_rank=8)
    assert "The call of seodang.sft is not a valid recipe:" in str(raised.value)
    assert "adapter.lora_alfa: unknown key, did you mean `lora_alpha`?" in str(raised.value)
    assert "lora_rank: unknown key; here it is called `adapter.r`" in str(raised.value)
    assert not Path("runs").exists()


def test_the_public_names_are_light() -> None:
    code = (
        "import sys, seodang as sd\nassert 'encode' in dir(sd)\nsd.sft\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets', 'accelerate'} & set(sys.modules)\nprint(heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_public_name_is_pythons_own_error() -> None:
    with pytest.raises(AttributeError, match="module 'seodang' has no attribute 'train'"):
        sd.train  # noqa: B018
