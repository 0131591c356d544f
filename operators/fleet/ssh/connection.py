"""A connection to one machine, on which commands are run one after another."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import field
from typing import Any

import asyncssh

from ....runtime.contracts import dataclass
from .allowance import Allowance, OutOfTime
from .command_session import CommandSession, Printed
from .not_reached import NotReached
from .remote_run import RemoteRun

__all__ = ["Connection", "ConnectionGone"]


class ConnectionGone(Exception):
    """The connection broke before the command had begun: it may be run on another one."""


@dataclass(eq=False, slots=True)
class Connection:
    """An open connection; `used` says whether it has carried a command before."""

    ssh: asyncssh.SSHClientConnection = field(repr=False)
    used: bool = False
    _stays: CommandSession | None = field(default=None, init=False, repr=False)

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
        session, late = self._stays, None
        again = opened = session is not None and session.stays
        self._stays = None
        if session is None or not again:
            session = CommandSession(run)
        try:
            async with allowance.spend("the probe", seconds):
                if again:
                    session.again(run)
                else:
                    await self._open(session, run.command)
                    opened = True
                    session.first()
                await session.ended()
        except OutOfTime as error:
            late = error
        finally:
            if session.stays:
                self._stays = session
            else:
                session.close()
        if self.used and not (session.begun if again else opened):
            # Kept, and nothing came of it: a machine that was switched off looks like this.
            self.abort()
            raise ConnectionGone
        self.used = True
        return session.printed(), late

    async def _open(self, session: CommandSession, command: str) -> None:
        # What asyncssh declares here is of no type that can be named.
        ssh: Any = self.ssh
        try:
            await ssh.create_session(lambda: session, command, encoding=None, request_pty=False)
        except asyncssh.ChannelOpenError as error:
            if not self.open:
                raise ConnectionGone from None
            self.abort()
            raise NotReached("busy", "it opens no session more for now") from error
        except (asyncssh.DisconnectError, OSError):
            self.abort()
            raise ConnectionGone from None

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
