"""The Jinja of a template: the same text as Python's segments, and the same refusals, through transformers."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.exceptions import TemplateError as JinjaError

from seodang.packaged import names
from seodang.records import Message, instruct
from seodang.template import MARKS, BoundTemplate, Template, load_template
from seodang.template_jinja import write_jinja

OPEN, CLOSE = MARKS


def jinja(template: BoundTemplate, messages: tuple[Message, ...], generate: bool = False, **extra: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    rows = [message.to_row() for message in messages]
    text = template.to_jinja()
    rendered, _ = render_jinja_template([rows], chat_template=text, add_generation_prompt=generate, **extra)
    return str(rendered[0])


def text(template: BoundTemplate, messages: tuple[Message, ...], generate: bool = False) -> str:
    return "".join(segment.text for segment in template.render(messages, generate))


def layout(**keys: Any) -> Template:
    """A template of the tests: `keys` over ChatML with every part that a file can have."""
    data = load_template("chatml").model_dump() | {"example": {"messages": [], "text": ""}}
    return Template.model_validate(data | keys)


def marked(token: str) -> str:
    return f"{OPEN}{token}{CLOSE}"


ASKED = Message("user", "하나")
CASES: dict[str, tuple[Message, ...]] = {
    "one": (ASKED, Message("assistant", "둘")),
    "system": (Message("system", "짧게"), ASKED, Message("assistant", "둘"), Message("user", "셋")),
    "input": (instruct("영어로.", "나는 간다."), Message("assistant", "I go.")),
    "system_and_input": (Message("system", "짧게"), instruct("영어로.", "나는 간다."), Message("assistant", "I go.")),
    "markup": (Message("user", "{{ x }} {% raw %} '\"\\ \n\n <b>"), Message("assistant", "{eos} {bos} \\n 그대로")),
    "empty": (Message("user", ""), Message("assistant", "")),
    "reasoned": (ASKED, Message("assistant", "<think>\n가 \n</think>\n\n둘"), ASKED, Message("assistant", "<think>나</think>셋")),
    "reasoned_and_marked": (
        ASKED,
        Message("assistant", f" {marked('<think>')}\n가 {marked('<|im_end|>')}{marked('</think>')}\n둘 {marked('</think>')}"),
    ),
    "a_tag_within": (ASKED, Message("assistant", f"답은 </think> 또는 {marked('</think>')}입니다.")),
    "opened_by_the_prompt": (ASKED, Message("assistant", f"가\n{marked('</think>')}\n\n둘"), ASKED, Message("assistant", "셋")),
    "a_tag_that_stays_open": (ASKED, Message("assistant", "<think>\n끝이 없다")),
}  # fmt: skip
BLOCK = {"open": "<think>\n", "close": "\n</think>\n\n"}
LAYOUTS: dict[str, BoundTemplate] = {
    "plain": layout().bind(),
    "lead_and_input": layout(
        user={"open": "### 질문: ", "input": "\n\n### 맥락: "},
        assistant={"open": "### 답변:", "lead": " ", "close": "<|im_end|>"},
    ).bind(),
    "defaults": layout(default_system="말", default_system_with_input="글", start="처음").bind(),
    "folded": layout(fold_system=True, system={"open": "<<", "close": ">>"}).bind(),
    "folded_with_input": layout(fold_system=True, user={"open": "U ", "input": " | ", "close": "\n"}).bind(),
    "thinks_empty": layout(thinking=BLOCK).bind(thinking="empty"),
    "thinks_strip": layout(thinking=BLOCK).bind(thinking="strip"),
    "thinks_keep": layout(thinking=BLOCK).bind(thinking="keep"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", LAYOUTS)
def test_both_readers_say_the_same(name: str, case: str) -> None:
    template, messages = LAYOUTS[name], CASES[case]
    assert jinja(template, messages) == text(template, messages)
    turns = messages[: -1 if messages[-1].role == "assistant" else None]
    assert jinja(template, turns, True) == text(template, turns, True)


@pytest.mark.parametrize("name", ["plain", "lead_and_input", "thinks_keep"])
def test_a_conversation_without_turns_is_only_the_prompt(name: str) -> None:
    assert jinja(LAYOUTS[name], (), True) == text(LAYOUTS[name], (), True)
    assert jinja(LAYOUTS[name], ()) == ""


@pytest.mark.parametrize(
    ("name", "messages", "said"),
    [
        ("plain", (Message("tool", "{}"),), "No place here for a turn of the role tool"),
        ("plain", (ASKED, Message("system", "짧게")), "No place here for a turn of the role system"),
        ("folded", (Message("system", "짧게"),), "The system turn is written into the user turn after it, and none"),
        ("folded", (Message("system", "짧게"), Message("assistant", "네")), "none follows"),
    ],
)
def test_what_has_no_place_is_refused(name: str, messages: tuple[Message, ...], said: str) -> None:
    with pytest.raises(JinjaError, match=said):
        jinja(LAYOUTS[name], messages)


def test_no_request_turns_the_reasoning_on_or_off() -> None:
    """What was trained is served: `enable_thinking` of a request changes nothing."""
    for name in ("thinks_empty", "thinks_strip", "thinks_keep"):
        for enabled in (True, False):
            served = jinja(LAYOUTS[name], CASES["one"][:1], True, enable_thinking=enabled)
            assert served == text(LAYOUTS[name], CASES["one"][:1], True)


@pytest.mark.parametrize("name", names("data_templates"))
def test_a_plain_template_carries_nothing_of_the_special_ones(name: str) -> None:
    template = load_template(name)
    written = write_jinja(template.bind("<s>", "</s>").template)
    assert ("folded" in written) == template.fold_system
    assert ("thought" in written) == (template.thinking is not None)
    assert ("input_at" in written) == any((template.user.input, template.default_system_with_input))
