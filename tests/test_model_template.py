"""The tokenizer's own chat template: spans by prefixes, stops, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.chats import make_chat
from seodang.encoding import IGNORED, Encoded
from seodang.errors import TemplateError
from seodang.model_template import thinking_kwargs, thinks
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


def given(tokenizer: Any, row: Encoded) -> str:
    pairs = zip(row.input_ids, row.labels, strict=True)
    return str(tokenizer.decode([token for token, label in pairs if label == IGNORED]))


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


def test_a_template_without_any_stop_is_refused(own: Any) -> None:
    tokenizer = own(NO_STOP)
    tokenizer.eos_token = None
    with pytest.raises(TemplateError, match="writes no stop token after an answer, and the tokenizer has no eos token"):
        make_chat(tokenizer, None).encode(Conversation((QUESTION, ANSWER)))


TURN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
ASK = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.mark.parametrize(
    ("jinja", "written", "stop"),
    [
        (TURN + "<|im_end|><|endoftext|>\n{% endfor %}" + ASK, "둘<|im_end|><|endoftext|>", "<|endoftext|>"),
        (TURN + " <|im_end|> \n{% endfor %}" + ASK, "둘 <|im_end|>", "<|im_end|>"),
        (TURN + "<|im_end|>\n{% endfor %}{% if not add_generation_prompt %}<|endoftext|>{% endif %}" + ASK,
         "둘<|im_end|>", "<|im_end|>"),
        (TURN.replace("m.content", "m.content | trim") + "<|im_end|>{% endfor %}" + ASK, "둘<|im_end|>", "<|im_end|>"),
        (CHATML.replace("assistant\n{% endif", "{% endif"), "assistant\n둘<|im_end|>", "<|im_end|>"),
    ],
    ids=["two tokens end it", "a space before the stop", "an end of the text", "trimmed", "no header in the prompt"],
)  # fmt: skip
def test_what_the_model_writes_ends_in_the_stop_and_nothing_follows(
    own: Any, jinja: str, written: str, stop: str
) -> None:
    tokenizer = own(jinja)
    chat = make_chat(tokenizer, None)
    row = chat.encode(Conversation((QUESTION, Message("assistant", "둘"), QUESTION, Message("assistant", "둘"))))
    assert trained(tokenizer, row.labels) == written * 2
    assert chat.renderer.stops == (stop,)
    assert row.stop_trained and row.labels[-1] != IGNORED


@pytest.mark.parametrize("answer", [" ", "\n", ">", "end", "im_end|>\n", "<|im_end|>", "둘\n\n", "assistant"])
def test_an_answer_is_found_whatever_it_is(own: Any, answer: str) -> None:
    tokenizer = own(CHATML)
    row = make_chat(tokenizer, None).encode(Conversation((QUESTION, Message("assistant", answer), QUESTION, ANSWER)))
    assert trained(tokenizer, row.labels) == f"{answer}<|im_end|>둘입니다.<|im_end|>"


def test_a_thinking_template_asks_what_becomes_of_the_block(own: Any) -> None:
    with pytest.raises(TemplateError, match="writes a reasoning block .* `thinking: empty`"):
        make_chat(own(THINKING), None)


def test_thinking_empty_gives_the_block_and_trains_the_answer(own: Any) -> None:
    tokenizer = own(THINKING)
    row = make_chat(tokenizer, None, thinking="empty").encode(Conversation((QUESTION, ANSWER)))
    assert trained(tokenizer, row.labels) == "둘입니다.<|im_end|>"
    assert "<think>\n\n</think>" in tokenizer.decode(row.input_ids)


def test_a_template_that_rewrites_earlier_turns_gives_an_example_per_trained_turn(own: Any) -> None:
    tokenizer = own(THINKING)
    chat = make_chat(tokenizer, None, thinking="empty")
    talk = (QUESTION, ANSWER, QUESTION, ANSWER)
    rows = chat.examples(Conversation(talk, "seed.jsonl:3"))
    assert [trained(tokenizer, row.labels) for row in rows] == ["둘입니다.<|im_end|>"] * 2
    for row, end in zip(rows, (1, 3), strict=True):
        prompt = chat.prompt_ids(talk[:end])
        assert row.input_ids[: len(prompt)] == prompt
        assert all(label == IGNORED for label in row.labels[: len(prompt)])
    with pytest.raises(TemplateError, match=r"seed\.jsonl:3: the template `model` rewrites .* 2 examples, not one row"):
        chat.encode(Conversation(talk, "seed.jsonl:3"))


PREFILLS = (
    TURN + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)  # a server's prompt ends in a tag that no row has
MARKS_ANSWERS = PREFILLS.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}",
)


def test_a_template_that_is_stable_for_no_turn_is_refused(own: Any) -> None:
    chat = make_chat(own(PREFILLS), None, thinking="strip")
    with pytest.raises(TemplateError) as error:
        chat.encode(Conversation((QUESTION, ANSWER), "seed.jsonl:3"))
    assert str(error.value).startswith(
        "seed.jsonl:3: The model's chat template is not prefix-stable: what a server sends"
    )
    assert r"|>assistant\n<think>\n', trained '" in str(error.value)
    assert r"|>assistant\n둘입니다.<|im_end|>\n'. Name a template" in str(error.value)
    assert "`template_override: true`" in str(error.value)


def test_unless_it_marks_what_is_trained(own: Any) -> None:
    tokenizer = own(MARKS_ANSWERS)
    chat = make_chat(tokenizer, None, thinking="strip")
    talk = Conversation((QUESTION, ANSWER, QUESTION, Message("assistant", "넷")))
    assert [trained(tokenizer, row.labels) for row in chat.examples(talk)] == ["둘입니다.<|im_end|>", "넷<|im_end|>"]
    assert chat.notes == (
        "a row does not begin as a server's prompt does; what is trained stands in the template's own {% generation %}",
    )


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


NOTED = {
    CHATML: [],
    CHATML.replace("assistant\n{% endif", "{% endif"): ["the prompt ends before 'assistant\\n': the model writes it"],
    NO_STOP: ["the template writes no stop after the last answer; <|endoftext|> is appended", "rewrites earlier turns"],
    THINKING: ["rewrites earlier turns", "prompts are rendered with enable_thinking=False; a server must be told"],
    CHATML + "{# {{ strftime_now('%d') }} #}": ["the template writes the date of the day"],
}


@pytest.mark.parametrize("jinja", NOTED)
def test_notes_say_what_is_not_seen_in_a_row(own: Any, jinja: str) -> None:
    notes = make_chat(own(jinja), None, thinking="empty" if thinks(jinja) else None).notes
    assert len(notes) == len(NOTED[jinja])
    for note, text in zip(notes, NOTED[jinja], strict=True):
        assert text in note


def test_a_conversation_that_breaks_the_template_is_a_paragraph(own: Any) -> None:
    chat = make_chat(own("{{ 'a' + 1 }}"), None)
    with pytest.raises(TemplateError, match=r"seed\.jsonl:3: The model's chat template refuses this conversation: can"):
        chat.encode(Conversation((QUESTION, ANSWER), "seed.jsonl:3"))


PARTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'text' %}"
    "{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}" + ASK
)


def test_a_template_that_reads_lists_of_parts_is_given_them(own: Any) -> None:
    parts, plain = make_chat(own(PARTS), None), make_chat(own(CHATML), None)
    talk = Conversation((QUESTION, ANSWER))
    assert parts.encode(talk) == plain.encode(talk)


# ---- reasoning

READS_FIELD = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content and loop.last %}<think>\n"
    "{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}" + ASK
)
READS_TEXT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + ASK
)
REASONED = Message("assistant", "<think>\n하나 더하기 하나\n</think>\n\n둘입니다.")


@pytest.fixture
def reasoning(own: Any) -> Any:
    """Makes a tokenizer with tags that are merely added tokens, as Qwen3's are."""

    def make(jinja: str) -> Any:
        from tokenizers import AddedToken

        found = own(jinja)
        found.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")])
        return found

    return make


@pytest.mark.parametrize("jinja", [READS_FIELD, READS_TEXT])
def test_kept_reasoning_is_written_with_the_tags_of_the_model(reasoning: Any, jinja: str) -> None:
    tokenizer = reasoning(jinja)
    asked = Message("user", "</think>은 무엇?")
    rows = make_chat(tokenizer, None, thinking="keep").examples(Conversation((asked, REASONED, QUESTION, REASONED)))
    tags = tokenizer.convert_tokens_to_ids(["<think>", "</think>"])
    for row in rows:
        assert trained(tokenizer, row.labels) == REASONED.content + "<|im_end|>"
        assert [token for token in row.input_ids if token in tags] == tags
    assert [row.control_strings for row in rows] == [1, 2]
    assert tokenizer.decode(rows[1].input_ids).count("하나 더하기 하나") == 1


@pytest.mark.parametrize("thinking", ["strip", "empty"])
@pytest.mark.parametrize("jinja", [READS_FIELD, READS_TEXT])
def test_reasoning_that_is_not_kept_leaves_no_trace(reasoning: Any, jinja: str, thinking: str) -> None:
    chat = make_chat(reasoning(jinja), None, thinking=thinking)
    assert chat.encode(Conversation((QUESTION, REASONED))) == chat.encode(Conversation((QUESTION, ANSWER)))


@pytest.mark.parametrize(
    ("jinja", "thinking", "told"),
    [
        ("{{ enable_thinking }}", "keep", {"enable_thinking": True}),
        ("{{ enable_thinking }}", "empty", {"enable_thinking": False}),
        ("{% if thinking %}{% endif %}", "strip", {"thinking": False}),
        ("{% if skip_reasoning %}{% endif %}", "empty", {"skip_reasoning": True}),
        ("{% if skip_reasoning %}{% endif %}", "keep", {}),
        ("{% set thinking = 1 %}{{ thinking }}", "keep", {}),
        ("{{ enable_thinking }}", None, {}),
    ],
)
def test_a_template_is_told_in_its_own_words(jinja: str, thinking: str | None, told: dict[str, bool]) -> None:
    assert thinking_kwargs(jinja, thinking) == told


# ---- tools

TOOLS = (
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response>"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}" + ASK
)


def test_what_a_tool_says_is_context(own: Any) -> None:
    tokenizer = own(TOOLS)
    talk = (
        Message("user", "서울 날씨는?"),
        Message("assistant", '{"name": "weather", "arguments": {"city": "서울"}}'),
        Message("tool", "맑음, 24도"),
        Message("assistant", "서울은 맑고 24도입니다."),
    )
    row = make_chat(tokenizer, None).encode(Conversation(talk))
    assert trained(tokenizer, row.labels) == f"{talk[1].content}<|im_end|>{talk[3].content}<|im_end|>"
    assert "<tool_response>\n맑음, 24도\n</tool_response>" in given(tokenizer, row)


@pytest.mark.parametrize(("jinja", "expected"), [(CHATML, False), (THINKING, True), ("{{ enable_thinking }}", True)])
def test_thinks(jinja: str, expected: bool) -> None:
    assert thinks(jinja) is expected
