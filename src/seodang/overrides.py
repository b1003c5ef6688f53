"""YAML values and `key.path=value` overrides: how what a user types becomes a dictionary."""

from __future__ import annotations

import re
from typing import Any

import yaml

from seodang.errors import Mistake
from seodang.language import Phrase


class Loader(yaml.SafeLoader):
    """YAML with 1.2's booleans: only true and false, so that `on:` is a key and `no` a word, as they were meant."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=Loader)


def first_key(override: str) -> str:
    """The first step of an override's key path."""
    return override.partition("=")[0].removeprefix("--").partition(".")[0]


def set_override(data: dict[str, Any], text: str, origins: dict[str, str]) -> Mistake | None:
    """Set `key.path=value` in a dictionary and note it in `origins`; returns the mistake where it cannot be set."""
    key, equals, value = text.partition("=")
    key = key.strip().removeprefix("--")
    if not equals or not key:
        return Mistake("", Phrase("`{text}` is not an override; write key.path=value", text=text))
    try:
        parsed = read_yaml(value)
    except yaml.YAMLError:
        return Mistake(key, Phrase("the value `{value}` of the override is not YAML", value=value))
    here: Any = data
    *parents, last = key.split(".")
    for step in parents:
        above, here = here, _step(here, step)
        if here is None:
            unset = Phrase("`{step}` has no keys to set", step=step)
            return Mistake(key, _no_item(above, step) if isinstance(above, list) else unset)
    if isinstance(here, list):
        if not last.isdigit() or int(last) >= len(here):
            return Mistake(key, _no_item(here, last))
        here[int(last)] = parsed
    else:
        here[last] = parsed
    origins[key] = Phrase("override")
    return None


def _no_item(items: list[Any], step: str) -> Phrase:
    there = ", ".join(map(str, range(len(items)))) or Phrase("none")
    return Phrase("the list has no item `{step}`, only {there}; counted from 0", step=step, there=there)


def _step(here: Any, step: str) -> Any:
    """One step down on the way to an override; what is unset or a bare `kind` becomes a dictionary."""
    if isinstance(here, list):
        return here[int(step)] if step.isdigit() and int(step) < len(here) else None
    there = here.get(step)
    if there is None or isinstance(there, str):
        here[step] = {} if there is None else {"kind": there}
    return here[step] if isinstance(here[step], (dict, list)) else None
