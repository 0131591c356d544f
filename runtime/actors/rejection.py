"""What an actor says of bad records, and of itself when it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ..batch import Batch, Records
from ..counts import NodeCounts, streak
from ..dataclass import dataclass
from ..dead_letters import dead_letter, describe, location
from ..errors import JobFailed
from ..nodes import Node
from ..origins import Origin, Origins
from ..trail import Trail

__all__ = ["Letters", "Refused", "Rejection"]

Refused = tuple["int | None", object, Exception, "Trail | None"]
"""A bad record: its index in the batch if that is known, itself, its error, and the tries that
failed, where there was more than one."""


@dataclass(slots=True)
class Letters:
    """Dead letters on their way.

    `broken` is how many failed in a row, where that says that it is not the data; else 0.
    """

    records: Records
    origins: Origins | None
    broken: int = 0


class Rejection:
    """Writes the dead letters of an actor's nodes, and the words for what ends a job."""

    def __init__(self, graph: str, nodes: Sequence[Node]) -> None:
        self._graph = graph
        self._nodes = nodes

    def letters(
        self, counts: NodeCounts, bad: Sequence[Refused], batch: Batch, *, count: int, base: int
    ) -> Letters:
        """Dead letters for bad records, which stand among the `count` records from `base` on."""
        graph, node = self._graph, counts.node
        letters: Records = [
            dead_letter(graph, node, _origin(batch, index), record, error, trail)
            for index, record, error, trail in bad
        ]
        known = sorted(item[0] for item in bad if item[0] is not None)
        whole = len(known) == len(bad)
        longest = 0
        if whole:
            longest, counts.streak = streak([i - base for i in known], count, counts.streak)
        origins = batch.came_from()
        if origins is not None:
            origins = origins.take(known) if whole else origins.blur(len(bad))
        broken = counts.fail_after is not None and longest >= counts.fail_after
        return Letters(letters, origins, longest if broken else 0)

    def unheard(self, counts: NodeCounts, letter: object, error: Exception) -> JobFailed:
        """The failure of a job in which nobody takes this dead letter."""
        node = counts.node
        return JobFailed(
            f"graph {self._graph!r}: {letter}{self._declared(error, node)}\n"
            f"Nothing takes its dead letters: send {node}.failed or graph.failed to a sink "
            "to go on past bad records.",
            graph=self._graph,
            node=node,
        )

    def not_the_data(self, counts: NodeCounts, letters: Letters, error: Exception) -> JobFailed:
        """The failure of a job in which too many records in a row have failed."""
        return JobFailed(
            f"graph {self._graph!r}: {letters.records[-1]}{self._declared(error, counts.node)}\n"
            f"{letters.broken} records in a row have failed at {counts.node!r}, with none between "
            "them that passed: it is not the data "
            f"(fail_after={counts.fail_after}).",
            graph=self._graph,
            node=counts.node,
        )

    def failure(self, error: BaseException, what: str, origins: Origins | None = None) -> JobFailed:
        """The failure of this job by this actor, in words."""
        where = f" on {origins.span()}" if origins is not None else ""
        node = self._nodes[-1].name
        return JobFailed(
            f"graph {self._graph!r}: {node!r} {what}{where}: {describe(error)}"
            + self._declared(error, node),
            graph=self._graph,
            node=node,
        )

    def _declared(self, error: BaseException, name: str) -> str:
        """Where the node stands in the graph file, when the error names no line of the user's."""
        declared = next((node.where for node in self._nodes if node.name == name), None)
        if declared is None or location(error) is not None:
            return ""
        return f" ({name} is declared at {declared})"


def _origin(batch: Batch, index: int | None) -> Origin | None:
    origins = batch.came_from()
    if origins is None:
        return None
    with contextlib.suppress(IndexError):
        origin = origins.blur(1).at(0) if index is None else origins.at(index)
        return origin if origin.source else None
    return None
