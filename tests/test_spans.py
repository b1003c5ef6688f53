"""Rows for eyes: runs of one kind, Hangul whole, what is trained told apart."""

from __future__ import annotations

from typing import Any

from seodang.chats import make_chat
from seodang.records import Conversation, Message
from seodang.spans import as_rich, as_text, spans

TALK = Conversation((Message("user", "펲시콜라 🙂 좋아해?"), Message("assistant", "똠방각하도 좋아해요. 👨‍👩‍👧")))


def found(tokenizer: Any) -> list[Any]:
    return spans(make_chat(tokenizer, "chatml").encode(TALK), tokenizer)


def test_the_spans_join_to_the_row(tokenizer: Any) -> None:
    row = make_chat(tokenizer, "chatml").encode(TALK)
    assert [token for span in spans(row, tokenizer) for token in span.ids] == row.input_ids
    assert "".join(span.text for span in spans(row, tokenizer)) == tokenizer.decode(row.input_ids)


def test_hangul_and_emoji_split_over_bytes_print_whole(tokenizer: Any) -> None:
    assert len(tokenizer.encode("똠", add_special_tokens=False)) > 1
    texts = {span.kind: span.text for span in found(tokenizer)}
    assert texts["trained"] == "똠방각하도 좋아해요. 👨‍👩‍👧"
    assert "�" not in "".join(span.text for span in found(tokenizer))


def test_kinds(tokenizer: Any) -> None:
    assert [span.kind for span in found(tokenizer)] == [
        "control", "context", "control", "context", "control", "context", "trained", "stop",
    ]  # fmt: skip
    assert found(tokenizer)[-1].text == "<|im_end|>"


def test_plain_text_marks_the_trained_part_once(tokenizer: Any) -> None:
    text = as_text(found(tokenizer))
    assert text.count("⟦") == text.count("⟧") == 1
    assert text.endswith("⟦똠방각하도 좋아해요. 👨‍👩‍👧<|im_end|>⟧")


def test_the_coloured_text_is_the_same_text(tokenizer: Any) -> None:
    rich = as_rich(found(tokenizer))
    assert rich.plain == "".join(span.text for span in found(tokenizer))
    assert len({str(span.style) for span in rich.spans}) == 4


def test_a_row_for_the_report(tokenizer: Any) -> None:
    row = found(tokenizer)[-1].to_row()
    assert row == {"text": "<|im_end|>", "kind": "stop", "ids": [1]}
