"""Write docs/recipes.md, the reference of every recipe key, from the classes in seodang.recipe.

python tools/recipe_reference.py            write it
python tools/recipe_reference.py --check    end with 1 where the file is not what the classes say
"""

from __future__ import annotations

import difflib
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from seodang.recipe import STAGES, Recipe

TARGET = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"

HEAD = """\
# Recipe reference

<!-- Made by tools/recipe_reference.py from src/seodang/recipe.py; edit the classes, then `make generated`. -->

One recipe is one stage. A key has one path, and it is the same in YAML, in Python (`recipe.adapter.r`), as an
override on the command line (`adapter.r=32`), in an error and here. Unknown keys stop the run. `seodang show RECIPE`
prints every value of a recipe and where it comes from; `seodang schema STAGE` gives this page as JSON schema.

Where a key has kinds, `kind` chooses one and each has only its own knobs: `loss: {kind: sigmoid, beta: 0.1}`. If a
kind's defaults are right, its name alone is enough: `loss: sigmoid`. `N` in a path stands for the place in a list,
counted from 0 (`sources.0.path`), and `NAME` for a name of your own.
"""

TYPES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false", Any: "anything"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Row:
    """One key of a table: its full path, what may stand there, what stands there when nothing is said, and why."""

    path: str
    kind: str
    default: str
    text: str

    def __str__(self) -> str:
        cells = (f"`{self.path}`", self.kind, self.default, self.text)
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def reference() -> str:
    """The whole page."""
    stages = {_stage(model): model for model in typing.get_args(typing.get_args(Recipe)[0])}
    links = " · ".join(f"[{name}](#{name})" for name in STAGES)
    sections = [_section(name, stages[name]) for name in STAGES]
    return "\n".join([HEAD, f"Stages: {links}", "", *sections])


def _stage(model: type[BaseModel]) -> str:
    return str(typing.get_args(model.model_fields["stage"].annotation)[0])


def _section(name: str, model: type[BaseModel]) -> str:
    simple: list[Row] = []
    nested: list[str] = []
    for key, field in model.model_fields.items():
        if key == "stage":
            continue
        simple.append(_row(key, field, field.default))
        if list(_models(field.annotation)):
            nested += _tables(key, field.annotation, field.default)
    return "\n".join([f"## {name}", "", _doc(model), "", *_table(simple), *nested])


def _table(rows: list[Row]) -> list[str]:
    return ["| key | what may stand there | default | meaning |", "| --- | --- | --- | --- |", *map(str, rows), ""]


def _tables(path: str, annotation: Any, default: Any) -> Iterator[str]:
    """A table for every class that may stand under `path`, and for what is nested in it."""
    models = list(_models(annotation))
    path += _inside(annotation)
    for model in models:
        kinds = _kinds(model)
        which = f", kind `{'` or `'.join(kinds)}`" if kinds else f" ({model.__name__})" if len(models) > 1 else ""
        yield from (f"### `{path}`{which}", "", _doc(model), "")
        here = default if isinstance(default, model) else None
        rows: list[Row] = []
        deeper: list[str] = []
        for name, field in model.model_fields.items():
            if name == "kind" and len(kinds) == 1:
                continue
            value = getattr(here, name) if here is not None else field.default
            rows.append(_row(f"{path}.{name}", field, value))
            deeper += _tables(f"{path}.{name}", field.annotation, value)
        yield from _table(rows) if rows else ("It has no keys of its own.", "")
        yield from deeper


def _inside(annotation: Any) -> str:
    """What a path goes through on its way to the classes inside a list or a mapping."""
    for item in (annotation, *typing.get_args(annotation)):
        if typing.get_origin(item) in (tuple, list):
            return ".N"
        if typing.get_origin(item) is dict:
            return ".NAME"
    return ""


def _row(path: str, field: FieldInfo, default: Any) -> Row:
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in BOUNDS.items()
        if hasattr(item, name)
    ]
    kind = " ".join([_type(field.annotation), ", ".join(bounds)]).strip()
    return Row(path, kind, _default(default), " ".join((field.description or "").split()))


def _type(annotation: Any) -> str:
    """An annotation in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{item}`" for item in arguments)
    if origin in (typing.Union, types.UnionType):
        return _union([item for item in arguments if item is not type(None)]) + (
            ", or null" if type(None) in arguments else ""
        )
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping from {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kinds = _kinds(annotation)
        return f"kind `{'`, `'.join(kinds)}`" if kinds else "keys below"
    return TYPES.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _union(members: list[Any]) -> str:
    kinds = [kind for member in members for kind in (_kinds(member) if isinstance(member, type) else ())]
    if kinds:
        return f"kind `{'`, `'.join(kinds)}`"
    return " or ".join(dict.fromkeys(_type(member) for member in members))


def _kinds(model: Any) -> tuple[str, ...]:
    field = model.model_fields.get("kind") if issubclass(model, BaseModel) else None
    return typing.get_args(field.annotation) if field else ()


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The recipe classes inside an annotation, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) is not Literal:
        for argument in typing.get_args(annotation):
            yield from _models(argument)


def _default(value: Any) -> str:
    """A default as one would write it in YAML."""
    if value is PydanticUndefined:
        return "**required**"
    if value is None or value == "":
        return "unset"
    if isinstance(value, BaseModel):
        return f"`{value.kind}`" if hasattr(value, "kind") else "its defaults"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return "[" + ", ".join(map(_default, value)) + "]"
    plain = list(value) if isinstance(value, tuple) else value
    written = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=1000)
    return f"`{written.removesuffix(chr(10)).removesuffix('...').strip()}`"


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def main(arguments: list[str]) -> int:
    """Write the page, or with --check compare it. Returns the exit status."""
    new = reference()
    if "--check" not in arguments:
        TARGET.write_text(new, encoding="utf-8", newline="\n")
        return 0
    old = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
    if old == new:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), "docs/recipes.md", "the classes", n=0)
    )
    print("docs/recipes.md is not what the recipe classes say. Run `make generated`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
