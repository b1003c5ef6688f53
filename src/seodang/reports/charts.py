"""Curves and histograms as inline SVG that follows the page's light or dark colours; drawn by matplotlib.

Figures hold numbers and two fixed axis names only: no font is certain to know Hangul, so titles and legends are HTML,
and the names are put into the user's language after they are drawn.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, pairwise
from typing import TYPE_CHECKING, TypeAlias

from seodang.language import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve: TypeAlias = Sequence[tuple[float, float]]

SIZE = (5.4, 2.5)
MOST_POINTS = 400
MOST_BINS = 30
STEP, COUNT = "step", "count"
INK, FAINT = "#0a0b0c", "#0a0b0d"
SERIES = ("#0a0b10", "#0a0b11", "#0a0b12", "#0a0b13")
COLOURS = {INK: "var(--ink)", FAINT: "var(--line)"} | {c: f"var(--series-{i})" for i, c in enumerate(SERIES)}
"""Colours that matplotlib is given → what stands in the page: CSS variables, so that one drawing serves both themes."""


def curves(series: Mapping[str, Curve]) -> str:
    """Lines over steps, in the order of the page's series colours. Empty where nothing is to be drawn."""
    drawn = [_thin(_finite(points)) for points in series.values()]
    if not any(drawn):
        return ""

    def draw(axes: Axes) -> None:
        for points, colour in zip(drawn, cycle(SERIES), strict=False):
            marker = "o" if len(points) < 3 else None
            axes.plot([x for x, _ in points], [y for _, y in points], color=colour, marker=marker, markersize=4)
        axes.set_xlabel(STEP)

    return _drawing(draw, salt=str(drawn))


def histogram(edges: Sequence[float], counts: Sequence[float]) -> str:
    """Bars over bins; `edges` has one number more than `counts`. Empty where nothing was counted."""
    if not any(counts):
        return ""

    def draw(axes: Axes) -> None:
        widths = [0.92 * (right - left) for left, right in pairwise(edges)]
        axes.bar(edges[:-1], counts, width=widths, align="edge", color=SERIES[0])
        axes.set_ylabel(COUNT)

    return _drawing(draw, salt=f"{edges} {counts}")


def bin_values(values: Sequence[float]) -> tuple[list[float], list[int]]:
    """(edges, counts) over equal bins: twice as many as Sturges' rule gives, at most MOST_BINS.

    Bins of whole numbers are whole numbers wide, so that none is empty for want of a number in it.
    """
    finite = sorted(value for value in values if math.isfinite(value))
    if not finite:
        return [], []
    low, high = finite[0], finite[-1]
    bins = min(MOST_BINS, 2 * math.ceil(math.log2(len(finite)) + 1))
    width = (high - low) / bins
    if all(float(value).is_integer() for value in finite):
        width = math.ceil((high - low + 1) / bins)
        bins = math.floor((high - low) / width) + 1
    elif low == high:
        width, bins = 1.0, 1
    counts = [0] * bins
    for value in finite:
        counts[min(int((value - low) / width), bins - 1)] += 1
    return [low + width * i for i in range(bins + 1)], counts


def binned(counts: Mapping[int, int]) -> dict[str, list[float] | list[int]]:
    """A histogram as a report holds it, of whole numbers that are counted already."""
    edges, heights = bin_values([value for value, count in counts.items() for _ in range(count)])
    return {"edges": edges, "counts": heights}


def _finite(points: Curve) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS points: means over neighbours, so that a long curve neither hides nor invents its noise."""
    size = math.ceil(len(points) / MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size or 1)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _drawing(draw: Callable[[Axes], None], salt: str) -> str:
    """The SVG of what `draw` puts on new axes; matplotlib's global state stays as it was."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9, "lines.linewidth": 1.6}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        _quiet(axes)
        draw(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue())


def _quiet(axes: Axes) -> None:
    """Thin lines, a grid behind, no box."""
    axes.set_facecolor("none")
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    for name in ("top", "right", "left"):
        axes.spines[name].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_color(INK)
    axes.margins(x=0.02)


def _inline(text: str) -> str:
    """A drawing as an <svg> element of a page: no prolog, no fixed size, no style or id that reaches beyond itself."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)[ >].*?</\1>", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([\w.]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    for colour, variable in COLOURS.items():
        rest = rest.replace(colour, variable)
    for name in (STEP, COUNT):  # only now: matplotlib has no font for Hangul, browsers have
        rest = rest.replace(f">{name}</text>", f">{label(name)}</text>")
    return f'{head} role="img">{rest}'.strip()
