"""What a stream offers for functions: of a record, or of a batch of them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeGuard, TypeVar, overload

from .errors import GraphError
from .nodes import Kind, NodeOptions, Port, declared_at

if TYPE_CHECKING:
    from .graph import Graph
    from .stream import Stream

__all__ = ["Functional", "Split", "is_async", "options_of"]

R = TypeVar("R")
S = TypeVar("S")
K = TypeVar("K")
T = TypeVar("T")


class Split(NamedTuple, Generic[R, S]):
    """The two streams that `Stream.split` returns."""

    matching: Stream[R]
    rest: Stream[S]


class Functional(Generic[R]):
    """The half of `Stream` that takes functions: each method adds one node to the graph."""

    __slots__ = ("_graph", "_ports")

    def __init__(self, graph: Graph, ports: tuple[Port, ...]) -> None:
        self._graph = graph
        self._ports = ports

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
        options = options_of(
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
        options = options_of(
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
        options = options_of(
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
        options = options_of(
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
        options = options_of(function, fail_after=fail_after)
        matching: Stream[R] = self._add(
            "split", name, function, options, ports=("matching", "rest")
        )
        rest: Stream[R] = self._from(matching.ports[0].node, "rest")
        return Split(matching, rest)

    def key_by(
        self,
        function: Callable[[R], K],
        *,
        version: int = 1,
        name: str | None = None,
        fail_after: int | None = 1000,
    ) -> Stream[tuple[K, R]]:
        """Pairs of a key and the record, for what keeps something for each key below.

        The plain `function` returns the key, which must be hashable: text, a number, a tuple of
        such. Raise `version` when it returns other keys than before: what an operator below has
        saved by the old ones is then refused instead of misread.

        >>> from thalweg import Graph
        >>> from thalweg.operators import fold, sinks, sources
        >>> graph, lengths = Graph("lengths"), []
        >>> words = graph.read("words", sources.records(["a", "to", "i"]))
        >>> counts = words.key_by(len).via("counts", fold(int, lambda n, _: n + 1), volatile=True)
        >>> counts.to("lengths", sinks.collect(lengths)) and None
        >>> graph.run() and lengths
        [(1, 1), (2, 1), (1, 2)]

        Emits when: a record's key is known, in order. Waits when: the next channel is full.
        Ends when: its input ends. State: none. On error: dead letter, the next record goes on.
        """
        where = declared_at()
        if is_async(function):
            raise GraphError("key_by takes a plain function: use map first", where=where)
        options = options_of(function, fail_after=fail_after, key_version=version)
        return self._add("key_by", name, function, options)

    def _add(
        self,
        kind: Kind,
        name: str | None,
        work: object,
        options: NodeOptions,
        ports: tuple[str, ...] = ("out",),
    ) -> Stream[T]:
        return self._from(
            self._graph.add(kind, name, work, self._ports, options, ports=ports), ports[0]
        )

    def _from(self, node: str, port: str) -> Stream[T]:
        from .stream import Stream  # It is built on this class.

        return Stream(self._graph, (Port(node, port),))


def is_async(function: object) -> bool:
    """Whether calling this returns an awaitable, as far as can be told without calling it."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def options_of(
    function: object,
    *,
    max_in_flight: int = 1,
    ordered: bool = True,
    timeout: float = 60.0,
    fail_after: int | None = 1000,
    key_version: int = 1,
) -> NodeOptions:
    """The options of a node that runs a function. Raises GraphError for what does not fit it."""
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
            max_in_flight=max_in_flight, ordered=ordered, timeout=timeout, fail_after=fail_after,
            key_version=key_version,
        )  # fmt: skip
    except ValueError as error:
        raise GraphError(str(error), where=where) from None
