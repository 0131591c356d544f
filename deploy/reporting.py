"""The words of a running job: its progress in one line, its summary, what it left undone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..runtime.errors import JobCancelled
from ..runtime.graph import Graph
from ..runtime.nodes import FAILED
from ..runtime.progress import Progress

__all__ = ["Rate", "dead_letter_sinks", "fitted", "left_undone", "plain_line", "summary"]

_GREEN, _RED, _YELLOW, _DIM, _OFF = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"


class Rate:
    """How fast a count grows, per second, over the last `window` seconds (5)."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._seen: deque[tuple[float, int]] = deque()

    def observe(self, at: float, count: int) -> float:
        """Note the count at a time in seconds, and return the rate since the window began."""
        self._seen.append((at, count))
        while len(self._seen) > 2 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()
        began, before = self._seen[0]
        return (count - before) / (at - began) if at > began else 0.0


def dead_letter_sinks(graph: Graph) -> frozenset[str]:
    """The sinks that get dead letters and nothing else."""
    return frozenset(
        node.name
        for node in graph.nodes
        if node.kind == "sink" and node.inputs and all(port.name == FAILED for port in node.inputs)
    )


def _parts(progress: Progress, rate: float, bad: frozenset[str]) -> list[tuple[str, str]]:
    """The pieces of a line with their colours: the dearest first, after the name."""
    parts = [
        (progress.name, _GREEN),
        (f"{progress.read:,} records", ""),
        (f"{rate:,.0f}/s", ""),
    ]
    for node in progress.nodes:
        if node.kind == "sink":
            colour = _RED if node.node in bad and node.records_out else ""
            parts.append((f"{node.node} {node.records_out:,}", colour))
    parts.append((f"in flight {progress.in_flight:,}", ""))
    if progress.epochs is not None:
        parts.append((f"epoch {progress.epochs.epoch:,}", ""))
    if progress.state not in ("running", "ended", "drained", "suspended"):
        parts.append((progress.state, _YELLOW))
    if progress.epochs is not None and progress.epochs.waiting:
        parts.append((_printable(f"the state waits: {progress.epochs.waiting}"), _YELLOW))
    return parts + [
        (_printable(f"{node.node} waits: {node.waiting}"), _YELLOW)
        for node in progress.nodes
        if node.waiting and node.state == "running"
    ]


def plain_line(progress: Progress, rate: float, bad: frozenset[str]) -> str:
    """The progress as one line of a log; `bad` are the sinks that get dead letters."""
    return "  ".join(text for text, _ in _parts(progress, rate, bad))


def fitted(
    progress: Progress, rate: float, bad: frozenset[str], *, width: int, colour: bool
) -> str:
    """The progress as one line of a terminal, in no more than `width` columns.

    What does not fit is left out from the end, the name of the graph first of all.
    """
    parts = _parts(progress, rate, bad)
    if _length(parts) > width and len(parts) > 1:
        del parts[0]
    while _length(parts) > width and len(parts) > 1:
        parts.pop()
    if _length(parts) > width:
        return parts[0][0][:width]
    if not colour:
        return "  ".join(text for text, _ in parts)
    return "  ".join(f"{paint}{text}{_OFF}" if paint else text for text, paint in parts)


def summary(progress: Progress, bad: frozenset[str]) -> str:
    """What a job has done, in a few lines."""
    rate = progress.read / progress.seconds if progress.seconds > 0 else 0.0
    rows = [(node.node, node.records_out) for node in progress.nodes if node.kind == "sink"]
    rows.sort(key=lambda row: row[0] in bad)
    width = max([len(name) for name, _ in rows] + [len("dead letters")])
    digits = max([len(f"{count:,}") for _, count in rows] + [1])
    lines = [
        f"{progress.name} {progress.state} after {progress.seconds:,.1f} s: "
        f"{progress.read:,} records read, {rate:,.0f} records/s"
    ]
    lines += [f"  {name:{width}}  {count:{digits},}" for name, count in rows]
    letters = [f"{node.node} {node.dead_letters:,}" for node in progress.nodes if node.dead_letters]
    if letters:
        lines.append(f"  {'dead letters':{width}}  {', '.join(letters)}")
    late = [f"{node.node} {node.late:,}" for node in progress.nodes if node.late]
    if late:
        lines.append(f"  {'late':{width}}  {', '.join(late)}")
    if progress.epochs is not None:
        lines.append(f"  {'epoch':{width}}  {progress.epochs.epoch:{digits},}")
    if progress.bottleneck:
        lines.append(f"  {'bottleneck':{width}}  {progress.bottleneck}")
    if progress.state == "cancelled":
        lines += [
            _printable(f"  {'waited':{width}}  {node.node}: {node.waiting}")
            for node in progress.nodes
            if node.waiting
        ]
    return "\n".join(lines)


def left_undone(error: JobCancelled) -> str:
    """What a cancelled job left: records by actor, and how far each source was settled."""
    lines = [str(error)]
    lines += [f"  unprocessed  {actor}: {count:,}" for actor, count in error.unprocessed.items()]
    for source, position in error.settled.items():
        through = "nothing" if position is None else f"through record {position:,}"
        lines.append(f"  settled      {source}: {through}")
    return "\n".join(lines)


def _length(parts: Iterable[tuple[str, str]]) -> int:
    return sum(len(text) + 2 for text, _ in parts) - 2


def _printable(text: str) -> str:
    """Text from outside on one line, without what could command a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]
