"""The place where a virtual-time loop would wait, and where it decides whether it must."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Any

from ..errors import ThalwegError
from .outstanding import describe_descriptor, describe_tasks, is_listening, other_threads

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from .virtual_time import VirtualTimeLoop

__all__ = ["DeadlockError", "StalledError", "StillSelector"]

_Events = list[tuple[selectors.SelectorKey, int]]


class DeadlockError(ThalwegError):
    """Nothing can ever happen again on a virtual-time loop; the message says which tasks wait."""


class StalledError(ThalwegError):
    """A virtual-time loop waited really, and for too long; the message says for what."""


_LOOK_AGAIN = 0.02
"""Seconds of real time between two looks at the threads."""


class StillSelector(selectors.DefaultSelector):
    """A selector that waits only for what is outstanding, and else moves its loop's clock."""

    def __init__(self, *, patience: float, idle_after: float | None) -> None:
        super().__init__()
        self.gave_up = False
        self._patience = patience
        self._idle_after = idle_after
        self._loop: VirtualTimeLoop | None = None
        self._awaited: set[int] = set()
        self._listening: set[int] = set()

    def serve(self, loop: VirtualTimeLoop) -> None:
        """Begin: what is registered by now, such as the pipe that wakes the loop, is its own."""
        self._loop = loop

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if self._loop is not None:
            (self._listening if is_listening(key.fd) else self._awaited).add(key.fd)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._awaited.discard(key.fd)
        self._listening.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> _Events:
        loop = self._loop
        if loop is None:
            return super().select(timeout)
        loop.shuffle()
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if threads := loop.threads():
            woken = self._wait_for_threads(loop)
            return self._stall(loop, threads) if woken is None else woken
        if self._awaited:
            if self._idle_after is None:
                return self._wait() or self._stall(loop, threads)
            if events := super().select(self._idle_after):
                return events
        if timeout is None:
            return self._end(loop)
        loop.jump()
        return []

    def _wait(self) -> _Events:
        deadline = time.monotonic() + self._patience
        while (left := deadline - time.monotonic()) > 0:
            if events := super().select(left):
                return events
        return []

    def _wait_for_threads(self, loop: VirtualTimeLoop) -> _Events | None:
        """Events, or an empty list once no thread is outstanding; None when patience is over.

        A thread may end without a word to this loop, so that it is looked at again.
        """
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            if events := super().select(_LOOK_AGAIN):
                return events
            if not loop.threads():
                return []
        return None

    def _end(self, loop: VirtualTimeLoop) -> _Events:
        """No timer is set: only the outside can go on, if there is one."""
        others = other_threads()
        if (self._awaited or self._listening or others) and (events := self._wait()):
            return events
        if self._awaited:
            return self._stall(loop, [])
        outside = [f"  a thread that might: {name}" for name in others]
        outside += [
            f"  {describe_descriptor(self.get_key(fd))}, listening" for fd in self._listening
        ]
        waited = f" It waited {self._patience} s of real time for:" if outside else ""
        raise DeadlockError(
            "\n".join(
                (
                    "nothing can happen any more: no task is ready, no timer is set, no thread "
                    f"and no descriptor is awaited.{waited}",
                    *outside,
                    "The tasks that are pending:",
                    describe_tasks(loop),
                )
            )
        )

    def _stall(self, loop: VirtualTimeLoop, threads: list[str]) -> _Events:
        self.gave_up = True
        descriptors = [describe_descriptor(self.get_key(fd)) for fd in sorted(self._awaited)]
        raise StalledError(
            "\n".join(
                (
                    f"nothing happened for {self._patience} s of real time, while the clock "
                    "stands still for:",
                    *(f"  {each}" for each in threads + descriptors),
                    "The tasks that are pending:",
                    describe_tasks(loop),
                    "Let these end; or give a longer `patience`, or `idle_after` for connections "
                    "that are kept alive.",
                )
            )
        )
