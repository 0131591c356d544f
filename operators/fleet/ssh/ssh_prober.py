"""Asks real machines over SSH."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ....runtime.contracts import Context, Counter, MissingExtra, Retry
from ..probes.probe_result import OUTCOMES, ProbeOutcome, ProbeResult
from ..probes.prober import Prober, Tell
from ..probes.visit import Visit
from ..targets.target import Target
from .access import SshAccess
from .allowance import Allowance, OutOfTime
from .asking import Asking
from .limits import ProbeLimits
from .not_reached import NotReached
from .open_files import raise_limit
from .turns import Turn

if TYPE_CHECKING:
    from .connection import Connection
    from .connector import Connector

__all__ = ["SshProber"]

_BACKOFF = Retry(first=0.25, longest=4.0)
_GRACE = 10.0
"""Seconds: the target ends a probe by itself when its time has come; after so many more, we do."""

_OTHER_FILES = 200
"""What this process may have open beside connections."""


class SshProber(Prober):
    """Asks machines over SSH; with `keep` its connections stay open from sweep to sweep."""

    def __init__(self, access: SshAccess, limits: ProbeLimits, *, keep: bool = False) -> None:
        self._access = access
        self._limits = limits
        self._keep = keep

    async def open(self, context: Context) -> None:
        """Read the keys. Raises `MisconfiguredError` where they are bad, or `MissingExtra`."""
        try:
            from .connector import Connector
        except ImportError as error:
            if (error.name or "").partition(".")[0] != "asyncssh":
                raise
            raise MissingExtra("ssh_probe", "ssh") from None
        self._connector: Connector | None = Connector(self._access, self._limits, context)
        limits, files = self._limits, raise_limit()
        at_once = limits.max_testing + limits.max_connecting + limits.max_running
        self._most_kept = max(0, files - at_once - _OTHER_FILES)
        self._running = asyncio.Semaphore(self._limits.max_running)
        self._kept: dict[object, Connection] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._chance = random.Random()
        self._counters: dict[ProbeOutcome, Counter] = {
            outcome: context.counter("probe_results", "Results of probes", outcome=outcome)
            for outcome in OUTCOMES
        }
        await self._connector.prepare()

    async def visit(self, visit: Visit, tell: Tell) -> None:
        """Ask one target, over the connection that is kept or over a new one."""
        turn = Turn()
        commands = sum(probe.timeout + _GRACE for probe in visit.probes)
        allowance = Allowance(self._limits.deadline_for(commands))
        key = _key(visit.target)
        connection = self._kept.pop(key, None)
        given_up: NotReached | None = None
        try:
            for probe in visit.probes:
                asking = Asking(visit, probe, self._counted(tell))
                if given_up is not None:
                    asking.not_reached(given_up)
                    continue
                try:
                    connection = await self._ask(asking, connection, turn, allowance)
                except NotReached as problem:
                    connection = None
                    asking.not_reached(problem)
                    given_up = problem
        except BaseException:
            # What runs there ends with the connection.
            if connection is not None:
                connection.abort()
            raise
        finally:
            turn.leave()
        if connection is not None and connection.open:
            room = len(self._kept) < self._most_kept
            if self._keep and room and key not in self._kept:
                self._kept[key] = connection
            else:  # Also where two targets are one machine: one connection to it is enough.
                self._let_go(connection)

    def _counted(self, tell: Tell) -> Tell:
        def counted(result: ProbeResult) -> None:
            self._counters[result["outcome"]].add(1)
            tell(result)

        return counted

    async def _ask(
        self, asking: Asking, connection: Connection | None, turn: Turn, allowance: Allowance
    ) -> Connection | None:
        """Run one probe, and tell its result; return the connection for the next one.

        Raises `NotReached` where the target cannot be asked, this time at least.
        """
        from .connection import ConnectionGone

        assert self._connector is not None
        run = asking.run()
        if run is None:
            return connection
        while True:
            try:
                if connection is None or not connection.open:
                    connection = await self._connector.open(asking.visit.target, turn, allowance)
                if not turn.is_in(self._running):
                    await turn.enter(self._running)
                seconds = asking.probe.timeout + _GRACE
                printed, late = await connection.run(run, seconds=seconds, allowance=allowance)
            except ConnectionGone:
                kept, connection = connection is not None and connection.used, None
                if kept:
                    # Not worth an attempt: the machine may have been started anew meanwhile.
                    turn.leave()
                    continue
                problem = NotReached("busy", "it broke off before the probe had begun")
            except NotReached as error:
                problem, connection = error, None
            except BaseException:
                if connection is not None:
                    connection.abort()
                raise
            else:
                asking.answered(run, printed, late)
                if printed.whole:
                    return connection
                # What may still run there ends with the connection.
                connection.abort()
                return None
            turn.leave()
            if not problem.passes or asking.attempt >= self._limits.attempts:
                raise problem
            try:
                pause = _BACKOFF.pause(asking.attempt, self._chance)
                async with allowance.spend("waiting for it", pause + 1.0):
                    await asyncio.sleep(pause)
            except OutOfTime:
                raise problem from None
            asking.attempt += 1

    def _let_go(self, connection: Connection) -> None:
        task = asyncio.create_task(connection.close(), name="thalweg-ssh-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def rest(self, targets: Sequence[Target]) -> None:
        """Close the connections to machines that are no longer among the targets."""
        wanted = {_key(target) for target in targets} if self._keep else set[object]()
        for key in [key for key in self._kept if key not in wanted]:
            self._let_go(self._kept.pop(key))
        if not self._keep and self._connector is not None:
            await self._connector.forget_jumps()

    async def close(self) -> None:
        """Close every connection."""
        connector = getattr(self, "_connector", None)
        if connector is None:
            return
        self._connector = None
        for key in list(self._kept):
            self._let_go(self._kept.pop(key))
        if self._closing:
            await asyncio.wait(set(self._closing), timeout=2.0)
        await connector.close()


def _key(target: Target) -> object:
    """What makes a connection the right one for a target."""
    return target.address, target.port, target.user, target.identities, target.jump
