"""A simulated broker: it delivers again what was not acked."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

from ...context import Context
from ...contracts import Read, Source
from ...nodes import is_count
from .calls import Caller, call

__all__ = ["BrokerSource", "broker"]

R = TypeVar("R")
T = TypeVar("T")


class _Queue(Generic[R]):
    """One queue: its messages, and what is to be delivered, under way, and done with."""

    def __init__(self, messages: Sequence[R]) -> None:
        self.messages = messages
        self.ready = deque(range(len(messages)))
        self.unacked: dict[int, int] = {}
        """The message of each delivery of this connection that is not acked, by its tag."""
        self.acked: set[int] = set()

    def requeue(self) -> None:
        """The connection is lost: what was not acked is delivered again, in its order."""
        self.ready = deque(sorted({*self.ready, *self.unacked.values()}))
        self.unacked.clear()


class _Broker(Generic[R]):
    """What outlives the jobs that read of it."""

    def __init__(self, queues: Mapping[str, Sequence[R]]) -> None:
        self.queues = {name: _Queue(messages) for name, messages in queues.items()}
        self.connection = 0
        self.deliveries = 0
        self.lost: Callable[[], None] | None = None
        """Called when the connection is lost, by whoever reads of it now."""

    def connect(self) -> int:
        """A new connection; the one before it is lost."""
        self.connection += 1
        for queue in self.queues.values():
            queue.requeue()
        return self.connection

    def deliver(self, name: str, most: int) -> dict[int, R]:
        """The next messages of a queue, by the tags of their deliveries."""
        queue, found = self.queues[name], dict[int, R]()
        while queue.ready and len(found) < most:
            number = queue.ready.popleft()
            self.deliveries += 1
            queue.unacked[self.deliveries] = number
            found[self.deliveries] = queue.messages[number]
        return found

    def ack(self, connection: int, name: str, tag: int) -> None:
        """All deliveries of a queue up to this one have arrived, if they are of this connection."""
        if connection == self.connection:
            queue = self.queues[name]
            for one in [one for one in queue.unacked if one <= tag]:
                queue.acked.add(queue.unacked.pop(one))


class BrokerSource(Source[R]):
    """The source that `broker` makes; see there.

    All jobs of one prototype read of the same broker, so that a test can look at the prototype.
    """

    redelivers = True

    def __init__(
        self, queues: Mapping[str, Sequence[R]], *, prefetch: int, pace: float, seed: int
    ) -> None:
        if not is_count(prefetch):
            raise ValueError(f"prefetch is 1 or more, not {prefetch!r}")
        if not pace >= 0:
            raise ValueError(f"pace is a number of seconds, 0 or more, not {pace!r}")
        self._queues = queues
        self._broker: _Broker[R] = _Broker(queues)
        self._prefetch = prefetch
        self._pace = pace
        self._seed = seed
        self._process: Caller | None = None
        self._name = ""

    @property
    def acked(self) -> dict[str, list[R]]:
        """The messages that were acked, by queue, in the order of the queue."""
        return {
            name: [queue.messages[number] for number in sorted(queue.acked)]
            for name, queue in self._broker.queues.items()
        }

    @property
    def deliveries(self) -> int:
        """How many messages have been delivered, those included that were delivered again."""
        return self._broker.deliveries

    def lose_connection(self) -> None:
        """Lose the connection: the source makes another one with its next read."""
        self._broker.connect()
        if self._broker.lost is not None:
            self._broker.lost()

    def simulated(
        self, broker: BrokerSource[R] | None, process: Caller, name: str
    ) -> BrokerSource[R]:
        """The same source in a simulation: of its own broker, or that of an earlier start."""
        made = BrokerSource(self._queues, prefetch=self._prefetch, pace=self._pace, seed=self._seed)
        if broker is not None:
            made._broker = broker._broker
            made._broker.lost = None
        made._process, made._name = process, name
        return made

    async def open(self, context: Context) -> None:
        self._chance = random.Random(self._seed)
        self._broker.lost = None
        self._connection = self._broker.connect()
        self._next = dict.fromkeys(self._queues, 0)
        self._tags: dict[str, deque[tuple[int, int, int]]] = {
            name: deque() for name in self._queues
        }
        self._acked = asyncio.Event()
        self._broker.lost = self._acked.set

    async def read(self, limit: int) -> Read[R] | None:
        broker = self._broker
        while True:
            if self._pace:
                await asyncio.sleep(self._pace)
            self._acked.clear()
            if self._connection != broker.connection:
                self._connection = broker.connect()
            waiting = [name for name, queue in broker.queues.items() if queue.ready]
            if not waiting:
                return None
            free = {
                name: self._prefetch - len(broker.queues[name].unacked)
                for name in waiting
                if len(broker.queues[name].unacked) < self._prefetch
            }
            if free:
                name = self._chance.choice(sorted(free))
                deliver = partial(broker.deliver, name, min(limit, free[name]))
                given = await self._outside("deliver", deliver)
                if self._connection == broker.connection:
                    return self._taken(name, given)
            else:
                await self._acked.wait()

    def _taken(self, name: str, given: Mapping[int, R]) -> Read[R]:
        first = self._next[name]
        self._next[name] = after = first + len(given)
        for position, tag in zip(range(first, after), given, strict=True):
            self._tags[name].append((position, self._connection, tag))
        return Read(list(given.values()), range(first, after), lane=name)

    async def ack(self, lane: str, position: int) -> None:
        tags, last = self._tags[lane], None
        while tags and tags[0][0] <= position:
            last = tags.popleft()
        if last is not None:
            _, connection, tag = last
            if self._process is not None:
                self._process.world.may_ack(self._name, lane, position)
            await self._outside("ack", lambda: self._broker.ack(connection, lane, tag))
        self._acked.set()

    async def _outside(self, name: str, do: Callable[[], T]) -> T:
        if self._process is None:
            return do()
        return await call(self._process, name, f"the broker of {self._name}", do)


def broker(
    messages: Mapping[str, Sequence[R]] | Sequence[R],
    *,
    prefetch: int = 64,
    pace: float = 0.0,
    seed: int = 0,
) -> BrokerSource[R]:
    """A source of messages that a simulated broker delivers again until they are acked.

    >>> orders = broker({"north": [{"id": 1}, {"id": 2}], "south": [{"id": 3}]}, prefetch=1)
    >>> orders.acked
    {'north': [], 'south': []}

    Each queue is a lane. What was delivered and not acked is delivered again, in the order of the
    queue, once the connection is lost: when `lose_connection` is called, and with each start of a
    job. A job with a store acks what is part of an epoch that is stored and committed. So a message
    may come twice, at two positions; with `graph.read(..., identity=...)` it counts once.

    Parameters: `messages`, by queue, or those of a queue named ``""``; the same message may stand
    in a queue twice, as one that was published twice. `prefetch`, how many messages of a queue are
    delivered and not acked at most (64); `pace`, the virtual seconds before each read (0); `seed`,
    which decides from which queue is read next (0).

    Raises ValueError for a `prefetch` under 1 and a negative `pace`.

    Emits when: a queue has a message, and its prefetch allows it. Waits when: it does not.
    Ends when: everything has been delivered on one connection, acked or not. Order: that of the
    queue, each time that it is delivered. State: what was acked, shared by all jobs of one
    prototype. On error: nothing here can fail, but in a simulation.
    """
    queues = messages if isinstance(messages, Mapping) else {"": messages}
    return BrokerSource(queues, prefetch=prefetch, pace=pace, seed=seed)
