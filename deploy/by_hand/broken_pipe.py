"""A reader of our output that goes, seen through a job that fails of it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from ...runtime.errors import JobFailed

__all__ = ["broken_pipe_told"]


@contextlib.contextmanager
def broken_pipe_told() -> Generator[None, None, None]:
    """Raise BrokenPipeError in the place of a JobFailed that came of it."""
    try:
        yield
    except JobFailed as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, BrokenPipeError):
                raise cause from None
            cause = cause.__cause__
        raise
