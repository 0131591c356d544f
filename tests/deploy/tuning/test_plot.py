"""The drawing of what was measured: well-formed, labelled, and true to the numbers."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from thalweg.deploy.tuning.axes import Doubling, Linear
from thalweg.deploy.tuning.findings import Findings
from thalweg.deploy.tuning.measurements import Measurements, Point
from thalweg.deploy.tuning.plot import drawn
from thalweg.deploy.tuning.sample import Sample
from thalweg.operators import Throughput
from thalweg.runtime.nodes import Node
from thalweg.runtime.tuning.dials import Dials
from thalweg.runtime.tuning.trial import Measured

SVG = "{http://www.w3.org/2000/svg}"


class _Found(Findings):
    """Findings of a table, without the search that made it."""

    def __init__(self, table: Measurements, graph: str = "flow") -> None:
        super().__init__(graph, Node("score", "function", object()), table.goal, Sample([1]))
        self._measured = table

    @property
    def points(self) -> list[Point]:
        return self._measured.points

    @property
    def best(self) -> Point | None:
        return self._measured.best(sure=True)


def _table(p99: float = 0.2, count: int = 3) -> Measurements:
    table = Measurements(Throughput(p99=p99))
    settings = [(64, 8, 9_000, 0.05), (512, 8, 30_000, 0.15), (1024, 8, 31_000, 0.25)]
    settings += [(512, 4, 18_000, 0.08), (512, 16, 30_500, 0.4)]
    for size, calls, rate, slowest in settings[: count + 2]:
        table.note(Measured(Dials(calls, size), rate, slowest, slowest, 99, 0, 1.0, calls))
    return table


def _texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def test_it_has_axes_with_units_and_marks_the_best() -> None:
    svg = drawn(_Found(_table()))
    texts = _texts(svg)
    assert texts[:2] == [
        "flow: throughput of score by its settings",
        "best: 30,000 records/s and p99 150 ms, with 512 records in a batch and 8 in flight",
    ]
    for label, times in (("records/s", 2), ("p99 of a call", 2), ("best", 2)):
        assert texts.count(label) == times
    assert "records in a batch, with 8 in flight" in texts
    assert "calls in flight, with 512 records in a batch" in texts
    assert {"64", "128", "256", "512", "1,024", "200 ms", "bound 200 ms"} <= set(texts)
    root = ElementTree.fromstring(svg)
    rings = [c for c in root.iter(f"{SVG}circle") if c.get("class") == "ring"]
    dots = [c for c in root.iter(f"{SVG}circle") if c.get("class") != "ring"]
    assert len(rings) == 4
    assert len(dots) == 4 * 5
    places = {(c.get("cx"), c.get("cy")) for c in dots}
    assert all((ring.get("cx"), ring.get("cy")) in places for ring in rings)
    told = [c.findtext(f"{SVG}title") for c in dots]
    assert "512 in a batch, 8 in flight: 30,000 records/s, p99 150 ms" in told
    over = [c for c in dots if "over" in (c.get("class") or "")]
    assert len(over) == 4 * 2


def test_a_larger_number_is_further_to_the_right_and_higher_up() -> None:
    root = ElementTree.fromstring(drawn(_Found(_table())))
    line = next(root.iter(f"{SVG}polyline")).get("points") or ""
    xs, ys = zip(*(map(float, pair.split(",")) for pair in line.split()), strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)
    assert len(xs) == 3
    # From 64 to 512 is three times as far as from 512 to 1,024.
    assert xs[1] - xs[0] == pytest.approx(3 * (xs[2] - xs[1]), abs=0.5)


def test_nothing_is_drawn_outside_the_page() -> None:
    root = ElementTree.fromstring(drawn(_Found(_table())))
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    for element in root.iter():
        for name, most in (("x", width), ("cx", width), ("x2", width), ("y", height),
                           ("cy", height), ("y2", height)):  # fmt: skip
            assert 0 <= float(element.get(name) or 0) <= most


def test_it_is_readable_in_the_dark_too() -> None:
    svg = drawn(_Found(_table()))
    light, dark = re.findall(r"<style>(.*?)</style>", svg, re.DOTALL)
    assert dark.startswith("@media (prefers-color-scheme: dark) {")
    for rule in (".page", "text", ".grid", ".curve", "circle.over"):
        assert f"\n{rule}" in light
        assert f"\n{rule}" in dark
    assert set(re.findall(r"#\w{6}", light)).isdisjoint(re.findall(r"#\w{6}", dark))


def test_without_a_best_setting_it_says_so_and_marks_none() -> None:
    svg = drawn(_Found(_table(p99=0.01)))
    assert "no setting was found with a p99 within 10 ms" in _texts(svg)
    assert 'class="ring"' not in svg


def test_with_nothing_measured_it_is_still_a_drawing() -> None:
    svg = drawn(_Found(Measurements(Throughput(p99=0.2)), graph="a<b&c"))
    assert _texts(svg)[0] == "a<b&c: throughput of score by its settings"


def test_one_setting_alone_has_axes_too() -> None:
    table = Measurements(Throughput(p99=0.2))
    table.note(Measured(Dials(1, 1), 12.0, 0.08, 0.08, 9, 0, 1.0, 1.0))
    assert {"1", "2", "5", "10"} <= set(_texts(drawn(_Found(table))))


@pytest.mark.parametrize("most", [0.0004, 0.19, 1.0, 7.3, 99_999.0, 2_000_000.0])
def test_an_axis_from_0_has_round_ticks_and_room_for_all(most: float) -> None:
    axis = Linear.over([most], 100.0, 0.0)
    assert axis.ticks[0] == 0.0
    assert axis.top >= most
    assert 3 <= len(axis.ticks) <= 7
    assert axis.place(axis.top) == 0.0


@pytest.mark.parametrize("values", [[1], [1, 8192], [100, 130], [3, 5, 129]])
def test_an_axis_of_doublings_has_room_for_all(values: list[int]) -> None:
    axis = Doubling.over(values, 0.0, 10.0)
    assert axis.low <= min(values) < max(values) + 1
    assert axis.high >= max(values)
    assert 2 <= len(axis.ticks) <= 8
    assert 0.0 <= axis.place(min(values)) <= axis.place(max(values)) <= 10.0
