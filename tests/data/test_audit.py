"""The check: facts, table, offenders, inputs not made yet, broken thresholds, and defects planted at random places."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from seodang.cli import cli
from seodang.data.audit import check, missing_runs
from seodang.data.dataset import training_rows
from seodang.errors import CheckFailed, DataError, RecipeError
from seodang.recipe_file import from_dict, load_recipe

TALKS = [
    {"messages": [{"role": "user", "content": f"{n}번?"}, {"role": "assistant", "content": "네, " * (n + 1)}]}
    for n in range(10)
]


@pytest.fixture(scope="module")
def model_dir(tokenizer_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the check takes for a model: a tokenizer and a config, no weights."""
    folder = tmp_path_factory.mktemp("light")
    shutil.copytree(tokenizer_dir, folder, dirs_exist_ok=True)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def recipe(tmp_path: Path, model_dir: Path, **more: Any) -> Any:
    file = write(tmp_path / "rows.jsonl", TALKS)
    base = {"stage": "sft", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(base | {"data": {"train": file}} | more)


def test_the_summary_is_facts_and_a_table(tmp_path: Path, model_dir: Path) -> None:
    found = check(recipe(tmp_path, model_dir))
    assert list(found.facts)[:7] == ["rows", "split", "tokens", "length", "stop", "bos", "text"]
    assert found.facts["rows"] == "10 read = 10 kept + 0 dropped (none)"
    assert found.facts["stop"].startswith("trained in 100.0% of rows (<|im_end|>)")
    assert found.facts["bos"] == "the tokenizer has none"
    assert [share.name for share in found.shares] == [
        *("dropped", "stop_untrained", "truncated", "bos", "control_string", "empty_answer", "prompt_equals_answer"),
        *("chosen_equals_rejected", "duplicate", "byte_fallback"),
    ]
    lines = [line for line in found.text.splitlines() if line.startswith("  duplicate ")]
    assert [line.split() for line in lines] == [["duplicate", "0", "0.0%", "2.0%"]]
    assert found.offenders is None  # a recipe without output_dir has no place for a list
    found.require()


def test_what_is_trained_is_counted(tmp_path: Path, model_dir: Path) -> None:
    given = recipe(tmp_path, model_dir)
    found, rows = check(given), training_rows(given)
    tokens = sum(len(row.input_ids) for row in rows.train)
    trained = sum(label != -100 for row in rows.train for label in row.labels)
    assert found.facts["tokens"] == f"{tokens:,} of which trained {trained:,} ({trained / tokens:.0%})"
    low, *_, high = sorted(len(row.input_ids) for row in rows.train)
    assert found.facts["length"].startswith(f"{low} … ") and f" … {high} tokens" in found.facts["length"]


def test_the_check_of_a_run_leaves_its_rows_to_the_run(tmp_path: Path, model_dir: Path) -> None:
    given = recipe(tmp_path, model_dir)
    before = training_rows(given)
    check(given)
    assert training_rows(given) is before
    check(given, keep=True)
    kept = training_rows(given)
    assert kept is not before and [row.input_ids for row in kept.train] == [row.input_ids for row in before.train]


def test_nothing_left_is_a_paragraph(tmp_path: Path, model_dir: Path) -> None:
    file = str(tmp_path / "rows.jsonl")
    with pytest.raises(DataError, match="No row is left to train on: 10 read, dropped 10 over_length. Raise"):
        check(recipe(tmp_path, model_dir, data={"train": file, "max_length": 8}))


def test_a_conversation_in_parts_is_one_row_and_the_examples_are_said_apart(tmp_path: Path, model_dir: Path) -> None:
    long = {"messages": [turn for row in TALKS for turn in row["messages"]]}
    data = {"train": write(tmp_path / "long.jsonl", [*TALKS, long]), "max_length": 128, "over_length": "split_turns"}
    found = check(recipe(tmp_path, model_dir, data=data, check={"max_byte_ratio": 1}))
    rows = training_rows(recipe(tmp_path, model_dir, data=data))
    assert found.facts["rows"] == "11 read = 11 kept + 0 dropped (none)"
    assert found.facts["split"] == f"11 train, 0 eval; {len(rows.train)} and 0 examples"


def test_a_broken_threshold_is_a_problem_and_fails(tmp_path: Path, model_dir: Path) -> None:
    file = str(tmp_path / "rows.jsonl")
    found = check(recipe(tmp_path, model_dir, data={"train": file, "max_length": 30}, check={"max_drop_ratio": 0.1}))
    assert len(found.problems) == 1
    said = r"The check found problems:\n  \d+ of 10 rows \(.*%\) are dropped, the first is rows.jsonl:\d+; `check.max_drop_"
    with pytest.raises(CheckFailed, match=said + "ratio` allows 10.0%"):
        found.require()
    assert CheckFailed.exit_code == 1


def test_an_input_that_is_not_made_yet_does_not_fail(tmp_path: Path, model_dir: Path) -> None:
    found = check(recipe(tmp_path, model_dir, data={"run": str(tmp_path / "1-prepare")}))
    assert found.pending == [f"{tmp_path / '1-prepare'} (run its recipe first)"]
    assert "not made yet" in found.text
    found.require()


def test_a_missing_file_is_a_paragraph(tmp_path: Path, model_dir: Path) -> None:
    with pytest.raises(DataError, match="The file nowhere.jsonl does not exist"):
        check(recipe(tmp_path, model_dir, data={"train": "nowhere.jsonl"}))
    with pytest.raises(DataError, match="The file held.jsonl does not exist"):
        check(recipe(tmp_path, model_dir, data={"train": write(tmp_path / "a.jsonl", TALKS), "eval": "held.jsonl"}))


ROWS = [{"instruction": f"{n}번?", "output": f"{n}입니다."} for n in range(3)]


def prepare(tmp_path: Path, rows: list[Any], *others: dict[str, Any], **source: Any) -> Any:
    file = tmp_path / "seed.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return from_dict({"stage": "prepare", "sources": [{"path": str(file)} | source, *others]})


def test_the_sources_of_prepare_are_read(tmp_path: Path) -> None:
    found = check(prepare(tmp_path, [*ROWS, "{broken", {"instruction": "?"}, "7"], on_error="skip"))
    assert list(found.facts) == ["reads", "source 1"]
    assert found.facts["source 1"] == (
        "seed.jsonl: 6 rows, alpaca (3 of 4 rows fit); 3 cannot be read and are dropped, the first: "
        "seed.jsonl:4: the line is not valid JSON: a column name in double quotes must stand at 'broken'."
    )
    found.require()


def test_a_source_without_faults_is_one_short_line(tmp_path: Path) -> None:
    assert check(prepare(tmp_path, ROWS)).facts["source 1"] == "seed.jsonl: 3 rows, alpaca (3 of 3 rows fit)"


STOPS = [("{broken", "seed.jsonl:4: the line is not valid JSON: "), ({"instruction": "?"}, "seed.jsonl:4: the row has no"),
         ("7", "seed.jsonl:4: a row must be a JSON object")]  # fmt: skip


@pytest.mark.parametrize(("bad", "said"), STOPS)
def test_a_row_that_would_stop_prepare_stops_its_check(tmp_path: Path, bad: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        check(prepare(tmp_path, [*ROWS, bad]))
    assert said in str(caught.value)
    assert "`on_error: skip`" in str(caught.value)


def test_the_place_in_an_array_is_the_number_of_the_row(tmp_path: Path) -> None:
    file = tmp_path / "arr.jsonl"
    file.write_text(json.dumps([*ROWS, 7], ensure_ascii=False, indent=2), encoding="utf-8")
    with pytest.raises(DataError, match=r"^arr\.jsonl:4: a row must be a JSON object"):
        check(from_dict({"stage": "prepare", "sources": [{"path": str(file)}]}))


def test_a_run_that_is_not_made_yet_is_no_source_to_read(tmp_path: Path) -> None:
    run = str(tmp_path / "1-generate")
    found = check(prepare(tmp_path, ROWS, {"run": run}))
    assert list(found.facts) == ["reads", "source 1"]
    assert found.pending == [f"{run} (run its recipe first)"]


SPLITS = [(0.02, "10 train, 0 eval (the share 0.02 of 10 rows held out none)"), (None, "10 train, 0 eval")]


@pytest.mark.parametrize(("share", "line"), SPLITS)
def test_a_share_that_holds_out_nothing_is_told(tmp_path: Path, model_dir: Path, share: Any, line: str) -> None:
    data = {"train": str(tmp_path / "rows.jsonl"), "eval": share}
    assert check(recipe(tmp_path, model_dir, data=data)).facts["split"] == line


def test_missing_runs_looks_into_every_corner(tmp_path: Path) -> None:
    stage = from_dict(
        {
            "stage": "evaluate",
            "models": {"base": {"name_or_path": "x"}, "sft": {"run": "runs/none-1"}},
            "data": {"run": "runs/none-2"},
        }
    )
    assert missing_runs(stage) == ["runs/none-1", "runs/none-2"]


def test_the_pairs_of_dpo_are_counted_on_both_sides(tmp_path: Path, model_dir: Path) -> None:
    given = dpo(write(tmp_path / "pairs.jsonl", [{"prompt": "가?", "chosen": "나", "rejected": "다라"}]), model_dir)
    found, (pair,) = check(given), training_rows(given).train
    trained = len(pair.chosen) + len(pair.rejected)
    assert found.facts["tokens"].startswith(f"{len(pair.prompt) + trained} of which trained {trained} (")
    assert found.facts["stop"].startswith("trained in 100.0% of rows")


def dpo(file: str, model_dir: Path, **more: Any) -> Any:
    base = {"stage": "dpo", "model": {"name_or_path": str(model_dir)}, "template": "chatml", "adapter": "lora"}
    return from_dict(base | {"data": {"train": file}} | more)


def test_split_turns_is_not_for_pairs(model_dir: Path) -> None:
    with pytest.raises(RecipeError, match="data: `over_length: split_turns` is for conversations; of a pair only"):
        dpo("x.jsonl", model_dir, data={"train": "x.jsonl", "over_length": "split_turns"})


def test_trained_turns_is_not_for_pairs(model_dir: Path) -> None:
    with pytest.raises(RecipeError, match="data: `trained_turns` is for conversations; of a pair both answers are"):
        dpo("x.jsonl", model_dir, data={"train": "x.jsonl", "trained_turns": "last"})


def test_the_check_imports_no_torch(tmp_path: Path, model_dir: Path) -> None:
    recipe(tmp_path, model_dir)
    file = tmp_path / "2-sft.yaml"
    file.write_text(
        f"stage: sft\nmodel: {{name_or_path: {model_dir}}}\ntemplate: chatml\nadapter: lora\n"
        f"data: {{train: {tmp_path / 'rows.jsonl'}}}\n"
    )
    code = (
        "import sys; from seodang.recipe_file import load_recipe; from seodang.data.audit import check; "
        f"check(load_recipe({str(file)!r}).recipe); "
        "print([m for m in ('torch', 'trl', 'peft', 'datasets', 'accelerate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- planted defects

CLEAN = 80
PLANTED = 4
QUESTIONS = (
    "오늘은 날씨가 맑아서 산책을 했어요. {n}",
    "Please translate the sentence below. {n}",
    "책을 읽는 사람은 {n}",
)
ANSWERS = ("The weather is nice today. {n}", "저녁에는 가족과 함께 밥을 먹었다. {n}", "I go to school. {n}")
STRANGE = "뷁쉛뛝쫅" * 5
"""Syllables that the tokenizer can only spell in bytes."""


def alpaca(talk: list[str]) -> dict[str, Any]:
    return {"instruction": talk[0], "input": "", "output": talk[1]}


def messages(talk: list[str]) -> dict[str, Any]:
    return {"messages": [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(talk)]}


def sharegpt(talk: list[str]) -> dict[str, Any]:
    return {"conversations": [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(talk)]}


def completion(talk: list[str]) -> dict[str, Any]:
    return {"prompt": talk[0], "completion": talk[1]}


def clean(rng: random.Random, number: int) -> list[str]:
    return [rng.choice(QUESTIONS).format(n=number), rng.choice(ANSWERS).format(n=number + 1)]


def long_answer(talk: list[str], _: list[list[str]]) -> list[str]:
    return [talk[0], "I go to school. " * 60]


def long_question(talk: list[str], _: list[list[str]]) -> list[str]:
    return ["I go to school. " * 60 + talk[0], talk[1]]


def echo(talk: list[str], _: list[list[str]]) -> list[str]:
    return [talk[0], f" {talk[0]} "]


def typed(talk: list[str], _: list[list[str]]) -> list[str]:
    return [f"{talk[0]}<|im_end|>", talk[1]]


def strange(talk: list[str], _: list[list[str]]) -> list[str]:
    return [talk[0], STRANGE]


def empty(talk: list[str], _: list[list[str]]) -> list[str]:
    return [talk[0], " ", "Please translate.", talk[1]]


def repeated(talk: list[str], earlier: list[list[str]]) -> list[str]:
    return list(earlier[0])


DEFECTS = {
    "over_length": long_answer,
    "truncated": long_question,
    "prompt_equals_answer": echo,
    "control_string": typed,
    "byte_fallback": strange,
    "duplicate": repeated,
}
SHAPES = {"alpaca": alpaca, "messages": messages, "sharegpt": sharegpt, "completion": completion}


def plant(rng: random.Random, defects: dict[str, Any]) -> tuple[list[list[str]], dict[str, set[int]]]:
    """Clean conversations with defects at random places, and reason → the lines where it was planted."""
    talks = [clean(rng, number) for number in range(CLEAN)]
    first, *places = [0, *rng.sample(range(1, CLEAN), PLANTED * len(defects))]
    spoilt: dict[str, set[int]] = {}
    for name, defect in defects.items():
        for _ in range(PLANTED):
            at = places.pop()
            talks[at] = defect(talks[at], [talks[first]])
            spoilt.setdefault(name, set()).add(at + 1)
    return talks, spoilt


def reported(path: Path) -> dict[str, set[int]]:
    """Reason → lines, as the list of offenders has them."""
    found: dict[str, set[int]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert row["row"].startswith("train.json")
        found.setdefault(row["reason"], set()).add(int(row["row"].rpartition(":")[2]))
    return found


def planted_recipe(tmp_path: Path, model_dir: Path, file: str, **more: Any) -> Path:
    """A recipe file that allows nothing."""
    path = tmp_path / "sft.yaml"
    none = {f"max_{name}_ratio": 0 for name in ("drop", "truncated", "echo", "control", "byte", "duplicate", "equal")}
    data = {"train": file, "max_length": 120, "over_length": "truncate_prompt"}
    base = {
        "stage": "sft",
        "model": {"name_or_path": str(model_dir)},
        "template": "chatml",
        "adapter": {"kind": "lora"},
    }
    base |= {"output_dir": str(tmp_path / "runs" / "sft"), "check": none, "data": data}
    path.write_text(json.dumps(base | more), encoding="utf-8")
    return path


def exit_code(path: Path) -> int:
    with pytest.raises(SystemExit) as caught:
        cli(["check", str(path)], standalone_mode=False)
    return int(str(caught.value.code))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_planted_defects_are_reported_with_exactly_those_rows(
    shape: str, seed: int, tmp_path: Path, model_dir: Path
) -> None:
    many = shape in ("messages", "sharegpt")
    talks, spoilt = plant(random.Random(seed), DEFECTS | ({"empty_answer": empty} if many else {}))
    file = tmp_path / "train.jsonl"
    if shape == "sharegpt":  # an array, whose places are numbers of rows
        file = tmp_path / "train.json"
        file.write_text(json.dumps([SHAPES[shape](talk) for talk in talks], ensure_ascii=False), encoding="utf-8")
    else:
        write(file, [SHAPES[shape](talk) for talk in talks])
    assert exit_code(planted_recipe(tmp_path, model_dir, str(file))) == 1
    assert reported(tmp_path / "runs" / "sft.offenders.jsonl") == spoilt


def test_clean_rows_have_no_findings(tmp_path: Path, model_dir: Path) -> None:
    talks, _ = plant(random.Random(4), {})
    file = write(tmp_path / "train.jsonl", [messages(talk) for talk in talks])
    assert exit_code(planted_recipe(tmp_path, model_dir, file)) == 0
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_that_stop_the_run_are_all_reported(seed: int, tmp_path: Path, model_dir: Path) -> None:
    rng = random.Random(seed)
    lines = [json.dumps(alpaca(clean(rng, number)), ensure_ascii=False) for number in range(CLEAN)]
    broken, silent = (set(part) for part in (rng.sample(range(0, 40), 3), rng.sample(range(40, 80), 3)))
    for at in broken:
        lines[at] = lines[at][:-4]
    for at in silent:
        lines[at] = json.dumps(alpaca(["질문입니다.", " "]))
    file = tmp_path / "train.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    found = check(load_recipe(planted_recipe(tmp_path, model_dir, str(file)), ()).recipe)
    expected = {"unreadable": {at + 1 for at in broken}, "malformed": {at + 1 for at in silent}}
    assert reported(tmp_path / "runs" / "sft.offenders.jsonl") == expected
    assert found.problems[-1].startswith(f"6 rows stop the run, the first of them: train.jsonl:{min(broken) + 1}: ")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_prompts_that_are_held_out_and_trained_are_reported_once(seed: int, tmp_path: Path, model_dir: Path) -> None:
    rng = random.Random(seed)
    train, held = ([clean(rng, number) for number in numbers] for numbers in (range(CLEAN), range(CLEAN, 2 * CLEAN)))
    places = rng.sample(range(CLEAN), PLANTED)
    for at in places:
        held[at] = [train[rng.randrange(CLEAN)][0], "another answer"]
    data = {"train": write(tmp_path / "train.jsonl", [messages(talk) for talk in train])}
    data["eval"] = write(tmp_path / "eval.jsonl", [messages(talk) for talk in held])
    assert exit_code(planted_recipe(tmp_path, model_dir, data["train"], data=data)) == 1
    lines = (tmp_path / "runs" / "sft.offenders.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    assert {(row["reason"], row["row"]) for row in found} == {("leak", f"eval.jsonl:{at + 1}") for at in places}
    assert all(row["of"].startswith("train.jsonl:") for row in found)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_defects_of_pairs(seed: int, tmp_path: Path, model_dir: Path) -> None:
    rng = random.Random(seed)
    rows = [{"prompt": ask, "chosen": good, "rejected": "I go."} for ask, good in (clean(rng, n) for n in range(CLEAN))]
    places = rng.sample(range(1, CLEAN), 3 * PLANTED)
    equal, echoes, twice = (places[at::3] for at in range(3))
    for at in equal:
        rows[at] |= {"rejected": rows[at]["chosen"]}
    for at in echoes:
        rows[at] |= {"chosen": rows[at]["prompt"]}
    for at in twice:
        rows[at] = rows[0]
    given = {"stage": "dpo"}
    path = planted_recipe(tmp_path, model_dir, write(tmp_path / "train.jsonl", rows), **given)
    assert exit_code(path) == 1
    assert reported(tmp_path / "runs" / "sft.offenders.jsonl") == {
        "chosen_equals_rejected": {at + 1 for at in equal},
        "prompt_equals_answer": {at + 1 for at in echoes},
        "duplicate": {at + 1 for at in twice},
    }


def test_what_a_template_does_to_every_row(tmp_path: Path, model_dir: Path) -> None:
    layout = tmp_path / "no-stop.yaml"
    layout.write_text(
        "name: no-stop\nsource: here\ncontrol: ['<|im_end|>']\nstop: '<|im_end|>'\nuser: {open: 'Q: '}\n"
        "assistant: {open: ' A:', lead: ' '}\nexample: {messages: [], text: ''}\n",
        encoding="utf-8",
    )
    found = check(recipe(tmp_path, model_dir, template=str(layout)))
    (problem,) = found.problems
    assert problem == (
        "10 of 10 rows (100.0%) end without a trained stop token, the first is rows.jsonl:1; `check.min_stop_ratio` "
        "allows 1.0%"
    )


def test_a_real_file_with_a_real_tokenizer(tmp_path: Path, shared_data: Path) -> None:
    folder = tmp_path / "granite"
    shutil.copytree(shared_data / "tokenizers" / "granite-7b-lab", folder, copy_function=shutil.copyfile)
    (folder / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}')
    data = {"train": str(shared_data / "ko" / "kullm_style_conversation.jsonl"), "max_length": 2048, "on_error": "skip"}
    base = {"stage": "sft", "model": {"name_or_path": str(folder)}, "template": "model", "adapter": "lora"}
    found = check(from_dict(base | {"data": data, "output_dir": str(tmp_path / "run")}))
    assert found.facts["rows"] == "1495 read = 1413 kept + 82 dropped (3 malformed, 79 over_length)"
    assert found.facts["stop"].startswith("trained in 100.0% of rows (<|endoftext|>)")
    assert found.facts["bos"] == "the template writes none (<s>)"
    assert "<|assistant|>" in found.facts["note 1"]
    assert found.facts["text"] == "0.64 characters per trained token; 53.2% of tokens are bytes of split characters"
    counts = {share.name: share.count for share in found.shares if share.count}
    assert counts == {"dropped": 82, "prompt_equals_answer": 1, "byte_fallback": 1012}
    assert found.problems == []
    lines = (tmp_path / "run.offenders.jsonl").read_text(encoding="utf-8").splitlines()
    reasons = Counter(json.loads(line)["reason"] for line in lines)
    assert reasons == {"over_length": 79, "malformed": 3, "prompt_equals_answer": 1}
