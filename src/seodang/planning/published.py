"""The published shapes of models that the recipes train, for a plan before anything is fetched (published.yaml)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

from seodang.schema import Schema


class Published(Schema):
    """A model's shape as it was published, and where it was read."""

    source: str
    verified: bool
    """Whether it is the model's config.json; else it was put together from what is written about the model."""
    config: dict[str, Any]


def published(name: str) -> Published | None:
    """The published shape of a model on the Hub, or None where it is not known here."""
    return _table().get(name)


@lru_cache
def _table() -> dict[str, Published]:
    import yaml

    text = files("seodang").joinpath("planning/published.yaml").read_text(encoding="utf-8")
    return {name: Published.model_validate(entry) for name, entry in yaml.safe_load(text).items()}
