"""What a user types becomes values: YAML with 1.2's booleans, overrides set in place."""

from __future__ import annotations

from typing import Any

import pytest

from seodang.overrides import first_key, read_yaml, set_override


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("no", "no"), ("on", "on"), ("off", "off"), ("yes", "yes"), ("y", "y"),
        ("3", 3), ("0.5", 0.5), ("null", None), ("", None), ("[1, 2]", [1, 2]), ("{on: no}", {"on": "no"}), ("한글", "한글"),
    ],
)  # fmt: skip
def test_yaml_values(text: str, value: Any) -> None:
    assert read_yaml(text) == value


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("a=1", {"a": 1, "list": [{"x": 1}], "loss": "sigmoid"}),
        ("--a=1", {"a": 1, "list": [{"x": 1}], "loss": "sigmoid"}),
        ("b.c.d=no", {"a": 0, "b": {"c": {"d": "no"}}, "list": [{"x": 1}], "loss": "sigmoid"}),
        ("list.0.x=5", {"a": 0, "list": [{"x": 5}], "loss": "sigmoid"}),
        ("loss.beta=2", {"a": 0, "list": [{"x": 1}], "loss": {"kind": "sigmoid", "beta": 2}}),
        ("a=x=y", {"a": "x=y", "list": [{"x": 1}], "loss": "sigmoid"}),
    ],
)
def test_an_override_is_set_in_place(override: str, changed: dict[str, Any]) -> None:
    data: dict[str, Any] = {"a": 0, "list": [{"x": 1}], "loss": "sigmoid"}
    origins: dict[str, str] = {}
    assert set_override(data, override, origins) is None
    assert data == changed
    assert list(origins.values()) == ["override"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("a", "`a` is not an override; write key.path=value"),
        ("=1", "`=1` is not an override"),
        ("a.b=1", "`a` has no keys to set"),
        ("a=[", "is not YAML"),
        ("list.7=1", "the list has no item `7`, only 0; counted from 0"),
        ("list.7.x=1", "the list has no item `7`, only 0; counted from 0"),
        ("list.x.y=1", "the list has no item `x`"),
    ],
)
def test_what_cannot_be_set_is_a_mistake_and_changes_nothing(override: str, said: str) -> None:
    data: dict[str, Any] = {"a": 0, "list": [{"x": 1}]}
    mistake = set_override(data, override, {})
    assert mistake is not None and said in mistake.text
    assert data == {"a": 0, "list": [{"x": 1}]}


def test_first_key() -> None:
    assert first_key("--adapter.r=3") == "adapter"
