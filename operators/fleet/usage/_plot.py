"""Plots as SVG, for a page that asks nobody for anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from ....runtime.contracts import dataclass

__all__ = ["Series", "plot", "thinned"]

_WIDTH, _HEIGHT = 860, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 28
_POINTS = 800
"""As many as can be told apart in the width of a plot."""
_STEPS = (
    60,
    300,
    900,
    3600,
    3 * 3600,
    6 * 3600,
    12 * 3600,
    86400,
    2 * 86400,
    7 * 86400,
    30 * 86400,
)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot: its name, and a value for each time in Unix seconds, None for a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


def thinned(
    points: Sequence[tuple[float, float | None]], most: int = _POINTS
) -> list[tuple[float, float | None]]:
    """No more than so many points: the mean of those that fall together.

    >>> thinned([(0, 1.0), (1, 3.0), (2, None), (3, 5.0)], 2)
    [(0.5, 2.0), (2.5, 5.0)]
    """
    if len(points) <= most:
        return list(points)
    made: list[tuple[float, float | None]] = []
    for number in range(most):
        part = points[number * len(points) // most : (number + 1) * len(points) // most]
        known = [value for _, value in part if value is not None]
        at = sum(time for time, _ in part) / len(part)
        made.append((at, sum(known) / len(known) if known else None))
    return made


def plot(title: str, unit: str, series: Sequence[Series], *, top: float | None = None) -> str:
    """A plot over time as a figure of HTML; `top` is the largest value of the axis, if it is known.

    >>> "<path" in plot("Up", "machines", [Series("up", [(0, 1.0), (900, 2.0)])])
    True
    """
    lines = [Series(each.name, thinned(each.points)) for each in series]
    times = [time for each in lines for time, value in each.points if value is not None]
    values = [value for each in lines for _, value in each.points if value is not None]
    caption = f"<figcaption>{escape(title)}, {escape(unit)}</figcaption>"
    if not values:
        return f"<figure>{caption}<p>Nothing was measured.</p></figure>"
    first, last = min(times), max(times)
    highest = _round_up(max(values)) if top is None else top
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(time: float, value: float) -> tuple[float, float]:
        across = (time - first) / (last - first) if last > first else 0.5
        return _LEFT + across * width, _TOP + height * (1 - min(1.0, value / highest))

    marks: list[str] = []
    for part in range(5):
        value = highest * part / 4
        _, y = place(first, value)
        marks.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        marks.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_told(value)}</text>'
        )
    for time, label in _times(first, last):
        x, _ = place(time, 0)
        marks.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{label}</text>')
    paths: list[str] = []
    for number, each in enumerate(lines):
        path, broken = list[str](), True
        for time, known in each.points:
            if known is None:
                broken = True
                continue
            x, y = place(time, known)
            # A point that stands alone is seen by the cap of its line.
            path.append(f"M{x:.1f} {y:.1f}h0" if broken else f"L{x:.1f} {y:.1f}")
            broken = False
        paths.append(f'<path class="line{number % 3}" d="{"".join(path)}"/>')
    legend = "".join(
        f'<span class="key{number % 3}">{escape(each.name)}</span>'
        for number, each in enumerate(lines)
        if len(lines) > 1
    )
    told = f"{title}: {_told(min(values))} to {_told(max(values))} {unit}"
    return (
        f'<figure>{caption}<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(told)}">{"".join(marks)}{"".join(paths)}</svg>{legend}</figure>'
    )


def _round_up(value: float) -> float:
    """The next number that reads well: 1, 2 or 5 of a power of ten, or a fourth more of it."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999999)


def _told(value: float) -> str:
    """A number in a few letters.

    >>> _told(0), _told(12.5), _told(1_500_000), _told(0.25)
    ('0', '12.5', '1.5M', '0.25')
    """
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            size = 1e3 if letter == "k" else size
            return f"{value / size:.3g}{letter}"
    return f"{value:.4g}"


def _times(first: float, last: float) -> list[tuple[float, str]]:
    """Round times in between, and how they read; in UTC."""
    step = next((step for step in _STEPS if (last - first) / step <= 8), None)
    if step is None:
        step = math.ceil((last - first) / 8 / _STEPS[-1]) * _STEPS[-1]
    form = "%H:%M" if step < 86400 else "%d %b"
    at, made = math.ceil(first / step) * step, list[tuple[float, str]]()
    while at <= last:
        when = datetime.fromtimestamp(at, UTC)
        made.append((at, when.strftime("%d %b" if at % 86400 == 0 else form)))
        at += step
    if not made:
        when = datetime.fromtimestamp(first, UTC)
        made.append((first, when.strftime("%d %b %H:%M")))
    return made
