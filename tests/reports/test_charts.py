"""Drawings are inline SVG from numbers alone: valid, the same every time, in the page's colours, within themselves."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest

from seodang.reports.charts import MOST_BINS, MOST_POINTS, _thin, bin_values, binned, curves, histogram

LOSS = [(step, 3 / (1 + step / 20)) for step in range(100)]
SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ElementTree.Element:
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    return root


def strokes(svg: str) -> list[str]:
    return re.findall(r"stroke: (var\(--series-\d\))", svg)


@pytest.mark.parametrize(
    ("series", "lines"),
    [
        ({"loss": LOSS}, ["var(--series-0)"]),
        ({"loss": LOSS, "eval_loss": LOSS[::25]}, ["var(--series-0)", "var(--series-1)"]),
        ({str(n): LOSS for n in range(5)}, [f"var(--series-{n % 4})" for n in range(5)]),
        ({"loss": [], "eval_loss": LOSS}, ["var(--series-1)"]),
    ],
)
def test_every_curve_has_the_colour_of_its_place(series: Any, lines: list[str]) -> None:
    svg = curves(series)

    parse(svg)
    assert strokes(svg) == lines


@pytest.mark.parametrize("points", [[(0, 1.0)], [(0, 1.0), (10, 0.5)]])
def test_a_curve_of_few_points_shows_them(points: list[tuple[float, float]]) -> None:
    assert "<use " in curves({"eval_loss": points})
    assert "<use " not in curves({"loss": LOSS})


@pytest.mark.parametrize("series", [{}, {"loss": []}, {"loss": [(1, math.nan)]}, {"loss": [(1, math.inf)]}])
def test_nothing_to_draw_is_an_empty_text(series: Any) -> None:
    assert curves(series) == ""


def test_what_is_no_number_is_left_out() -> None:
    points = [(0, 3.0), (1, math.nan), (2, 2.0), (3, -math.inf), (4, 1.0)]

    assert curves({"loss": points}) == curves({"loss": [(0, 3.0), (2, 2.0), (4, 1.0)]})


@pytest.mark.parametrize("draw", [lambda: curves({"loss": LOSS}), lambda: histogram([0, 1, 2, 3], [5, 0, 2])])
def test_a_drawing_stays_within_itself(draw: Any) -> None:
    svg = draw()

    root = parse(svg)
    assert draw() == svg
    assert {"width", "height"}.isdisjoint(root.attrib) and "viewBox" in root.attrib
    assert not root.findall(f".//{SVG}style") and not root.findall(f".//{SVG}metadata")
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", svg), "a fixed colour does not follow the theme"
    assert "var(--ink)" in svg and "var(--line)" in svg
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    assert ids == set(re.findall(r"#([\w.]+)", svg))


def test_two_drawings_share_no_id() -> None:
    found = [set(re.findall(r'\bid="([^"]+)"', curves({"loss": LOSS[:size]}))) for size in (50, 60)]

    assert found[0] and found[0].isdisjoint(found[1])


@pytest.mark.parametrize("name", ["손실", "$\\frac{", "</svg><script>alert(1)</script>", "loss & co"])
def test_a_name_never_reaches_the_drawing(name: str) -> None:
    svg = curves({name: LOSS})

    assert name not in svg and "script" not in svg
    assert svg == curves({"loss": LOSS})


def test_matplotlib_is_left_as_it_was() -> None:
    before = dict(matplotlib.rcParams)
    curves({"loss": LOSS})
    histogram([0, 1], [1])

    assert dict(matplotlib.rcParams) == before


def test_the_module_imports_no_plotting_until_it_draws() -> None:
    code = (
        "import sys, seodang.reports.html, seodang.reports.charts as c; "
        "assert 'matplotlib' not in sys.modules and 'jinja2' not in sys.modules; "
        "c.histogram([0, 1], [1]); "
        "assert not {'matplotlib.pyplot', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.parametrize(("edges", "counts"), [([], []), ([0, 1], [0]), ([0], [])])
def test_no_counts_no_histogram(edges: list[float], counts: list[float]) -> None:
    assert histogram(edges, counts) == ""


def test_a_histogram_has_a_bar_per_bin() -> None:
    svg = histogram([0, 10, 20, 30], [3, 0, 7])

    parse(svg)
    assert len(re.findall(r"fill: var\(--series-0\)", svg)) == 3


@pytest.mark.parametrize(
    ("values", "edges", "counts"),
    [
        ([], [], []),
        ([math.nan, math.inf], [], []),
        ([5], [5.0, 6.0], [1]),
        ([2, 2, 2], [2.0, 3.0], [3]),
        ([1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 1, 1, 1]),
        ([3, 4, 4, 5, 9, 12, 40], [3, 8, 13, 18, 23, 28, 33, 38, 43], [4, 2, 0, 0, 0, 0, 0, 1]),
        ([0.5, math.nan], [0.5, 1.5], [1]),
        ([0.0, 0.5, 0.5, 1.5], [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5], [1, 0, 2, 0, 0, 1]),
        ([0.25, 0.25], [0.25, 1.25], [2]),
    ],
)
def test_values_are_binned(values: list[float], edges: list[float], counts: list[int]) -> None:
    found = bin_values(values)

    assert found[1] == counts
    assert found[0] == pytest.approx(edges)


def test_counted_numbers_are_binned_as_the_numbers_are() -> None:
    values = [3, 3, 3, 9, 27, 27]
    edges, counts = bin_values(values)
    assert binned({3: 3, 9: 1, 27: 2}) == {"edges": edges, "counts": counts}
    assert binned({}) == {"edges": [], "counts": []}


@pytest.mark.parametrize("scale", [1, 7, 0.013])
def test_every_value_falls_into_its_bin(scale: float) -> None:
    values = [scale * ((n * 7919) % 1000) for n in range(3000)]
    edges, counts = bin_values(values)

    assert sum(counts) == len(values)
    assert len(counts) <= MOST_BINS and len(edges) == len(counts) + 1
    assert edges[0] <= min(values) and max(values) <= edges[-1] + 1e-9
    for index in (0, len(counts) // 2, len(counts) - 2):
        inside = sum(edges[index] - 1e-9 <= v < edges[index + 1] - 1e-9 for v in values)
        assert abs(inside - counts[index]) <= 3


def test_a_long_curve_is_thinned_by_means() -> None:
    points = [(float(step), float(step % 2)) for step in range(10 * MOST_POINTS)]
    thin = _thin(points)

    assert len(thin) == MOST_POINTS
    assert thin[0] == (4.5, 0.5)
    assert _thin(points[:7]) == points[:7]
    assert _thin([]) == []
