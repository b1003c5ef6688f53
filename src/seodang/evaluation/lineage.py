"""How the models of one lineage are asked: each with its own template, and one without any as the others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seodang import runs
from seodang.chats import make_chat
from seodang.encoding import Chat
from seodang.errors import TemplateError
from seodang.model_template import thinks
from seodang.recipe import Evaluate
from seodang.tuning.model import tokenizer_of


def lineage_chats(recipe: Evaluate) -> dict[str, Chat]:
    """The chat of every model, without its weights.

    A model without a template of its own is asked as the first listed one that has one is: with that one's tokenizer,
    whose ids mean the same to it. Raises TemplateError where they do not.
    """
    tokenizers = {name: tokenizer_of(spec) for name, spec in recipe.models.items()}
    if recipe.template not in (None, "model"):
        return {name: make_chat(tokenizer, recipe.template) for name, tokenizer in tokenizers.items()}
    donor = next((name for name, tokenizer in tokenizers.items() if tokenizer.chat_template), None)
    chats = {}
    for name, tokenizer in tokenizers.items():
        giver = name if tokenizer.chat_template or donor is None else donor
        _require_same_ids(name, tokenizer, giver, tokenizers[giver])
        chats[name] = make_chat(tokenizers[giver], None, thinking=_thinking(tokenizers[giver], recipe, giver))
    return chats


def _require_same_ids(name: str, tokenizer: Any, giver: str, giving: Any) -> None:
    if not tokenizer.get_vocab().items() <= giving.get_vocab().items():
        raise TemplateError(
            "models.{name} has no chat template, and it cannot be asked with that of models.{giver}, because their "
            "vocabularies differ. Name one for all models: `template: NAME`.",
            name=name,
            giver=giver,
        )


def _thinking(tokenizer: Any, recipe: Evaluate, name: str) -> str | None:
    """What the model's own run, else the first run of the recipe, did with the reasoning block; else it stays empty."""
    if not tokenizer.chat_template or not thinks(tokenizer.get_chat_template()):
        return None
    paths = [recipe.models[name].run, *(spec.run for spec in recipe.models.values())]
    written = [runs.read_recipe(Path(path)).get("thinking") for path in paths if path]
    return next((str(one) for one in written if one), "empty")
