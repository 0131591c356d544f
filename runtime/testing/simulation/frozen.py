"""Records as values that can be counted: equal when they say the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence, Set
from enum import Enum
from typing import Any, cast

from ...dead_letters import DeadLetter

__all__ = ["alike", "frozen"]

_CLOSE = 1e-5
"""Numbers that differ by less, relatively, say the same: a model may answer another last digit when
it is asked for more records at once."""

_PLAIN = (str, bytes, int, bool, type(None), complex)


def frozen(value: object) -> Hashable:
    """A hashable value that is the same for records that say the same.

    Objects are compared by the name of their class and by their fields, since each start of a
    graph file makes classes of its own. NaN is the same as NaN. Of a dead letter, the
    attempts are left out: a fault may cost one more.

    >>> frozen({"n": float("nan"), "of": [1]}) == frozen({"of": [1], "n": float("nan")})
    True
    >>> frozen(1) == frozen(True)
    False
    """
    kind = type(value).__qualname__
    if isinstance(value, float):
        return (kind, "nan" if value != value else value)
    if isinstance(value, _PLAIN) and not isinstance(value, Enum):
        return (kind, value)
    if isinstance(value, Enum):
        return (kind, value.name)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        found = [(frozen(key), frozen(one)) for key, one in pairs]
        return (kind, *sorted(found, key=lambda pair: repr(pair[0])))
    if isinstance(value, Sequence):
        return (kind, *(frozen(one) for one in cast("Sequence[object]", value)))
    if isinstance(value, Set):
        return (kind, frozenset(frozen(one) for one in cast("Set[object]", value)))
    if isinstance(value, DeadLetter):
        error = (value.error.type, value.error.message)
        return (kind, value.node, frozen(value.record), error)
    fields = _fields(value)
    if fields:
        return (kind, *((name, frozen(one)) for name, one in sorted(fields.items())))
    as_list = getattr(value, "tolist", None)
    if as_list is not None:
        return (kind, frozen(as_list()))
    return (kind, value if isinstance(value, Hashable) else repr(value))


def alike(one: Hashable, other: Hashable) -> bool:
    """Whether two frozen values say the same but for the last digits of numbers.

    >>> alike(frozen({"p": 0.1234567}), frozen({"p": 0.1234568}))
    True
    """
    if one == other:
        return True
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE)
    if isinstance(one, tuple) and isinstance(other, tuple):
        values, others = cast("Values", one), cast("Values", other)
        return len(values) == len(others) and all(map(alike, values, others))
    return False


Values = tuple[Hashable, ...]


def _fields(value: Any) -> dict[str, object]:
    if dataclasses.is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    found: dict[str, object] = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots: object = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else cast("Sequence[str]", slots):
            if hasattr(value, name) and not name.startswith("__"):
                found[name] = getattr(value, name)
    return found
