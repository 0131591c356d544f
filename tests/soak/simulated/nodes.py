"""What the nodes of generated graphs do: it depends on the record and on the node alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zlib import crc32

from thalweg import (
    BatchFunction,
    Bookmark,
    BusyError,
    Context,
    DataError,
    KeyedState,
    Operator,
    Outcome,
    Read,
    Rejected,
    Retry,
    Sink,
    Source,
    UnavailableError,
)
from thalweg.operators.windows import Window

Record = tuple[object, ...]
"""Source, lane and position, and then a mark of each node that changed it."""


def dice(*things: object) -> int:
    """A number that depends on what is given and on nothing else."""
    return crc32(repr(things).encode())


def checked(node: str, record: Record) -> Record:
    """The record, unless it is one that this node cannot take."""
    if dice("bad", node, record) % 9 == 0:
        raise ValueError(f"{record} at {node}")
    return record


def mapped(node: str, record: Record) -> Record:
    return (*checked(node, record), node)


def kept(node: str, record: Record) -> bool:
    return dice("keep", node, checked(node, record)) % 4 != 0


def spread(node: str, record: Record) -> Iterator[Record]:
    for index in range(dice("spread", node, record) % 4):
        if index:
            checked(f"{node}{index}", record)  # Some break in the middle.
        yield (*record, node, index)


def pause(node: str, record: Record) -> float:
    return (0.0, 0.0, 0.001, 0.01, 0.05)[dice("pause", node, record) % 5]


def lane_of(record: Record) -> tuple[object, object]:
    return record[0], record[1]


def when(node: str, record: Record) -> float:
    """When a record happened: later in its lane is mostly later."""
    place = record[2] if isinstance(record[2], int) else 0
    if dice("no time", node, record) % 13 == 0:
        raise ValueError(f"{record} tells no time at {node}")
    return 1_500_000_000 + 10 * place + dice("when", node, record) % 31


def window_as_record(window: Window[object, object]) -> Record:
    return "window", str(window.key), window.start, window.end, window.value


class Passing(Operator[Record, Record]):
    """Without memory."""

    def __init__(self, node: str) -> None:
        self.node = node

    def process(self, record: Record) -> Iterator[Record]:
        return spread(self.node, record)


class Counting(Operator[Record, Record]):
    """Numbers the records of each lane, in a keyed state; tells the sums at the end."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.counts: KeyedState[tuple[object, object], int] = KeyedState()

    def process(self, record: Record) -> Iterator[Record]:
        checked(self.node, record)
        number = self.counts[lane_of(record)] = self.counts.get(lane_of(record), 0) + 1
        if dice("told", self.node, record) % 3:
            yield (*record, self.node, number)

    def on_end(self) -> Iterable[Record]:
        counts = sorted(self.counts.items(), key=repr)
        return [(*lane, -1, self.node, count) for lane, count in counts]


class Telling(Operator[Record, Record]):
    """Tells the record before in the same lane; remembers by a snapshot of its own."""

    def __init__(self, node: str) -> None:
        self.node = node

    async def open(self, context: Context) -> None:
        self.before: dict[str, int] = {}

    def process(self, record: Record) -> Iterator[Record]:
        before = self.before.get(repr(lane_of(record)), 0)
        self.before[repr(lane_of(record))] = dice(before, record)
        yield (*record, self.node, before)

    def snapshot(self) -> bytes:
        return repr(self.before).encode()

    def restore(self, data: bytes) -> None:
        self.before = eval(data)


class Once(Operator[Record, Record]):
    """Lets each record through once, in whatever order they come; several states and a snapshot."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.seen: KeyedState[Record, bool] = KeyedState()
        self.lanes: KeyedState[tuple[object, object], int] = KeyedState()

    async def open(self, context: Context) -> None:
        self.total = 0

    def process(self, record: Record) -> Iterator[Record]:
        key = record[:3]
        self.lanes[lane_of(record)] = self.lanes.get(lane_of(record), 0) + 1
        self.total += 1
        if key in self.seen:
            if dice("forget", self.node, record) % 5 == 0 and key[2] == -2:
                del self.seen[key]
            return
        self.seen[key] = True
        yield (*key, self.node)

    def on_end(self) -> Iterable[Record]:
        counts = [
            (*lane, -2, self.node, count) for lane, count in sorted(self.lanes.items(), key=repr)
        ]
        return [*counts, ("total", "", -3, self.node, self.total)]

    def snapshot(self) -> bytes:
        return str(self.total).encode()

    def restore(self, data: bytes) -> None:
        self.total = int(data)


class Calls(BatchFunction[Record, Record]):
    """Refuses bad records one by one, or the whole batch; breaks down now and then."""

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.max_in_flight = 1 + number % 4
        self.ordered = number % 3 != 0
        self.repeatable = self.halved = number % 2 == 0
        self.retry = Retry(attempts=3, first=0.001, longest=0.01)

    async def open(self, context: Context) -> None:
        self.calls = 0

    async def call(self, records: Sequence[Record]) -> Sequence[Record] | Outcome[Record]:
        await asyncio.sleep(pause(self.node, records[0]))
        self.calls += 1
        if self.repeatable and dice(self.calls, self.node) % 10 == 0:
            raise UnavailableError("refused") if self.calls % 2 else BusyError("busy")
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
    """Several lanes with gaps between positions, and input that is no record; goes on by notes."""

    def __init__(self, name: str, counts: Sequence[int], number: int) -> None:
        self.name = name
        self.number = number
        self.lanes = {f"lane{number}": count for number, count in enumerate(counts)}

    def contents(self, lane: str) -> list[tuple[int, bool]]:
        position = -1
        found: list[tuple[int, bool]] = []
        for _ in range(self.lanes[lane]):
            position += 1 + dice(self.name, lane, position) % 3 // 2
            found.append((position, dice("reject", self.name, lane, position) % 11 != 0))
        return found

    async def open(self, context: Context) -> None:
        self.chance = random.Random(self.number)
        self.left = {lane: self.contents(lane) for lane in self.lanes}

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        for lane, mark in bookmarks.items():
            # Every other source goes by its notes, which say how many have been read.
            read = int(mark.note or b"0")
            by_place = [one for one in self.left[lane] if one[0] > mark.last]
            by_note = self.left[lane][read:]
            assert by_place == by_note, (lane, mark)
            self.left[lane] = by_note

    async def read(self, limit: int) -> Read[Record] | None:
        await asyncio.sleep(self.chance.choice((0, 0, 0, 0.003)))
        lanes = [lane for lane, left in self.left.items() if left]
        if not lanes:
            return None
        lane = self.chance.choice(lanes)
        count = self.chance.randint(1, limit)
        part, self.left[lane] = self.left[lane][:count], self.left[lane][count:]
        good = [position for position, is_record in part if is_record]
        return Read(
            [(self.name, lane, position) for position in good],
            good,
            lane,
            [Rejected(at, at, ValueError("no record")) for at, is_record in part if not is_record],
            str(self.lanes[lane] - len(self.left[lane])).encode(),
        )


class AckedLanes(Lanes):
    """As `Lanes`, and is told what has arrived."""

    async def ack(self, lane: str, position: int) -> None:
        await asyncio.sleep(0.001)

    async def nack(self, lane: str, position: int) -> None:
        await asyncio.sleep(0)


class Committing(Sink[object]):
    """Stands for a sink that commits; a simulation puts its own in the place of it."""

    def __init__(self, *, repeatable: bool = False) -> None:
        self.repeatable = repeatable

    async def write(self, records: Sequence[object]) -> None:
        raise NotImplementedError

    async def prepare(self, epoch: int) -> bytes:
        raise NotImplementedError

    async def commit(self, epoch: int, prepared: bytes) -> None:
        raise NotImplementedError

    async def discard(self, epoch: int) -> None:
        raise NotImplementedError


class Plain(Sink[object]):
    """Stands for a sink that shows at once what is written."""

    def __init__(self, *, repeatable: bool = False) -> None:
        self.repeatable = repeatable

    async def write(self, records: Sequence[object]) -> None:
        raise NotImplementedError


class Keyed(Plain):
    """Stands for a sink that is given keys."""

    async def write_keyed(self, records: Sequence[object], keys: Sequence[str | None]) -> None:
        raise NotImplementedError
