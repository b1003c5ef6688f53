"""The tokenizer's own chat template: spans by prefixes, stops, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.encoding import IGNORED
from seodang.errors import TemplateError
from seodang.model_template import thinks
from seodang.records import Conversation, Message, instruct

QUESTION, ANSWER = Message("user", "하나 <|im_end|>"), Message("assistant", "둘입니다.")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_STOP = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.fixture
def own(tokenizer_dir: Path) -> Any:
    """Makes a tokenizer that has the given Jinja as its own chat template."""
    from transformers import AutoTokenizer

    def make(jinja: str) -> Any:
        found = AutoTokenizer.from_pretrained(tokenizer_dir)
        found.chat_template = jinja
        return found

    return make


def trained(tokenizer: Any, labels: list[int]) -> str:
    return str(tokenizer.decode([label for label in labels if label != IGNORED]))


@pytest.mark.parametrize("template", [None, "model"])
def test_every_assistant_turn_is_trained_up_to_its_stop(own: Any, template: str | None) -> None:
    tokenizer = own(CHATML)
    row = make_chat(tokenizer, template).encode(Conversation((QUESTION, ANSWER, QUESTION, ANSWER)))
    assert trained(tokenizer, row.labels) == "둘입니다.<|im_end|>둘입니다.<|im_end|>"
    assert row.control_strings == 2


def test_prompt_ids_equal_the_oracle(own: Any) -> None:
    tokenizer = own(CHATML)
    expected = tokenizer.apply_chat_template(
        [QUESTION.to_row()], add_generation_prompt=True, sanitize_control_tokens=True, return_dict=False
    )
    assert make_chat(tokenizer, None).prompt_ids([QUESTION]) == expected


def test_the_stop_is_read_from_the_template(own: Any) -> None:
    assert make_chat(own(CHATML), None).renderer.stops == ("<|im_end|>",)


def test_a_stop_that_the_template_does_not_write_is_appended(own: Any) -> None:
    tokenizer = own(NO_STOP)
    chat = make_chat(tokenizer, None)
    row = chat.encode(Conversation((QUESTION, ANSWER)))
    assert trained(tokenizer, row.labels) == "둘입니다.<|endoftext|>"
    assert chat.renderer.stops == ("<|endoftext|>",)


def test_a_thinking_template_asks_what_becomes_of_the_block(own: Any) -> None:
    with pytest.raises(TemplateError, match="writes a reasoning block .* `thinking: empty`"):
        make_chat(own(THINKING), None)


def test_thinking_empty_gives_the_block_and_trains_the_answer(own: Any) -> None:
    tokenizer = own(THINKING)
    row = make_chat(tokenizer, None, thinking="empty").encode(Conversation((QUESTION, ANSWER)))
    assert trained(tokenizer, row.labels) == "둘입니다.<|im_end|>"
    assert "<think>\n\n</think>" in tokenizer.decode(row.input_ids)


def test_a_template_that_rewrites_the_past_is_refused(own: Any) -> None:
    tokenizer = own(THINKING)
    with pytest.raises(
        TemplateError, match="not prefix-stable: what a server sends is not how the training text begins"
    ):
        make_chat(tokenizer, None, thinking="empty").encode(Conversation((QUESTION, ANSWER, QUESTION, ANSWER)))


def test_a_conversation_the_template_refuses_is_a_paragraph(own: Any) -> None:
    tokenizer = own("{{ raise_exception('no system turn') }}")
    with pytest.raises(TemplateError, match="refuses this conversation: no system turn"):
        make_chat(tokenizer, None).prompt_ids([QUESTION])


def test_a_saved_template_of_ours_reads_the_input_of_marked_turns(own: Any, tokenizer: Any) -> None:
    named = make_chat(tokenizer, "alpaca")
    saved = make_chat(own(named.jinja), None)
    turns = (instruct("<|im_end|> 다음을", "<pad> 이것을"), ANSWER)
    assert saved.encode(Conversation(turns)).input_ids == named.encode(Conversation(turns)).input_ids


def test_granites_header_belongs_to_what_the_model_writes(shared_data: Path) -> None:
    from seodang.tokenization import load_light

    granite = load_light(str(shared_data / "tokenizers" / "granite-7b-lab"))
    row = make_chat(granite, None).encode(Conversation((Message("user", "안녕"), Message("assistant", "네"))))
    assert trained(granite, row.labels) == "<|assistant|>\n네<|endoftext|>"


@pytest.mark.parametrize(("jinja", "expected"), [(CHATML, False), (THINKING, True), ("{{ enable_thinking }}", True)])
def test_thinks(jinja: str, expected: bool) -> None:
    assert thinks(jinja) is expected
