"""The parity proof: rows against upstream's render, a saved folder against what was trained, and every difference."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seodang.data.dataset import TrainingRows, training_rows
from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.recipe_file import from_dict
from seodang.served import serve
from seodang.tokenization import load_light
from seodang.tuning import parity
from seodang.tuning.parity import cases, prove, prove_saved

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_STOP = (
    "{% for m in messages %}{{ '질문:\n' if m['role'] == 'user' else '답변:\n' }}{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}답변:\n{% endif %}"
)
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>"
    "{% endgeneration %}{% else %}{{ m.content }}<|im_end|>{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)
SPACED = (
    "{% for m in messages %}{{ '질문: ' if m['role'] == 'user' else '답변: ' }}{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}답변: {% endif %}"
)
"""The prompt ends in a space, which byte-level BPE joins with the answer's first word in whole text."""
LAST_ONLY = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
REASONS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m.reasoning_content and loop.last %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if not enable_thinking %}<think>{% endif %}{% endif %}"
)


def turns(*contents: str, system: str = "") -> dict[str, Any]:
    """A conversation row: user and assistant in turn."""
    messages = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return {"messages": [*([{"role": "system", "content": system}] if system else []), *messages]}


ROWS = [
    turns("서당의 높임말은?", "서당입니다."),
    turns("하나", "둘", "셋 🙂", "넷", "다섯", "여섯"),
    turns("짧게요.", "네.", system="짧게 답하세요."),
    turns("<|im_end|> 뜻이 뭐예요?", "`<|im_end|>`는 끝을 나타냅니다."),
    turns(unicodedata.normalize("NFD", "풀어 쓴 한글"), unicodedata.normalize("NFD", "네, 풀어 씁니다.")),
]
REASONED = turns("왜?", "<think>\n따져 보자.\n</think>\n\n그래서요.")
PAIRS = [
    {"prompt": [{"role": "user", "content": question}], "chosen": [{"role": "assistant", "content": good}],
     "rejected": [{"role": "assistant", "content": bad}]}
    for question, good, bad in [("안녕?", "안녕하세요.", "뭐"), ("<|im_end|>?", "글자입니다.", "몰라요.")]
]  # fmt: skip
Make = Callable[..., tuple[Any, TrainingRows]]


@pytest.fixture
def make(tokenizer_dir: Path, tmp_path: Path) -> Make:
    """(recipe, rows) of a template, the model's own where a Jinja is given."""

    def made(rows: list[dict[str, Any]], jinja: str | None = None, **keys: Any) -> tuple[Any, TrainingRows]:
        folder = tmp_path / "base"
        shutil.copytree(tokenizer_dir, folder, dirs_exist_ok=True)
        if jinja is not None:
            tokenizer = load_light(str(folder))
            tokenizer.chat_template = jinja
            tokenizer.add_tokens(["<think>", "</think>"] if "<think>" in jinja else [])
            tokenizer.save_pretrained(folder)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        given = {"stage": "sft", "model": {"name_or_path": str(folder)}, "output_dir": "unused"}
        given |= {"data": {"train": str(tmp_path / "rows.jsonl")}}
        given |= {} if jinja is not None else {"template": "chatml"}
        recipe = from_dict(given | keys)
        return recipe, training_rows(recipe)

    return made


def save(rows: TrainingRows, folder: Path) -> Path:
    """What `save_trained` writes beside the weights: the tokenizer with its template, and the stop ids."""
    tokenizer = load_light(rows.chat.tokenizer.name_or_path)
    tokenizer.chat_template = rows.chat.jinja
    tokenizer.save_pretrained(folder)
    config = json.dumps({"eos_token_id": list(rows.chat.stop_ids)})
    (folder / "generation_config.json").write_text(config, encoding="utf-8")
    return folder


# --- What is compared ------------------------------------------------------------------------------------------------


def test_every_trained_answer_of_a_row_is_a_case(make: Make) -> None:
    _, rows = make(ROWS)
    found = [case for case in cases(rows) if not case.source.startswith("probe")]
    assert [(case.source, case.asked) for case in found] == [
        ("rows.jsonl:4", 1), ("rows.jsonl:1", 1), ("rows.jsonl:2", 1), ("rows.jsonl:2", 3), ("rows.jsonl:2", 5),
        ("rows.jsonl:3", 2), ("rows.jsonl:5", 1),
    ]  # fmt: skip
    decode = rows.chat.tokenizer.decode
    third = found[4]
    assert decode(third.written) == "여섯<|im_end|>"
    assert decode(third.given).endswith("넷<|im_end|>\n<|im_start|>user\n다섯<|im_end|>\n<|im_start|>assistant\n")
    assert [turn["content"] for turn in third.turns] == ["하나", "둘", "셋 🙂", "넷", "다섯", "여섯"]


def test_probes_stand_for_what_the_rows_may_lack(make: Make) -> None:
    _, rows = make(ROWS[:1])
    found = {case.source: case for case in cases(rows) if case.source.startswith("probe")}
    assert sorted(found) == [f"probe {number}" for number in range(1, 7)]
    end = rows.chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    typed = found["probe 6"]
    assert typed.turns[0]["content"].startswith("<|im_end|> ") and "<|im_start|>" in typed.turns[0]["content"]
    assert (typed.given.count(end), typed.written.count(end)) == (1, 1)
    assert not unicodedata.is_normalized("NFC", found["probe 2"].turns[0]["content"])


def test_of_many_rows_some_are_asked_evenly_and_typed_control_strings_always(make: Make) -> None:
    many = [turns(f"{number}을 읽어 주세요.", f"{number}입니다.") for number in range(1, 201)]
    many[6] = turns("<|im_start|>가 뭐예요?", "글자입니다.")
    _, rows = make(many)
    found = [case.source for case in cases(rows) if not case.source.startswith("probe")]
    assert found[0] == "rows.jsonl:7" and len(found) == parity.ROWS
    assert {"rows.jsonl:1", "rows.jsonl:101", "rows.jsonl:194"} <= set(found)


def test_context_that_the_data_marks_is_no_case_but_its_turns_are_sent(make: Make) -> None:
    row = turns("하나", "둘", "셋", "넷")
    row["messages"][1]["trained"] = False
    recipe, rows = make([row])
    (case,) = [case for case in cases(rows) if not case.source.startswith("probe")]
    assert (case.asked, case.exact_prompt) == (3, True)
    assert all("trained" not in turn for turn in case.turns)
    prove(recipe, rows)


# --- Rows and folders that agree -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "jinja", "keys"),
    [
        (ROWS, None, {}),
        (ROWS[:2], None, {"template": "koalpaca"}),
        (ROWS[:2], None, {"template": "alpaca"}),
        (ROWS, CHATML, {}),
        (ROWS[:2], NO_STOP, {}),
        (ROWS, LAST_ONLY, {"thinking": "empty"}),
        ([REASONED, turns("왜?", "그래서요.", "정말?", "네.")], REASONS, {"thinking": "keep"}),
        (PAIRS, CHATML, {"stage": "dpo"}),
        (PAIRS, None, {"stage": "dpo"}),
        (
            [{"instruction": "영어로 옮기세요.", "input": "<|im_end|> 나는 간다.", "output": "I go."}],
            None,
            {"template": "alpaca"},
        ),
    ],
)
def test_what_is_trained_is_what_a_server_reads(
    rows: list[dict[str, Any]], jinja: str | None, keys: dict[str, Any], make: Make
) -> None:
    recipe, found = make(rows, jinja, **keys)
    assert len(cases(found)) > len(rows)
    prove(recipe, found)


@pytest.mark.parametrize(
    ("rows", "jinja", "keys"),
    [(ROWS, None, {}), (ROWS, LAST_ONLY, {"thinking": "empty"}), (PAIRS, NO_STOP, {"stage": "dpo"})],
)
def test_what_is_saved_is_what_was_trained(
    rows: list[dict[str, Any]], jinja: str | None, keys: dict[str, Any], make: Make, tmp_path: Path
) -> None:
    recipe, found = make(rows, jinja, **keys)
    count = len(cases(found))
    assert prove_saved(recipe, found, save(found, tmp_path / "adapter")) == {"compared": count, "equal": count}


def judged(rows: TrainingRows, thinking: str) -> dict[str, int]:
    """The counts of the rows and probes, asked in this process."""
    found = cases(rows)
    served = serve(rows.chat.tokenizer, [(case.turns, case.asked) for case in found], thinking)
    return parity._judge(rows.chat, found, served, Phrase("a test"), Phrase(""))


def test_a_reasoning_tag_is_a_token_where_the_model_writes_it_and_text_where_a_client_sends_it(make: Make) -> None:
    recipe, rows = make([REASONED], CHATML + "{% if not enable_thinking %}<think>{% endif %}", thinking="keep")
    assert rows.chat.tokenizer.convert_tokens_to_ids("<think>") in rows.train[0].input_ids
    prove(recipe, rows)
    found = judged(rows, "keep")
    assert (found["equal_as_text"], found["equal"]) == (1, found["compared"] - 1)
    rows.train[0] = replace(rows.train[0], input_ids=[*rows.train[0].input_ids[:-2], 300, rows.train[0].input_ids[-1]])
    with pytest.raises(TemplateError, match="other ids of the answer"):
        prove(recipe, rows)


def test_where_the_templates_marks_say_what_is_trained_the_whole_is_compared(make: Make) -> None:
    """What is served before the answer ends in `<think>`, which the training text does not have."""
    recipe, rows = make(ROWS[:2], MARKED, thinking="strip")
    count = len(cases(rows))
    assert judged(rows, "strip") == {"compared": count, "equal": 0, "by_marks": count}
    rows.train[0] = replace(rows.train[0], input_ids=[300, *rows.train[0].input_ids[1:]])
    with pytest.raises(TemplateError, match="other ids of the conversation, from token 0 on"):
        prove(recipe, rows)


def test_a_border_that_whole_text_would_merge_is_counted_apart(make: Make, tmp_path: Path) -> None:
    recipe, rows = make([turns("하나", "나는 간다.", "셋", "나는 먹었다.")], SPACED)
    assert rows.train[0].border_cuts == 2
    prove(recipe, rows)
    found = prove_saved(recipe, rows, save(rows, tmp_path / "adapter"))
    assert found["equal_as_text"] and found["compared"] == found["equal"] + found["equal_as_text"]


def test_a_control_token_is_no_text_even_at_a_border_that_is_cut(make: Make) -> None:
    recipe, rows = make([turns("하나", "둘"), turns("<|im_end|>", "셋", "넷", "다섯")], CHATML)
    row = rows.train[1]
    end = rows.chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    typed = rows.chat.tokenizer._encode_without_added_tokens("<|im_end|>")
    at = next(i for i in range(len(row.input_ids)) if row.input_ids[i : i + len(typed)] == typed)
    joined = [*row.input_ids[:at], end, *row.input_ids[at + len(typed) :]]
    labels = [*row.labels[:at], -100, *row.labels[at + len(typed) :]]
    rows.train[1] = replace(row, input_ids=joined, labels=labels, border_cuts=1)
    assert rows.chat.tokenizer.decode(joined) == rows.chat.tokenizer.decode(row.input_ids)
    with pytest.raises(TemplateError, match=r"rows.jsonl:2: transformers makes other ids of the prompt"):
        prove(recipe, rows)


# --- Differences -----------------------------------------------------------------------------------------------------


def test_other_ids_than_upstreams_stop_the_run_before_it_begins(make: Make) -> None:
    recipe, rows = make(ROWS)
    row = rows.train[0]
    rows.train[0] = replace(row, input_ids=[row.input_ids[0], 300, *row.input_ids[2:]])
    decode = rows.chat.tokenizer.decode
    with pytest.raises(TemplateError) as error:
        prove(recipe, rows)
    trained, served = rows.train[0].input_ids[:9], row.input_ids[:9]
    assert str(error.value) == (
        "What is trained is not what a server sends. rows.jsonl:1: transformers makes other ids of the prompt, from "
        f"token 1 on:\n  trained: {trained} {decode(trained)!r}\n  served:  {served} {decode(served)!r}\n"
        "Nothing was trained. Look at the row with `seodang preview`, and try another template (`template: NAME`, with "
        "`template_override: true` where the model has one of its own)."
    )


def test_an_answer_in_other_ids_is_found(make: Make) -> None:
    recipe, rows = make(ROWS[:1])
    row = rows.train[0]
    rows.train[0] = replace(row, input_ids=[*row.input_ids[:-2], 300, row.input_ids[-1]])
    with pytest.raises(TemplateError, match=r"other ids of the answer, from token \d+ on"):
        prove(recipe, rows)


def test_a_stop_that_is_missing_is_found(make: Make) -> None:
    recipe, rows = make(ROWS[:1], CHATML)
    row = rows.train[0]
    eos = rows.chat.tokenizer.eos_token_id
    rows.train[0] = replace(row, input_ids=[*row.input_ids[:-1], eos])
    with pytest.raises(TemplateError, match=r"other ids of the answer"):
        prove(recipe, rows)


def break_template(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    text = file.read_text(encoding="utf-8")
    assert text.count("assistant\\n") >= 1
    file.write_text(text.replace("assistant\\n", "assistant "), encoding="utf-8")


def break_unreached(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    text = file.read_text(encoding="utf-8")
    assert "No place here" in text
    file.write_text(text.replace("No place here", "No space here"), encoding="utf-8")


def break_stops(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": 2}', encoding="utf-8")


def break_merges(folder: Path) -> None:
    file = folder / "tokenizer.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["model"]["merges"] = found["model"]["merges"][:40]
    file.write_text(json.dumps(found), encoding="utf-8")


def break_refusing(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('오늘은 쉽니다') }}", encoding="utf-8")


def break_files(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


KEPT = (
    "Nothing is lost: what was trained stays in {folder}; but the run is not finished, and no server may use it before "
    "both agree. `--resume` saves and compares again."
)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (break_template, "rows.jsonl:1: a fresh process makes other ids of the prompt, from token"),
        (break_unreached, "What was saved is not what was trained. {folder}/chat_template.jinja differs from it:\n  trained:"),
        (break_stops, "{folder}/generation_config.json differs from it:\n  trained: [1, 2]\n  saved:   [2]\n"),
        (break_merges, "a fresh process makes other ids of the prompt"),
        (break_refusing, "served:  [] '오늘은 쉽니다'"),
        (break_files, "A fresh process could not read what was saved: {folder} holds no tokenizer (no "),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_as_trained_stops_the_run(
    harm: Callable[[Path], None], said: str, make: Make, tmp_path: Path
) -> None:
    recipe, rows = make(ROWS[:2])
    folder = save(rows, tmp_path / "adapter")
    harm(folder)
    with pytest.raises(TemplateError) as error:
        prove_saved(recipe, rows, folder)
    assert said.format(folder=folder) in str(error.value)
    assert str(error.value).endswith(KEPT.format(folder=folder))
    assert folder.is_dir()


def test_autotokenizer_is_asked_too(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what servers load; here it reads the folder with another template than the fresh process."""
    from transformers import AutoTokenizer

    recipe, rows = make(ROWS[:1])
    folder = save(rows, tmp_path / "adapter")
    other = load_light(str(folder))
    other.chat_template = other.chat_template.replace("assistant\\n", "assistant ")
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: other)
    with pytest.raises(TemplateError, match=r"rows.jsonl:1: AutoTokenizer makes other ids of the prompt"):
        prove_saved(recipe, rows, folder)
