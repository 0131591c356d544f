"""The curve of a search as SVG: rate and p99 by batch size, and by calls at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import escape

from .axes import Doubling, Linear
from .findings import Findings
from .measurements import Point
from .watching import shown

__all__ = ["drawn"]

_WIDTH, _HEIGHT = 960, 620
_LEFTS, _ACROSS = (84, 540), 384
"""Where the two columns begin, and how wide they are."""
_TOPS, _DOWN = (96, 352), 196
"""Where the two rows begin, and how high they are."""

_LIGHT = ("#ffffff", "#1f2328", "#59636e", "#d8dee4", "#0969da", "#bc4c00")
_DARK = ("#0d1117", "#e6edf3", "#9198a1", "#30363d", "#58a6ff", "#f0883e")
"""Page, ink, soft ink, lines, what is marked, and what is over the bound."""

_STYLE = """
text { font: 12px system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif }
.title { font-size: 17px; font-weight: 600 }
.best { font-weight: 600 }
.aside { opacity: 0.3 }
.curve, .ring { fill: none; stroke-width: 2 }
.over { stroke-width: 1.5 }
.bound { stroke-dasharray: 6 4 }
"""

_Value = Callable[[Point], float]


def drawn(found: Findings) -> str:
    """The drawing as text, which follows the reader's choice of light or dark.

    The line goes through the settings that differ from the best one in what its axis shows; all
    others are faint. Settings over the bound are hollow.
    """
    points = [point for point in found.points if point.rate is not None]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-labelledby="title about">',
        f'<title id="title">{escape(_title(found))}</title>',
        f'<desc id="about">{escape(_about(found))}</desc>',
        f"<style>{_STYLE}{_colours(*_LIGHT)}</style>",
        # Apart, since not every program knows how to read it: those show it as on paper.
        f"<style>@media (prefers-color-scheme: dark) {{{_colours(*_DARK)}}}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}"/>',
        _text(_LEFTS[0], 34, _title(found), "title"),
        _text(_LEFTS[0], 56, _about(found)),
        *(_panels(found, points) if points else ()),
        _text(
            _LEFTS[0],
            _HEIGHT - 14,
            "the line: as the best, but for what the axis shows · faint: other settings · hollow: "
            f"p99 over {shown(found.goal.p99)}",
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _colours(page: str, ink: str, soft: str, line: str, mark: str, over: str) -> str:
    """The rules that differ between light and dark."""
    return f"""
.page {{ fill: {page} }}
text {{ fill: {soft} }}
text.title, text.name {{ fill: {ink} }}
text.best {{ fill: {mark} }}
text.bound-name {{ fill: {over} }}
.grid {{ stroke: {line} }}
.axis {{ stroke: {soft} }}
.bound {{ stroke: {over} }}
circle {{ fill: {mark} }}
.curve, circle.ring {{ fill: none; stroke: {mark} }}
circle.over {{ fill: {page}; stroke: {over} }}
"""


def _title(found: Findings) -> str:
    return f"{found.graph}: throughput of {found.operator} by its settings"


def _about(found: Findings) -> str:
    best = found.best
    if best is None:
        return f"no setting was found with a p99 within {shown(found.goal.p99)}"
    return (
        f"best: {best.rate:,.0f} records/s and p99 {shown(best.p99 or 0.0)}, with "
        f"{best.max_batch_size:,} records in a batch and {best.max_in_flight:,} in flight"
    )


def _panels(found: Findings, points: Sequence[Point]) -> Iterator[str]:
    best = found.best
    centre = best or max(points, key=lambda one: one.rate or 0.0)
    bound = found.goal.p99
    longest = max(_p99(point) for point in points)
    # A bound far above all that was measured would press the curve flat.
    times = [longest] if bound > 3.0 * longest else [longest, bound]
    rows: tuple[tuple[str, _Value, list[float], Callable[[float], str]], ...] = (
        ("records/s", _rate, [_rate(point) for point in points], lambda v: f"{v:,.10g}"),
        ("p99 of a call", _p99, times, lambda v: shown(v) if v else "0"),
    )
    columns: tuple[tuple[str, Callable[[Point], int], list[Point]], ...] = (
        (
            f"records in a batch, with {centre.max_in_flight:,} in flight",
            lambda point: point.max_batch_size,
            [point for point in points if point.max_in_flight == centre.max_in_flight],
        ),
        (
            f"calls in flight, with {centre.max_batch_size:,} records in a batch",
            lambda point: point.max_in_flight,
            [point for point in points if point.max_batch_size == centre.max_batch_size],
        ),
    )
    for left, (across, setting, line) in zip(_LEFTS, columns, strict=True):
        x = Doubling.over([setting(point) for point in points], left, left + _ACROSS)
        for top, (name, value, values, written) in zip(_TOPS, rows, strict=True):
            y = Linear.over(values, top + _DOWN, top)
            yield from _frame(x, y, name, written)
            if value is _p99 and bound <= y.top:
                yield from _bound(x, y.place(bound), bound)
            at = sorted(line, key=setting)
            path = " ".join(f"{x.place(setting(p)):.1f},{y.place(value(p)):.1f}" for p in at)
            yield f'<polyline class="curve" points="{path}"/>'
            for point in points:
                place = (x.place(setting(point)), y.place(value(point)))
                yield _dot(found, point, place, aside=point not in line)
            if best is not None:
                yield _ring(
                    x.place(setting(best)), y.place(value(best)), "best" if value is _rate else ""
                )
        yield _text(left + _ACROSS / 2, _TOPS[1] + _DOWN + 38, across, "name", "middle")


def _frame(x: Doubling, y: Linear, name: str, written: Callable[[float], str]) -> Iterator[str]:
    for tick in y.ticks:
        at = y.place(tick)
        kind = "grid" if tick else "axis"
        yield _line(x.start, at, x.stop, at, kind)
        yield _text(x.start - 8, at + 4, written(tick), anchor="end")
    for tick in x.ticks:
        at = x.place(tick)
        yield _line(at, y.start, at, y.start + 4, "axis")
        yield _text(at, y.start + 18, f"{tick:,}", anchor="middle")
    yield _text(x.start, y.stop - 10, name, "name")


def _bound(x: Doubling, at: float, bound: float) -> Iterator[str]:
    yield _line(x.start, at, x.stop, at, "bound")
    yield _text(x.start + 6, at - 6, f"bound {shown(bound)}", "bound-name")


def _dot(found: Findings, point: Point, place: tuple[float, float], *, aside: bool) -> str:
    kinds = [*(["aside"] if aside else []), *([] if point.within(found.goal) else ["over"])]
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    told = (
        f"{point.max_batch_size:,} in a batch, {point.max_in_flight:,} in flight: "
        f"{_rate(point):,.0f} records/s, p99 {shown(_p99(point))}"
    )
    x, y = place
    return f'<circle{kind} cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(told)}</title></circle>'


def _ring(x: float, y: float, name: str) -> str:
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="8"/>'
    if not name:
        return ring
    return ring + _text(x, y - 14 if y > _TOPS[0] + 24 else y + 24, name, "best", "middle")


def _line(left: float, top: float, right: float, bottom: float, kind: str) -> str:
    return (
        f'<line class="{kind}" x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}"/>'
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{named} x="{x:.1f}" y="{y:.1f}"{placed}>{escape(text)}</text>'


def _rate(point: Point) -> float:
    return point.rate or 0.0


def _p99(point: Point) -> float:
    return point.p99 or 0.0
