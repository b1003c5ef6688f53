"""What a Python caller brings in memory becomes files that a recipe names: rows, models, tokenizers, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seodang import runs
from seodang.errors import DataError, ModelError, RunError, SeodangError
from seodang.inputs import Inputs, require_saveable

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

ROWS = [
    {"instruction": "38을 읽어 주세요.", "output": "서른여덟입니다."},
    {"instruction": "무엇?", "output": "연필입니다."},
]


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path / "run")


def written(inputs: Inputs, name: str = "input.jsonl") -> list[dict[str, Any]]:
    with inputs.placed():
        lines = (inputs.path / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


# --- Rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["seed.jsonl", Path("seed.jsonl")])
def test_a_path_stays_a_path(inputs: Inputs, path: Any) -> None:
    assert inputs.data(path) == {"train": "seed.jsonl"}
    assert inputs.writers == {}


def test_rows_become_a_file_of_the_run(inputs: Inputs) -> None:
    assert inputs.data(ROWS) == {"train": str(inputs.path / "input.jsonl")}
    assert written(inputs) == ROWS


def test_the_other_keys_of_data_pass_through(inputs: Inputs) -> None:
    given = {"train": ROWS, "eval": 0.25, "max_length": 64, "over_length": "error"}
    assert inputs.data(given) == given | {"train": str(inputs.path / "input.jsonl")}


def test_held_out_rows_become_a_file_of_their_own(inputs: Inputs) -> None:
    found = inputs.data({"train": "seed.jsonl", "eval": ROWS})
    assert found == {"train": "seed.jsonl", "eval": str(inputs.path / "input_eval.jsonl")}
    assert written(inputs, "input_eval.jsonl") == ROWS


def test_a_run_folder_is_a_run(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    assert inputs.data(tmp_path) == {"run": str(tmp_path)}
    assert inputs.model(str(tmp_path)) == {"run": str(tmp_path)}


def test_numpy_and_missing_cells_are_plain_json(inputs: Inputs) -> None:
    import numpy
    import pandas

    frame = pandas.DataFrame([*ROWS, {"instruction": "번역하세요.", "input": "학교", "output": "school"}])
    frame["id"] = numpy.arange(3)
    frame["score"] = [0.5, math.inf, math.nan]
    inputs.data(frame)
    found = written(inputs)
    assert [row["input"] for row in found] == [None, None, "학교"]
    assert [row["id"] for row in found] == [0, 1, 2]
    assert [row["score"] for row in found] == [0.5, None, None]


def test_nested_arrays_and_tuples_are_lists(inputs: Inputs) -> None:
    import numpy

    inputs.data([{"messages": ({"role": "user", "content": "안녕"},), "vector": numpy.ones((1, 2)), "flag": True}])
    assert written(inputs) == [
        {"messages": [{"role": "user", "content": "안녕"}], "vector": [[1.0, 1.0]], "flag": True}
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (["글"], "Row 1 is a `str`, not a dictionary. Every row needs keys"),
        ([ROWS[0], None], "Row 2 is a `NoneType`, not a dictionary."),
        ([], "The data given in Python has no rows."),
        ({"train": object()}, "Data of type `object` is not read. Give a path, a list of dictionaries"),
        ([ROWS[0] | {"when": object()}], "Row 1, `when` holds a `object`, which JSON cannot hold."),
        ([{"messages": [{"role": "user", "content": b"a"}]}], "Row 1, `messages` holds a `bytes`"),
    ],
)
def test_what_is_no_row_is_a_paragraph(inputs: Inputs, data: Any, text: str) -> None:
    with pytest.raises(DataError) as raised:
        inputs.data(data)
    assert text in str(raised.value)
    assert not inputs.path.exists()


# --- formatting_func -------------------------------------------------------------------------------------------------

TURNS = [{"role": "user", "content": "무엇?"}, {"role": "assistant", "content": "연필입니다."}]


@pytest.mark.parametrize(
    ("made", "row"),
    [
        (TURNS, {"messages": TURNS}),
        (tuple(TURNS), {"messages": TURNS}),
        ({"messages": TURNS}, {"messages": TURNS}),
        ({"prompt": "무엇?", "completion": "연필입니다."}, {"prompt": "무엇?", "completion": "연필입니다."}),
    ],
)
def test_what_a_formatting_func_may_return(tmp_path: Path, made: Any, row: dict[str, Any]) -> None:
    inputs = Inputs(tmp_path / "run", lambda given: made)
    inputs.data(ROWS[:1])
    assert written(inputs) == [row]


def test_a_formatting_func_reads_the_rows_of_a_file(tmp_path: Path) -> None:
    runs.write_rows(tmp_path / "seed.jsonl", ROWS)
    inputs = Inputs(tmp_path / "run", lambda row: {"prompt": row["instruction"], "completion": row["output"]})
    assert inputs.data(tmp_path / "seed.jsonl") == {"train": str(tmp_path / "run" / "input.jsonl")}
    assert written(inputs)[0] == {"prompt": ROWS[0]["instruction"], "completion": ROWS[0]["output"]}


def test_a_broken_line_under_a_formatting_func_is_named(tmp_path: Path) -> None:
    (tmp_path / "seed.jsonl").write_text('{"instruction": "무엇?"}\n{"instruction":\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"seed\.jsonl:2"):
        Inputs(tmp_path / "run", lambda row: TURNS).data(tmp_path / "seed.jsonl")


@pytest.mark.parametrize(
    ("made", "what"),
    [
        ("질문: 무엇? 답: 연필입니다.", "a bare string, so every token of it would be trained, the question's too"),
        (None, "a `NoneType`"),
        (7, "a `int`"),
        ([], "a `list`"),
        (["글"], "a `list`"),
    ],
)
def test_anything_else_from_a_formatting_func_is_refused(tmp_path: Path, made: Any, what: str) -> None:
    with pytest.raises(DataError) as raised:
        Inputs(tmp_path / "run", lambda row: made).data(ROWS)
    assert str(raised.value) == (
        f"formatting_func returned {what} (row 1). Return messages, [{{'role': 'user', 'content': …}}, {{'role': "
        "'assistant', 'content': …}], or {'prompt': …, 'completion': …}; the template then marks what is trained."
    )


# --- Models ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def loaded(model_dir: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_dir)


def test_a_name_and_the_keys_of_model_pass_through(inputs: Inputs) -> None:
    assert inputs.model("Qwen/Qwen3-0.6B") == {"name_or_path": "Qwen/Qwen3-0.6B"}
    assert inputs.model({"run": "runs/sft", "merge": True}) == {"run": "runs/sft", "merge": True}
    assert inputs.writers == {}


def test_a_loaded_model_becomes_a_folder_with_its_tokenizer(inputs: Inputs, loaded: Any) -> None:
    assert inputs.model(loaded) == {"name_or_path": str(inputs.path / "input_model")}
    with inputs.placed():
        names = {path.name for path in (inputs.path / "input_model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names


def test_a_tokenizer_is_written_without_weights(inputs: Inputs, loaded: Any, tokenizer: Any) -> None:
    for given in (tokenizer, loaded, (loaded, tokenizer)):
        inputs.tokenizer(given)
        with inputs.placed():
            names = {path.name for path in (inputs.path / "input_model").iterdir()}
        assert "tokenizer.json" in names and "model.safetensors" not in names
    assert inputs.tokenizer("models/base") == {"name_or_path": "models/base"}


def test_a_loaded_model_without_a_name_asks_for_its_tokenizer(inputs: Inputs, loaded: Any) -> None:
    loaded.name_or_path = ""
    with pytest.raises(ModelError, match=r"Give both: model=\(model, tokenizer\)\."):
        inputs.model(loaded)


def unsaveable(model: Any) -> Iterator[tuple[Any, str]]:
    import peft
    import torch

    yield torch.nn.Linear(2, 2), "`Linear` cannot be trained from memory: it is no transformers PreTrainedModel"
    yield b"weights", "A `bytes` is not a model. Give a name or folder, a run, or a loaded transformers model."
    model.hf_quantizer = object()
    yield model, "it is quantised; give its name with `quantization`: model={'name_or_path': …, 'quantization': 'nf4'}"
    yield peft.get_peft_model(model, peft.LoraConfig()), "it carries an adapter; give the run or the adapter's folder"


def test_what_cannot_be_written_down_is_refused_with_the_reason(inputs: Inputs, loaded: Any) -> None:
    require_saveable(loaded)
    for model, text in unsaveable(loaded):
        with pytest.raises(ModelError) as raised:
            inputs.model(model)
        assert text in str(raised.value)


# --- The folder ------------------------------------------------------------------------------------------------------


def test_inputs_are_taken_back_where_no_run_began(inputs: Inputs) -> None:
    inputs.data(ROWS)
    with pytest.raises(SeodangError, match="the check failed"), inputs.placed():
        raise SeodangError("the check failed")
    assert not inputs.path.exists()


def test_inputs_stay_once_a_run_has_begun(inputs: Inputs) -> None:
    inputs.data(ROWS)
    with pytest.raises(KeyboardInterrupt), inputs.placed():
        (inputs.path / "manifest.json").write_text("{}", encoding="utf-8")
        raise KeyboardInterrupt
    assert sorted(path.name for path in inputs.path.iterdir()) == ["input.jsonl", "manifest.json"]


def begun(path: Path, rows: list[dict[str, str]]) -> Inputs:
    inputs = Inputs(path)
    inputs.data(rows)
    with inputs.placed():
        (path / "manifest.json").write_text("{}", encoding="utf-8")
    return inputs


def test_the_same_inputs_may_lie_there_already(tmp_path: Path) -> None:
    again = begun(tmp_path / "run", ROWS)
    with again.placed():
        assert sorted(path.name for path in again.path.iterdir()) == ["input.jsonl", "manifest.json"]


def test_other_inputs_are_never_written_over(tmp_path: Path) -> None:
    begun(tmp_path / "run", ROWS)
    other = Inputs(tmp_path / "run")
    other.data(ROWS[:1])
    with pytest.raises(RunError) as raised, other.placed():
        raise AssertionError("placed")
    assert str(raised.value) == (
        f"{tmp_path / 'run'} was run with other rows than the call brings. Give another `output_dir`, or say "
        '`mode="new"` (beside it) or `mode="replace"` (in its place; the old folder moves to .trash).'
    )
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["input.jsonl", "manifest.json"]
    assert len((tmp_path / "run" / "input.jsonl").read_text(encoding="utf-8").splitlines()) == 2
