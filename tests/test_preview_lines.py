"""A preview in lines: every id beside its text, tables that fit a terminal, syllables that take two columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from seodang.chats import make_chat
from seodang.language import columns
from seodang.preview_lines import id_lines, step_lines
from seodang.records import Conversation, Message
from seodang.spans import Span, spans
from seodang.tokenizer_steps import seen, walk

TALK = Conversation((Message("user", "펲시콜라 좋아해?"), Message("assistant", "똠방각하도 좋아해요.\n네.")))


@pytest.fixture
def lines(tokenizer_dir: Path) -> list[Any]:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_dir)
    chat = make_chat(tokenizer, "chatml")
    return list(id_lines(spans(chat.encode(TALK), chat), tokenizer, 60))


def test_every_token_stands_beside_its_ids(lines: list[Any], tokenizer: Any) -> None:
    text = "\n".join(line.plain.rstrip() for line in lines)
    first = " ".join(map(str, tokenizer.encode("펲")))
    assert text.startswith("control  <|im_start|>[0]\ncontext  ")
    assert f"펲[{first}] " in text
    assert text.endswith("stop     <|im_end|>[1]")
    assert "↵[" in text and "\n\n" not in text


def test_id_lines_fit_and_go_on_under_themselves(lines: list[Any]) -> None:
    plain = [line.plain.rstrip() for line in lines]
    assert max(map(columns, plain)) <= 60
    assert [line for line in plain if not line.startswith((" " * 9, "control", "context", "trained", "stop"))] == []
    assert sum(line.startswith(" " * 9) for line in plain) >= 2


def test_ids_are_coloured_by_kind(lines: list[Any]) -> None:
    styles = {str(span.style) for line in lines for span in line.spans}
    assert {"black on green", "bold black on yellow", "dim", "bold cyan"} <= styles


def test_a_span_keeps_the_space_it_begins_with() -> None:
    """Decoded alone, the first piece of a SentencePiece tokenizer loses it."""
    entries = [("<unk>", 0.0), ("▁국어", -1.0), ("▁찾아", -1.0)]
    raw = Tokenizer(models.Unigram(entries, 0))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>")
    assert tokenizer.encode("국어 찾아") == [1, 2]
    found = id_lines([Span("국어", "context", (1,)), Span(" 찾아", "trained", (2,))], tokenizer, 80)
    assert [line.plain.rstrip() for line in found] == ["context  국어[1]", "trained  ␣찾아[2]"]


def test_the_steps_in_order(tokenizer: Any) -> None:
    found = list(step_lines(walk(tokenizer, "학교에 갑니다.", "네"), 80))
    assert [line.split("  ")[0] for line in found if not line.startswith(" ")] == [
        "text", "normalised", "words", "pieces and ids", "special tokens",
        "batch of two, filled up with <pad> on the right",
    ]  # fmt: skip
    assert found[0] == "text            학교에␣갑니다."
    assert found[2] == "words           학교에 │ ␣갑니다 │ ."
    assert found[-2].startswith("  2  ids   ") and found[-1].startswith("     mask  1")


def test_texts_pieces_and_ids_stand_in_columns(tokenizer: Any) -> None:
    steps = walk(tokenizer, "학교 1 2", "")
    text, pieces, ids = list(step_lines(steps, 80))[4:7]
    assert text.split() == [group.text.replace(" ", "␣") for group in steps.groups]
    assert pieces.split() == [piece for group in steps.groups for piece in group.pieces]
    assert ids.split() == [str(token) for group in steps.groups for token in group.ids]
    last = steps.groups[-1]
    starts = text.rindex(seen(last.text)), pieces.rindex(last.pieces[0]), ids.rindex(str(last.ids[0]))
    assert len({columns(line[:at]) for line, at in zip((text, pieces, ids), starts, strict=True)}) == 1


@pytest.mark.parametrize("width", [60, 80, 132])
def test_nothing_is_wider_than_the_terminal(tokenizer: Any, width: int) -> None:
    steps = walk(tokenizer, "국어사전에서 '똠'을 찾으세요. " * 4, "서울에서 부산까지")
    found = list(step_lines(steps, width))
    assert max(map(columns, found)) <= width
    for token in steps.batch.ids[0]:  # type: ignore[union-attr]
        assert f"{token}" in " ".join(found)


def test_a_slow_tokenizer_says_what_it_does_not_show() -> None:
    found = list(step_lines(walk(ByT5Tokenizer(), "네", "아니요"), 80))
    assert found[1:3] == [
        "normalised      inside a slow tokenizer's own code, not to be seen apart",
        "words           inside a slow tokenizer's own code, not to be seen apart",
    ]
    assert "special tokens  nothing … </s> [1]" in found
    assert [line for line in found if any(ord(one) < 32 or 127 <= ord(one) < 160 for one in line)] == []
