"""Our trained spans beside those that TRL's training templates mark, on every pair of templates that it ships."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from seodang.errors import TemplateError
from seodang.model_template import ModelRenderer, thinks
from seodang.records import Message
from seodang.tokenization import load_light

TALK = (
    Message("user", "하나 다음은?"), Message("assistant", "둘입니다."),
    Message("user", "셋 다음은?"), Message("assistant", "넷입니다."),
)  # fmt: skip
CONTROL = re.compile(r"<\|[A-Za-z0-9_]+\|>|<｜[^｜>]+｜>|<\|[a-z_]+>|</?[a-z_]+\|?>|\[gMASK\]")
MERELY_ADDED = re.compile(r"think|tool")

AGREED, NEWLINE, HEADER = "agreed", "trailing newline", "header marked"
UNSTABLE, REWRITES = "not prefix-stable", "one example per turn"
OTHER = "other text"
TABLE: dict[str, tuple[str, ...]] = {
    "cohere": (AGREED,),
    "cohere2": (AGREED,),
    "deepseek_r1_distill": (UNSTABLE,),
    "deepseekv3": (UNSTABLE,),
    "diffusion_gemma": (NEWLINE,),
    "gemma": (NEWLINE,),
    "gemma3": (NEWLINE,),
    "glm4moe": (AGREED, OTHER),
    "gptoss": (HEADER, REWRITES),
    "idefics3": (NEWLINE,),
    "lfm2": (NEWLINE,),
    "lfm2_v2": (NEWLINE,),
    "llama3": (AGREED,),
    "llava_next": (AGREED,),
    "muse_glimmer": (HEADER,),
    "nemotron_3_5_lightning": (UNSTABLE,),
    "nemotron_3_nano": (UNSTABLE,),
    "nemotron_3_super": (UNSTABLE,),
    "nemotron_3_ultra": (UNSTABLE,),
    "phi3": (NEWLINE,),
    "phi3_5": (NEWLINE,),
    "qwen2_5": (HEADER, NEWLINE),
    "qwen2_5_vl": (NEWLINE,),
    "qwen3": (NEWLINE, OTHER),
    "qwen3_5_nothink": (HEADER, NEWLINE, OTHER),
    "qwen3_5_think": (HEADER, NEWLINE, OTHER),
    "qwen3_6": (HEADER, NEWLINE, OTHER),
    "qwen3_8": (HEADER, NEWLINE),
    "qwen3_instruct_2507": (NEWLINE,),
    "qwen3_vl": (NEWLINE,),
    "smolvlm": (NEWLINE,),
}
"""Training template → how its marks stand to our spans, on its own text, with its switches as they are by default."""
NOT_ONE_ROW = {
    "empty": {
        REWRITES: ["glm4moe", "gptoss", "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6"],
        UNSTABLE: ["deepseek_r1_distill", "deepseekv3"],
    },
    "keep": {
        REWRITES: ["glm4moe", "gptoss", "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6"],
        UNSTABLE: [
            "deepseek_r1_distill", "deepseekv3", "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super",
            "nemotron_3_ultra",
        ],
    },
}  # fmt: skip
"""`thinking` → the originals, as models ship them, for which a conversation of two answers is not one row."""


def folder() -> Path:
    """Where TRL keeps its templates; it is found without being imported."""
    spec = find_spec("trl")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "chat_templates"


@cache
def jinja(name: str) -> str:
    return (folder() / f"{name}.jinja").read_text(encoding="utf-8")


def twins() -> list[str]:
    """The names of the templates that TRL trains with, without their suffix."""
    return sorted(path.stem.removesuffix("_training") for path in folder().glob("*_training.jinja"))


def renderer(tokenizer_dir: Path, text: str, thinking: str | None = None) -> ModelRenderer:
    """A tokenizer with the control strings of the template, and that template as its own."""
    tokenizer = load_light(str(tokenizer_dir))
    tokens = dict.fromkeys([*CONTROL.findall(text), "<bos>"])
    tokenizer.add_tokens(
        [AddedToken(token, special=not MERELY_ADDED.search(token), normalized=False) for token in tokens]
    )
    tokenizer.bos_token = "<bos>"
    tokenizer.chat_template = text
    return ModelRenderer(tokenizer, thinking)


def text_of(found: ModelRenderer) -> str:
    return str(found.tokenizer.apply_chat_template(found.rows(TALK), tokenize=False, **found.switches))


def marked(found: ModelRenderer) -> list[tuple[int, int]]:
    """The spans that the template marks with {% generation %}; those that touch each other are one."""
    from transformers.utils.chat_template_utils import render_jinja_template

    names: dict[str, Any] = {**found.tokenizer.special_tokens_map, **found.switches}
    rows = [found.rows(TALK)]
    _, spans = render_jinja_template(rows, chat_template=found.jinja, return_assistant_tokens_mask=True, **names)
    joined: list[tuple[int, int]] = []
    for begin, end in spans[0]:
        start = joined.pop()[0] if joined and joined[-1][1] == begin else begin
        joined.append((start, end))
    return joined


def trained(rows: Sequence[Sequence[Any]]) -> list[tuple[int, int]]:
    """The trained spans of the last row, in characters."""
    spans, at = [], 0
    for piece in rows[-1]:
        spans += [(at, at + len(piece.text))] if piece.trained else []
        at += len(piece.text)
    return spans


def facts(tokenizer_dir: Path, name: str) -> tuple[str, ...]:
    """How our spans stand to TRL's on the twin's own text, and whether that is the original's."""
    twin, original = (renderer(tokenizer_dir, jinja(stem)) for stem in (f"{name}_training", name))
    whole, rows = text_of(twin), twin.examples(TALK)
    ours, found = (
        trained(rows),
        [*([REWRITES] if len(rows) > 1 else []), *([OTHER] if text_of(original) != whole else [])],
    )
    both = list(zip(marked(twin)[-len(ours) :], ours, strict=True))
    for (begin, end), (start, stop) in both:
        assert begin <= start and stop <= end, "what we train, TRL trains"
        assert whole[stop:end].strip() in ("", twin.tokenizer.eos_token), "and nothing more than what follows the stop"
    if twin.is_marked:
        return (UNSTABLE, *(fact for fact in found if fact != REWRITES))
    header = [HEADER] if any(begin < start for (begin, _), (start, _) in both) else []
    after = [NEWLINE] if any(end > stop for (_, end), (_, stop) in both) else []
    return (*(header + after or [AGREED]), *found)


def test_every_training_template_of_trl_has_its_line() -> None:
    assert twins() == sorted(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_our_spans_beside_trls(tokenizer_dir: Path, name: str) -> None:
    assert facts(tokenizer_dir, name) == TABLE[name]


@pytest.mark.parametrize("thinking", NOT_ONE_ROW)
def test_what_becomes_of_a_conversation_under_the_template_that_models_ship(tokenizer_dir: Path, thinking: str) -> None:
    found: dict[str, list[str]] = {REWRITES: [], UNSTABLE: []}
    for name in twins():
        text = jinja(name)
        original = renderer(tokenizer_dir, text, thinking if thinks(text) else None)
        try:
            rows = original.examples(TALK)
        except TemplateError:
            found[UNSTABLE].append(name)
            continue
        if len(rows) > 1:
            found[REWRITES].append(name)
        for row in rows:
            assert row[-1].trained and row[-1].text.endswith(original.stops)
    assert found == NOT_ONE_ROW[thinking]
