"""Stage tokenizer: byte-level BPE that gives every text back, with the template's control tokens and its Jinja."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from seodang.chats import make_chat
from seodang.errors import RecipeError, TemplateError
from seodang.recipe import Tokenizer
from seodang.records import Message
from seodang.runs import Run
from seodang.template import load_template
from seodang.tokenization import compare, load_light
from seodang.tuning.tokenizer import EOS, PAD, density, run, train_bpe

SENTENCES = [
    f"{place}에 사는 {who}는 {day} 아침마다 {what} 들고 서당에 갑니다."
    for place in ("한양", "전주", "평양", "강릉")
    for who in ("돌쇠", "분이", "막동이")
    for day in ("봄날", "여름", "가을")
    for what in ("붓을", "책을", "벼루를")
]
ODD = [
    "㋀ ½ 漢字 ㅋㅋㅋ",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "탭\t줄\n두 칸  끝 ",
    "🙂👨‍👩‍👧",
    "1,234.50원",
    "<|endoftext|>",
    "",
]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "texts.jsonl"
    rows = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in SENTENCES)
    path.write_text(rows, encoding="utf-8")
    return {"train": str(path), "eval": 0.1}


def make(data: dict[str, Any], folder: Path, **given: Any) -> tuple[Any, dict[str, Any]]:
    folder.mkdir(exist_ok=True)
    recipe = Tokenizer.model_validate({"stage": "tokenizer", "data": data, "vocab_size": 500} | given)
    report = run(recipe, Run(folder))
    return AutoTokenizer.from_pretrained(folder / "tokenizer"), report


def test_every_text_comes_back_unchanged(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, _ = make(data, tmp_path / "run")
    for text in [*SENTENCES, *ODD]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert tokenizer.unk_token is None and tokenizer.backend_tokenizer.normalizer is None


def test_digits_stand_alone(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, _ = make(data, tmp_path / "run")
    assert [tokenizer.decode([token]) for token in tokenizer.encode("2026년", add_special_tokens=False)][:4] == list(
        "2026"
    )


def test_the_report_counts_rows_and_measures_density_on_held_out_texts(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, report = make(data, tmp_path / "run")
    assert report["rows"] == {"read": len(SENTENCES), "kept": len(SENTENCES), "dropped": {}}
    metrics = report["metrics"]
    assert metrics["vocab_size"] == len(tokenizer) <= 500
    assert metrics["changed_texts"] == metrics["eval_changed_texts"] == 0
    assert metrics["eval_bytes_per_token"] > 3 and metrics["eval_characters_per_token"] > 1.5
    assert (tmp_path / "run" / "dropped.jsonl").exists()


def test_merges_within_characters_make_a_syllable_one_token_and_nothing_longer(
    data: dict[str, Any], tmp_path: Path
) -> None:
    words, _ = make(data, tmp_path / "words")
    tokenizer, report = make(data, tmp_path / "characters", vocab_size=2000, merge_within="character")
    pieces = {token: tokenizer.decode([token]) for token in range(2, len(tokenizer))}
    # a part of a syllable decodes to replacement marks
    assert [piece for piece in pieces.values() if len(piece.strip("\ufffd")) > 1] == []
    assert any(len(words.decode([token])) > 2 for token in range(2, len(words)))
    for text in SENTENCES[:5]:
        tokens = tokenizer.encode(text, add_special_tokens=False)
        assert [pieces[token] for token in tokens] == list(text)
    # one syllable is one token wherever it stands: at the beginning, after a space, within a word
    (alone,) = tokenizer.encode("서", add_special_tokens=False)
    assert tokenizer.encode("가서 서당", add_special_tokens=False).count(alone) == 2
    assert report["metrics"]["characters_per_token"] == 1
    assert report["metrics"]["changed_texts"] == 0


def test_merges_within_characters_give_every_text_back(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, _ = make(data, tmp_path / "run", merge_within="character")
    for text in [*SENTENCES, *ODD]:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_density_is_counted_by_hand() -> None:
    tokenizer = train_bpe(["가나 가나 가나"], 260, (EOS, PAD))
    plain = len(tokenizer.encode("가나 가나"))
    found = density(tokenizer, ["가나 가나"])
    assert found == {
        "bytes_per_token": round(13 / plain, 4),
        "characters_per_token": round(5 / plain, 4),
        "tokens_per_word": round(plain / 2, 4),
        "changed_texts": 0,
    }
    assert density(tokenizer, []) == {}


def test_eos_and_pad_are_two_tokens_and_the_specials_come_first(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, _ = make(data, tmp_path / "run", template="chatml", special_tokens=["<|서당|>"])
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == (EOS, 0)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == (PAD, 1)
    assert tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>", "<|서당|>"]) == [2, 3, 4]
    assert tokenizer.decode([2, 3, 4], skip_special_tokens=True) == ""


@pytest.mark.parametrize("name", ["chatml", "llama3", "koalpaca"])
def test_the_templates_control_tokens_are_single_and_its_jinja_is_saved(
    name: str, data: dict[str, Any], tmp_path: Path
) -> None:
    tokenizer, _ = make(data, tmp_path / "run", template=name)
    bound = load_template(name).bind("", EOS)
    assert tokenizer.chat_template == bound.to_jinja()
    for token in bound.control:
        assert tokenizer.encode(token, add_special_tokens=False) == [tokenizer.convert_tokens_to_ids(token)]
    own = make_chat(tokenizer, None)
    named = make_chat(tokenizer, name)
    turns = [Message("user", "안녕하세요?")]
    assert own.prompt_ids(turns) == named.prompt_ids(turns)
    assert set(own.stop_ids) == set(named.stop_ids)


def test_without_a_template_there_is_no_chat_template(data: dict[str, Any], tmp_path: Path) -> None:
    tokenizer, _ = make(data, tmp_path / "run")
    assert tokenizer.chat_template is None
    with pytest.raises(TemplateError, match="This tokenizer has no chat template"):
        make_chat(tokenizer, None)


def test_what_is_saved_loads_alike_without_torch_and_with_auto(data: dict[str, Any], tmp_path: Path) -> None:
    auto, _ = make(data, tmp_path / "run", template="chatml")
    compare(load_light(str(tmp_path / "run" / "tokenizer")), auto)


def test_the_same_texts_give_the_same_file(data: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(data, tmp_path / name)
    files = [(tmp_path / name / "tokenizer" / "tokenizer.json").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_a_folder_of_an_earlier_try_is_replaced(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run" / "tokenizer").mkdir(parents=True)
    (tmp_path / "run" / "tokenizer" / "old.json").write_text("{}", encoding="utf-8")
    make(data, tmp_path / "run")
    assert not (tmp_path / "run" / "tokenizer" / "old.json").exists()
    assert not list((tmp_path / "run").glob(".tokenizer*"))


def test_a_vocabulary_too_small_for_bytes_and_control_tokens_is_refused(data: dict[str, Any], tmp_path: Path) -> None:
    many = [f"<|{n}|>" for n in range(100)]
    with pytest.raises(
        RecipeError, match="vocab_size: must be at least 358: 256 bytes and 102 special tokens, got 300"
    ):
        make(data, tmp_path / "run", vocab_size=300, special_tokens=many)


def test_a_template_that_does_not_exist_is_refused(data: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="chatlm"):
        make(data, tmp_path / "run", template="chatlm")


def test_torch_is_not_needed(data: dict[str, Any], tmp_path: Path) -> None:
    code = f"""
        import sys
        from pathlib import Path
        from seodang.recipe import Tokenizer
        from seodang.runs import Run
        from seodang.tuning.tokenizer import run
        run(Tokenizer(stage="tokenizer", data={data!r}, vocab_size=400), Run(Path({str(tmp_path)!r})))
        sys.exit("torch" in sys.modules)
    """
    source = Path(__file__).resolve().parents[2] / "src"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env={"PYTHONPATH": str(source)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
