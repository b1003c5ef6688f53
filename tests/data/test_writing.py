"""The three files: all of them whole, or none; and answers that change places."""

from __future__ import annotations

from pathlib import Path

import pytest

from seodang.data.writing import Files
from seodang.runs import DROPPED, EVAL, TRAIN


def test_files_appear_together_once_they_are_whole(tmp_path: Path) -> None:
    with Files(tmp_path) as files:
        files.write(TRAIN, b"1")
        files.write(DROPPED, b"2")
        assert not any((tmp_path / name).exists() for name in (TRAIN, EVAL, DROPPED))
    assert [(tmp_path / name).read_bytes() for name in (TRAIN, EVAL, DROPPED)] == [b"1\n", b"", b"2\n"]
    assert len(list(tmp_path.iterdir())) == 3


def test_nothing_is_left_of_files_that_failed(tmp_path: Path) -> None:
    (tmp_path / TRAIN).write_text("before")
    with pytest.raises(KeyboardInterrupt), Files(tmp_path) as files:
        files.write(TRAIN, b"1")
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == [TRAIN]
    assert (tmp_path / TRAIN).read_text() == "before"
