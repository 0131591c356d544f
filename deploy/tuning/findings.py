"""What a search has found, as a table for a person and as data for a program."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.nodes import Node
from ...runtime.tuning.controller import linger_for
from ...runtime.tuning.objective import Throughput
from .measurements import Point
from .sample import Sample
from .search import Search
from .watching import one_line, shown

__all__ = ["Findings"]


class Findings:
    """What is known of the operator of this node when the search ends, or is stopped."""

    def __init__(self, graph: str, node: Node, goal: Throughput, sample: Sample) -> None:
        self.graph = graph
        self.operator = node.name
        self.goal = goal
        self.sample = sample
        self.search: Search | None = None
        self.rejected: Sequence[str] = ()
        """Why records were given up, one reason for each."""
        self.error: str | None = None
        """What ended the search before its time."""
        self.seconds = 0.0
        self._work = _named(node.work)

    @property
    def points(self) -> list[Point]:
        """Every setting of which something is known, the graph's own first."""
        points = [] if self.search is None else self.search.table.points
        return [point for point in points if point.rate is not None or point.failures]

    @property
    def best(self) -> Point | None:
        """The fastest setting within the bound."""
        return None if self.search is None else self.search.table.best(sure=True)

    @property
    def linger(self) -> float | None:
        """The seconds in which the best batch fills, at the rate at which records come."""
        best = self.best
        if best is None or not best.rate:
            return None
        arrives = self.sample.arrives
        rate = best.rate if arrives is None else min(best.rate, arrives)
        return linger_for(best.max_batch_size, rate, self.goal)

    @property
    def settings(self) -> list[str]:
        """What to paste into the graph."""
        best = self.best
        if best is None:
            return []
        return [
            f".batch({best.max_batch_size}, linger={self.linger:g})",
            f"{self._work}(…, max_in_flight={best.max_in_flight})",
        ]

    def text(self) -> str:
        """The table, what limits, and the settings to paste."""
        parts = [self._heading(), self._table(), *self._remarks()]
        if self.settings:
            pasted = "\n".join(f"    {line}" for line in self.settings)
            parts.append(f"settings to paste, the batch right before {self.operator}:\n{pasted}")
        return "\n\n".join(part for part in parts if part)

    def _heading(self) -> str:
        sample = self.sample
        what = "record" if len(sample.records) == 1 else "records"
        lost = f", {sample.failed:,} more failed before it" if sample.failed else ""
        return (
            f"{self.graph}: {self.operator} tuned for {self.seconds:.0f} s with "
            f"{len(sample.records):,} {what}, again and again{lost}; "
            f"p99 within {shown(self.goal.p99)}"
        )

    def _table(self) -> str:
        if not self.points:
            return ""
        names = ("", "batch", "in flight", "records/s", "p50", "p99", "failures", "")
        rows = [names, *(self._row(point) for point in sorted(self.points, key=_by_setting))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if column in (0, 7) else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def _row(self, point: Point) -> tuple[str, ...]:
        return (
            "*" if point is self.best else "",
            f"{point.max_batch_size:,}",
            f"{point.max_in_flight:,}",
            "-" if point.rate is None else f"{point.rate:,.0f}",
            "-" if point.p50 is None else shown(point.p50),
            "-" if point.p99 is None else shown(point.p99),
            f"{point.failures:,}",
            "; ".join(self._about(point)),
        )

    def _about(self, point: Point) -> list[str]:
        """What is to be said of a row, in words."""
        words: list[str] = []
        if point is self.best:
            words.append("best" if point.confirmed else "best so far")
        if point is self.points[0]:
            words.append("as it is")
        if point.p99 is not None and not point.within(self.goal):
            words.append("over the bound")
        if point.refused:
            words.append(f"{point.refused:,} refused")
        if point.failed:
            words.append(f"{point.failed:,} failed")
        if point.rejected:
            words.append(f"{point.rejected:,} given up")
        return words

    def _remarks(self) -> list[str]:
        lines: list[str] = []
        if self.error is not None:
            lines.append(f"it ended before its time: {one_line(self.error)}")
        if self.rejected:
            reason = one_line(self.rejected[-1])
            count = len(self.rejected)
            what = "record was" if count == 1 else "records were"
            lines.append(f"{count:,} {what} given up, and not sent again: {reason}")
        best, first, search = self.best, next(iter(self.points), None), self.search
        limit = None if search is None else search.limited_by
        if best is None:
            lines.append(self._why_none())
        elif search is not None and first is not None and best.rate and first.rate:
            if best is first:
                lines.append("as the graph has it, it is best")
            else:
                lines.append(f"the best does {best.rate / first.rate:.2g} times what it is now")
            fit = search.fit
            if fit.base:
                lines.append(
                    f"a call takes {shown(fit.base)} and {fit.each * 1e6:.3g} µs for each record"
                )
        if limit is not None:
            lines.append(f"what limits: {one_line(limit)}")
        arrives = self.sample.arrives
        if best is not None and best.rate and arrives is not None and arrives < best.rate:
            lines.append(
                f"the graph itself reads {arrives:,.0f} records/s: less than the best setting takes"
            )
        return ["\n".join(lines)] if lines else []

    def _why_none(self) -> str:
        measured = [one for one in self.points if one.p99 is not None]
        if not measured:
            return "nothing was measured: no setting has answered enough calls"
        quickest = min(measured, key=lambda one: one.p99 or 0.0)
        if quickest.within(self.goal):
            return (
                "none can be proposed: at each setting more than 1 % of the calls came to nothing"
            )
        return (
            "no setting kept to the bound: the quickest had a p99 of "
            f"{shown(quickest.p99 or 0.0)}, with {quickest.max_batch_size:,} records in a batch "
            f"and {quickest.max_in_flight:,} in flight. A higher --p99 lets one be found"
        )

    def as_dict(self) -> dict[str, object]:
        """Everything, for JSON. Times are in seconds."""
        best, search = self.best, self.search
        return {
            "graph": self.graph,
            "operator": self.operator,
            "p99_bound": self.goal.p99,
            "seconds": round(self.seconds, 3),
            "error": self.error,
            "sample": {
                "records": len(self.sample.records),
                "ended": self.sample.ended,
                "failed_before": self.sample.failed,
                "arrive_per_second": self.sample.arrives,
            },
            "points": [self._point(one) for one in self.points],
            "best": None if best is None else {**self._point(best), "linger": self.linger},
            "line": None
            if search is None
            else {"call_seconds": search.fit.base, "record_seconds": search.fit.each},
            "limited_by": None if search is None else search.limited_by,
            "rejected": len(self.rejected),
            "settings": self.settings,
        }

    def _point(self, point: Point) -> dict[str, object]:
        return {
            "max_batch_size": point.max_batch_size,
            "max_in_flight": point.max_in_flight,
            "records_per_second": point.rate,
            "p50": point.p50,
            "p99": point.p99,
            "calls": point.calls,
            "refused": point.refused,
            "failed": point.failed,
            "rejected": point.rejected,
            "within_bound": point.within(self.goal),
            "confirmed": point.confirmed,
        }


def _by_setting(point: Point) -> tuple[int, int]:
    return point.max_batch_size, point.max_in_flight


def _named(work: object) -> str:
    """The operator as its graph calls it: the function that makes it, else its class."""
    if type(work).__repr__ is not object.__repr__:
        name = repr(work).partition("(")[0]
        if name.isidentifier():
            return name
    return type(work).__name__
