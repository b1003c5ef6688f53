"""Errors are paragraphs: their text, their values, their exit codes."""

from __future__ import annotations

import pytest

from seodang import errors
from seodang.errors import (
    CheckFailed,
    DataError,
    Mistake,
    ModelError,
    RecipeError,
    RunError,
    SeodangError,
    TemplateError,
)

TREE = (RecipeError, DataError, TemplateError, ModelError, RunError, CheckFailed)


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("{where}: no answer", {"where": "seed.jsonl:17"}, "seed.jsonl:17: no answer"),
        ("{where}: {what}", {"where": "a.jsonl:1", "what": '{"x": {y}}'}, 'a.jsonl:1: {"x": {y}}'),
        ("a brace { without values", {}, "a brace { without values"),
        ("the row says {text}", {"text": "안녕 {name}"}, "the row says 안녕 {name}"),
        ("{self} and {path}", {"self": 1, "path": None}, "1 and None"),
    ],
)
def test_the_text_is_a_format_and_the_values_are_data(text: str, values: dict[str, object], shown: str) -> None:
    error = DataError(text, **values)

    assert str(error) == shown
    assert error.text == text
    assert error.values == values


@pytest.mark.parametrize(
    ("kind", "standard", "exit_code"),
    [
        (DataError, ValueError, 2),
        (TemplateError, ValueError, 2),
        (ModelError, ValueError, 2),
        (RunError, RuntimeError, 2),
        (CheckFailed, RuntimeError, 1),
    ],
)
def test_each_class_stands_for_a_standard_one(
    kind: type[SeodangError], standard: type[Exception], exit_code: int
) -> None:
    error = kind("{what} is wrong", what="this")

    assert isinstance(error, SeodangError)
    assert isinstance(error, standard)
    assert error.exit_code == exit_code


def test_every_class_of_the_module_is_drawn_in_its_tree() -> None:
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SeodangError)]

    assert {*classes} == {SeodangError, *TREE}
    for kind in classes:
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("mistake", "shown"),
    [
        (
            Mistake("adapter.r", "must be greater than 0, got -1", 9),
            "adapter.r: must be greater than 0, got -1  (line 9)",
        ),
        (Mistake("adapter.r", "is required"), "adapter.r: is required"),
        (Mistake("", "is not YAML", 1), "is not YAML  (line 1)"),
        (Mistake("", "the file does not exist"), "the file does not exist"),
    ],
)
def test_a_mistake_shows_its_path_and_line(mistake: Mistake, shown: str) -> None:
    assert str(mistake) == shown


def test_a_recipe_error_shows_every_mistake_under_the_name() -> None:
    mistakes = [Mistake("adapter.lora_alfa", "unknown key, did you mean `lora_alpha`?", 9), Mistake("model", "{}")]

    error = RecipeError("recipes/{x}.yaml", mistakes)

    assert str(error) == (
        "recipes/{x}.yaml is not a valid recipe:\n"
        "  adapter.lora_alfa: unknown key, did you mean `lora_alpha`?  (line 9)\n"
        "  model: {}"
    )
    assert error.mistakes == mistakes
    assert isinstance(error, ValueError)
    assert error.exit_code == 2
