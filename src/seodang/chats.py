"""Which template a tokenizer is trained with: its own, or a named one that must not contradict it."""

from __future__ import annotations

from typing import Any

from seodang.encoding import Chat, NamedRenderer
from seodang.errors import TemplateError
from seodang.language import Phrase
from seodang.model_template import ModelRenderer, thinks
from seodang.packaged import names
from seodang.template import BoundTemplate, Template, load_template
from seodang.tokenization import added_bos, missing_tokens, reserved_tokens

PROBES = (
    [{"role": "user", "content": "안녕하세요?"}],
    [{"role": "user", "content": "하나"}, {"role": "assistant", "content": "둘"}, {"role": "user", "content": "셋"}],
    [{"role": "system", "content": "짧게"}, {"role": "user", "content": "뭐"}, {"role": "assistant", "content": "네"}],
)
"""Three conversations on which a named template must agree with a model's own."""


def make_chat(tokenizer: Any, template: str | None, override: bool = False, thinking: str | None = None) -> Chat:
    """The chat of a tokenizer under `template`: `model` or None for its own, else a name or a path.

    Raises TemplateError where there is no template, where its control tokens are missing, or where a named one
    contradicts the model's own and `override` is not set.
    """
    _require_fast(tokenizer)
    if template in (None, "model"):
        return Chat(tokenizer, _own(tokenizer, thinking))
    found = load_template(str(template))
    _require_thinking(found, thinking)
    bound = found.bind(added_bos(tokenizer), tokenizer.eos_token or "", thinking)
    _require_tokens(tokenizer, bound)
    if tokenizer.chat_template and not override:
        _require_agreement(tokenizer, bound)
    return Chat(tokenizer, NamedRenderer(bound))


def _require_thinking(template: Template, thinking: str | None) -> None:
    if template.thinking is not None and thinking is None:
        raise TemplateError(
            "The template `{name}` writes a reasoning block ({tag}). Say what becomes of it in training: "
            "`thinking: empty` (an empty block, as served with thinking off), `strip`, or `keep`.",
            name=template.name,
            tag=template.thinking.open.strip(),
        )
    if template.thinking is None and thinking is not None:
        raise TemplateError(
            "`thinking: {thinking}` is set, and the template `{name}` has no reasoning block. Leave `thinking` out.",
            thinking=thinking,
            name=template.name,
        )


def _require_fast(tokenizer: Any) -> None:
    if not tokenizer.is_fast:
        raise TemplateError(
            "{name} is a slow tokenizer without offsets, and a stage that trains on spans needs them. Convert it once "
            "(transformers' `convert_slow_tokenizer`, then `save_pretrained`), or use a model with a fast tokenizer.",
            name=type(tokenizer).__name__,
        )


def _own(tokenizer: Any, thinking: str | None) -> ModelRenderer:
    if not tokenizer.chat_template:
        raise TemplateError(
            "This tokenizer has no chat template, so the recipe must name one: `template: NAME` with one of {names}, "
            "or the path of a YAML file. For a base model take the layout you will serve it with.",
            names=", ".join(names("data_templates")),
        )
    if thinks(tokenizer.get_chat_template()) and thinking is None:
        raise TemplateError(
            "The model's chat template writes a reasoning block (<think>). Say what becomes of it in training: "
            "`thinking: empty` (an empty block, as served with thinking off), `strip`, or `keep`."
        )
    return ModelRenderer(tokenizer, thinking)


def _require_tokens(tokenizer: Any, bound: BoundTemplate) -> None:
    missing = missing_tokens(tokenizer, bound.control)
    if missing:
        raise TemplateError(
            "The template `{name}` needs {missing} as single tokens, and this tokenizer does not have them. Use a "
            "template that the tokenizer knows (alpaca and koalpaca need only an eos token), or make a tokenizer with "
            "them: adding tokens is the work of `stage: tokenizer`.{reserved}",
            name=bound.name,
            missing=", ".join(missing),
            reserved=_reserved(tokenizer, len(missing)),
        )


def _reserved(tokenizer: Any, count: int) -> Phrase:
    """What the tokenizer keeps for later use, as a way out."""
    found = reserved_tokens(tokenizer)[:count]
    if not found:
        return Phrase("")
    if missing_tokens(tokenizer, tuple(found)):
        text = " This one keeps {tokens} in its vocabulary for that, which are not control tokens yet."
    else:
        text = " This one keeps {tokens} for such use: a copy of the template file may name them instead."
    return Phrase(text, tokens=", ".join(found))


def _require_agreement(tokenizer: Any, bound: BoundTemplate) -> None:
    jinja = bound.to_jinja()
    served = {} if bound.thinking is None else {"enable_thinking": bound.thinking == "keep"}
    for probe in PROBES:
        ours, own = (_render(tokenizer, probe, text, served) for text in (jinja, tokenizer.get_chat_template()))
        if ours.rstrip() != own.rstrip():
            raise TemplateError(
                "The template `{name}` contradicts the model's own chat template. The same conversation renders as\n"
                "  {name}: {ours!r}\n  model: {own!r}\n"
                "What is trained would not be what a server sends. Write `template: model`, or `template_override: "
                "true` if the other layout is meant.",
                name=bound.name,
                ours=ours,
                own=own,
            )


def _render(tokenizer: Any, messages: list[dict[str, str]], jinja: str, served: dict[str, bool]) -> str:
    from jinja2.exceptions import TemplateError as JinjaError

    try:
        asked = {"add_generation_prompt": messages[-1]["role"] == "user", **served}
        return str(tokenizer.apply_chat_template(messages, chat_template=jinja, tokenize=False, **asked))
    except JinjaError as error:
        return f"(refused: {error})"
