"""The strict base of everything a user writes: unknown keys forbidden, frozen, all mistakes at once with their path.

`check_schema(kind, data)` validates with pydantic and turns what it found into `Mistake`s that speak the user's words:
the dotted path of YAML, override, Python and error text is one and the same.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
)

from seodang.errors import Mistake

T = TypeVar("T")


class Schema(BaseModel):
    """The base of every recipe class: unknown keys are mistakes, values do not change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


by_name = BeforeValidator(_named)
"""Lets `loss: sigmoid` stand for `loss: {kind: sigmoid}` in a union by `kind`."""

Hint = Callable[[str, str], str | None]
"""(path of the parent, unknown key) → the text of a better mistake, or None."""

MUST_BE = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
}
"""Pydantic's error type → what the value must be, in the words of someone who writes YAML."""


def check_schema(kind: type[T] | Any, data: Any, hint: Hint | None = None) -> tuple[T | None, list[Mistake]]:
    """Validate `data` as `kind`. Returns (object, []) or (None, every mistake)."""
    found: dict[str, list[str]] = {}
    result: T | None = None
    try:
        result = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            place = _locate(kind, data, item)
            text = _text(item, place, hint)
            found.setdefault(".".join(place.path), []).append(text)
    for place in _bools_for_numbers(_Place(kind, data)):
        found.setdefault(".".join(place.path), [f"must be a number, got {place.data}"])
    mistakes = [Mistake(path, _joined(texts)) for path, texts in found.items() if not _has_deeper(path, found)]
    return (None, mistakes) if mistakes else (result, [])


def _bools_for_numbers(place: _Place) -> Iterator[_Place]:
    """Pydantic reads true as 1; who writes `per_device_train_batch_size: true` means something else."""
    if isinstance(place.data, bool):
        if not _takes_bool(place.annotation):
            yield place
    elif isinstance(place.data, (dict, list, tuple)):
        for step in place.data if isinstance(place.data, dict) else range(len(place.data)):
            child = place.child(step)
            if child is not None:
                yield from _bools_for_numbers(child)


def _takes_bool(annotation: Any) -> bool:
    if annotation is Any or annotation is bool or isinstance(annotation, bool):
        return True
    return any(_takes_bool(argument) for argument in typing.get_args(annotation))


def _has_deeper(path: str, found: dict[str, list[str]]) -> bool:
    """`['q', 5]` for `str | tuple[str, ...]` is not text, and its item 1 is not text: only the second helps."""
    return any(other.startswith(f"{path}.") for other in found)


def _joined(texts: list[str]) -> str:
    """One text for the members of a union that each refused the value: `must be text or a number, got []`."""
    first, *others = dict.fromkeys(texts)
    head, _, got = first.partition(", got ")
    more = [text.partition(", got ")[0].removeprefix("must be ") for text in others if text.startswith("must be ")]
    return first if not more or not got else f"{' or '.join([head, *more])}, got {got}"


@dataclass(slots=True)
class _Place:
    """Where a mistake stands: the path in the user's data, the annotation there and the value there."""

    annotation: Any
    data: Any
    path: list[str] = field(default_factory=list)

    def models(self) -> list[type[BaseModel]]:
        """The Schema classes that the value can be, narrowed by the `kind` or `stage` that it names."""
        return [model for model in self.any_models() if _fits(model, self.data)]

    def any_models(self) -> list[type[BaseModel]]:
        """Every Schema class of the annotation."""
        return [branch for branch in _branches(self.annotation) if _is_model(branch)]

    def names(self) -> list[str]:
        """The keys that are known here."""
        return sorted({name for model in self.models() for name in model.model_fields})

    def child(self, step: Any) -> _Place | None:
        """The place one step down, or None where the step is no key or index but pydantic's name of a union member."""
        inside = self.data[step] if _has(self.data, step) else None
        for model in self.models():
            if step in model.model_fields:
                return _Place(_annotation(model, step), inside, [*self.path, str(step)])
        for branch in _branches(self.annotation):
            origin, arguments = typing.get_origin(branch), typing.get_args(branch)
            holds = isinstance(step, int) if origin in (list, tuple) else origin is dict and _has(self.data, step)
            if holds and arguments:
                return _Place(arguments[1] if origin is dict else arguments[0], inside, [*self.path, str(step)])
        return None


def _has(data: Any, step: Any) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, (list, tuple)) and isinstance(step, int) and step < len(data)


def _locate(kind: Any, data: Any, item: Any) -> _Place:
    """Follow pydantic's location through annotation and data, leaving out the names it adds for members of unions."""
    place, tagged = _Place(kind, data), _is_tagged(kind)
    for step in item["loc"]:
        if tagged:
            tagged = False
            continue
        found = place.child(step)
        if found is not None:
            place, tagged = found, _is_tagged(found.annotation)
    if item["type"] in {"extra_forbidden", "invalid_key"}:
        place.path.append(str(item["loc"][-1]))
    return place


def _annotation(model: type[BaseModel], name: str) -> Any:
    """A field's annotation with what pydantic moved from it into the field: the discriminator."""
    info = model.model_fields[name]
    return Annotated[info.annotation, info]


def _is_tagged(annotation: Any) -> bool:
    """Whether pydantic puts a tag into the location: the annotation is a union by `kind` or `stage`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return any(getattr(extra, "discriminator", None) for extra in arguments[1:]) or _is_tagged(arguments[0])
    members = [member for member in arguments if member is not type(None)]
    return origin in (typing.Union, types.UnionType) and len(members) == 1 and _is_tagged(members[0])


def _branches(annotation: Any) -> Iterator[Any]:
    """The members of a union, or the annotation itself."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from _branches(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _branches(argument)
    else:
        yield annotation


def _is_model(branch: Any) -> bool:
    return isinstance(branch, type) and issubclass(branch, BaseModel)


def _fits(model: type[BaseModel], data: Any) -> bool:
    given = {"kind": data} if isinstance(data, str) else data
    for tag, names in _tags(model).items():
        if isinstance(given, dict) and tag in given:
            return given[tag] in names
    return True


def _tags(model: type[BaseModel]) -> dict[str, tuple[Any, ...]]:
    fields = model.model_fields
    return {tag: typing.get_args(fields[tag].annotation) for tag in ("kind", "stage") if tag in fields}


def _text(item: Any, place: _Place, hint: Hint | None) -> str:
    kind, context, got = item["type"], item.get("ctx", {}), _short(item.get("input"))
    if kind == "extra_forbidden":
        return _unknown(place, hint)
    if kind == "missing":
        return "is required"
    if kind == "invalid_key" or item["loc"][-1:] == ("[key]",):
        return f"a name must be text, got {got}; put it in quotes"
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return f"needs `{tag}` ({', '.join(name for model in place.any_models() for name in _tags(model)[tag])})"
    if kind in MUST_BE:
        known = f" (known here: {', '.join(place.names())})" if "key" in MUST_BE[kind] and place.names() else ""
        return f"must be {MUST_BE[kind]}{known}, got {got}"
    return _words(item["msg"], kind, context, got)


def _words(text: str, kind: str, context: dict[str, Any], got: str) -> str:
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return f"must be {text.removeprefix('Input should be ')}, got {got}"
    if kind in {"too_short", "too_long"}:
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"must have {bound} of them, got {context['actual_length']}"
    if kind == "literal_error":
        return f"must be one of {context['expected'].replace(' or ', ', ')}, got {got}"
    if kind == "union_tag_invalid":
        names = context["expected_tags"].replace("'", "").split(", ")
        near = difflib.get_close_matches(str(context["tag"]), names, 1)
        guess = f", did you mean `{near[0]}`?" if near else ""
        return (
            f"unknown {context['discriminator'].strip(chr(39))} `{context['tag']}`{guess} (known: {', '.join(names)})"
        )
    if kind == "value_error":
        return str(context["error"])
    return f"{text[0].lower()}{text[1:]}, got {got}".replace("input should", "should", 1)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(place: _Place, hint: Hint | None) -> str:
    """The text for a key that nobody knows here: another kind's, a peer's name for ours, or a slip of the pen."""
    *parents, key = place.path
    owners = [str(name) for model in place.any_models() if key in model.model_fields for name in _kinds(model)]
    if owners:
        return f"unknown key here; `{key}` belongs to `kind: {' | '.join(owners)}`"
    better = hint(".".join(parents), key) if hint else None
    near = difflib.get_close_matches(key, place.names(), 1, cutoff=0.6)
    if better or not near:
        return better or f"unknown key (known here: {', '.join(place.names())})"
    return f"unknown key, did you mean `{near[0]}`?"


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return _tags(model).get("kind", ())


def field_paths(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key path of a recipe class, once each, through unions, lists and nested classes."""
    yield from dict.fromkeys(_paths(kind, prefix))


def _paths(kind: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, info in kind.model_fields.items():
        yield f"{prefix}{name}"
        for model in _nested(info.annotation):
            yield from _paths(model, f"{prefix}{name}.")


def _nested(annotation: Any) -> Iterator[type[BaseModel]]:
    for branch in _branches(annotation):
        if _is_model(branch):
            yield branch
        for argument in typing.get_args(branch) if typing.get_origin(branch) in (list, tuple, dict) else ():
            yield from _nested(argument)
