"""Models of one lineage are asked alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang.errors import TemplateError
from seodang.evaluation.lineage import lineage_chats
from seodang.recipe import Candidate, Evaluate
from seodang.records import Message


def recipe(model_dir: Path, **keys: object) -> Evaluate:
    models = {name: Candidate(name_or_path=str(model_dir)) for name in ("base", "other")}
    return Evaluate.model_validate({"stage": "evaluate", "models": models, "data": {"train": "held_out.jsonl"}, **keys})


def test_a_named_template_is_for_every_model(model_dir: Path) -> None:
    chats = lineage_chats(recipe(model_dir, template="chatml"))

    assert list(chats) == ["base", "other"]
    assert chats["base"].prompt_ids((Message("user", "안녕"),)) == chats["other"].prompt_ids((Message("user", "안녕"),))


def test_without_any_template_the_recipe_must_name_one(model_dir: Path) -> None:
    with pytest.raises(TemplateError, match="the recipe must name one"):
        lineage_chats(recipe(model_dir))
