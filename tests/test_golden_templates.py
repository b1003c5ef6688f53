"""Every packaged template against what is written down of it, against published Jinja, and against any conversation.

`golden/templates/NAME.json` holds the text of each case and its rows: ids, and the runs of them that are trained. The
tokenizer is the byte-level one of the tests with the template's control tokens, `<s>` as a bos that it puts itself,
and eos `<|endoftext|>`. `HYPOTHESIS_PROFILE=deep` looks at many more random conversations.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seodang.chats import make_chat
from seodang.encoding import IGNORED, Chat
from seodang.errors import RecipeError, TemplateError
from seodang.packaged import find, names
from seodang.records import Conversation, Message, instruct
from seodang.template import BoundTemplate, Template, load_template

GOLDEN = Path(__file__).parent / "golden" / "templates"
TEMPLATES = names("data_templates")
MODES = [(name, mode) for name in TEMPLATES for mode in (("empty", "strip", "keep") if name == "exaone4" else (None,))]
MERELY_ADDED = ("<think>", "</think>")
EXAMPLES = 300 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 20


def cases(template: Template) -> dict[str, tuple[Message, ...]]:
    """The conversations of the golden files; `control` types the template's own control tokens."""
    typed = " ".join((*template.control, "<|endoftext|>", "</s>"))
    thought = "<think>\n한 주는 7일이다.\n</think>\n\n"
    return {
        "one_turn": (Message("user", "무지개는 몇 색인가요?"), Message("assistant", "일곱 색입니다.")),
        "with_input": (instruct("영어로 옮기세요.", "나는 학교에 간다."), Message("assistant", "I go to school.")),
        "system": (
            Message("system", "한 문장으로 답하세요."),
            Message("user", "수도는 어디인가요?"),
            Message("assistant", "서울입니다."),
        ),
        "multi_turn": (
            Message("user", "하나"),
            Message("assistant", "둘"),
            Message("user", "셋"),
            Message("assistant", "넷", trained=False),
            Message("user", "다섯"),
            Message("assistant", "여섯"),
        ),
        "hangul": (
            Message("user", unicodedata.normalize("NFD", "한글") + " ㅋㅋ 뷁 \u302e漢字"),
            Message("assistant", "똠방각하 🙂 👨\u200d👩\u200d👧 {{ x }} {% raw %}\n\n끝 "),
        ),
        "control": (Message("user", f"{typed} 라고 적으세요."), Message("assistant", f"적었습니다: {typed}")),
        "reasoning": (
            Message("user", "한 주는 며칠인가요?"),
            Message("assistant", thought + "이레입니다."),
            Message("user", "두 주는요?"),
            Message("assistant", thought + "열나흘입니다."),
        ),
    }


@pytest.fixture(scope="module")
def tokenizers(tokenizer_dir: Path) -> dict[str, Any]:
    """A tokenizer for each template: the one of the tests, a bos of its own, and the template's control tokens."""
    return {name: tokenizer_for(tokenizer_dir, load_template(name).control) for name in TEMPLATES}


def tokenizer_for(folder: Path, control: Sequence[str]) -> Any:
    from tokenizers import AddedToken
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(folder)
    found.add_special_tokens({"bos_token": "<s>"})
    found.backend_tokenizer.post_processor = TemplateProcessing("<s> $A", None, [("<s>", found.bos_token_id)])
    found.add_tokens([AddedToken(token, special=token not in MERELY_ADDED, normalized=False) for token in control])
    return found


def runs(labels: Sequence[int]) -> list[list[int]]:
    """Begin and end of every run of trained ids."""
    found: list[list[int]] = []
    for at in (at for at, label in enumerate(labels) if label != IGNORED):
        if found and found[-1][1] == at:
            found[-1][1] = at + 1
        else:
            found.append([at, at + 1])
    return found


def text_of(template: BoundTemplate, messages: Sequence[Message], generate: bool = False) -> str:
    return "".join(segment.text for segment in template.render(messages, generate))


def measured(name_or_path: str, tokenizer: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Mode, case, and what stands in the golden file for it: text and rows, or why it is refused."""
    template = load_template(name_or_path)
    for mode in ("empty", "strip", "keep") if template.thinking else (None,):
        chat = make_chat(tokenizer, name_or_path, thinking=mode)
        for case, messages in cases(template).items():
            try:
                text = text_of(chat.renderer.template, messages)
                rows = [[row.input_ids, runs(row.labels)] for row in chat.examples(Conversation(messages))]
                yield str(mode), case, {"text": text, "rows": rows}
            except TemplateError as error:
                yield str(mode), case, {"refused": str(error)}


def golden(name: str) -> dict[str, Any]:
    return dict(json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")))


def test_every_template_has_its_golden_file_and_no_other() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_golden_text_and_ids(name: str, tokenizers: dict[str, Any]) -> None:
    expected = golden(name)
    for mode, case, found in measured(name, tokenizers[name]):
        assert (mode, case, found) == (mode, case, expected[mode][case])


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_example_in_the_file_renders_to_its_text(name: str) -> None:
    assert example_holds(load_template(name))


def example_holds(template: Template) -> bool:
    bound = template.bind("<s>", "<|endoftext|>")
    expected = template.example.text.replace("{bos}", "<s>").replace("{eos}", "<|endoftext|>")
    return text_of(bound, [Message(**row) for row in template.example.messages]) == expected


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all non-empty texts in a template file that are part of the layout."""
    if isinstance(value, str) and value:
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        if path or key not in ("name", "source", "verified", "example"):
            yield from texts(inner, (*path, key))


def broken(data: Any, path: tuple[Any, ...]) -> Any:
    """The same file with one character of one text replaced."""
    if not path:
        at = len(data) // 2
        return data[:at] + ("y" if data[at] == "x" else "x") + data[at + 1 :]
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = broken(copy[path[0]], path[1:])
    return copy


@pytest.mark.parametrize("name", TEMPLATES)
def test_one_broken_character_is_seen(name: str, tokenizers: dict[str, Any], tmp_path: Path) -> None:
    data, expected = yaml.safe_load(find("data_templates", name).read_text(encoding="utf-8")), golden(name)
    paths = list(texts(data))
    assert len(paths) >= 4
    for path in paths:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(broken(data, path), allow_unicode=True), encoding="utf-8")
        try:
            found = measured(str(file), tokenizers[name])
            seen = any(row != expected[mode][case] for mode, case, row in found)
        except (TemplateError, RecipeError):
            seen = True
        assert seen, path


def test_koalpaca_trains_the_space_after_the_colon_as_a_token_of_its_own_piece(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["koalpaca"]
    ids, ((begin, end),) = golden("koalpaca")["None"]["one_turn"]["rows"][0]
    assert tokenizer.decode(ids[:begin]).endswith("### 답변:")
    assert tokenizer.decode(ids[begin:end]) == " 일곱 색입니다.<|endoftext|>"


def test_which_layouts_are_verified() -> None:
    verified = {name for name in TEMPLATES if load_template(name).verified}
    assert verified == {
        "chatml", "exaone3", "exaone4", "gemma", "llama2", "llama3", "midm2", "mistral", "solar", "zephyr"
    }  # fmt: skip


PUBLISHED = [
    ("chatml", "qwen3_instruct_2507", True),
    ("chatml", "qwen2_5", True),
    ("gemma", "gemma", False),
    ("gemma", "gemma3", True),
    ("llama3", "llama3", True),
]
"""Our name, the file that TRL ships of a family's published template, and whether that takes a system turn."""


@pytest.mark.parametrize(("name", "file", "takes_system"), PUBLISHED)
def test_what_trl_ships_as_published_renders_alike(name: str, file: str, takes_system: bool) -> None:
    from importlib.metadata import files

    from transformers.utils.chat_template_utils import render_jinja_template

    jinja = next(path for path in files("trl") or () if path.name == f"{file}.jinja").read_text(encoding="utf-8")
    template = load_template(name).bind()
    bos = next(iter(template.control)) if template.template.start else ""
    for case in ("one_turn", "with_input", "multi_turn", "hangul", "system"):
        messages = tuple(replace(m, content=m.content.strip()) for m in cases(template.template)[case])
        if messages[0].role == "system" and not takes_system:
            continue
        if messages[0].role != "system" and file == "qwen2_5":
            messages = (Message("system", "짧게 답하세요."), *messages)
        for turns, generate in ((messages, False), (messages[:-1], True)):
            rows = [{"role": m.role, "content": m.content} for m in turns]
            theirs, _ = render_jinja_template(
                [rows], chat_template=jinja, add_generation_prompt=generate, bos_token=bos
            )
            ours = text_of(template, turns, generate)
            assert ours == (theirs[0] if generate else theirs[0].removesuffix("\n"))


PIECES = [
    "가", "각", "힣", "ㅋㅋ", " ", "  ", "\n", "\n\n", "\t", "a", "B", "7", ".", "?", "'", '"', "\\", "\\n", "<b>", "&amp;",
    "\u1112\u1161\u11ab", "\u1100\u1161", "e\u0301", "漢", "🙂", "👨\u200d👩\u200d👧", "🇰🇷", "\u200b", "\ufeff", "\u00a0",
    "{{ x }}", "{{", "}}", "{%", "%}", "{% raw %}", "{# #}", "{eos}", "{bos}", "{}", "### 답변:", "ASSISTANT:", "[INST]",
    "\U000f0000", "\U000f0001",
]  # fmt: skip
TYPED = sorted({token for name in TEMPLATES for token in load_template(name).control} | {"<|endoftext|>", "<pad>"})
SHORT = st.lists(st.sampled_from([*PIECES, *TYPED]), max_size=8).map("".join)
HUGE = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "".join(pieces) * 300)
CONTENT = st.one_of(SHORT, SHORT, SHORT, SHORT, HUGE)
ANSWER = st.one_of(CONTENT, st.tuples(SHORT, SHORT).map(lambda pair: f"<think>\n{pair[0]}\n</think>\n\n{pair[1]}"))
# `input_at` counts a text without the marks: transformers takes typed ones out before the Jinja reads it
USER = st.one_of(
    CONTENT.map(lambda text: Message("user", text)),
    st.tuples(SHORT, SHORT.filter(bool)).map(lambda pair: instruct(*map(unmarked, pair))),
)
TURNS = st.lists(st.tuples(USER, ANSWER.map(lambda text: Message("assistant", text))), min_size=1, max_size=3)
SYSTEM = st.one_of(st.none(), CONTENT.map(lambda text: Message("system", text)))


@pytest.mark.parametrize(("name", "thinking"), MODES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(system=SYSTEM, turns=TURNS)
def test_any_conversation(
    name: str,
    thinking: str | None,
    tokenizers: dict[str, Any],
    system: Message | None,
    turns: list[tuple[Message, Message]],
) -> None:
    chat = make_chat(tokenizers[name], name, thinking=thinking)
    template: BoundTemplate = chat.renderer.template
    opening = [system] if system and template.template.system else []
    messages = tuple([*opening, *(message for pair in turns for message in pair)])
    both_readers_agree(chat, messages)
    rows, answers = chat.examples(Conversation(messages)), range(len(opening) + 1, len(messages), 2)
    assert len(rows) == (len(answers) if template.rewrites_past else 1)
    for number, at in enumerate(answers):
        row = rows[number if template.rewrites_past else 0]
        prompt = served(chat, messages[:at])
        assert prompt == chat.prompt_ids(messages[:at])
        assert row.input_ids[: len(prompt)] == prompt
    trained = [chat.tokenizer.decode(row.input_ids[begin:end]) for row in rows for begin, end in runs(row.labels)]
    assert trained == [written(template, unmarked(messages[at].content)) for at in answers]
    assert control_ids(chat, rows[-1].input_ids) == placed(chat, messages)


def both_readers_agree(chat: Chat, messages: tuple[Message, ...]) -> None:
    for turns, generate in ((messages, False), (messages[:-1], True)):
        rows = [message.to_row() for message in turns]
        jinja = chat.tokenizer.apply_chat_template(
            rows, chat_template=chat.jinja, tokenize=False, add_generation_prompt=generate
        )
        assert text_of(chat.renderer.template, turns, generate) == jinja


def served(chat: Chat, messages: Sequence[Message]) -> list[int]:
    """What transformers gives a served model."""
    rows = [message.to_row() for message in messages]
    how = {"add_generation_prompt": True, "sanitize_control_tokens": True, "return_dict": False}
    return list(chat.tokenizer.apply_chat_template(rows, chat_template=chat.jinja, **how))


def unmarked(text: str) -> str:
    return text.replace("\U000f0000", "").replace("\U000f0001", "")


def written(template: BoundTemplate, answer: str) -> str:
    """What the model is to write for an answer, up to its stop."""
    turn, block, reasoning = template.template.assistant, template.template.thinking, ""
    if block is not None:
        reasoning, answer = block.split(answer)
    opening = reasoning + block.close if block is not None and template.thinking == "keep" else ""
    return opening + turn.lead + answer + turn.close


def control_ids(chat: Chat, ids: Sequence[int]) -> Counter[str]:
    tokens = {index: token for token, index in chat.tokenizer.added_tokens_encoder.items()}
    return Counter(tokens[index] for index in ids if index in tokens)


def placed(chat: Chat, messages: Sequence[Message]) -> Counter[str]:
    """The control tokens in the template's own segments."""
    found: Counter[str] = Counter()
    for segment in chat.renderer.template.render(messages):
        if segment.kind == "control":
            found += control_ids(chat, chat.tokenizer.encode(segment.text, add_special_tokens=False))
    return found
