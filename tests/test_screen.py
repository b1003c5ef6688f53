"""Steps, commands and paragraphs on 80 columns, where a syllable takes two."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from seodang.language import columns
from seodang.screen import ROOM, WIDTH, Screen, clipped, duration


def screen(terminal: bool = False) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=WIDTH, highlight=False, force_terminal=terminal)), out


def test_headings_are_counted_and_what_follows_is_indented() -> None:
    shown, out = screen()
    shown.heading("One")
    shown.command("seodang run x.yaml [a]")
    shown.line("made [b] of {c}")
    shown.heading("Two")
    assert out.getvalue() == "\n1  One\n   $ seodang run x.yaml [a]\n   made [b] of {c}\n\n2  Two\n"


def test_a_paragraph_is_broken_at_80_columns_and_a_command_is_not() -> None:
    shown, out = screen()
    shown.line("가나다 " * 40)
    assert max(map(columns, out.getvalue().splitlines())) <= WIDTH
    assert len(out.getvalue().splitlines()) > 2
    shown, out = screen()
    shown.command("seodang run " + "x" * 100)
    assert len(out.getvalue().splitlines()) == 1


def test_colours_are_for_terminals() -> None:
    for terminal in (False, True):
        shown, out = screen(terminal)
        shown.line("mind", style="red")
        assert shown.has_colours is terminal
        assert ("\x1b[31m" in out.getvalue()) is terminal


def test_without_a_console_it_is_stdout_at_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().line("x " * 100)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= WIDTH


@pytest.mark.parametrize(
    ("text", "width", "cut"),
    [
        ("짧다", 10, "짧다"),
        ("두\n  줄이다", 20, "두 줄이다"),
        ("가나다라마", 10, "가나다라마"),
        ("가나다라마바", 10, "가나다라…"),
        ("abcdefghijk", 10, "abcdefghi…"),
        ("가나 다라", 6, "가나…"),
        ("", 5, ""),
    ],
)
def test_clipped(text: str, width: int, cut: str) -> None:
    assert clipped(text, width) == cut
    assert columns(clipped(text * 50)) <= ROOM


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3599, "60 min"),
        (5999, "100 min"),
        (6000, "1.7 h"),
        (90000, "25.0 h"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said
