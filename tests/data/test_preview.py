"""What is trained, shown: plain text off a terminal, colour on one, the row that was asked for, ids, TRL, the steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from seodang.data.preview import Preview, Wanted, preview, show
from seodang.errors import DataError, TemplateError
from seodang.language import columns
from seodang.recipe_file import from_dict
from seodang.template import load_template


def write(file: Path, *rows: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def talk(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def stage(model: Path, train: str, **keys: Any) -> Any:
    given = {"stage": "sft", "model": {"name_or_path": str(model)}, "template": "chatml", "data": {"train": train}}
    return from_dict(given | ({} if keys.get("stage") == "dpo" else {"adapter": "lora"}) | keys)


@pytest.fixture
def recipe(tmp_path: Path, tokenizer_dir: Path) -> Any:
    rows = [talk(f"{n}번 질문", f"똠방각하 {n}") for n in range(3)]
    return stage(tokenizer_dir, write(tmp_path / "rows.jsonl", *rows))


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What is printed of a preview where nobody looks at a terminal."""

    def printed(recipe: Any, ids: bool = False, **wanted: Any) -> str:
        show(preview(recipe, Wanted(**wanted)), ids)
        return capsys.readouterr().out

    return printed


def test_the_trained_part_stands_in_brackets(recipe: Any, shown: Callable[..., str]) -> None:
    text = shown(recipe)
    assert "⟦똠방각하 0<|im_end|>⟧" in text
    assert text.startswith("source: rows.jsonl:1, tokens: ")
    assert "stop: <|im_end|>, template: chatml\n" in text
    assert "\x1b" not in text


def test_one_row_by_its_source(recipe: Any, shown: Callable[..., str]) -> None:
    assert "⟦똠방각하 2<|im_end|>⟧" in shown(recipe, row="rows.jsonl:3")
    with pytest.raises(DataError, match=r"There is no training row with the source rows.jsonl:9"):
        shown(recipe, row="rows.jsonl:9")


def test_ids_on_request(recipe: Any, shown: Callable[..., str]) -> None:
    text, found = shown(recipe, ids=True), preview(recipe)
    (view,) = found.views
    assert text.rstrip().endswith("stop     <|im_end|>[1]")
    for token in (token for span in view.spans for token in span.ids):
        assert f"[{token}" in text or f" {token}" in text
    assert found.facts["trained"] == str(sum(len(s.ids) for s in view.spans if s.kind in ("trained", "stop")))


def test_colour_on_a_terminal(recipe: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    show(preview(recipe))
    text = capsys.readouterr().out
    assert "\x1b[30;42m똠방각하 0" in text
    assert "⟦" not in text
    show(preview(recipe, Wanted(steps=True)), ids=True)
    assert "pieces and ids\n" in capsys.readouterr().out


def test_what_was_noticed_stands_among_the_facts(
    tmp_path: Path, tokenizer_dir: Path, shown: Callable[..., str]
) -> None:
    text = shown(stage(tokenizer_dir, write(tmp_path / "a.jsonl", talk("<|im_end|>는 뭐예요?", "끝이에요."))))
    assert "control strings: 1" in text.splitlines()[0]
    assert "<|im_start|>user\n<|im_end|>는 뭐예요?<|im_end|>\n" in text


def test_a_pair_shows_both_answers(tmp_path: Path, model_dir: Path, shown: Callable[..., str]) -> None:
    file = write(tmp_path / "pairs.jsonl", {"prompt": "가?", "chosen": "나", "rejected": "다라"})
    recipe = stage(model_dir, file, stage="dpo")
    text = shown(recipe)
    assert "-- chosen" in text and "⟦나<|im_end|>⟧" in text
    assert "-- rejected" in text and "⟦다라<|im_end|>⟧" in text
    with pytest.raises(
        DataError, match=r"`--beside trl` shows what `trl sft` makes of a conversation, and this recipe"
    ):
        shown(recipe, beside="trl")
    assert "text            가?" in shown(recipe, steps=True)


# ---- beside trl


@pytest.fixture
def own_template(tokenizer_dir: Path, tmp_path: Path) -> Path:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = load_template("chatml").bind().to_jinja()
    tokenizer.save_pretrained(tmp_path / "own")
    return tmp_path / "own"


def test_the_row_in_its_file_is_what_trl_gets(own_template: Path, tmp_path: Path, shown: Callable[..., str]) -> None:
    turns = talk("왜요?", "비가 와서요.")["messages"]
    rows = {
        "messages": ({"messages": turns}, "⟦<|im_start|>user\n왜요?<|im_end|>\n<|im_start|>assistant\n비가 와서요."),
        "parted": ({"prompt": turns[:1], "completion": turns[1:]}, "the same tokens get a loss"),
        "plain": ({"prompt": "왜요?", "completion": "비가 와서요."}, "왜요?⟦비가 와서요.<|endoftext|>⟧"),
        "alpaca": (
            {"instruction": "왜요?", "output": "비가 와서요."},
            "   `trl sft` stops at the columns instruction, output; here it is given the row as `prepare` writes it\n",
        ),
    }
    for name, (row, part) in rows.items():
        text = shown(stage(own_template, write(tmp_path / f"{name}.jsonl", row)), beside="trl")
        ours, theirs = text.split("-- the same row by a bare `trl sft`\n")
        assert "-- as it is trained here\n" in ours and "⟦비가 와서요.<|im_end|>⟧" in ours
        assert part in theirs, name


def test_trl_beside_a_row_that_is_not_the_first(own_template: Path, tmp_path: Path, shown: Callable[..., str]) -> None:
    file = write(tmp_path / "rows.jsonl", talk("하나?", "둘."), talk("셋?", "넷."))
    theirs = shown(stage(own_template, file), beside="trl", row="rows.jsonl:2").split("-- the same row")[1]
    assert "셋?" in theirs and "하나?" not in theirs


# ---- steps


def test_the_steps_of_a_question(recipe: Any, shown: Callable[..., str]) -> None:
    text = shown(recipe, steps=True, row="rows.jsonl:2")
    assert text.splitlines()[:2] == [
        "source: rows.jsonl:2, tokenizer: TokenizersBackend (fast)",
        "text            1번␣질문",
    ]
    assert "<|im_start|>" not in text
    assert max(map(columns, text.splitlines())) <= 80


def test_the_steps_of_another_text(recipe: Any, shown: Callable[..., str]) -> None:
    assert "text            우산을␣챙기세요." in shown(recipe, text="우산을 챙기세요.")
    with pytest.raises(DataError, match=r"There is no row with the source x:1 to train on. `--row` takes a source as"):
        shown(recipe, steps=True, row="x:1")


def test_a_slow_tokenizer_has_steps_though_it_cannot_train(tmp_path: Path, shown: Callable[..., str]) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path / "slow")
    recipe = stage(tmp_path / "slow", write(tmp_path / "rows.jsonl", talk("왜요?", "비가 와서요.")))
    text = shown(recipe, steps=True)
    assert "tokenizer: ByT5Tokenizer (slow)" in text
    assert "special tokens  nothing … </s> [1]" in text
    with pytest.raises(TemplateError, match="slow tokenizer"):
        shown(recipe)


# ---- as an object


def test_a_preview_is_its_text_and_its_json(recipe: Any, shown: Callable[..., str]) -> None:
    found = preview(recipe, Wanted(beside="trl"))
    assert f"{found}\n" == shown(recipe, beside="trl")
    row = json.loads(json.dumps(found.to_row()))
    assert [view["title"] for view in row["views"]] == ["as it is trained here", "the same row by a bare `trl sft`"]
    assert row["facts"]["source"] == "rows.jsonl:1"
    assert json.loads(json.dumps(preview(recipe, Wanted(steps=True)).to_row()))["steps"]["text"] == "0번 질문"


def test_a_notebook_shows_it(recipe: Any) -> None:
    for wanted in (Wanted(), Wanted(beside="trl"), Wanted(steps=True)):
        html = preview(recipe, wanted)._repr_html_()
        assert html.lstrip().startswith('<div class="seodang"')
    assert '<mark class="stop" title="1">&lt;|im_end|&gt;</mark>' in preview(recipe)._repr_html_()
    assert "tokenizer" not in repr(Preview({"a": 1}, tokenizer=object()))
