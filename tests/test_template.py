"""Templates as data: the two readers agree, golden texts hold, mistakes are paragraphs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seodang.errors import RecipeError, TemplateError
from seodang.packaged import find, names
from seodang.records import Message, instruct
from seodang.template import Template, load_template

TEMPLATES = names("data_templates")
GOLDEN = json.loads((Path(__file__).parent / "golden" / "templates.json").read_text(encoding="utf-8"))
CASES: dict[str, tuple[Message, ...]] = {
    "one_turn": (Message("user", "무지개는 몇 색인가요?"), Message("assistant", "일곱 색입니다.")),
    "with_input": (instruct("영어로 옮기세요.", "나는 학교에 간다."), Message("assistant", "I go to school.")),
    "multi_turn": (
        Message("user", "하나"),
        Message("assistant", "둘"),
        Message("user", "셋"),
        Message("assistant", "넷"),
    ),
    "markup": (Message("user", "{{ x }} {% raw %} '\"\\ \n\n <b>"), Message("assistant", "{eos} {bos} 그대로")),
}


def bound(name: str) -> Any:
    return load_template(name).bind("", "</s>")


def jinja(template: Any, messages: tuple[Message, ...], generate: bool = False) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    rows = [message.to_row() for message in messages]
    rendered, _ = render_jinja_template([rows], chat_template=template.to_jinja(), add_generation_prompt=generate)
    return str(rendered[0])


def text(template: Any, messages: tuple[Message, ...], generate: bool = False) -> str:
    return "".join(segment.text for segment in template.render(messages, generate))


def test_the_four_templates_of_the_main_job_are_packaged() -> None:
    assert {"alpaca", "chatml", "koalpaca", "llama3"} <= set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_example_in_the_file_renders_to_its_text(name: str) -> None:
    template = load_template(name)
    messages = tuple(Message(**row) for row in template.example.messages)
    expected = template.example.text.replace("{eos}", "</s>").replace("{bos}", "")
    assert text(bound(name), messages) == expected


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_golden_text(name: str, case: str) -> None:
    assert text(bound(name), CASES[case]) == GOLDEN[name][case]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_python_and_jinja_render_the_same(name: str, case: str) -> None:
    template = bound(name)
    assert text(template, CASES[case]) == jinja(template, CASES[case])
    assert text(template, CASES[case][:1], True) == jinja(template, CASES[case][:1], True)


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_prompt_is_a_prefix_and_the_rest_is_what_is_trained(name: str) -> None:
    template = bound(name)
    messages = CASES["one_turn"]
    prompt, whole = text(template, messages[:1], True), text(template, messages)
    assert whole.startswith(prompt)
    trained = "".join(segment.text for segment in template.render(messages) if segment.trained)
    assert whole == prompt + trained
    assert trained.strip().startswith("일곱 색입니다.")
    assert trained.endswith(template.stops[-1])


CONTENT = st.text(st.sampled_from("가나다 ㅋ\n\t{}%'\"\\<|>#:abc🙂👨‍👩\u1100\u1161🇰🇷"), max_size=40)


@settings(max_examples=40, deadline=None)
@given(CONTENT, CONTENT, CONTENT, st.sampled_from(TEMPLATES))
def test_any_content_renders_alike_in_both_readers(first: str, second: str, answer: str, name: str) -> None:
    template = bound(name)
    for messages in (
        (instruct(first or "가", second or "나"), Message("assistant", answer)),
        (Message("user", first), Message("assistant", answer), Message("user", second), Message("assistant", first)),
    ):
        assert text(template, messages) == jinja(template, messages)


def test_an_assistant_turn_that_is_not_trained_stays_context() -> None:
    messages = (Message("user", "하나"), Message("assistant", "둘", trained=False))
    assert not any(segment.trained for segment in bound("chatml").render(messages))


def test_koalpaca_trains_the_space_after_the_colon() -> None:
    prompt = text(bound("koalpaca"), CASES["one_turn"][:1], True)
    trained = [segment.text for segment in bound("koalpaca").render(CASES["one_turn"]) if segment.trained]
    assert prompt.endswith("### 답변:")
    assert trained[0] == " "


def test_a_system_turn_takes_the_place_of_the_preamble() -> None:
    messages = (Message("system", "짧게."), *CASES["one_turn"])
    rendered = text(bound("alpaca"), messages)
    assert rendered.startswith("짧게.\n\n### Instruction:")
    assert rendered == jinja(bound("alpaca"), messages)


@pytest.mark.parametrize(
    ("name", "messages", "said"),
    [
        ("koalpaca", (Message("system", "짧게"),), "The template `koalpaca` has no `system` turn."),
        ("chatml", (Message("tool", "{}"),), "The template `chatml` has no `tool` turn."),
        ("chatml", (Message("user", "a"), Message("system", "b")), "A system turn stands in the middle"),
    ],
)
def test_a_turn_without_a_place_is_refused_by_both_readers(name: str, messages: tuple[Message, ...], said: str) -> None:
    from jinja2.exceptions import TemplateError as JinjaError

    with pytest.raises(TemplateError, match=said):
        bound(name).render(messages)
    with pytest.raises(JinjaError, match="No place here for a turn of the role"):
        jinja(bound(name), messages)


def test_a_name_that_does_not_exist_gets_the_nearest() -> None:
    with pytest.raises(TemplateError, match=r"There is no `chatlm`.*did you mean `chatml`\?"):
        load_template("chatlm")


def test_a_template_that_ends_in_eos_needs_one() -> None:
    with pytest.raises(
        TemplateError, match="ends an answer with the tokenizer's eos token, and this tokenizer has none"
    ):
        load_template("alpaca").bind("", "")


def test_a_template_without_a_stop_token_is_refused() -> None:
    data = load_template("chatml").model_dump() | {
        "example": {"messages": [], "text": ""},
        "assistant": {"open": "A: "},
    }
    with pytest.raises(TemplateError, match="has no stop token"):
        _ = Template.model_validate(data).bind().stops


def test_a_stop_that_is_only_named_is_known_and_not_written() -> None:
    data = load_template("koalpaca").model_dump() | {
        "example": {"messages": [], "text": ""},
        "assistant": {"open": "### 답변:", "lead": " "},
        "stop": "{eos}",
    }
    bound = Template.model_validate(data).bind("", "<|endoftext|>")
    assert bound.stops == ("<|endoftext|>",)
    assert "<|endoftext|>" not in bound.to_jinja()
    turns = [Message("user", "수도는?"), Message("assistant", "서울입니다.")]
    assert "".join(segment.text for segment in bound.render(turns)).endswith("### 답변: 서울입니다.")


def test_mistakes_in_a_template_file_come_with_their_paths(tmp_path: Path) -> None:
    source = find("data_templates", "chatml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(source.replace("gap:", "gab:").replace('open: "<|im_start|>user', 'opens: "<|im_start|>user'))
    with pytest.raises(RecipeError) as error:
        load_template(str(file))
    assert "gab: unknown key, did you mean `gap`?" in str(error.value)
    assert "user.opens: unknown key, did you mean `open`?" in str(error.value)


@pytest.mark.parametrize(("content", "said"), [("a: [", "is not YAML"), (None, "cannot be read")])
def test_a_template_file_that_cannot_be_read(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "mine.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TemplateError, match=said):
        load_template(str(file))


def test_the_fingerprint_follows_every_character() -> None:
    template = load_template("chatml")
    other = template.model_copy(update={"gap": "\n\n"})
    assert template.bind().fingerprint == load_template("chatml").bind().fingerprint
    assert template.bind().fingerprint != other.bind().fingerprint
