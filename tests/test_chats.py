"""Which template a tokenizer is trained with: named, its own, or refused with both renders shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from seodang.chats import make_chat
from seodang.errors import TemplateError
from seodang.tokenization import load_light


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


@pytest.mark.parametrize(
    ("reserved", "is_added", "said"),
    [
        ([f"<|reserved_special_token_{n}|>" for n in (10, 2, 0, 1, 3)], True,
         " This one keeps <|reserved_special_token_0|>, <|reserved_special_token_1|>, <|reserved_special_token_2|>, "
         "<|reserved_special_token_3|> for such use: a copy of the template file may name them instead."),
        (["<unused0>"], True, " This one keeps <unused0> for such use"),
        (["<|extra_7|>"], True, " This one keeps <|extra_7|> for such use"),
        (["[unused1]"], False, " This one keeps [unused1] in its vocabulary for that, which are not control tokens yet."),
        (["<|unusual|>", "unused1"], True, "adding tokens is the work of `stage: tokenizer`."),
    ],
)  # fmt: skip
def test_a_reserved_token_of_the_tokenizer_is_named(
    tokenizer_dir: Path, reserved: list[str], is_added: bool, said: str
) -> None:
    found = load_light(str(tokenizer_dir))
    if is_added:
        found.add_tokens([AddedToken(token, special=True) for token in reserved])
    else:
        found.get_vocab = lambda: dict.fromkeys(reserved, 0)
    with pytest.raises(TemplateError) as error:
        make_chat(found, "llama3")
    assert said in str(error.value)
    assert "adding tokens is the work of `stage: tokenizer`" in str(error.value)
    assert ("This one keeps" in str(error.value)) == (reserved[0] != "<|unusual|>")


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


def test_a_named_template_that_thinks_must_be_told_what_becomes_of_it(tokenizer: Any) -> None:
    with pytest.raises(
        TemplateError, match=r"`exaone4` writes a reasoning block \(<think>\)\. Say what .*`thinking: empty`"
    ):
        make_chat(tokenizer, "exaone4")
    with pytest.raises(TemplateError, match="`exaone4` needs .* as single tokens"):
        make_chat(tokenizer, "exaone4", thinking="strip")
