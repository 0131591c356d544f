"""Changing the settings of nodes while the job runs."""

from __future__ import annotations

from collections.abc import Iterable

from .actors import Actor, RegroupActor
from .actors.call_actor import CallActor
from .dataclass import replace
from .errors import ThalwegError
from .nodes import is_count, is_seconds, nearest
from .tuning.dials import Dials

__all__ = ["adjust"]


def adjust(
    actors: Iterable[Actor],
    name: str,
    *,
    max_in_flight: int | None,
    max_batch_size: int | None,
    linger: float | None,
) -> Dials:
    """Set what is given, of the node of this name; return what is in force then.

    Raises ThalwegError where the node has no such setting, ValueError for a wrong value.
    """
    if max_in_flight is not None and not (is_count(max_in_flight) and max_in_flight <= 100_000):
        raise ValueError(f"max_in_flight is 1 to 100,000, not {max_in_flight!r}")
    if max_batch_size is not None and not is_count(max_batch_size):
        raise ValueError(f"max_batch_size is 1 or more, not {max_batch_size!r}")
    if linger is not None and not (is_seconds(linger) and linger < 3600.0):
        raise ValueError(f"linger is a number of seconds from 0 on, not {linger!r}")
    nodes = {node.name: actor for actor in actors for node in actor.nodes}
    actor = nodes.get(name)
    if isinstance(actor, RegroupActor):
        if max_in_flight is not None:
            raise ThalwegError(f"{name!r} cuts batches, and has no max_in_flight")
        actor.adjust(max_batch_size, linger)
        return Dials(1, actor.rule.max_batch_size, actor.rule.linger)
    if isinstance(actor, CallActor):
        dials = actor.dials
        if dials.feeder is None and (max_batch_size is not None or linger is not None):
            raise ThalwegError(
                f"no .batch(…) of its own stands right before {name!r}: there is no batch size to "
                "set"
            )
        new = dials.now
        if max_in_flight is not None:
            new = replace(new, max_in_flight=max_in_flight)
        if max_batch_size is not None:
            new = replace(new, max_batch_size=max_batch_size)
        if linger is not None:
            new = replace(new, linger=linger)
        dials.by_hand(new)
        return dials.now
    able = [one for one, its in nodes.items() if isinstance(its, RegroupActor | CallActor)]
    if actor is None:
        raise ThalwegError(f"there is no node {name!r}.{nearest(name, nodes)}")
    raise ThalwegError(f"{name!r} has nothing to set while it runs; there is {able or 'none'}")
