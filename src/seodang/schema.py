"""The strict base of everything a user writes: unknown keys forbidden, frozen, all mistakes at once with their path.

`check_schema(kind, data)` validates with pydantic and turns what it found into `Mistake`s that speak the user's words:
the dotted path of YAML, override, Python and error text is one and the same.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Callable, Iterable, Iterator
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
from seodang.language import Phrase, joined

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

KINDS = {
    name: what
    for what, names in {
        Phrase("text"): "string_type",
        Phrase("a whole number"): "int_type int_parsing int_from_float",
        Phrase("a number"): "float_type float_parsing",
        Phrase("a finite number"): "finite_number",
        Phrase("true or false"): "bool_type bool_parsing",
        Phrase("a list"): "tuple_type list_type",
        Phrase("keys with values"): "dict_type model_type model_attributes_type",
    }.items()
    for name in names.split()
}
"""Pydantic's error type → what the value must be, in the words of someone who writes YAML."""


def check_schema(kind: type[T] | Any, data: Any, hint: Hint | None = None) -> tuple[T | None, list[Mistake]]:
    """Validate `data` as `kind`. Returns (object, []) or (None, every mistake)."""
    found: dict[str, list[Phrase]] = {}
    result: T | None = None
    try:
        result = TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            place = _locate(kind, data, item)
            text = _text(item, place, hint)
            found.setdefault(".".join(place.path), []).append(text)
    for place in _bools_for_numbers(_Place(kind, data)):
        found.setdefault(".".join(place.path), [_must_be(Phrase("a number"), str(place.data))])
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


def _has_deeper(path: str, found: dict[str, list[Phrase]]) -> bool:
    """`['q', 5]` for `str | tuple[str, ...]` is not text, and its item 1 is not text: only the second helps."""
    return any(other.startswith(f"{path}.") for other in found)


MUST_BE, GOT = "must be {what}", "{fault}, got {got}"


def _got(fault: str, got: str) -> Phrase:
    return Phrase(GOT, fault=Phrase(fault), got=got)


def _must_be(what: Phrase, got: str) -> Phrase:
    return _got(Phrase(MUST_BE, what=what), got)


def _wanted(text: Phrase) -> Phrase | None:
    """What the value must be, where that is what the text says."""
    fault = text.values["fault"] if text.text == GOT else None
    what = fault.values["what"] if isinstance(fault, Phrase) and fault.text == MUST_BE else None
    return what if isinstance(what, Phrase) else None


def _joined(texts: list[Phrase]) -> Phrase:
    """One text for the members of a union that each refused the value: `must be text or a number, got []`."""
    first, *others = dict.fromkeys(texts)
    head, more = _wanted(first), [what for text in others if (what := _wanted(text))]
    if head is None or not more:
        return first
    return _must_be(joined(" or ", [head, *more]), str(first.values["got"]))


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


def _text(item: Any, place: _Place, hint: Hint | None) -> Phrase:
    kind, context, got = item["type"], item.get("ctx", {}), _short(item.get("input"))
    if kind == "extra_forbidden":
        return _unknown(place, hint)
    if kind == "missing":
        return Phrase("is required")
    if kind == "invalid_key" or item["loc"][-1:] == ("[key]",):
        return Phrase("a name must be text, got {got}; put it in quotes", got=got)
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        names = ", ".join(name for model in place.any_models() for name in _tags(model)[tag])
        return Phrase("needs `{tag}` ({names})", tag=tag, names=names)
    if kind in KINDS:
        known = place.names() if kind in ("dict_type", "model_type", "model_attributes_type") else []
        text = "{what} (known here: {names})"
        return _must_be(Phrase(text, what=KINDS[kind], names=", ".join(known)) if known else KINDS[kind], got)
    return _words(item["msg"], kind, context, got)


def _words(text: str, kind: str, context: dict[str, Any], got: str) -> Phrase:
    if kind in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        return _must_be(_bound(kind, text.rpartition(" ")[2]), got)
    if kind in {"too_short", "too_long"}:
        bound = context["min_length"] if kind == "too_short" else context["max_length"]
        few, many = "must have at least {bound} of them", "must have at most {bound} of them"
        return _got(Phrase(few if kind == "too_short" else many, bound=bound), str(context["actual_length"]))
    if kind == "literal_error":
        return _must_be(Phrase("one of {names}", names=context["expected"].replace(" or ", ", ")), got)
    if kind == "union_tag_invalid":
        names = context["expected_tags"].replace("'", "").split(", ")
        tag, value = context["discriminator"].strip("'"), str(context["tag"])
        guess, known = _guess(value, names), ", ".join(names)
        return Phrase("unknown {tag} `{value}`{guess} (known: {names})", tag=tag, value=value, guess=guess, names=known)
    if kind == "value_error":
        said = next(iter(context["error"].args), "")
        return said if isinstance(said, Phrase) else Phrase(str(context["error"]))
    return _got(Phrase(f"{text[0].lower()}{text[1:]}".replace("input should", "should", 1)), got)


def _bound(kind: str, bound: str) -> Phrase:
    return {
        "greater_than": Phrase("greater than {bound}", bound=bound),
        "greater_than_equal": Phrase("greater than or equal to {bound}", bound=bound),
        "less_than": Phrase("less than {bound}", bound=bound),
        "less_than_equal": Phrase("less than or equal to {bound}", bound=bound),
    }[kind]


def _guess(value: str, names: Iterable[str], cutoff: float = 0.6) -> Phrase:
    near = difflib.get_close_matches(value, list(names), 1, cutoff=cutoff)
    return Phrase(", did you mean `{near}`?", near=near[0]) if near else Phrase("")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _unknown(place: _Place, hint: Hint | None) -> Phrase:
    """The text for a key that nobody knows here: another kind's, a peer's name for ours, or a slip of the pen."""
    *parents, key = place.path
    owners = [str(name) for model in place.any_models() if key in model.model_fields for name in _kinds(model)]
    if owners:
        text = "unknown key here; `{key}` belongs to `kind: {kinds}`"
        return Phrase(text, key=key, kinds=" | ".join(owners))
    better = hint(".".join(parents), key) if hint else None
    guess = _guess(key, place.names())
    if better or not guess:
        return Phrase(better or Phrase("unknown key (known here: {names})", names=", ".join(place.names())))
    return Phrase("unknown key{guess}", guess=guess)


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
