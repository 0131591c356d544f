"""Streams: what a user wires. Each method adds one node to the graph and returns its output."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from .contracts import BatchFunction, ColumnOperator, DeadLetter, Operator, Sink
from .durations import Duration, in_seconds
from .errors import GraphError
from .event_time import EventTime
from .functional import Functional, Split, is_async, options_of
from .nodes import (
    FAILED,
    LATE,
    NodeOptions,
    Port,
    Regroup,
    declared_at,
    is_a,
    is_count,
    is_seconds,
    overrides,
)
from .timestamps import Timestamps

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Split", "Stream", "Through", "Written", "is_async"]

R = TypeVar("R")
S = TypeVar("S")


class Written:
    """What `Stream.to` returns: the end of a stream. Its `failed` is what the sink rejected."""

    __slots__ = ("_graph", "_node")

    def __init__(self, graph: Graph, node: str) -> None:
        self._graph = graph
        self._node = node

    @property
    def failed(self) -> Stream[DeadLetter]:
        """The records that the sink rejected, as dead letters."""
        return Stream(self._graph, (Port(self._node, FAILED),))


class Stream(Functional[R]):
    """What flows out of a port: records of type `R`, in order within each lane.

    Streams are made by `Graph.read` and by the methods below; nothing runs until the graph is
    started. A stream that is used several times is fanned out: each use gets every record (the
    same object: return a changed copy from a function rather than change it in place).

    >>> from thalweg import Graph
    >>> from thalweg.operators import sinks, sources
    >>> graph, squares = Graph("squares"), []
    >>> numbers = graph.read("numbers", sources.records(range(4)))
    >>> numbers.map(lambda n: n * n).to("squares", sinks.collect(squares)) and None
    >>> graph.run() and squares
    [0, 1, 4, 9]
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Stream {' + '.join(map(str, self._ports))} of {self._graph.name}>"

    @property
    def graph(self) -> Graph:
        """The graph that it is part of."""
        return self._graph

    @property
    def ports(self) -> tuple[Port, ...]:
        """The outputs of nodes that it carries; more than one after a union."""
        return self._ports

    @property
    def failed(self) -> Stream[DeadLetter]:
        """The dead letters of the one node that this stream comes from."""
        nodes = {port.node for port in self._ports}
        if len(nodes) != 1:
            raise GraphError(
                f"a union of {sorted(nodes)} has no failed port of its own: "
                "take .failed of each before the union",
                where=declared_at(),
            )
        return Stream(self._graph, (Port(nodes.pop(), FAILED),))

    @property
    def late(self) -> Stream[Any]:
        """The records that came too late at the one node that this stream comes from.

        There are such at an `event_time`, and at an operator that asks for the times of records,
        as windows do: they are as they entered it. While this goes nowhere, they are counted and
        dropped. Raises GraphError where nothing can be late.
        """
        where = declared_at()
        nodes = {port.node for port in self._ports}
        if len(nodes) != 1:
            raise GraphError(
                f"a union of {sorted(nodes)} has no late port of its own: "
                "take .late of each before the union",
                where=where,
            )
        name = nodes.pop()
        if not any(node.name == name and LATE in node.ports for node in self._graph.nodes):
            raise GraphError(
                f"nothing is late at {name!r}: take .late of what event_time returns, or of an "
                "operator that asks for times, such as a window",
                where=where,
            )
        return Stream(self._graph, (Port(name, LATE),))

    def union(self, *others: Stream[R]) -> Stream[R]:
        """This stream and `others` as one: each keeps its own order, and nothing else is said."""
        ports = list(self._ports)
        for other in others:
            self._graph.own(other)
            ports.extend(other._ports)
        if len(set(ports)) != len(ports):
            raise GraphError("a stream cannot be united with itself", where=declared_at())
        return Stream(self._graph, tuple(ports))

    def batch(
        self,
        max_batch_size: int | None = None,
        *,
        max_batch_bytes: int | None = None,
        linger: float | None = 0.05,
        name: str | None = None,
    ) -> Stream[R]:
        """The same records in new batches.

        A batch goes out when it holds `max_batch_size` records, or about `max_batch_bytes` bytes
        (estimated), or when its first record has waited `linger` seconds (0.05; None: no limit).
        No record waits for ever: when all sources wait for what is under way, batches go out.

        Emits when: a batch is full or has lingered, at a signal, at the end. Waits when: the next
        channel is full. Ends when: its input ends. Order: kept. State: none.
        """
        where = declared_at()
        for option, value in (
            ("max_batch_size", max_batch_size),
            ("max_batch_bytes", max_batch_bytes),
        ):
            if value is not None and not is_count(value):
                raise GraphError(f"{option} is 1 or more, not {value!r}", where=where)
        if linger is not None and not is_seconds(linger):
            raise GraphError(
                f"linger is a number of seconds, 0 or more, not {linger!r}", where=where
            )
        if max_batch_size is None and max_batch_bytes is None:
            raise GraphError("batch needs max_batch_size or max_batch_bytes", where=where)
        work = Regroup(max_batch_size, max_batch_bytes, linger)
        return self._add("batch", name, work, NodeOptions())

    def event_time(
        self,
        function: Callable[[R], datetime | float | str] | str,
        *,
        lateness: Duration = 0.0,
        unit: Literal["s", "ms", "us", "µs", "ns"] | None = None,
        zone: str | tzinfo | None = None,
        max_ahead: Duration | None = 86400.0,
        idle_after: Duration | None = 30.0,
        name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Through[R, R]:
        """The same records, of which is known when they happened.

        The plain `function` returns a record's time: a datetime, a number, or ISO 8601 text. A
        number needs its `unit` ("s", "ms", "us", "ns"), a time without a zone the `zone` that it
        was written in, such as "UTC" or "Europe/Vienna". One that can only be meant otherwise, as
        milliseconds read as seconds, is refused, and said to be what: where it is the first, that
        fails the job.

        >>> from thalweg import Graph
        >>> from thalweg.operators import sinks, sources
        >>> graph, kept, late = Graph("ordered"), [], []
        >>> seconds = graph.read("seconds", sources.records([10, 12, 11, 20, 12]))
        >>> timed = seconds.event_time(float, unit="s", lateness=5)
        >>> timed.to("kept", sinks.collect(kept)) and None
        >>> timed.late.to("late", sinks.collect(late)) and None
        >>> graph.run() and (kept, late)
        ([10, 12, 11, 20], [12])

        In the place of a function the name of a column may stand, of timestamps or of what a
        function may return: then rows that stand in columns stay there, and records become columns.

        Parameters (lengths of time are seconds, or text such as "15min"):

        - `lateness` (0): a record that is older by more than this than the newest before it in its
          own lane is late: it goes to the `late` port. How lanes are mixed does not matter.
        - `max_ahead` (a day; None: no limit): a record that is further ahead of the machine's clock
          is a dead letter, so that a wrong one cannot make all others late.
        - `idle_after` (30 s; None: never): a lane that nothing was heard from for so long holds
          nobody up, until it is heard from again.

        What asks for times must stand below it, and what stands between must keep records apart
        and in order, which is checked when the graph is planned.

        Emits when: a record's time is known, in order. Waits when: the next channel is full.
        Ends when: its input ends. State: the newest time of each lane; what is lost with the
        process is found anew where the stream is read anew. On error: dead letter.
        """
        where = declared_at()
        column = None
        if isinstance(function, str):
            column, function = function, cast("Callable[[R], float]", itemgetter(function))
        if is_async(function):
            raise GraphError("event_time takes a plain function: use map first", where=where)
        options = options_of(function, fail_after=fail_after)
        try:
            work = EventTime(
                cast("Callable[[object], object]", function),
                Timestamps(unit=unit, zone=zone),
                lateness=in_seconds(lateness, "lateness"),
                max_ahead=None if max_ahead is None else in_seconds(max_ahead, "max_ahead"),
                idle_after=None if idle_after is None else in_seconds(idle_after, "idle_after"),
                column=column,
            )
        except (TypeError, ValueError) as error:
            raise GraphError(str(error), where=where) from None
        timed: Stream[R] = self._add("event_time", name, work, options, ports=("out", LATE))
        return Through(self._graph, timed.ports)

    @overload
    def via(
        self, name: str, operator: Operator[R, S], *, volatile: bool = False,
        fail_after: int | None = 1000,
    ) -> Through[R, S]: ...  # fmt: skip
    @overload
    def via(
        self, name: str, operator: BatchFunction[R, S], *, fail_after: int | None = 1000
    ) -> Stream[S]: ...
    def via(
        self, name: str, operator: Operator[R, S] | BatchFunction[R, S], *, volatile: bool = False,
        fail_after: int | None = 1000,
    ) -> Stream[S]:  # fmt: skip
        """Through an operator, under a name of its own: anybody's operator, ours or yours.

        `volatile=True` accepts that an operator with memory forgets it when the process ends.
        """
        where = declared_at()
        try:
            if isinstance(operator, BatchFunction):
                if volatile:
                    raise ValueError(f"volatile is for operators with memory: {name!r} has none")
                options = NodeOptions(
                    max_in_flight=operator.max_in_flight, ordered=operator.ordered,
                    timeout=operator.timeout, volatile=volatile, fail_after=fail_after,
                )  # fmt: skip
                return self._add("function", name, operator, options)
            options = NodeOptions(volatile=volatile, fail_after=fail_after)
        except ValueError as error:
            raise GraphError(str(error), where=where) from None
        if is_a(operator, Operator):
            timed = overrides(operator, Operator, "process_at") or (
                isinstance(operator, ColumnOperator) and operator.has_late
            )
            ports = ("out", LATE) if timed else ("out",)
            made: Stream[S] = self._add("operator", name, operator, options, ports)
            through: Through[R, S] = Through(self._graph, made.ports)
            return through
        hint = " A sink ends a stream: use .to(name, sink)." if isinstance(operator, Sink) else ""
        if callable(operator):
            hint = " A function goes into .map, .filter, .flat_map or .map_batch."
        raise GraphError(
            f"via({name!r}, …) takes an Operator or a BatchFunction, "
            f"not {type(operator).__name__}.{hint}",
            where=where,
        )

    def to(
        self,
        name: str,
        sink: Sink[R],
        *,
        on_failure: Literal["stop", "isolate"] = "stop",
        fail_after: int | None = 1000,
    ) -> Written:
        """Into a sink, under a name of its own.

        When the sink breaks, `on_failure="stop"` fails the job; `"isolate"` closes this sink,
        lets the rest go on and sends what it should have got to its failed port.
        """
        where = declared_at()
        if not is_a(sink, Sink):
            hint = " Use sinks.each(function)." if callable(sink) else ""
            raise GraphError(
                f"to({name!r}, …) takes a Sink, not {type(sink).__name__}.{hint}", where=where
            )
        try:
            options = NodeOptions(
                on_failure=on_failure, fail_after=fail_after, timeout=sink.timeout
            )
        except ValueError as error:
            raise GraphError(str(error), where=where) from None
        self._graph.add("sink", name, sink, self._ports, options, ports=())
        return Written(self._graph, name)


class Through(Stream[S], Generic[R, S]):
    """A stream of `S` that an operator made of records of `R`, some of which may be late.

    It is a `Stream` in every way; only its `late` knows of which type they are.
    """

    __slots__ = ()

    @property
    def late(self) -> Stream[R]:
        """The records that came too late at this operator, as they entered it."""
        return super().late
