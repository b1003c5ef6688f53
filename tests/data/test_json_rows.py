"""Rows out of JSON through a window: whatever its size, the rows, their places and their faults are the same."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from seodang.data import json_rows
from seodang.data.json_rows import Window, array_rows, first_object, line_rows, object_rows, wrapped_rows, wrapper
from seodang.errors import DataError

ROWS = [{"text": f"{number}번째 글", "n": [number, {"deep": "가" * number}]} for number in range(40)]


def told(rows: Any) -> list[Any]:
    return [(str(row) if isinstance(row, DataError) else row, place) for row, place in rows]


LAYOUTS = [
    (array_rows, json.dumps(ROWS, ensure_ascii=False)),
    (array_rows, json.dumps(ROWS, ensure_ascii=False, indent=2)),
    (object_rows, "\n".join(json.dumps(row, ensure_ascii=False, indent=1) for row in ROWS)),
    (array_rows, json.dumps(ROWS, ensure_ascii=False, indent=2)[:-40]),
    (array_rows, json.dumps(ROWS, ensure_ascii=False, indent=2).replace('"7번째', '7번째"')),
    (array_rows, json.dumps(ROWS, ensure_ascii=False).replace("}, {", "} {")),
    (object_rows, "\n".join(json.dumps(row) for row in ROWS) + "[1]"),
    (array_rows, '[1234567, true, {"a": 1}, 12.5e3]'),
]


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
@pytest.mark.parametrize(("reader", "text"), LAYOUTS)
def test_the_window_changes_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int, reader: Any, text: str) -> None:
    whole = told(reader(io.BytesIO(text.encode()), "a", "utf-8"))
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    assert told(reader(io.BytesIO(text.encode()), "a", "utf-8")) == whole
    assert len(whole) >= 1


def test_memory_holds_a_row_and_not_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", 256)
    sizes = []
    more = Window.more

    def spied(self: Window) -> None:
        more(self)
        sizes.append(len(self.text))

    monkeypatch.setattr(Window, "more", spied)
    rows = [{"text": "가나다라마바사"}] * 5000
    assert sum(1 for _ in array_rows(io.BytesIO(json.dumps(rows).encode()), "a", "utf-8")) == 5000
    assert max(sizes) < 1000


def test_broken_bytes_in_an_array_cost_their_row() -> None:
    data = '[{"a": "가"}, {"a": "'.encode() + "똠".encode("cp949") + '"}, {"a": "다"}]'.encode()
    (first, _), (error, place), (last, _) = array_rows(io.BytesIO(data), "a.json", "utf-8")
    assert (first, last, place) == ({"a": "가"}, {"a": "다"}, "a.json:2")
    assert str(error).startswith(
        "a.json:2: not UTF-8 (byte 0x8c), unlike the rest of the file; the line reads as CP949"
    )
    assert isinstance(error, DataError)
    assert error.values["raw"] == '{"a": "똠"}'


def test_a_row_that_never_ends_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "LONGEST", 5000)
    monkeypatch.setattr(json_rows, "_CHUNK", 512)
    data = '[{"a": 1}, {"a": "' + "x" * 100_000
    (_, _), (error, place) = array_rows(io.BytesIO(data.encode()), "a.json", "utf-8")
    assert str(error).startswith("a.json:1: longer than 5,000 characters.")
    assert place == "a.json:1"


WRAPPERS = [
    ({"data": [{"a": 1}]}, "data"),
    ({"id": "NIKL", "document": [{"utterance": []}]}, "document"),
    ({"data": []}, None),
    ({"data": [1]}, None),
    ({"instruction": "?", "rows": "글"}, None),
]


@pytest.mark.parametrize(("row", "key"), WRAPPERS)
def test_which_key_wraps_the_rows(row: dict[str, Any], key: str | None) -> None:
    assert wrapper(row) == key


def test_wrapped_rows() -> None:
    file = io.BytesIO(json.dumps({"version": 1, "data": [{"a": 1}, {"a": 2}]}, indent=1).encode())
    assert list(wrapped_rows(file, "a.json", "utf-8", "data")) == [({"a": 1}, "a.json:1"), ({"a": 2}, "a.json:2")]


FIRST = [
    ('{"a": 1}', ({"a": 1}, True)),
    ('{"a": 1}\n{', ({"a": 1}, False)),
    ('{"a": ', (None, False)),
    ("[1]", (None, True)),
]


@pytest.mark.parametrize(("text", "found"), FIRST)
def test_the_first_object(text: str, found: Any) -> None:
    assert first_object(io.BytesIO(text.encode()), "utf-8") == found


def test_lines_of_half_a_surrogate_pair_are_read() -> None:
    assert next(line_rows(iter([(1, b'{"a": "\\ud83d"}')]), "a", "utf-8")) == ({"a": "\ud83d"}, "a:1")


def test_a_number_keeps_all_its_digits() -> None:
    [(row, _)] = line_rows(iter([(1, b'{"id": 123456789012345678901234567890}')]), "a", "utf-8")
    assert row == {"id": 123456789012345678901234567890}
