"""What every format has: a kind, what it makes, the columns it reads; and the table of column names."""

from __future__ import annotations

from typing import get_args

import pytest

from seodang.data.formats import Known, RowFormat
from seodang.data.formats.row_format import Columns, column_names, first_of, numbered

PROVENANCE = {"id", "guid", "uuid", "url", "link", "source", "data_source", "split", "__index_level_0__"}


@pytest.mark.parametrize("kind", get_args(Known))
def test_every_format_says_what_it_makes(kind: type[RowFormat]) -> None:
    assert kind.makes in ("messages", "preference", "prompt", "text")
    assert kind.__doc__ and kind.parse.__doc__
    assert kind.fits({"url": "https://example.org", "id": 1}) is None


def test_provenance_is_the_name_of_no_part() -> None:
    named = {name for _, names in column_names() for name in names}
    assert named & PROVENANCE == set()
    assert set(Columns.model_fields) == {part for part, _ in column_names()}


def test_the_first_name_that_is_there() -> None:
    assert first_of(("output", "response"), {"response": 1, "output": 2}) == "output"
    assert first_of(("output",), {"response": 1}) is None


def test_parts_are_numbered_where_there_are_several() -> None:
    assert list(numbered(["가"], "a:1")) == [("가", "a:1")]
    assert list(numbered(["가", "나"], "a:1")) == [("가", "a:1#1"), ("나", "a:1#2")]
