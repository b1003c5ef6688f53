"""Templates as data: what is trained, where a template has no place for a turn, and mistakes that are paragraphs.

The packaged files and any conversation are test_golden_templates.py's; the Jinja is test_template_jinja.py's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seodang.errors import RecipeError, TemplateError
from seodang.packaged import find, names
from seodang.records import Message
from seodang.template import MARKS, Block, BoundTemplate, Template, load_template

ONE_TURN = (Message("user", "무지개는 몇 색인가요?"), Message("assistant", "일곱 색입니다."))
SYSTEM = Message("system", "짧게.")


def bound(name: str, thinking: str | None = None) -> BoundTemplate:
    return load_template(name).bind("", "</s>", thinking)


def text(template: BoundTemplate, messages: tuple[Message, ...], generate: bool = False) -> str:
    return "".join(segment.text for segment in template.render(messages, generate))


def trained(template: BoundTemplate, messages: tuple[Message, ...]) -> str:
    return "".join(segment.text for segment in template.render(messages) if segment.trained)


def changed(name: str, **keys: Any) -> Template:
    """A packaged template with other values for some keys."""
    data = load_template(name).model_dump() | {"example": {"messages": [], "text": ""}}
    return Template.model_validate(data | keys)


def test_the_templates_of_the_field_and_of_korea_are_packaged() -> None:
    field = {"alpaca", "chatml", "gemma", "llama2", "llama3", "mistral", "vicuna", "zephyr"}
    korea = {"42dot", "eeve", "eeve-ollama", "exaone3", "exaone4", "hyperclovax", "koalpaca", "koalpaca-1.0"}
    assert set(names("data_templates")) == field | korea | {"kogpt2", "kullm2", "midm2", "solar"}


@pytest.mark.parametrize("name", names("data_templates"))
def test_a_file_says_who_it_is_and_where_it_comes_from(name: str) -> None:
    template, head = load_template(name), find("data_templates", name).read_text(encoding="utf-8").partition("name:")[0]
    assert template.name == name
    assert template.source.startswith("https://")
    assert "# Stop: " in head and "Default system prompt: " in head


@pytest.mark.parametrize("name", names("data_templates"))
def test_the_prompt_is_a_prefix_and_the_rest_is_what_is_trained(name: str) -> None:
    template = bound(name)
    prompt, whole = text(template, ONE_TURN[:1], True), text(template, ONE_TURN)
    assert whole == prompt + trained(template, ONE_TURN)
    assert trained(template, ONE_TURN).strip().startswith("일곱 색입니다.")
    assert whole.endswith(template.stops[0])


def test_an_assistant_turn_that_is_not_trained_stays_context() -> None:
    messages = (Message("user", "하나"), Message("assistant", "둘", trained=False))
    assert not any(segment.trained for segment in bound("chatml").render(messages))


@pytest.mark.parametrize(("name", "ending"), [("koalpaca", "### 답변:"), ("vicuna", "ASSISTANT:"), ("42dot", "<bot>:")])
def test_the_space_that_the_prompt_does_not_end_in_is_trained(name: str, ending: str) -> None:
    assert text(bound(name), ONE_TURN[:1], True).endswith(ending)
    assert trained(bound(name), ONE_TURN).startswith(" 일곱")


def test_a_system_turn_takes_the_place_of_the_preamble() -> None:
    assert text(bound("alpaca"), (SYSTEM, *ONE_TURN)).startswith("짧게.\n\n### Instruction:")


def test_an_empty_system_block_is_written_where_there_is_no_system_turn() -> None:
    assert text(bound("exaone3"), ONE_TURN[:1]).startswith("[|system|][|endofturn|]\n[|user|]무지개")
    assert text(bound("exaone3"), (SYSTEM, *ONE_TURN)).startswith("[|system|]짧게.[|endofturn|]\n[|user|]무지개")


def test_a_folded_system_turn_stands_inside_the_first_user_turn() -> None:
    messages = (SYSTEM, *ONE_TURN, Message("user", "왜요?"))
    assert text(bound("gemma"), messages).startswith(
        "<bos><start_of_turn>user\n짧게.\n\n무지개는 몇 색인가요?<end_of_turn>"
    )
    assert text(bound("gemma"), messages).endswith("<end_of_turn>\n<start_of_turn>user\n왜요?<end_of_turn>")
    assert text(bound("gemma"), ONE_TURN[:1]) == "<bos><start_of_turn>user\n무지개는 몇 색인가요?<end_of_turn>"


def test_of_two_closing_tokens_the_last_one_is_the_stop() -> None:
    assert bound("hyperclovax").stops == ("<|endofturn|>",)
    assert trained(bound("hyperclovax"), ONE_TURN) == "일곱 색입니다.<|im_end|><|endofturn|>"


THOUGHT = "<think>\n일곱을 센다.\n</think>\n\n"
REASONED = (ONE_TURN[0], Message("assistant", THOUGHT + "일곱 색입니다."))
EMPTY = "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("thinking", "prompt_ends", "written"),
    [
        ("empty", EMPTY, "일곱 색입니다."),
        ("strip", "[|assistant|]\n", "일곱 색입니다."),
        ("keep", "<think>\n", "일곱을 센다.\n</think>\n\n일곱 색입니다."),
    ],
)
def test_what_becomes_of_the_reasoning(thinking: str, prompt_ends: str, written: str) -> None:
    template = bound("exaone4", thinking)
    prompt = text(template, REASONED[:1], True)
    assert prompt.endswith(prompt_ends)
    assert trained(template, REASONED) == written + "[|endofturn|]"
    assert text(template, REASONED) == prompt + written + "[|endofturn|]"


def test_with_keep_only_the_last_answer_reasons_and_is_trained() -> None:
    template = bound("exaone4", "keep")
    assert template.rewrites_past
    rendered = text(template, REASONED * 2)
    assert rendered.count(EMPTY + "일곱 색입니다.") == rendered.count(THOUGHT + "일곱 색입니다.") == 1
    assert trained(template, REASONED * 2) == "일곱을 센다.\n</think>\n\n일곱 색입니다.[|endofturn|]"
    assert not bound("exaone4", "empty").rewrites_past


def test_with_keep_a_past_answer_may_come_back_without_the_tag_that_the_prompt_wrote() -> None:
    past = (ONE_TURN[0], Message("assistant", THOUGHT.removeprefix("<think>\n") + "일곱 색입니다."), ONE_TURN[0])
    for messages in (past, (*REASONED, ONE_TURN[0])):
        assert text(bound("exaone4", "keep"), messages).count(EMPTY + "일곱 색입니다.[|endofturn|]") == 1
    assert "일곱을 센다." in text(bound("exaone4", "empty"), past)


def test_without_a_word_the_block_is_empty_and_a_template_without_one_has_no_mode() -> None:
    assert bound("exaone4").to_jinja() == bound("exaone4", "empty").to_jinja()
    assert (bound("exaone4").thinking, bound("chatml").thinking) == ("empty", None)


def typed(token: str) -> str:
    return MARKS[0] + token + MARKS[1]


@pytest.mark.parametrize(
    ("content", "reasoning", "answer"),
    [
        ("<think>\n가\n</think>\n\n나", "가", "나"),
        (" <think>가</think>나 ", "가", "나 "),
        (typed("<think>") + "\n가" + typed("</think>") + "\n나", "가", "나"),
        ("<think>\n\n</think>\n\n나", "", "나"),
        ("<think>가</think>나</think>다", "가", "나</think>다"),
        ("<think>" + typed("</s>") + "</think>나", typed("</s>"), "나"),
        ("나", "", "나"),
        ("가</think>나", "", "가</think>나"),
        ("<think>가", "", "<think>가"),
        ("답은 <think>와 </think>", "", "답은 <think>와 </think>"),
    ],
)
def test_reasoning_is_only_a_block_that_opens_the_answer(content: str, reasoning: str, answer: str) -> None:
    assert Block(open="<think>\n", close="\n</think>\n\n").split(content) == (reasoning, answer)


def test_an_opened_block_needs_no_opening_tag() -> None:
    block = Block(open="<think>\n", close="\n</think>\n\n")
    assert block.split("가\n</think>\n\n나", opened=True) == ("가", "나")
    assert block.split("<think>가</think>나", opened=True) == ("가", "나")
    assert block.split("나", opened=True) == ("", "나")


@pytest.mark.parametrize(
    ("name", "messages", "said"),
    [
        ("koalpaca", (Message("system", "짧게"),), "The template `koalpaca` has no `system` turn."),
        ("chatml", (Message("tool", "{}"),), "The template `chatml` has no `tool` turn."),
        ("chatml", (Message("user", "a"), SYSTEM), "A system turn stands in the middle"),
        ("gemma", (SYSTEM,), "`gemma` writes the system turn into the user turn after it, and none follows here."),
        ("llama2", (SYSTEM, ONE_TURN[1]), "`llama2` writes the system turn into the user turn after it"),
    ],
)
def test_a_turn_without_a_place_is_refused(name: str, messages: tuple[Message, ...], said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        bound(name).render(messages)


def test_a_name_that_does_not_exist_gets_the_nearest() -> None:
    with pytest.raises(TemplateError, match=r"There is no `chatlm`.*did you mean `chatml`\?"):
        load_template("chatlm")


def test_a_template_that_ends_in_eos_needs_one() -> None:
    with pytest.raises(
        TemplateError, match="ends an answer with the tokenizer's eos token, and this tokenizer has none"
    ):
        load_template("alpaca").bind("", "")


def test_a_template_without_a_stop_token_is_refused() -> None:
    with pytest.raises(TemplateError, match="has no stop token"):
        _ = changed("chatml", assistant={"open": "A: "}).bind().stops


def test_a_stop_that_is_only_named_is_known_and_not_written() -> None:
    bound = changed("koalpaca", assistant={"open": "### 답변:", "lead": " "}, stop="{eos}").bind("", "<|endoftext|>")
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
