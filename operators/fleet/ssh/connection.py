"""A connection to one machine, on which commands are run one after another."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import asyncssh

from .allowance import Allowance, OutOfTime
from .command_session import CommandSession, Printed
from .not_reached import NotReached
from .remote_run import RemoteRun

__all__ = ["Connection", "ConnectionGone"]


class ConnectionGone(Exception):
    """The connection broke before the command had begun: it may be run on another one."""


class _Channel(Protocol):
    """What is used of the channel of a session."""

    def write(self, data: bytes, /) -> object: ...

    def close(self) -> object: ...


@dataclass(eq=False, slots=True)
class Connection:
    """An open connection; `used` says whether it has carried a command before."""

    ssh: asyncssh.SSHClientConnection = field(repr=False)
    used: bool = False

    @property
    def open(self) -> bool:
        """Whether it may still be used, as far as is known on this side."""
        return not self.ssh.is_closed()

    async def run(
        self, run: RemoteRun, *, seconds: float, allowance: Allowance
    ) -> tuple[Printed, OutOfTime | None]:
        """Run a probe; return what it left, and whether it was ended for its time.

        What it is sent stays open as long as it may run: its end tells the other side that nobody
        waits any more. Raises `ConnectionGone` where it never began, and `NotReached` where the
        machine opens no session.
        """
        session, late = CommandSession(run), None
        channel: _Channel | None = None
        try:
            async with allowance.spend("the probe", seconds):
                channel = await self._start(session, run.command)
                with contextlib.suppress(OSError):
                    # It may have ended already without reading: what it printed still comes.
                    channel.write(run.sent)
                await session.ended()
        except OutOfTime as error:
            late = error
            if channel is None and self.used:
                # Kept, and it opens no session: a machine that was switched off looks like this.
                self.abort()
                raise ConnectionGone from None
        finally:
            if channel is not None:
                channel.close()
        self.used = True
        return session.printed(), late

    async def _start(self, session: CommandSession, command: str) -> _Channel:
        # What asyncssh declares here is of no type that can be named.
        ssh: Any = self.ssh
        try:
            channel, _ = await ssh.create_session(
                lambda: session, command, encoding=None, request_pty=False
            )
        except asyncssh.ChannelOpenError as error:
            if not self.open:
                raise ConnectionGone from None
            self.abort()
            raise NotReached("busy", "it opens no session more for now") from error
        except (asyncssh.DisconnectError, OSError):
            self.abort()
            raise ConnectionGone from None
        return cast("_Channel", channel)

    def abort(self) -> None:
        """Break it off."""
        self.ssh.abort()

    async def close(self, seconds: float = 1.0) -> None:
        """End it, and wait for that no longer than so many seconds."""
        self.ssh.close()
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(seconds):
                await self.ssh.wait_closed()
            return
        self.ssh.abort()
