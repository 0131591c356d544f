"""A source that does what a test wrote down: records, crashes, pauses, ends and signals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from ..bookmarks import Bookmark
from ..context import Context
from ..contracts import Read, Source
from ..dataclass import dataclass
from ..errors import RuntimeFault, ThalwegError
from ..signals import Barrier, Watermark
from .tally import Tally

__all__ = ["CHECKPOINT", "CRASH", "END", "PAUSE", "ScriptedCrash", "ScriptedSource", "scripted"]

R = TypeVar("R")


class ScriptedCrash(ThalwegError):
    """A scripted source came to a `CRASH`."""


@dataclass(frozen=True, slots=True)
class _Crash:
    def __repr__(self) -> str:
        return "CRASH"


@dataclass(frozen=True, slots=True)
class _Ending:
    def __repr__(self) -> str:
        return "END"


@dataclass(frozen=True, slots=True)
class _Pause:
    """The source is silent for so many seconds, by the loop's time; see `scripted`."""

    seconds: float

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"a PAUSE lasts 0 or more seconds, not {self.seconds}")

    def __repr__(self) -> str:
        return f"PAUSE({self.seconds})"


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    def __repr__(self) -> str:
        return "CHECKPOINT"


CHECKPOINT: Final = _Checkpoint()
"""The job takes an epoch here; the source goes on when it is committed."""
CRASH: Final = _Crash()
"""The source fails here; a later start goes on behind it."""
END: Final = _Ending()
"""The source ends here; a later start goes on behind it."""
PAUSE: TypeAlias = _Pause
"""`PAUSE(seconds)`: the source is silent for so long, by the loop's time."""

Special = _Checkpoint | _Crash | _Ending | _Pause | Watermark


class _Script(Generic[R]):
    """What the jobs of one prototype share: where to go on, and what became of the records."""

    def __init__(self, values: Sequence[R | Special]) -> None:
        self.values = values
        self.begin = 0
        self.acked: list[int] = []
        self.nacked: list[int] = []
        self.tally = Tally()
        self.before: list[int] = [0]
        for value in values:
            self.before.append(self.before[-1] + (not isinstance(value, Special)))


class ScriptedSource(Source[R]):
    """The source that `scripted` makes; see there.

    `acked` and `nacked` are shared by all jobs, so that a test can look at the prototype: `acked`
    holds the position of every record that arrived, `nacked` for every job that stopped early the
    position from which records were missing.
    """

    def __init__(self, values: Sequence[R | Special], *, one_by_one: bool = False) -> None:
        self._script = _Script(values)
        self._one_by_one = one_by_one
        self._next = 0
        self._ended = False
        self._quiet_until: float | None = None
        self._acked_through = -1

    @property
    def acked(self) -> list[int]:
        """The position of every record that arrived, in order."""
        return self._script.acked

    @property
    def nacked(self) -> list[int]:
        """From which position on records had not arrived, for every job that stopped early."""
        return self._script.nacked

    async def settled(self, count: int) -> None:
        """Wait until `count` records have been acked, those of earlier jobs included."""
        await self._script.tally.reach(count)

    async def open(self, context: Context) -> None:
        script = self._script
        self._ended = False
        self._quiet_until = None
        # A job with a store goes on where its state says: from the start, as long as it has none.
        self._next = script.begin if context.fence is None else 0
        self._acked_through = script.before[self._next] - 1

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        script = self._script
        position = bookmarks[""].last if "" in bookmarks else -1
        if not -1 <= position < script.before[-1]:
            raise ValueError(
                f"position {position} is not in the script: its records stand at 0 to "
                f"{script.before[-1] - 1}"
            )
        # Recovery goes back to records, but never again through a CRASH or an END behind us.
        self._next = script.before.index(position + 1)
        self._acked_through = script.before[self._next] - 1

    async def read(self, limit: int) -> Read[R] | Watermark | Barrier | None:
        script = self._script
        values = script.values
        while not self._ended and self._next < len(values):
            value = values[self._next]
            if not isinstance(value, Special):
                return self._records(limit)
            if isinstance(value, _Pause):
                await self._pause(value.seconds)
            self._next += 1
            if isinstance(value, _Crash | _Ending) and self._next > script.begin:
                script.begin = self._next
                if isinstance(value, _Crash):
                    raise ScriptedCrash(f"CRASH stands at place {self._next - 1} of the script")
                self._ended = True
            if isinstance(value, Watermark):
                return value
            if isinstance(value, _Checkpoint):
                return Barrier(0)
        if not self._ended:
            self._ended = True
            script.begin = 0
        return None

    def _records(self, limit: int) -> Read[R]:
        script, first = self._script, self._next
        most = min(len(script.values), first + (1 if self._one_by_one else limit))
        records: list[R] = []
        while self._next < most:
            value = script.values[self._next]
            if isinstance(value, Special):
                break
            records.append(value)
            self._next += 1
        start = script.before[first]
        return Read(records, range(start, start + len(records)))

    async def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._quiet_until is None:
            self._quiet_until = loop.time() + seconds
        # A read that was cancelled in a pause is made again, and has only the rest to wait.
        await asyncio.sleep(self._quiet_until - loop.time())
        self._quiet_until = None

    async def ack(self, lane: str, position: int) -> None:
        script = self._script
        if not self._acked_through <= position < script.before[self._next]:
            raise RuntimeFault(
                f"ack of position {position}, when {self._acked_through} was the last one acked "
                f"and {script.before[self._next] - 1} the last one read"
            )
        script.acked.extend(range(self._acked_through + 1, position + 1))
        script.tally.add(position - self._acked_through)
        self._acked_through = position

    async def nack(self, lane: str, position: int) -> None:
        self._script.nacked.append(position)


def scripted(*values: R | Special, one_by_one: bool = False) -> ScriptedSource[R]:
    """A source that hands out `values`: records, and between them what shall happen.

    >>> source = scripted(1, 2, CRASH, 3, PAUSE(60), 4, END, 5)

    reads 1 and 2 and fails. Started again, it reads 3, is silent for a minute, reads 4 and ends;
    started a third time, it reads 5. After its last value it begins anew. In a job with a store it
    goes on behind the records of the last epoch instead, or from the start while there is none,
    past what has happened before. A `Watermark(at)` is sent into the stream where it stands; at a
    `CHECKPOINT` the job takes an epoch, and the source goes on when it is committed.

    Records between two other values come in one list, or one by one with `one_by_one=True`. Their
    positions count from 0 over all of them. A test waits with `await source.settled(count)`.

    Emits when: asked. Waits when: at a PAUSE. Ends when: at an END and after the last value.
    Order: as given. State: where a later start goes on, shared by all jobs of one prototype.
    On error: a CRASH raises `ScriptedCrash`.
    """
    return ScriptedSource(values, one_by_one=one_by_one)
