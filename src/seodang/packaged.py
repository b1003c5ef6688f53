"""Finds the files that ship with the package: chat templates, prompt files and recipe folders.

The wheel carries them inside the package (`seodang/data_templates`); in a source tree, which is also what an editable
install runs from, they lie at its root, beside `src/`.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from seodang.errors import Mistake, RecipeError, TemplateError
from seodang.language import Phrase
from seodang.schema import Schema, check_schema

T = TypeVar("T", bound=Schema)

PACKAGE = Path(str(files("seodang")))
RECIPES = "recipes"
STARTER = "seodang-starter"
"""The name of the small Korean model in the package."""


def find(kind: str, name: str) -> Path:
    """The packaged file or, for recipes, folder called `name`, with or without `.yaml`.

    `kind` is `data_templates`, `data_templates/prompts` or `recipes`. Raises TemplateError that lists what there is.
    """
    there = _all(kind)
    found = there.get(name.removesuffix(".yaml"))
    if found is not None:
        return found
    near = difflib.get_close_matches(name, there, 1)
    raise TemplateError(
        "There is no `{name}` in {kind}/{guess}. There is: {names}. Name one of these, or give the path of a file.",
        name=name,
        kind=kind,
        guess=Phrase("; did you mean `{near}`?", near=near[0]) if near else "",
        names=", ".join(there) or Phrase("nothing"),
    )


def load(path: Path, schema: type[T]) -> T:
    """A YAML file that holds one object. Raises RecipeError with every mistake in it."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(str(path), [Mistake("", Phrase("cannot be read as YAML: {why}", why=error))]) from None
    found, mistakes = check_schema(schema, data)
    if found is None:
        raise RecipeError(str(path), mistakes)
    return found


def model_path(name_or_path: str) -> str:
    """The folder of the packaged starter model for its name; any other name or path as it is."""
    return str(PACKAGE / "starter") if name_or_path == STARTER else name_or_path


def names(kind: str) -> list[str]:
    """Every name that `find` knows of this kind, sorted."""
    return list(_all(kind))


def _all(kind: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in _folders(kind):
        there = {path.name: path for path in folder.glob("*/")} if kind == RECIPES else {}
        found = there | {path.stem: path for path in folder.glob("*.yaml")} | found
    return dict(sorted(found.items()))


def _folders(kind: str) -> list[Path]:
    """Where to look, the package first; a folder that is not there holds nothing."""
    in_source_tree = PACKAGE.parent.name == "src"
    return [PACKAGE / kind, *([PACKAGE.parent.parent / kind] if in_source_tree else [])]
