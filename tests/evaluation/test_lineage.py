"""Models of one lineage are asked alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seodang.errors import TemplateError
from seodang.evaluation.lineage import lineage_chats
from seodang.recipe import Candidate, Evaluate
from seodang.records import Message
from seodang.runs import Run, hash_text
from seodang.template import load_template


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


def test_a_run_whose_template_was_changed_is_not_asked(model_dir: Path, tmp_path: Path) -> None:
    run, jinja = tmp_path / "sft", load_template("chatml").bind("", "<|endoftext|>").to_jinja()
    shutil.copytree(model_dir, run / "model")
    Run(run).note(state="finished", stage="sft", template={"fingerprint": hash_text(jinja)})
    both = recipe(model_dir, models={"base": {"name_or_path": str(model_dir)}, "sft": {"run": str(run)}})
    template = run / "model" / "chat_template.jinja"
    template.write_text(jinja, encoding="utf-8")
    assert lineage_chats(both)["base"].jinja == jinja
    template.write_text(jinja.replace("assistant", "Assistant", 1), encoding="utf-8")
    with pytest.raises(TemplateError, match=f"The chat template of the run {run} was changed after the run"):
        lineage_chats(both)
