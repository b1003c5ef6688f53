"""Progress goes to stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from seodang import progress as module
from seodang.progress import progress


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that is moved by hand: `clock[0] += seconds`."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("total", "note", "line"),
    [
        (50, "", "answers: 3/50"),
        (None, "", "answers: 3"),
        (50, "손실 1.25 [sft]", "answers: 3/50 손실 1.25 [sft]"),
    ],
)
def test_plain_lines_where_stderr_is_no_terminal(
    capsys: pytest.CaptureFixture[str], clock: list[float], total: int | None, note: str, line: str
) -> None:
    with progress("answers", total) as advance:
        advance(2)
        clock[0] += module.PLAIN_EVERY_SECONDS
        advance(note=note)

    assert capsys.readouterr() == ("", f"{line}\n")


def test_plain_lines_come_at_most_every_ten_seconds(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with progress("rows", 100) as advance:
        for _ in range(100):
            clock[0] += 1
            advance()

    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"rows: {n}/100" for n in range(10, 101, 10)]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("rows", 3) as advance:
        advance(3)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("label", "note"), [("answers", "ok"), ("sft [red]", "[/]"), ("쌍 만들기 [ko]", "[bold]")])
def test_a_bar_on_a_terminal_shows_label_and_note_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], label: str, note: str
) -> None:
    terminal = Terminal()
    for name, value in {"TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(module.sys, "stderr", terminal)

    with progress(label, 4) as advance:
        advance(3, note)

    assert label in terminal.getvalue()
    assert note in terminal.getvalue()
    assert "3/4" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_an_error_in_the_block_comes_out() -> None:
    with pytest.raises(KeyError), progress("rows", 3) as advance:
        advance()
        raise KeyError("row")
