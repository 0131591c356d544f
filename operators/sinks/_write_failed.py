"""`WriteFailed`: a file, or what holds it, takes no more."""

from __future__ import annotations

from ...runtime.contracts import ThalwegError

__all__ = ["WriteFailed"]


class WriteFailed(ThalwegError):
    """A file could not be written on; `records` and `bytes` say how much of it is whole."""

    def __init__(self, message: str, *, path: str, records: int, bytes: int) -> None:  # noqa: A002
        super().__init__(message)
        self.path = path
        self.records = records
        self.bytes = bytes
