"""Dead letters: records that were given up, with everything known about why."""

from __future__ import annotations

import os

from .dataclass import dataclass
from .origins import Origin
from .trail import Attempt, Trail

__all__ = ["Cause", "DeadLetter", "dead_letter", "describe", "location"]

_LONGEST_MESSAGE = 2_000

_NOT_THE_USERS = (os.path.dirname(os.__file__) + os.sep, "site-packages", "<frozen ")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a record was given up: the exception's type and message, and the user's line."""

    type: str
    message: str
    where: str | None = None

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" + (f" ({self.where})" if self.where else "")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that was given up. It is data: it is written, counted and read like any other.

    `record` is as it entered the node, `attempts` how often it was tried there. `history` tells of
    those tries where calls are repeated: the first three and the last three, in order; it is empty
    where the record was rejected without a try that failed.

    >>> origin = Origin("flowers", "", 19)
    >>> letter = DeadLetter("iris", "score", origin, {"n": 19}, Cause("DataError", "too long"))
    >>> print(letter)
    score on flowers, record 19: DataError: too long
    """

    graph: str
    node: str
    origin: Origin | None
    record: object
    error: Cause
    attempts: int = 1
    history: tuple[Attempt, ...] = ()

    def __str__(self) -> str:
        origin = f" on {self.origin}" if self.origin else ""
        return f"{self.node}{origin}: {self.error}"


def dead_letter(
    graph: str,
    node: str,
    origin: Origin | None,
    record: object,
    error: Exception,
    trail: Trail | None,
) -> DeadLetter:
    """The dead letter for a record; `trail` is what it went through, None for a single try."""
    cause = describe(error)
    if trail is None:
        return DeadLetter(graph, node, origin, record, cause)
    return DeadLetter(graph, node, origin, record, cause, trail.count, trail.attempts)


def describe(exception: BaseException) -> Cause:
    """The cause as data: no traceback is kept alive by a dead letter."""
    message = str(exception)
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + " …"
    return Cause(type(exception).__name__, message, location(exception))


def location(exception: BaseException) -> str | None:
    """`file:line in function` of the innermost frame of the user's own code, or None.

    This package, the standard library and installed packages are not the user's own.
    """
    import traceback  # Only errors need it.

    found: str | None = None
    for frame, line in traceback.walk_tb(exception.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        code = frame.f_code
        if not module.startswith(("thalweg.runtime", "thalweg.operators")) and not any(
            part in code.co_filename for part in _NOT_THE_USERS
        ):
            found = f"{code.co_filename}:{line} in {code.co_name}"
    return found
