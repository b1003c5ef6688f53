"""Rows for eyes: runs of one kind, Hangul whole, what is trained told apart, and the same row by a bare `trl sft`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from seodang.chats import make_chat
from seodang.data.dataset import TrainingRows
from seodang.encoding import IGNORED, Chat, Encoded
from seodang.records import Conversation, Message, Preference
from seodang.runs import Ledger
from seodang.spans import as_rich, as_text, beside_trl, control_ids, previews, spans, text_steps
from seodang.template import load_template

TALK = Conversation(
    (Message("user", "펲시콜라 🙂 좋아해?"), Message("assistant", "똠방각하도 좋아해요. 👨‍👩‍👧")), "a.jsonl:1"
)


@pytest.fixture
def chat(tokenizer_dir: Path) -> Chat:
    """ChatML on a tokenizer without a template of its own."""
    return make_chat(PreTrainedTokenizerFast.from_pretrained(tokenizer_dir), "chatml")


@pytest.fixture
def own(tokenizer_dir: Path) -> Chat:
    """ChatML as the tokenizer's own template."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    tokenizer.chat_template = load_template("chatml").bind().to_jinja()
    return make_chat(tokenizer, "model")


def rows_of(chat: Chat, *records: Any) -> TrainingRows:
    return TrainingRows(chat, [chat.encode(record) for record in records], [], list(records), Ledger())


# ---- spans


def test_the_spans_join_to_the_row(chat: Chat) -> None:
    row = chat.encode(TALK)
    assert [token for span in spans(row, chat) for token in span.ids] == row.input_ids
    assert "".join(span.text for span in spans(row, chat)) == chat.tokenizer.decode(row.input_ids)


def test_hangul_and_emoji_split_over_bytes_print_whole(chat: Chat) -> None:
    assert len(chat.tokenizer.encode("똠", add_special_tokens=False)) > 1
    found = spans(chat.encode(TALK), chat)
    assert {span.kind: span.text for span in found}["trained"] == "똠방각하도 좋아해요. 👨‍👩‍👧"
    assert "\ufffd" not in "".join(span.text for span in found)


def test_kinds(chat: Chat) -> None:
    found = spans(chat.encode(TALK), chat)
    assert [span.kind for span in found] == [
        "control", "context", "control", "context", "control", "context", "trained", "stop",
    ]  # fmt: skip
    assert found[-1].text == "<|im_end|>"


def test_a_typed_control_string_is_context(chat: Chat) -> None:
    row = chat.encode(replace(TALK, messages=(Message("user", "<|im_end|>가 뭐야?"), *TALK.messages[1:])))
    found = spans(row, chat)
    assert [span.text for span in found if span.kind == "control"] == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert found[1].text == "user\n<|im_end|>가 뭐야?"


def test_a_trained_control_token_that_ends_nothing_is_no_stop(chat: Chat) -> None:
    row = chat.encode(TALK)
    whole = replace(row, labels=row.input_ids)
    assert [span.kind for span in spans(whole, chat)] == ["trained", "stop", "trained", "stop"]
    assert spans(whole, chat)[0].text.startswith("<|im_start|>user\n펲시콜라")


def test_added_line_ends_are_no_control_tokens(tokenizer_dir: Path) -> None:
    """Gemma's tokenizer holds runs of line ends as added tokens."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    tokenizer.add_tokens(["\n\n", "<tool_call>"])
    chat = make_chat(tokenizer, "chatml")
    assert tokenizer.convert_tokens_to_ids("\n\n") not in control_ids(chat)
    assert tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])[0] in control_ids(chat)
    row = Encoded(tokenizer.encode("가\n\n나"), [IGNORED] * len(tokenizer.encode("가\n\n나")))
    assert [span.text for span in spans(row, chat)] == ["가\n\n나"]


def test_plain_text_marks_the_trained_part_once(chat: Chat) -> None:
    text = as_text(spans(chat.encode(TALK), chat))
    assert text.count("⟦") == text.count("⟧") == 1
    assert text.endswith("⟦똠방각하도 좋아해요. 👨‍👩‍👧<|im_end|>⟧")


def test_the_coloured_text_is_the_same_text(chat: Chat) -> None:
    found = spans(chat.encode(TALK), chat)
    rich = as_rich(found)
    assert rich.plain == "".join(span.text for span in found)
    assert len({str(span.style) for span in rich.spans}) == 4


def test_a_trained_line_end_can_be_seen(chat: Chat) -> None:
    row = chat.encode(replace(TALK, messages=(TALK.messages[0], Message("assistant", "하나\n둘"))))
    assert as_rich(spans(row, chat)).plain.endswith("assistant\n하나↵\n둘<|im_end|>")


def test_a_row_does_not_steer_the_terminal(chat: Chat) -> None:
    row = chat.encode(replace(TALK, messages=(Message("user", "\x1b[2J지워?"), TALK.messages[1])))
    for text in (as_text(spans(row, chat)), as_rich(spans(row, chat)).plain):
        assert "\x1b" not in text and "\\x1b[2J지워?" in text


def test_a_row_for_the_report(chat: Chat) -> None:
    row = spans(chat.encode(TALK), chat)[-1].to_row()
    assert row == {"text": "<|im_end|>", "kind": "stop", "ids": [1]}


# ---- beside trl


def test_every_token_is_trained_by_trl(own: Chat) -> None:
    view = beside_trl(TALK, rows_of(own, TALK))
    row = own.encode(TALK)
    given = len(row.input_ids) - row.trained
    assert view.title == "the same row by a bare `trl sft`"
    assert view.notes == (f"tokens with a loss there alone (questions, headers, what follows a stop): {given}",)
    assert as_text(view.spans) == "⟦" + own.tokenizer.decode(row.input_ids) + "⟧"


def test_a_template_is_given_where_there_is_none(chat: Chat) -> None:
    view = beside_trl(TALK, rows_of(chat, TALK))
    assert view.notes[0] == (
        "the tokenizer has no chat template, so `trl sft` would stop; here it is given that of `chatml`"
    )
    assert view.spans
    plain = {"prompt": "우산이 왜", "completion": " 필요해요?"}
    assert as_text(beside_trl(TALK, rows_of(chat, TALK), plain).spans) == "우산이 왜⟦ 필요해요?<|endoftext|>⟧"
    assert "chat template" not in " ".join(beside_trl(TALK, rows_of(chat, TALK), plain).notes)


def test_columns_that_trl_does_not_read_become_messages(own: Chat) -> None:
    view = beside_trl(TALK, rows_of(own, TALK), {"instruction": "왜?", "output": "비가 와서요."})
    assert view.notes[0] == (
        "`trl sft` stops at the columns instruction, output; here it is given the row as `prepare` writes it"
    )
    assert "펲시콜라" in as_text(view.spans)


def test_the_same_is_said_to_be_the_same(own: Chat) -> None:
    prompt, completion = ([message.to_row()] for message in TALK.messages)
    view = beside_trl(TALK, rows_of(own, TALK), {"prompt": prompt, "completion": completion})
    assert view.notes == ("the same tokens get a loss",)
    assert view.spans == spans(own.encode(TALK), own)


def test_where_trl_stops_the_view_says_why(own: Chat) -> None:
    view = beside_trl(TALK, rows_of(own, TALK), {"conversations": [{"from": "human", "value": "왜요?"}]})
    assert view.spans == ()
    assert view.notes[0].startswith("`trl sft` stops at this conversation: the chat template says No place here")


def test_several_rows_here_are_one_there(own: Chat) -> None:
    view = beside_trl(TALK, rows_of(own, TALK, TALK))
    assert view.notes == ("one row of it is trained there, 2 are here",)


# ---- for a report


def test_a_report_shows_rows_with_trl_beside_them_and_one_text(own: Chat) -> None:
    other = replace(TALK, source="a.jsonl:2")
    shown = previews(rows_of(own, TALK, other, replace(TALK, source="a.jsonl:3")))
    trl = "the same row by a bare `trl sft`"
    assert [view["title"] for view in shown["views"]] == ["a.jsonl:1", trl, "a.jsonl:2", trl]
    assert shown["views"][0]["spans"][-1] == {"text": "<|im_end|>", "kind": "stop", "ids": [1]}
    assert shown["steps"]["text"] == "펲시콜라 🙂 좋아해?"


def test_a_long_question_is_walked_in_part(own: Chat) -> None:
    long = replace(TALK, messages=(Message("user", "비가 와요. " * 99), TALK.messages[1]))
    assert len(previews(rows_of(own, long))["steps"]["text"]) == 100


@pytest.mark.parametrize(
    ("record", "text", "walked"),
    [
        (Conversation((Message("system", "짧게"), Message("user", "왜?"), Message("assistant", "네."))), None, "왜?"),
        (Conversation((Message("user", "왜?"), Message("assistant", "네."))), "다른 글", "다른 글"),
        (Preference((Message("user", "왜?"),), (Message("assistant", "네."),), (Message("assistant", "아뇨."),)), None,
         "왜?"),
        (Conversation(()), None, ""),
    ],
)  # fmt: skip
def test_the_text_that_is_walked(tokenizer: Any, record: Any, text: str | None, walked: str) -> None:
    assert text_steps(tokenizer, record, text).text == walked
