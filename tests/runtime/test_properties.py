"""Random graphs on virtual time do what the same pipeline in plain Python does."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, cast
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg import (
    BatchFunction,
    Context,
    DataError,
    DeadLetter,
    Graph,
    JobCancelled,
    Operator,
    Origin,
    Outcome,
    Read,
    Rejected,
    Retry,
    Source,
    Stream,
    UnavailableError,
)
from thalweg.runtime import wiring
from thalweg.runtime.channel import Channel
from thalweg.runtime.progress import Progress
from thalweg.testing import CollectingSink, VirtualTimeLoop

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

Record = tuple[object, ...]
"""Source, lane and position, and then a mark of each node that changed it."""


def dice(*things: object) -> int:
    """A number that depends on what is given and on nothing else."""
    return crc32(repr(things).encode())


def check(node: str, record: Record) -> Record:
    """The record, unless it is one that this node cannot take."""
    if dice("bad", node, record) % 9 == 0:
        raise ValueError(f"{record} at {node}")
    return record


# What the nodes do


def mapped(node: str, record: Record) -> Record:
    return (*check(node, record), node)


def kept(node: str, record: Record) -> bool:
    return dice("keep", node, check(node, record)) % 4 != 0


def spread(node: str, record: Record) -> Iterator[Record]:
    for index in range(dice("spread", node, record) % 4):
        if index:
            check(f"{node}{index}", record)  # Some break in the middle.
        yield (*record, node, index)


def pause(node: str, record: Record) -> float:
    return (0.0, 0.0, 0.001, 0.01, 0.05)[dice("pause", node, record) % 5]


class Passing(Operator[Record, Record]):
    """Without memory."""

    def __init__(self, node: str) -> None:
        self.node = node

    def process(self, record: Record) -> Iterator[Record]:
        return spread(self.node, record)


class Numbering(Passing):
    """With memory, which the results do not depend on."""

    async def open(self, context: Context) -> None:
        self.seen = 0

    def process(self, record: Record) -> Iterator[Record]:
        self.seen += 1
        return super().process(record)

    def snapshot(self) -> bytes:
        return str(self.seen).encode()


class Calls(BatchFunction[Record, Record]):
    """Refuses bad records one by one, or the whole batch; breaks down now and then."""

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.max_in_flight = 1 + number % 4
        self.ordered = number % 3 != 0
        self.repeatable = self.halved = number % 2 == 0
        self.retry = Retry(attempts=3, first=0.001, longest=0.01)
        self.chance = random.Random(number)

    async def call(self, records: Sequence[Record]) -> Sequence[Record] | Outcome[Record]:
        await asyncio.sleep(pause(self.node, records[0]))
        if self.repeatable and self.chance.random() < 0.1:
            raise UnavailableError("refused")
        good: list[Record] = []
        bad: dict[int, Exception] = {}
        for index, record in enumerate(records):
            try:
                good.append(mapped(self.node, record))
            except ValueError as error:
                bad[index] = error
        # Not where all are bad: that would not be the data.
        if self.halved and good and bad and dice("whole", records[0]) % 2:
            raise DataError("one of them is bad")
        return Outcome(good, bad)


class Lanes(Source[Record]):
    """Several lanes with gaps between positions, and input that is no record."""

    def __init__(self, name: str, counts: Sequence[int], seed: int) -> None:
        self.name = name
        self.seed = seed
        self.lanes = {f"lane{number}": count for number, count in enumerate(counts)}
        self.told: list[tuple[str, str, int]] = []
        self.given: set[Record] = set()

    def contents(self, lane: str) -> Iterator[tuple[int, bool]]:
        position = -1
        for _ in range(self.lanes[lane]):
            position += 1 + dice(self.name, lane, position) % 3 // 2
            yield position, dice("reject", self.name, lane, position) % 11 != 0

    def gave(self, lane: str, position: int) -> bool:
        return (self.name, lane, position) in self.given

    async def open(self, context: Context) -> None:
        self.chance = random.Random(self.seed)
        self.left = {lane: list(self.contents(lane)) for lane in self.lanes}
        self.given.clear()

    async def read(self, limit: int) -> Read[Record] | None:
        await asyncio.sleep(self.chance.choice((0, 0, 0, 0.003)))
        open_lanes = [lane for lane, left in self.left.items() if left]
        if not open_lanes:
            return None
        lane = self.chance.choice(open_lanes)
        count = self.chance.randint(1, limit)
        part, self.left[lane] = self.left[lane][:count], self.left[lane][count:]
        good = [position for position, is_record in part if is_record]
        self.given |= {(self.name, lane, position) for position, _ in part}
        return Read(
            [(self.name, lane, position) for position in good],
            good,
            lane,
            [Rejected(at, at, ValueError("no record")) for at, is_record in part if not is_record],
        )

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(self.chance.choice((0, 0.002)))
        self.told.append(("ack", lane, position))

    async def nack(self, lane: str, position: int) -> None:
        self.told.append(("nack", lane, position))


# A random graph, and the same in plain Python


Strands = dict[str, list[Record]]
"""What flows in one stream: strands that keep their order, marked `?` where they do not."""


@dataclass
class Expected:
    """What a graph must do."""

    letters: Counter[tuple[str, Record]] = field(default_factory=Counter[tuple[str, Record]])
    blurred: set[str] = field(default_factory=set[str])
    sinks: dict[str, Strands] = field(default_factory=dict[str, Strands])

    def keep(self, which: Callable[[Record], bool]) -> None:
        """Expect only what comes of records for which this is true."""
        self.letters = Counter({key: n for key, n in self.letters.items() if which(key[1])})
        for strands in self.sinks.values():
            for records in strands.values():
                records[:] = [record for record in records if which(record)]

    def each(
        self, node: str, strands: Strands, make: Callable[[str, Record], list[Record]]
    ) -> Strands:
        return {key: self._one(node, records, make) for key, records in strands.items()}

    def _one(
        self, node: str, records: list[Record], make: Callable[[str, Record], list[Record]]
    ) -> list[Record]:
        out: list[Record] = []
        for record in records:
            try:
                out += make(node, record)
            except ValueError:
                self.letters[node, record] += 1
        return out

    def spread(self, node: str, strands: Strands) -> Strands:
        """Of a record that breaks in the middle, what came before is there."""
        made: Strands = {}
        for key, records in strands.items():
            made[key] = []
            for record in records:
                try:
                    for one in spread(node, record):
                        made[key].append(one)
                except ValueError:
                    self.letters[node, record] += 1
        return made


def loosened(strands: Strands) -> Strands:
    return {f"{key}?": records for key, records in strands.items()}


@dataclass
class Built:
    """A graph under construction, with what is expected of it."""

    graph: Graph
    expected: Expected = field(default_factory=Expected)
    streams: list[tuple[Stream[Record], Strands, bool]] = field(
        default_factory=list[tuple[Stream[Record], Strands, bool]]
    )
    used: set[int] = field(default_factory=set[int])
    sources: list[Lanes] = field(default_factory=list[Lanes])
    sinks: dict[str, CollectingSink[Record]] = field(
        default_factory=dict[str, CollectingSink[Record]]
    )
    failed: CollectingSink[DeadLetter] = field(default_factory=CollectingSink[DeadLetter])

    def add(self, stream: Stream[Record], strands: Strands, blurred: bool) -> None:
        self.streams.append((stream, strands, blurred))

    def read(self, name: str, counts: Sequence[int], seed: int) -> None:
        source = Lanes(name, counts, seed)
        self.sources.append(source)
        strands: Strands = {}
        for lane in source.lanes:
            contents = list(source.contents(lane))
            strands[f"{name}/{lane}"] = [(name, lane, at) for at, good in contents if good]
            for at, good in contents:
                if not good:
                    self.expected.letters[name, (name, lane, at)] += 1
        self.add(self.graph.read(name, source), strands, False)

    def move(self, kind: str, number: int) -> None:
        """Add a node of this kind to one of the streams."""
        index = number % len(self.streams)
        stream, strands, blurred = self.streams[index]
        node = f"{kind}{len(self.streams)}"
        expected = self.expected
        self.used.add(index)
        if blurred:
            expected.blurred.add(node)
        match kind:
            case "map":
                out = stream.map(lambda r: mapped(node, r), name=node)
                strands = expected.each(node, strands, lambda n, r: [mapped(n, r)])
            case "filter":
                out = stream.filter(lambda r: kept(node, r), name=node)
                strands = expected.each(node, strands, lambda n, r: [r] if kept(n, r) else [])
            case "flat_map":
                out = stream.flat_map(lambda r: spread(node, r), name=node)
                strands = expected.spread(node, strands)
            case "map_batch":
                out = stream.map_batch(lambda rs: [r for r in rs if len(r) != 4], name=node)
                strands = {k: [r for r in rs if len(r) != 4] for k, rs in strands.items()}
                blurred = True
            case "async_map":
                ordered = number % 3 != 0

                async def later(record: Record) -> Record:
                    if seconds := pause(node, record):
                        await asyncio.sleep(seconds)
                    return mapped(node, record)

                out = stream.map(later, name=node, max_in_flight=1 + number % 5, ordered=ordered)
                strands = expected.each(node, strands, lambda n, r: [mapped(n, r)])
                strands = strands if ordered else loosened(strands)
            case "async_flat_map":

                async def several(record: Record) -> list[Record]:
                    if seconds := pause(node, record):
                        await asyncio.sleep(seconds)
                    check(node, record)
                    return [(*record, node, index) for index in range(dice(record) % 3)]

                out = stream.flat_map(several, name=node, max_in_flight=1 + number % 5)
                strands = expected.each(
                    node,
                    strands,
                    lambda n, r: [(*r, n, index) for index in range(dice(check(n, r)) % 3)],
                )
            case "operator":
                out = stream.via(node, Passing(node))
                strands = expected.spread(node, strands)
            case "memory":
                out = stream.via(node, Numbering(node), volatile=True)
                strands = expected.spread(node, strands)
            case "calls":
                function = Calls(node, number)
                out = stream.via(node, function)
                strands = expected.each(node, strands, lambda n, r: [mapped(n, r)])
                strands = strands if function.ordered else loosened(strands)
            case "batch":
                linger = (0.0, 0.01, None)[number % 3]
                out = stream.batch(1 + number % 7, linger=linger, name=node)
            case "split":
                split = stream.split(lambda r: kept(node, r), name=node)
                rest = expected.each(node, strands, lambda n, r: [] if kept(n, r) else [r])
                self.add(split.rest, rest, blurred)
                out = split.matching
                strands = {
                    key: [r for r in records if (node, r) not in expected.letters and kept(node, r)]
                    for key, records in strands.items()
                }
            case _:
                other = number // 7 % len(self.streams)
                both = [self.streams[index], self.streams[other]]
                self.used.add(other)
                out, strands = self._union(node, both)
                blurred = any(one[2] for one in both)
        self.add(out, strands, blurred)

    def _union(
        self, node: str, inputs: Sequence[tuple[Stream[Record], Strands, bool]]
    ) -> tuple[Stream[Record], Strands]:
        """Both are marked first, so that one can tell them apart below."""
        marked: list[Stream[Record]] = []
        strands: Strands = {}
        for number, (stream, those, blurred) in enumerate(inputs):
            name = f"{node}.{number}"
            if blurred:
                self.expected.blurred.add(name)
            marked.append(stream.map(partial(mapped, name), name=name))
            those = self.expected.each(name, those, lambda n, r: [mapped(n, r)])
            strands |= {f"{key}.{number}": records for key, records in those.items()}
        return marked[0].union(*marked[1:]), strands

    def given(self) -> set[Record]:
        """What has been read."""
        return {one for source in self.sources for one in source.given}

    def finish(self) -> None:
        for index, (stream, strands, _) in enumerate(self.streams):
            if index not in self.used or index % 4 == 0:
                name = f"sink{index}"
                self.sinks[name] = CollectingSink[Record]()
                stream.to(name, self.sinks[name])
                self.expected.sinks[name] = strands
        self.graph.failed.to("failed", self.failed)


class WatchedChannel(Channel):
    """Lets a test look at every channel of a job."""

    __slots__ = ()

    all: list[Channel] = []  # noqa: RUF012

    def __init__(
        self,
        name: str,
        *,
        max_batches: int,
        max_records: int,
        max_bytes: int,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(
            name, max_batches=max_batches, max_records=max_records, max_bytes=max_bytes, loop=loop
        )
        WatchedChannel.all.append(self)


class WatchingLoop(VirtualTimeLoop):
    """Looks at the channels in every turn."""

    looks = 0
    stop_at = 0
    strike: Callable[[], None] | None = None

    def shuffle(self) -> None:
        for channel in WatchedChannel.all:
            now = channel.statistics()
            self.looks += 1
            assert now.batches <= now.max_batches, channel.name
            assert now.batches <= 1 or now.records <= now.max_records, channel.name
        if self.looks >= self.stop_at and self.strike is not None:
            self.call_soon(self.strike)
            self.strike = None
        super().shuffle()


Stop = tuple[Literal["drain", "cancel"], int]
"""How to stop a job, and after how many looks at a channel."""


def run(built: Built, seed: int, stop: Stop | None = None) -> Progress:
    stopping: list[asyncio.Task[None]] = []

    async def main() -> Progress:
        job = built.graph.start()

        def stop_now() -> None:
            how = job.drain if stop and stop[0] == "drain" else job.cancel
            if job.state != "created":
                stopping.append(asyncio.create_task(how()))

        if stop is not None:
            loop.stop_at, loop.strike = stop[1], stop_now
        with contextlib.suppress(JobCancelled):
            async with asyncio.timeout(3600), job:
                await job.wait()
        loop.strike = None
        for task in stopping:
            with contextlib.suppress(JobCancelled):
                await task
        return job.progress()

    WatchedChannel.all.clear()
    loop = WatchingLoop(seed=seed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        progress = runner.run(main())
        assert loop.looks > 0
    WatchedChannel.all.clear()
    return progress


KINDS = (
    "map",
    "filter",
    "flat_map",
    "map_batch",
    "async_map",
    "async_flat_map",
    "operator",
    "memory",
    "calls",
    "batch",
    "split",
    "union",
)
moves = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 10_000)), max_size=9)
lanes = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=3), min_size=1, max_size=2)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "Channel", WatchedChannel)


def build(
    moves: Sequence[tuple[str, int]],
    lanes: Sequence[Sequence[int]],
    seed: int,
    max_batch_size: int,
    channel: tuple[int, int],
    fuse: bool,
) -> Built:
    built = Built(
        Graph(
            "random",
            max_batch_size=max_batch_size,
            channel_batches=channel[0],
            channel_records=channel[1],
            fuse=fuse,
        )
    )
    for number, counts in enumerate(lanes):
        built.read(f"source{number}", counts, seed + number)
    for kind, number in moves:
        built.move(kind, number)
    built.finish()
    return built


graphs = st.builds(
    build,
    moves=moves,
    lanes=lanes,
    seed=st.integers(0, 10_000),
    max_batch_size=st.sampled_from([1, 2, 3, 7, 64]),
    channel=st.tuples(st.sampled_from([1, 2, 16]), st.sampled_from([64, 4096])),
    fuse=st.booleans(),
)
allowed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@pytest.mark.usefixtures("watched")
@settings(max_examples=60, deadline=None, suppress_health_check=allowed)
@given(built=graphs, seed=st.integers(0, 10_000))
def test_a_graph_does_what_plain_python_does(built: Built, seed: int) -> None:
    progress = run(built, seed)
    assert progress.state == "ended"
    assert progress.read == sum(sum(source.lanes.values()) for source in built.sources)
    check_drained(built, progress)


@pytest.mark.usefixtures("watched")
@settings(max_examples=30, deadline=None, suppress_health_check=allowed)
@given(built=graphs, seed=st.integers(0, 10_000), looks=st.integers(0, 3_000))
def test_a_graph_that_is_drained_does_so_with_all_that_it_has_read(
    built: Built, seed: int, looks: int
) -> None:
    progress = run(built, seed, ("drain", looks))
    assert progress.state in ("ended", "drained")
    check_drained(built, progress)


@pytest.mark.usefixtures("watched")
@settings(max_examples=30, deadline=None, suppress_health_check=allowed)
@given(built=graphs, seed=st.integers(0, 10_000), looks=st.integers(0, 3_000))
def test_a_graph_that_is_cancelled_invents_nothing_and_has_done_what_it_acked(
    built: Built, seed: int, looks: int
) -> None:
    progress = run(built, seed, ("cancel", looks))
    assert progress.state in ("ended", "cancelled")
    check_cancelled(built)


def check_drained(built: Built, progress: Progress) -> None:
    """All that was read has arrived, once, where and as it should, and is settled and acked."""
    expected = built.expected
    given = built.given()
    expected.keep(lambda record: record[:3] in given)
    for name, sink in built.sinks.items():
        strands = expected.sinks[name]
        assert Counter(sink.records) == Counter(r for one in strands.values() for r in one), name
        for key, records in strands.items():
            if "?" not in key:
                own = set(records)
                assert [record for record in sink.records if record in own] == records, key
    _check_origins(built)
    assert _letters(built) == expected.letters
    assert progress.read == progress.settled == len(built.given())
    assert progress.dead_letters == expected.letters.total()
    for source in built.sources:
        assert all(what == "ack" for what, _, _ in source.told)
        for lane in source.lanes:
            acked = [position for _, of, position in source.told if of == lane]
            assert acked == sorted(set(acked))
            assert (
                acked[-1:] == [at for at, _ in source.contents(lane) if source.gave(lane, at)][-1:]
            )


def check_cancelled(built: Built) -> None:
    """Nothing is there that should not be, or twice; what was acked is there."""
    expected = built.expected
    for name, sink in built.sinks.items():
        strands = expected.sinks[name]
        assert Counter(sink.records) <= Counter(r for one in strands.values() for r in one), name
        for key, records in strands.items():
            if "?" not in key:
                places = [records.index(record) for record in sink.records if record in records]
                assert places == sorted(places), key
    _check_origins(built)
    assert _letters(built) <= expected.letters
    if any(node.name.startswith("memory") for node in built.graph.nodes):
        return  # Memory settles what it takes in, not what it gives out.
    acked = {
        (source.name, lane): position
        for source in built.sources
        for what, lane, position in source.told
        if what == "ack"
    }
    expected.keep(
        lambda record: cast("int", record[2]) <= acked.get((str(record[0]), str(record[1])), -1)
    )
    for name, sink in built.sinks.items():
        strands = expected.sinks[name]
        assert Counter(r for one in strands.values() for r in one) <= Counter(sink.records), name
    assert expected.letters <= _letters(built)


def _input_of(letter: DeadLetter) -> Record:
    """The record of a dead letter; of what a source refused, where it stood."""
    if isinstance(letter.record, tuple):
        return cast("Record", letter.record)
    assert letter.origin is not None
    return (letter.origin.source, letter.origin.lane, letter.record)


def _letters(built: Built) -> Counter[tuple[str, Record]]:
    return Counter((letter.node, _input_of(letter)) for letter in built.failed.records)


def _check_origins(built: Built) -> None:
    """Each dead letter tells where its record came from, and why it failed."""
    for letter in built.failed.records:
        origin, record = letter.origin, _input_of(letter)
        source, lane, position = record[:3]
        assert isinstance(origin, Origin)
        assert isinstance(position, int)
        assert origin.position is not None
        if letter.node in built.expected.blurred:
            # One stretch is told even where a batch holds several lanes.
            if (origin.source, origin.lane) == (source, lane):
                assert origin.position <= position <= (origin.through or origin.position)
        else:
            assert origin == Origin(str(source), str(lane), position)
        assert letter.error.message.startswith(("no record", str(record)))
