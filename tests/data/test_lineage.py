"""Licences: what a recipe says goes before the table, what is unknown is no permission, and what terms forbid is told."""

from __future__ import annotations

import pytest

from seodang.data.lineage import UNKNOWN, Lineage, allows, known_sets, licenses

FORBIDS = [
    ("apache-2.0", "", ()),
    ("cc-by-nc-4.0", "", ("commercial",)),
    ("cc-by-nd-4.0", "", ("derivatives",)),
    ("cc-by-nc-nd-4.0", "", ("commercial", "derivatives")),
    ("mit", "aihub", ("redistribution",)),
    (UNKNOWN, "nikl", ("redistribution",)),
    (UNKNOWN, "", ()),
    ("a licence of its own", "", ()),
]


@pytest.mark.parametrize(("license", "terms", "forbids"), FORBIDS)
def test_what_terms_forbid(license: str, terms: str, forbids: tuple[str, ...]) -> None:
    assert Lineage(license=license, terms=terms).forbids == forbids


def test_a_known_set_is_filled_in_whatever_the_case_of_its_name() -> None:
    found = Lineage.of_set("bingsu/KO_alpaca_data", revision="abc")
    assert (found.license, found.revision) == ("cc-by-nc-4.0", "abc")
    assert found.upstream[0] == "tatsu-lab/alpaca"


def test_the_recipe_goes_before_the_table() -> None:
    found = Lineage.of_set("Bingsu/ko_alpaca_data", license="MIT", upstream=["내가 쓴 글"])
    assert (found.license, found.upstream) == ("mit", ("내가 쓴 글",))


def test_a_set_that_nobody_knows_is_under_an_unknown_licence() -> None:
    assert Lineage.of_set("someone/something").license == UNKNOWN
    assert Lineage.of_set("beomi/KoAlpaca-v1.1a").license == UNKNOWN


def test_a_row_says_what_is_known_and_nothing_else() -> None:
    assert Lineage.of_set("").to_row() == {}
    assert Lineage.of_set("", license="MIT").to_row() == {"license": "mit"}
    told = Lineage.of_set("모두의 말뭉치", "2.1").to_row()
    assert told == {"name": "모두의 말뭉치", "revision": "2.1", "license": UNKNOWN, "terms": "nikl"}


def test_a_row_brings_its_lineage_with_it() -> None:
    own, default = Lineage.of_set("klue/klue", "v1.1"), Lineage.of_set("a/b", license="mit")
    assert Lineage.of_row({"lineage": own.to_row()}, default) == own
    for row in (None, {}, {"lineage": None}, {"lineage": "mit"}, {"lineage": ["mit"]}):
        assert Lineage.of_row(row, default) == default
    assert Lineage.of_row({"lineage": {"upstream": "x", "name": 3}}, default) == Lineage(name="3")


@pytest.mark.parametrize(("allowed", "license", "is_allowed"), [
    (["MIT", "apache-2.0"], "mit", True),
    (["mit"], "apache-2.0", False),
    (["mit"], UNKNOWN, False),
    (["mit", "unknown"], UNKNOWN, True),
    ([], "mit", False),
])  # fmt: skip
def test_which_licences_are_allowed(allowed: list[str], license: str, is_allowed: bool) -> None:
    assert allows(allowed, license) is is_allowed


def test_the_tables_agree_with_each_other() -> None:
    table = licenses()
    for name, one in known_sets().items():
        assert one.license == UNKNOWN or one.license in table.licenses, name
        assert one.terms is None or one.terms in table.terms, name
        assert one.source, name
    assert len(known_sets()) >= 35
