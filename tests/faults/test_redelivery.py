"""Fault 37: a broker that delivers again what was not acked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from thalweg import Graph, JobFailed, State, StateMismatch
from thalweg.operators import sinks
from thalweg.testing import BrokerSource, MemoryStore, broker, run_virtual, simulate

from .counted import Counting, Number, lines, run


def orders(count: int, **options: Any) -> BrokerSource[Number]:
    queues = {"north": range(0, count, 2), "south": range(1, count, 2)}
    return broker({q: [{"id": n} for n in ids] for q, ids in queues.items()}, **options)


def by_queue(records: Sequence[Number]) -> tuple[list[int], list[int]]:
    return (
        [record["id"] for record in records if record["id"] % 2 == 0],
        [record["id"] for record in records if record["id"] % 2 == 1],
    )


def taking(source: BrokerSource[Number], out: Path, *, identity: bool = True) -> Graph:
    graph = Graph("orders", max_batch_size=3)
    name: Callable[[Number], object] | None = (lambda order: order["id"]) if identity else None
    graph.read("orders", source, identity=name).to("out", sinks.ndjson(out))
    return graph


class Killed(Exception):
    pass


class DiesAtAck(BrokerSource[Number]):
    """The epoch is stored and committed, and the process dies before the broker hears of it."""

    deaths = 1

    async def ack(self, lane: str, position: int) -> None:
        if DiesAtAck.deaths:
            DiesAtAck.deaths -= 1
            raise Killed("just before the ack")
        await super().ack(lane, position)


def test_37_a_crash_between_the_stored_epoch_and_the_ack_repeats_nothing(tmp_path: Path) -> None:
    source, store, out = orders(60, prefetch=5, pace=0.01), MemoryStore(), tmp_path / "out.ndjson"
    source.__class__ = DiesAtAck
    DiesAtAck.deaths = 3
    for _ in range(3):
        with pytest.raises(JobFailed, match="just before the ack"):
            run(taking(source, out), State(store, interval=0.05))
        acked = sum(len(messages) for messages in source.acked.values())
        assert len(lines(out)) > acked
    assert run(taking(source, out), State(store, interval=0.05)) == "ended"
    assert by_queue(lines(out)) == (list(range(0, 60, 2)), list(range(1, 60, 2)))
    assert source.deliveries > 60
    assert [order["id"] for order in source.acked["north"]] == list(range(0, 60, 2))


def test_37_a_connection_that_is_lost_repeats_nothing(tmp_path: Path) -> None:
    source, out = orders(200, prefetch=10, pace=0.01), tmp_path / "out.ndjson"

    async def main() -> None:
        async with taking(source, out).start(state=State(MemoryStore(), interval=0.07)) as job:
            while job.state == "running":
                await asyncio.sleep(0.05)
                source.lose_connection()
                if source.deliveries > 500:
                    break
            await job.wait()

    run_virtual(main)
    assert by_queue(lines(out)) == (list(range(0, 200, 2)), list(range(1, 200, 2)))
    assert source.deliveries > 200


def test_37_without_an_identity_what_was_not_acked_comes_again_and_nothing_else(
    tmp_path: Path,
) -> None:
    source, store, out = orders(60, prefetch=5, pace=0.01), MemoryStore(), tmp_path / "out.ndjson"
    source.__class__ = DiesAtAck
    DiesAtAck.deaths = 1
    with pytest.raises(JobFailed, match="just before the ack"):
        run(taking(source, out, identity=False), State(store, interval=0.05))
    shown, acked = lines(out), source.acked
    run(taking(source, out, identity=False), State(store, interval=0.05))
    whole = by_queue(lines(out))
    for queue, start in (("north", 0), ("south", 1)):
        before = by_queue(shown)[start]
        first = len(acked[queue])
        # In the order of the queue, from the first one on that had not been acked.
        assert whole[start] == before + list(range(start, 60, 2))[first:]
        assert len(before) - first <= 5


def test_37_nothing_is_acked_before_its_epoch_is_committed(tmp_path: Path) -> None:
    source, out = orders(100, prefetch=7, pace=0.01), tmp_path / "out.ndjson"
    acked: list[tuple[str, int]] = []

    class Watched(BrokerSource[Number]):
        async def ack(self, lane: str, position: int) -> None:
            shown = by_queue(lines(out))[0 if lane == "north" else 1]
            assert len(shown) > position
            acked.append((lane, position))
            await super().ack(lane, position)

    source.__class__ = Watched
    run(taking(source, out), State(MemoryStore(), interval=0.05))
    for lane in ("north", "south"):
        told = [position for one, position in acked if one == lane]
        assert told == sorted(told)
        assert told[-1] == 49


def test_37_the_messages_of_a_broker_come_through_simulated_faults() -> None:
    source = orders(120, prefetch=10)

    def make() -> Graph:
        graph = Graph("orders")
        read = graph.read("orders", source, identity=lambda order: order["id"])
        read.map(lambda order: order["id"]).via("count", Counting()).to("counts", sinks.collect([]))
        read.to("out", sinks.ndjson("out.ndjson"))
        return graph

    deliveries = 0
    for seed in range(30):
        report = simulate(make, seed=seed, faults=["process", "broker", "answer", "refuse"])
        # Two queues are counted together: what the counts are depends on how they mix.
        assert {*report.differences} <= {"counts"}, report
        deliveries += sum("broker" in fault.what for fault in report.faults)
    assert deliveries > 10


def test_37_an_identity_is_not_given_up_in_silence(tmp_path: Path) -> None:
    source, store, out = orders(60, prefetch=5, pace=0.01), MemoryStore(), tmp_path / "out.ndjson"
    source.__class__ = DiesAtAck
    DiesAtAck.deaths = 1
    with pytest.raises(JobFailed, match="just before the ack"):
        run(taking(source, out), State(store, interval=0.05))
    with pytest.raises(StateMismatch, match=r"'orders' remembered the ids of its records"):
        run(taking(source, out, identity=False), State(store, interval=0.05))
    assert run(taking(source, out), State(store, interval=0.05)) == "ended"
    assert by_queue(lines(out)) == (list(range(0, 60, 2)), list(range(1, 60, 2)))
