"""What a bare `trl sft` trains, row by row the same as SFTTrainer with nothing but its defaults; and what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.encoding import IGNORED, Encoded
from seodang.errors import DataError
from seodang.records import Conversation, Message
from seodang.template import load_template
from seodang.trl_default import MAX_LENGTH, TrlRow, differences, is_readable, trl_row

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

ASK, ANSWER = {"role": "user", "content": "우산이 왜 필요해요?"}, {"role": "assistant", "content": "비가 오니까요."}
TYPED = {"role": "user", "content": "<|im_end|> 라고 쓰면 어떻게 돼요?"}
LONG = {"role": "user", "content": "비가 오면 우산을 챙기세요. " * 200}
LONG_ANSWER = {"role": "assistant", "content": "서울에서 부산까지 갑니다. " * 200}

READ = {
    "messages": {"messages": [ASK, ANSWER]},
    "several turns, with a key of ours": {"messages": [ASK | {"input_at": 4}, ANSWER, ASK, ANSWER], "source": "x"},
    "a typed control string": {"messages": [TYPED, ANSWER]},
    "an answer that is too long": {"messages": [ASK, LONG_ANSWER]},
    "a question that is too long": {"messages": [LONG, ANSWER]},
    "prompt and completion of turns": {"prompt": [ASK], "completion": [ANSWER]},
    "a completion that is too long": {"prompt": [ASK], "completion": [LONG_ANSWER]},
    "a prompt that is too long": {"prompt": [LONG], "completion": [ANSWER]},
    "prompt and completion of text": {"prompt": "우산이 왜", "completion": " 필요해요?"},
    "a border that merges": {"prompt": "우산이 필요해", "completion": "요."},
    "text": {"text": "비가 옵니다."},
    "text that ends": {"text": "비가 옵니다.<|endoftext|>"},
    "messages before text": {"messages": [ASK, ANSWER], "text": "비가 옵니다."},
    "sharegpt": {"conversations": [{"from": "user", "value": "왜요?"}, {"from": "assistant", "value": "비가 와요."}]},
}
REFUSED = {
    "alpaca": {"instruction": "왜?", "input": "", "output": "비가 와서요."},
    "a prompt alone": {"prompt": [ASK]},
    "a pair": {"prompt": "왜?", "chosen": "비가 와서요.", "rejected": "몰라."},
    "turns under another name": {"conversations": [ASK, ANSWER]},
    "a role that the template does not know": {"conversations": [{"from": "human", "value": "왜요?"}]},
}


@pytest.fixture(scope="module")
def chatml(tokenizer_dir: Path) -> Any:
    """The tokenizer with ChatML as its own template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = load_template("chatml").bind().to_jinja()
    return tokenizer


@pytest.fixture(scope="module")
def upstream(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any], Any], list[Any]]:
    """What SFTTrainer makes of a data set of one row: its prepared rows."""
    from seodang.tuning.quiet import silence_upstream

    silence_upstream()
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    model = AutoModelForCausalLM.from_pretrained(model_dir)
    args = SFTConfig(output_dir=str(tmp_path_factory.mktemp("trl")), report_to="none", use_cpu=True)

    def prepare(row: dict[str, Any], tokenizer: Any) -> list[Any]:
        trainer = SFTTrainer(model, args, train_dataset=Dataset.from_list([row]), processing_class=tokenizer)
        return list(trainer.train_dataset)

    return prepare


@pytest.mark.parametrize("name", READ)
def test_it_trains_what_sft_trainer_trains(name: str, chatml: Any, upstream: Callable[..., list[Any]]) -> None:
    ours, theirs = trl_row(READ[name], chatml), upstream(READ[name], chatml)
    assert ours.is_dropped == (not theirs)
    if theirs:
        assert ours.row.input_ids == theirs[0]["input_ids"]
        assert ours.row.labels == theirs[0]["labels"]


@pytest.mark.parametrize("name", REFUSED)
def test_it_stops_where_sft_trainer_stops(name: str, chatml: Any, upstream: Callable[..., list[Any]]) -> None:
    with pytest.raises(DataError, match="trl sft"):
        trl_row(REFUSED[name], chatml)
    with pytest.raises(Exception):  # noqa: B017 - a KeyError, a TypeError or Jinja's, as it comes
        upstream(REFUSED[name], chatml)


def test_without_a_chat_template_or_an_eos_token_both_stop(
    tokenizer_dir: Path, upstream: Callable[..., list[Any]]
) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    with pytest.raises(ValueError, match="chat_template is not set"):
        upstream(READ["messages"], tokenizer)
    with pytest.raises(DataError, match="`trl sft` stops at a conversation here: this tokenizer has no chat template"):
        trl_row(READ["messages"], tokenizer)
    given = trl_row(READ["messages"], tokenizer, load_template("chatml").bind().to_jinja())
    assert tokenizer.decode(given.row.input_ids).endswith("비가 오니까요.<|im_end|>")
    tokenizer.eos_token = None
    with pytest.raises(TypeError):
        upstream(READ["text"], tokenizer)
    with pytest.raises(DataError, match="`trl sft` appends the eos token to a plain text, and this tokenizer has none"):
        trl_row(READ["text"], tokenizer)


def test_the_defaults_are_those_of_the_installed_trl() -> None:
    from trl import SFTConfig

    config = SFTConfig(output_dir="unused", use_cpu=True)
    assert config.max_length == MAX_LENGTH
    assert (config.truncation_mode, config.packing, config.assistant_only_loss) == ("keep_start", False, False)
    assert (config.completion_only_loss, config.eos_token, config.chat_template_path) == (None, None, None)


def test_columns_that_trl_does_not_read_are_named() -> None:
    assert [name for name, row in READ.items() if not is_readable(row)] == []
    with pytest.raises(DataError, match="cannot read a row with the columns instruction, input, output. It reads"):
        trl_row(REFUSED["alpaca"], None)


# ---- what differs


def ours(tokenizer: Any, *turns: dict[str, str]) -> tuple[Encoded, list[int]]:
    chat = make_chat(tokenizer, "model")
    talk = Conversation(tuple(Message(turn["role"], turn["content"]) for turn in turns))
    return chat.encode(talk), list(chat.stop_ids)


def said(tokenizer: Any, *turns: dict[str, str]) -> list[str]:
    row, stops = ours(tokenizer, *turns)
    return [str(phrase) for phrase in differences(row, trl_row({"messages": list(turns)}, tokenizer), stops)]


def test_the_question_is_trained_too(chatml: Any) -> None:
    row, _ = ours(chatml, ASK, ANSWER)
    given = len(row.input_ids) - row.trained
    assert said(chatml, ASK, ANSWER) == [
        f"tokens with a loss there alone (questions, headers, what follows a stop): {given}"
    ]


def test_a_typed_control_string_becomes_a_control_token(chatml: Any) -> None:
    found = said(chatml, TYPED, ANSWER)
    assert found[-1] == "typed control strings that become control tokens there: 1"
    row, stops = ours(chatml, TYPED, ANSWER)
    assert sum(token in stops for token in row.input_ids) == 2
    assert sum(token in stops for token in trl_row({"messages": [TYPED, ANSWER]}, chatml).row.input_ids) == 3


def test_a_long_answer_loses_its_stop_without_a_word(chatml: Any) -> None:
    row, _ = ours(chatml, ASK, LONG_ANSWER)
    cut = len(row.input_ids) - MAX_LENGTH
    found = said(chatml, ASK, LONG_ANSWER)
    assert cut > 0 and found[0] == f"tokens cut off without a word, those after the first 1024: {cut}"
    assert found[2:] == [f"tokens with a loss here alone: {cut}", "stop tokens that are not learnt there: 1"]


def test_a_row_that_is_left_out(chatml: Any) -> None:
    row, stops = ours(chatml, LONG, ANSWER)
    theirs = trl_row({"prompt": [LONG], "completion": [ANSWER]}, chatml)
    assert theirs.is_dropped
    assert differences(row, theirs, stops) == ["the row is left out without a word: its prompt fills 1024 tokens"]


def test_the_same_is_the_same(chatml: Any) -> None:
    row, stops = ours(chatml, ASK, ANSWER)
    assert differences(row, TrlRow(row, len(row.input_ids)), stops) == []
    assert differences(row, trl_row({"prompt": [ASK], "completion": [ANSWER]}, chatml), stops) == []


def test_rows_of_other_ids_are_laid_side_by_side() -> None:
    here = Encoded([1, 2, 3, 4, 5], [IGNORED, IGNORED, 3, 4, 5])
    there = Encoded([9, 1, 2, 3, 5, 7], [IGNORED, IGNORED, IGNORED, 3, 5, 7])
    found = differences(here, TrlRow(there, 6), [4])
    assert found == [
        "tokens with a loss there alone (questions, headers, what follows a stop): 1",
        "tokens with a loss here alone: 1",
        "stop tokens that are not learnt there: 1",
    ]
