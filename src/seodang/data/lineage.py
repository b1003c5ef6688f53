"""Where rows come from and what may be done with them: name, revision, licence and upstream chain of every source.

data_sets/known.yaml holds what public Korean sets say of themselves, data_sets/licenses.yaml what the licences forbid.
A recipe's own words go before the table; what neither tells is `unknown`, which is no permission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from seodang.packaged import find, load
from seodang.schema import Schema

FOLDER = "data_sets"
UNKNOWN = "unknown"
"""The licence of a set that states none, or of which none is known."""


class KnownSet(Schema):
    """A public set as its card, or who looked at it, describes it."""

    license: str = UNKNOWN
    upstream: tuple[str, ...] = ()
    """What it was made from, the nearest first: sets, models, sites."""
    terms: str | None = None
    """Terms beside the licence: a key of `terms` in licenses.yaml."""
    source: str
    """Where this is known from."""
    note: str = ""
    """What is odd about it: a licence that contradicts its upstream's, or that has changed."""


class Terms(Schema):
    """What a licence, or the terms of a site, forbids or asks for."""

    commercial: bool = True
    derivatives: bool = True
    """Whether changed rows, as `prepare` makes them, may be passed on."""
    redistribution: bool = True
    share_alike: bool = False


class Licenses(Schema):
    """data_sets/licenses.yaml."""

    licenses: dict[str, Terms]
    terms: dict[str, Terms]
    """Terms of sites that a set's card does not name as a licence."""


class KnownSets(Schema):
    """data_sets/known.yaml."""

    sets: dict[str, KnownSet]


@lru_cache(maxsize=1)
def known_sets() -> dict[str, KnownSet]:
    """Sets by their names in lower case."""
    return {name.lower(): one for name, one in load(find(FOLDER, "known"), KnownSets).sets.items()}


@lru_cache(maxsize=1)
def licenses() -> Licenses:
    """The table of licences."""
    return load(find(FOLDER, "licenses"), Licenses)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a row comes from, beyond its file and line."""

    name: str = ""
    revision: str = ""
    license: str = UNKNOWN
    upstream: tuple[str, ...] = ()
    terms: str = ""

    @classmethod
    def of_set(cls, name: str, revision: str = "", license: str | None = None, upstream: Sequence[str] = ()) -> Self:
        """The lineage of a source: what the recipe says, and what the table knows where the recipe is silent."""
        known = known_sets().get(name.lower())
        if known is None:
            return cls(name, revision, (license or UNKNOWN).lower(), tuple(upstream))
        chain = tuple(upstream) or known.upstream
        return cls(name, revision, (license or known.license).lower(), chain, known.terms or "")

    @classmethod
    def of_row(cls, row: Mapping[str, Any] | None, default: Lineage) -> Lineage:
        """The lineage that a row of an earlier run brings with it, else the default."""
        told = row.get("lineage") if row else None
        if not isinstance(told, dict):
            return default
        upstream = told.get("upstream")
        names = tuple(map(str, upstream)) if isinstance(upstream, list) else ()
        texts = {key: str(told.get(key) or "") for key in ("name", "revision", "terms")}
        return Lineage(license=str(told.get("license") or UNKNOWN), upstream=names, **texts)

    def to_row(self) -> dict[str, Any]:
        """What a written row says of it; empty where nothing is known."""
        if self == Lineage():
            return {}
        told: dict[str, Any] = {"name": self.name, "revision": self.revision, "license": self.license}
        told |= {"upstream": list(self.upstream), "terms": self.terms}
        return {key: value for key, value in told.items() if value}

    @property
    def forbids(self) -> tuple[str, ...]:
        """What is forbidden: `commercial`, `derivatives`, `redistribution`, as far as the tables tell."""
        table = licenses()
        found = [table.licenses.get(self.license), table.terms.get(self.terms)]
        keys = ("commercial", "derivatives", "redistribution")
        return tuple(key for key in keys if any(one is not None and not getattr(one, key) for one in found))


def allows(allowed: Sequence[str], license: str) -> bool:
    """Whether a licence stands in a list; upper and lower case are one."""
    return license.lower() in {one.lower() for one in allowed}
