"""What the exit status of `thalweg` means."""

from __future__ import annotations

from enum import IntEnum

from ..runtime.errors import ThalwegError

__all__ = ["ExitStatus", "UsageError"]


class UsageError(ThalwegError):
    """Words of the command line that do not go together."""


class ExitStatus(IntEnum):
    """One number for each way to end; part of the public face."""

    FINE = 0
    """The job ended, was drained or suspended; the command did what was asked."""
    FAILED = 1
    """A part of the job broke."""
    USAGE = 2
    """The command line, the graph or a setting is wrong, or a port is taken: nothing has run."""
    CANCELLED = 3
    """The job was cancelled, or its drain took too long: records were left unprocessed."""
