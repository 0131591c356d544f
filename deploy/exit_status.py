"""What the exit status of `thalweg` means."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitStatus"]


class ExitStatus(IntEnum):
    """One number for each way to end; part of the public face."""

    FINE = 0
    """The job ended, or was drained; the command did what was asked."""
    FAILED = 1
    """A part of the job broke."""
    USAGE = 2
    """The command line, the graph or a setting is wrong, or a port is taken: nothing has run."""
    CANCELLED = 3
    """The job was cancelled, or its drain took too long: records were left unprocessed."""
