"""What `thalweg show` promises for each path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from thalweg import Graph, Sink, Source
from thalweg.operators import sinks, sources


class Redelivering(Source[Any]):
    redelivers = True

    async def read(self, limit: int) -> None:
        return None


class Keyed(Sink[Any]):
    async def write(self, records: Sequence[Any]) -> None: ...

    async def write_keyed(self, records: Sequence[Any], keys: Sequence[str | None]) -> None: ...


class Committing(Sink[Any]):
    gap = "but for a moment before the rename"

    async def write(self, records: Sequence[Any]) -> None: ...

    async def prepare(self, epoch: int) -> bytes:
        return b""

    async def commit(self, epoch: int, prepared: bytes) -> None: ...

    async def discard(self, epoch: int) -> None: ...


class Piped(Committing):
    @property
    def transactional(self) -> bool:
        return False


def _graph(source: Source[Any], sink: Sink[Any], **options: Any) -> Graph:
    graph = Graph("promised")
    graph.read("from", source, **options).map(str).batch(3).to("into", sink)
    return graph


def _promise(source: Source[Any], sink: Sink[Any], *, store: bool = True, **options: Any) -> str:
    (promise,) = _graph(source, sink, **options).plan().promises(store=store)
    return str(promise).removeprefix("from -> into: ")


def test_each_kind_of_source_and_sink_has_its_promise() -> None:
    seeking, plain = sources.records([1]), sinks.each(print)
    assert _promise(seeking, Committing()) == (
        "exactly once: from goes on from its position, into commits with the epoch (but for a "
        "moment before the rename)"
    )
    assert _promise(seeking, plain).startswith("at least once: from goes on")
    assert "the same idempotency key" in _promise(seeking, Keyed())
    assert _promise(seeking, Piped()).startswith("at least once")
    again = _promise(Redelivering(), Committing())
    assert again.startswith("at least once: from delivers again what it had not acked")
    assert "identity=" in again
    named = _promise(Redelivering(), Committing(), identity=str)
    assert named.startswith("exactly once: from passes over the ids of the last epoch")
    lossy = _promise(sources.push(), Committing(), lossy=True)
    assert lossy.startswith("at most once: what is under way is lost")


def test_without_a_store_it_lasts_as_long_as_the_process() -> None:
    assert _promise(sources.records([1]), Committing(), store=False) == (
        "at least once: while the process lives; a start begins anew"
    )
    assert _promise(Redelivering(), Committing(), store=False) == (
        "at least once: from delivers again what had not arrived"
    )


def test_every_path_has_one_and_dead_letters_too() -> None:
    graph = Graph("paths")
    first = graph.read("first", sources.records([1])).map(abs)
    second = graph.read("second", sources.records([2]))
    first.union(second).to("both", sinks.ndjson("both"))
    second.filter(bool).to("one", sinks.each(print))
    graph.failed.to("bad", sinks.ndjson("bad"))
    paths = {(one.source, one.sink) for one in graph.plan().promises(store=True)}
    assert paths == {
        ("first", "both"), ("second", "both"), ("second", "one"), ("first", "bad"),
        ("second", "bad"),
    }  # fmt: skip
    text = graph.plan().text()
    assert re.search(r"delivery with a store \(--state\)\n    first -> both: exactly once", text)
    delivery: Any = graph.plan().as_dict()["delivery"]
    assert len(delivery["with_store"]) == len(delivery["without_store"]) == 5
