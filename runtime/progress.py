"""Progress: what a job reports of itself, as data."""

from __future__ import annotations

from dataclasses import asdict, field
from typing import Literal

from .dataclass import dataclass
from .endpoint_statistics import EndpointStatistics

__all__ = [
    "CallProgress",
    "ChannelStatistics",
    "EpochProgress",
    "JobState",
    "NodeProgress",
    "Progress",
]

JobState = Literal[
    "created",
    "starting",
    "running",
    "suspending",
    "draining",
    "ended",
    "drained",
    "suspended",
    "cancelled",
    "failed",
]
"""`ended`: every source came to its end; `drained`: the sources were stopped first; `suspended`:
a last epoch was taken, and the next start goes on from it."""


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What a channel holds, and its bounds. `bytes` is an estimate."""

    batches: int
    records: int
    bytes: int
    max_batches: int
    max_records: int
    max_bytes: int
    sender_waits: bool
    receiver_waits: bool


@dataclass(frozen=True, slots=True)
class CallProgress:
    """How the calls of a node fare: of the last few hundred, times in seconds.

    `rate` is in records a second, `p50` and `p99` are from sending to answer, `client` is the share
    of the time for which this process was busy. `max_in_flight`, `max_batch_size` and `linger` are
    in force, `allowed` the calls at once that the other side takes. `limited_by` says what holds
    the node back: server, network, client, linger or input, and why. `tuning` is what a node that
    tunes itself did last, and why.
    """

    answered: int
    refused: int
    failed: int
    rate: float
    p50: float
    p99: float
    client: float
    max_in_flight: int
    allowed: int
    max_batch_size: int | None
    linger: float | None
    limited_by: str | None
    tuning: str | None


@dataclass(frozen=True, slots=True)
class NodeProgress:
    """What one node has done. Times are in seconds.

    `records_in` and `records_out` count records, `dead_letters` those it gave up, `late` those that
    came too late to be counted, whether or not its late port goes anywhere, `in_flight` those it
    has taken in and not yet answered for (its inbox not counted). `converted` are the records that
    were made of columns at its inbox, or columns of, in `seconds_converting`. `waiting` says in
    words what it waits for when that is something outside, such as a server. `cuts` tells of a
    `batch` how many batches went because they were full (by records or bytes), because the first
    record had lingered, because every source waited (starved), or for a signal or the end. `calls`
    is there where calls are repeated, and `endpoints` where several may answer them. A fused node
    shares `actor`, the times and the inbox with its neighbours. `settled` is, for a source, the
    last position of its (last) lane up to which all is delivered.
    """

    node: str
    kind: str
    actor: str
    state: Literal["opening", "running", "ended", "failed", "cancelled"]
    records_in: int = 0
    records_out: int = 0
    dead_letters: int = 0
    late: int = 0
    in_flight: int = 0
    retries: int = 0
    converted: int = 0
    seconds_converting: float = 0.0
    seconds_busy: float = 0.0
    seconds_waiting_for_input: float = 0.0
    seconds_waiting_for_output: float = 0.0
    waiting: str | None = None
    inbox: ChannelStatistics | None = None
    settled: int | None = None
    cuts: dict[str, int] = field(default_factory=dict[str, int])
    calls: CallProgress | None = None
    endpoints: tuple[EndpointStatistics, ...] = ()


@dataclass(frozen=True, slots=True)
class EpochProgress:
    """The epochs of a job that has a store.

    `epoch` is the last one that was committed, `taken` how many this run has committed, `seconds`
    and `bytes` how long the last one took and how large it was, `age` the seconds since it was
    committed. `waiting` says in words what an epoch waits for when that is the store.
    """

    epoch: int
    taken: int = 0
    seconds: float = 0.0
    bytes: int = 0
    age: float | None = None
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A consistent picture of a job, taken between two turns of its loop.

    `read` counts the records that sources handed over (with what they rejected), `settled` those
    that have arrived everywhere they should; `in_flight` is the difference. `seconds` is how long
    the job has run. `epochs` is None without a store.
    """

    id: str
    name: str
    state: JobState
    timestamp: str
    seconds: float
    read: int
    settled: int
    dead_letters: int
    nodes: tuple[NodeProgress, ...]
    epochs: EpochProgress | None = None

    @property
    def in_flight(self) -> int:
        """Records that were read and have not yet arrived everywhere they should."""
        return self.read - self.settled

    @property
    def bottleneck(self) -> str | None:
        """The name of the actor that holds up the others, or None when none does."""
        return _bottleneck(self.nodes)

    def node(self, name: str) -> NodeProgress:
        """The progress of one node. Raises KeyError when there is none of this name."""
        for node in self.nodes:
            if node.node == name:
                return node
        raise KeyError(f"no node {name!r}; there are {[node.node for node in self.nodes]}")

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, ready for JSON."""
        return {**asdict(self), "in_flight": self.in_flight, "bottleneck": self.bottleneck}


def _bottleneck(nodes: tuple[NodeProgress, ...]) -> str | None:
    """The actor that was busy longest: it waited neither for input nor for output.

    In seconds, not as a share of its life: a source that ended at once was never idle.
    """
    best: tuple[float, str] | None = None
    for node in nodes:
        if node.seconds_busy <= 0 or node.records_in + node.records_out == 0:
            continue
        if best is None or node.seconds_busy > best[0]:
            best = (node.seconds_busy, node.actor)
    return best[1] if best else None
