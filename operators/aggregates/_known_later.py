"""Type variables of what is known only where an operator is put into a stream.

`window(…)` and `fold(…)` do not say of which keys and records: a type checker infers that from the
stream, if it stands in the call of `via`. Where it is given a name first, it is any key and any
record, rather than an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["K", "R"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    K = TypeVar("K", default=Any)
    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    K = TypeVar("K")
    R = TypeVar("R")
