"""A session in which probes run, one after another where it stays, and what each of them prints."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from ....runtime.contracts import dataclass
from .remote_run import RemoteRun

__all__ = ["CommandSession", "Printed"]


class _Channel(Protocol):
    """What is used of the channel of a session."""

    def write(self, data: bytes, /) -> object: ...

    def pause_reading(self) -> object: ...

    def close(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Printed:
    """What a run left: all that came, as far as it may.

    `whole` says that the other side told the end of it; `glut`, that it sent more than it may;
    `exited`, that what it was asked to run has ended, and not the connection.
    """

    stdout: bytes
    stderr: bytes
    whole: bool
    glut: bool
    exited: bool


class CommandSession:
    """The session of runs, as asyncssh asks for it: bytes come in, and none are buffered."""

    def __init__(self, run: RemoteRun) -> None:
        self._channel: _Channel | None = None
        self._closed = False
        self._expect(run)

    def _expect(self, run: RemoteRun) -> None:
        self._run = run
        self._out, self._error = bytearray(), bytearray()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._whole = self._glut = self._exited = False

    def first(self) -> None:
        """Send the run with which it was opened."""
        self._send(self._run.sent)

    def again(self, run: RemoteRun) -> None:
        """Send one more to a session that stays."""
        self._expect(run)
        self._send(self._run.again)

    def _send(self, text: bytes) -> None:
        assert self._channel is not None
        with contextlib.suppress(OSError):
            # It may have ended already without reading: what it printed still comes.
            self._channel.write(text)

    @property
    def begun(self) -> bool:
        """Whether the other side has told that this run began."""
        return self._run.has_begun(self._out)

    @property
    def stays(self) -> bool:
        """Whether it takes one more run."""
        return self._whole and not self._closed and self._run.stays(self._error)

    def printed(self) -> Printed:
        """What has come by now."""
        return Printed(bytes(self._out), bytes(self._error), self._whole, self._glut, self._exited)

    async def ended(self) -> None:
        """Wait until all is there that will come, or far too much."""
        await self._ended

    def close(self) -> None:
        """Let go of it: what still runs there ends."""
        if self._channel is not None:
            self._channel.close()

    def connection_made(self, chan: _Channel) -> None:
        """The session is open."""
        self._channel = chan

    def session_started(self) -> None:
        """The command runs."""

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """It has printed this; `datatype` is there for what went to stderr."""
        kept = self._out if datatype is None else self._error
        room = self._run.max_bytes - len(kept)
        kept += data[:room]
        if len(data) > room:
            self._glut = True
            if self._channel is not None:
                # Nothing more is taken in, so that the machine cannot send more either.
                self._channel.pause_reading()
            self._end()
        elif self._run.is_complete(self._out) and self._run.is_error_complete(self._error):
            self._whole = True
            self._end()

    def eof_received(self) -> bool:
        """It will print no more. Our side stays open: that it closes would end the command."""
        self._closed = True
        return True

    def exit_status_received(self, status: int) -> None:
        """The probe's own is in what it printed; this one is that of what runs it."""
        self._exited = True

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """See `exit_status_received`."""
        self._exited = True

    def connection_lost(self, exc: Exception | None) -> None:
        """The session is closed, by the machine or because the connection broke."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def pause_writing(self) -> None:
        """What it is sent is small: asyncssh may keep it."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    def xon_xoff_requested(self, client_can_do: bool) -> None:
        """For terminals."""
