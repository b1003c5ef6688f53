"""Batches on disk: what is whole is restored, what is torn is cut off, and other rows begin anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang.data.batches import Judged
from seodang.data.spill import FOLDER, Spill


def batch(*texts: str) -> Judged:
    made = Judged()
    for text in texts:
        made.drop("empty", {"text": text})
    return made


def stored(folder: Path, header: str = "h") -> list[tuple[int, list[int]]]:
    with Spill(folder, header) as spill:
        return [(source, list(found.sizes)) for source, found in spill.restored()]


def fill(folder: Path) -> None:
    with Spill(folder, "h") as spill:
        assert list(spill.restored()) == []
        spill.add(0, batch("가", "나나"))
        spill.add(0, batch("다"))
        spill.add(1, batch("라라라"))


def test_lines_are_read_back_by_their_place(tmp_path: Path) -> None:
    with Spill(tmp_path, "h") as spill:
        list(spill.restored())
        first = batch("가", "나나")
        lines = list(first.lines)
        spill.add(0, first)
        assert first.lines == []
        assert spill.line(0, len(lines[0])) == lines[0]
        assert spill.line(len(lines[0]), len(lines[1])) == lines[1]


def test_what_is_whole_is_restored_and_added_to(tmp_path: Path) -> None:
    fill(tmp_path)
    found = stored(tmp_path)
    assert [source for source, _ in found] == [0, 0, 1]
    with Spill(tmp_path, "h") as spill:
        sizes = [size for _, one in spill.restored() for size in one.sizes]
        last = batch("마")
        line = last.lines[0]
        spill.add(1, last)
        assert spill.line(sum(sizes), len(line)) == line
    assert [source for source, _ in stored(tmp_path)] == [0, 0, 1, 1]


@pytest.mark.parametrize("name", ["rows", "batches"])
@pytest.mark.parametrize("cut", [1, 5, 40, 10_000])
def test_what_is_torn_is_cut_off(tmp_path: Path, name: str, cut: int) -> None:
    fill(tmp_path)
    whole, path = stored(tmp_path), tmp_path / FOLDER / name
    path.write_bytes(path.read_bytes()[:-cut])
    found = stored(tmp_path)
    assert found == whole[: len(found)]
    assert len(found) < 3
    sizes = sum(size for _, one in found for size in one)
    assert (tmp_path / FOLDER / "rows").stat().st_size == sizes
    assert stored(tmp_path) == found


@pytest.mark.parametrize("name", ["rows", "batches"])
def test_a_changed_byte_is_noticed(tmp_path: Path, name: str) -> None:
    fill(tmp_path)
    path = tmp_path / FOLDER / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    assert len(stored(tmp_path)) == 2


def test_other_rows_begin_anew(tmp_path: Path) -> None:
    fill(tmp_path)
    assert stored(tmp_path, "other") == []
    assert (tmp_path / FOLDER / "rows").stat().st_size == 0
    assert stored(tmp_path) == []


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    fill(tmp_path)
    Spill(tmp_path, "h").discard()
    assert list(tmp_path.iterdir()) == []
