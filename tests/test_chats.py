"""Which template a tokenizer is trained with: named, its own, or refused with both renders shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.errors import TemplateError


@pytest.fixture
def owned(tokenizer_dir: Path) -> Any:
    """The tokenizer with ChatML as its own chat template."""
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(tokenizer_dir)
    found.chat_template = make_chat(found, "chatml").jinja
    return found


def test_without_a_chat_template_one_must_be_named(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="has no chat template, so the recipe must name one: .*alpaca, chatml"):
        make_chat(tokenizer, None)


def test_a_tokenizer_without_offsets_is_refused_by_name() -> None:
    from transformers import ByT5Tokenizer

    with pytest.raises(TemplateError, match="ByT5Tokenizer is a slow tokenizer without offsets"):
        make_chat(ByT5Tokenizer(), "alpaca")


def test_missing_control_tokens_are_named(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match=r"`llama3` needs <\|begin_of_text\|>, .* as single tokens"):
        make_chat(tokenizer, "llama3")


def test_a_named_template_that_contradicts_the_models_own_shows_both(owned: Any) -> None:
    with pytest.raises(TemplateError) as error:
        make_chat(owned, "koalpaca")
    assert "### 질문: 안녕하세요?" in str(error.value)
    assert "<|im_start|>user\\n안녕하세요?<|im_end|>" in str(error.value)
    assert "template_override" in str(error.value)


def test_override_trains_the_named_one(owned: Any) -> None:
    assert make_chat(owned, "koalpaca", override=True).renderer.name == "koalpaca"


def test_the_same_layout_under_its_name_is_no_contradiction(owned: Any) -> None:
    assert make_chat(owned, "chatml").renderer.name == "chatml"


def test_thinking_belongs_to_templates_that_think(tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match="has no reasoning block. Leave `thinking` out"):
        make_chat(tokenizer, "chatml", thinking="empty")
