"""What a command shows step by step: numbered headings, commands to type, paragraphs and tables, on 80 columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seodang.language import columns, say

if TYPE_CHECKING:
    from rich.console import Console

WIDTH, INDENT = 80, 3
ROOM = WIDTH - INDENT
"""Columns of a line of text."""


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=WIDTH)


@dataclass(slots=True)
class Screen:
    """Where steps are shown: stdout, or the console that is given."""

    console: Console = field(default_factory=_console)
    steps: int = 0

    @property
    def has_colours(self) -> bool:
        """Whether somebody looks at a terminal."""
        return self.console.is_terminal

    def heading(self, title: str) -> None:
        """Begin a step, with its number."""
        self.steps += 1
        self.console.print()
        self.console.print(f"{self.steps}  {title}", style="bold", markup=False)

    def command(self, text: str) -> None:
        """A line that the reader could type."""
        self.console.print(f"{' ' * INDENT}$ {text}", style="cyan", markup=False, soft_wrap=True)

    def line(self, text: Any, style: str = "") -> None:
        """A paragraph, plain or a rich Text, or a table."""
        from rich.padding import Padding
        from rich.text import Text

        shown = Text(text, style=style) if isinstance(text, str) else text
        self.console.print(Padding(shown, (0, 0, 0, INDENT), expand=False))


def clipped(text: str, width: int = ROOM) -> str:
    """The text on one line, cut to a width in columns of a terminal."""
    flat = " ".join(text.split())
    if columns(flat) <= width:
        return flat
    while columns(flat) > width - 1:
        flat = flat[:-1]
    return flat.rstrip() + "…"


def duration(seconds: float) -> str:
    """A time in the unit that says most: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return say("{count:.0f} s", count=seconds)
    if seconds < 6000:
        return say("{count:.0f} min", count=seconds / 60)
    return say("{count:.1f} h", count=seconds / 3600)
