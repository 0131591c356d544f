"""Addresses at which nothing answers, without asking for a firewall or for root."""

from __future__ import annotations

import contextlib
import socket
import time

__all__ = ["Silence"]

_TRIES = 8
"""More than enough connections to fill the smallest queue there is."""


class Silence:
    """A port whose queue of connections is full, and stays so: whoever connects hears nothing.

    The kernel drops the first packet of each further connection, as a machine that is switched off
    would. It lasts as long as this object is open, and no longer than the process.
    """

    __slots__ = ("_sockets",)

    def __init__(self, address: str, port: int) -> None:
        listener = socket.socket()
        self._sockets = [listener]
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(0)
            while not self._is_full(address, port):
                pass
        except BaseException:
            self.close()
            raise

    def _is_full(self, address: str, port: int) -> bool:
        """Make one connection more, and tell whether it was one too many."""
        if len(self._sockets) > _TRIES:
            raise OSError(f"the queue of {address}:{port} does not fill up")
        filler = socket.socket()
        self._sockets.append(filler)
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect((address, port))
        # On loopback the answer is there at once, or never.
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            try:
                filler.getpeername()
                return False
            except OSError:
                time.sleep(0.001)
        return True

    def close(self) -> None:
        """Let go of the port."""
        for one in self._sockets:
            one.close()
        self._sockets.clear()
