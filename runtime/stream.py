"""Streams: what a user wires. Each method adds one node to the graph and returns its output."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeGuard, TypeVar, overload

from .contracts import BatchFunction, DeadLetter, Operator, Sink
from .errors import GraphError
from .nodes import (
    FAILED,
    Kind,
    NodeOptions,
    Port,
    Regroup,
    declared_at,
    is_a,
    is_count,
    is_seconds,
)

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["Split", "Stream", "Written", "is_async"]

R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")


class Split(NamedTuple, Generic[R, S]):
    """The two streams that `Stream.split` returns."""

    matching: Stream[R]
    rest: Stream[S]


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


class Stream(Generic[R]):
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

    __slots__ = ("_graph", "_ports")

    def __init__(self, graph: Graph, ports: tuple[Port, ...]) -> None:
        self._graph = graph
        self._ports = ports

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

    @overload
    def map(
        self,
        function: Callable[[R], Awaitable[S]],
        *,
        name: str | None = None,
        max_in_flight: int = 1,
        ordered: bool = True,
        timeout: float = 60.0,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...
    @overload
    def map(
        self,
        function: Callable[[R], S],
        *,
        name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...
    def map(
        self,
        function: Callable[[R], object],
        *,
        name: str | None = None,
        max_in_flight: int = 1,
        ordered: bool = True,
        timeout: float = 60.0,
        fail_after: int | None = 1000,
    ) -> Stream[S]:
        """One record out for each record in.

        `function` is plain or `async`; an exception makes its record a dead letter. An `async`
        one is called for `max_in_flight` (1) records at once and given `timeout` (60) seconds a
        call; results leave in input order unless `ordered=False`. See `NodeOptions` for
        `fail_after`.

        Emits when: a record's call has returned, in order. Waits when: the next channel is full.
        Ends when: its input ends. State: none. On error: dead letter, the next record goes on.
        """
        options = _options(
            function, max_in_flight=max_in_flight, ordered=ordered, timeout=timeout,
            fail_after=fail_after,
        )  # fmt: skip
        return self._add("map", name, function, options)

    @overload
    def filter(
        self, function: Callable[[R], TypeGuard[S]], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
    @overload
    def filter(
        self, function: Callable[[R], object], *, name: str | None = None, max_in_flight: int = 1,
        ordered: bool = True, timeout: float = 60.0, fail_after: int | None = 1000,
    ) -> Stream[R]: ...  # fmt: skip
    def filter(
        self, function: Callable[[R], object], *, name: str | None = None, max_in_flight: int = 1,
        ordered: bool = True, timeout: float = 60.0, fail_after: int | None = 1000,
    ) -> Stream[R] | Stream[S]:  # fmt: skip
        """The records for which `function` is true, unchanged; options and rules as for `map`."""
        options = _options(
            function, max_in_flight=max_in_flight, ordered=ordered, timeout=timeout,
            fail_after=fail_after,
        )  # fmt: skip
        kept: Stream[R] = self._add("filter", name, function, options)
        return kept

    @overload
    def flat_map(
        self, function: Callable[[R], Awaitable[Iterable[S]]], *, name: str | None = None,
        max_in_flight: int = 1, ordered: bool = True, timeout: float = 60.0,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
    @overload
    def flat_map(
        self, function: Callable[[R], Iterable[S]], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
    def flat_map(
        self, function: Callable[[R], object], *, name: str | None = None, max_in_flight: int = 1,
        ordered: bool = True, timeout: float = 60.0, fail_after: int | None = 1000,
    ) -> Stream[S]:  # fmt: skip
        """Any number of records out for each record in.

        What a plain `function` returns is read lazily: batches close at the batch limit however
        much it yields. Options and rules otherwise as for `map`.
        """
        options = _options(
            function, max_in_flight=max_in_flight, ordered=ordered, timeout=timeout,
            fail_after=fail_after,
        )  # fmt: skip
        return self._add("flat_map", name, function, options)

    @overload
    def map_batch(
        self, function: Callable[[list[R]], Awaitable[Iterable[S]]], *, name: str | None = None,
        max_in_flight: int = 1, ordered: bool = True, timeout: float = 60.0,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
    @overload
    def map_batch(
        self, function: Callable[[list[R]], Iterable[S]], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
    def map_batch(
        self, function: Callable[[list[R]], object], *, name: str | None = None,
        max_in_flight: int = 1, ordered: bool = True, timeout: float = 60.0,
        fail_after: int | None = 1000,
    ) -> Stream[S]:  # fmt: skip
        """A function of a whole batch, for what is cheaper by the batch.

        It gets a list and returns any number of records. An exception makes the whole batch dead
        letters, since nobody knows which record is bad; `max_in_flight` counts batches. Which
        record became which is not known, so origins below it are stretches, not positions.
        """
        options = _options(
            function, max_in_flight=max_in_flight, ordered=ordered, timeout=timeout,
            fail_after=fail_after,
        )  # fmt: skip
        return self._add("map_batch", name, function, options)

    @overload
    def split(
        self, function: Callable[[R], TypeGuard[S]], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Split[S, R]: ...  # fmt: skip
    @overload
    def split(
        self, function: Callable[[R], object], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Split[R, R]: ...  # fmt: skip
    def split(
        self, function: Callable[[R], object], *, name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Split[R, R] | Split[S, R]:  # fmt: skip
        """Two streams: `matching`, for which the plain `function` is true, and `rest`.

        >>> from thalweg import Graph
        >>> from thalweg.operators import sources
        >>> numbers = Graph("numbers").read("numbers", sources.records(range(20)))
        >>> small, large = numbers.split(lambda n: n < 10, name="size")
        >>> large
        <Stream size.rest of numbers>
        """
        if is_async(function):
            raise GraphError("split takes a plain function: use map first", where=declared_at())
        options = _options(function, fail_after=fail_after)
        matching: Stream[R] = self._add(
            "split", name, function, options, ports=("matching", "rest")
        )
        rest: Stream[R] = Stream(
            self._graph, tuple(Port(port.node, "rest") for port in matching._ports)
        )
        return Split(matching, rest)

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

    @overload
    def via(
        self, name: str, operator: Operator[R, S], *, volatile: bool = False,
        fail_after: int | None = 1000,
    ) -> Stream[S]: ...  # fmt: skip
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
            return self._add("operator", name, operator, options)
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

    def _add(
        self,
        kind: Kind,
        name: str | None,
        work: object,
        options: NodeOptions,
        ports: tuple[str, ...] = ("out",),
    ) -> Stream[T]:
        node = self._graph.add(kind, name, work, self._ports, options, ports=ports)
        return Stream(self._graph, (Port(node, ports[0]),))


def is_async(function: object) -> bool:
    """Whether calling this returns an awaitable, as far as can be told without calling it."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _options(
    function: object,
    *,
    max_in_flight: int = 1,
    ordered: bool = True,
    timeout: float = 60.0,
    fail_after: int | None = 1000,
) -> NodeOptions:
    where = declared_at()
    if not callable(function):
        raise GraphError(f"a function is asked for, not {type(function).__name__}", where=where)
    if not is_async(function):
        for option, given in (
            ("max_in_flight", max_in_flight != 1),
            ("ordered", ordered is not True),
            ("timeout", timeout != 60.0),
        ):
            if given:
                raise GraphError(
                    f"{option} is for async functions: a plain one is never waited for",
                    where=where,
                )
    try:
        return NodeOptions(
            max_in_flight=max_in_flight, ordered=ordered, timeout=timeout, fail_after=fail_after
        )
    except ValueError as error:
        raise GraphError(str(error), where=where) from None
