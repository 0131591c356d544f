"""The garbage collector of a process that does nothing but run one job."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["calm_collector"]

_YOUNG = 50_000
_MIDDLE = 20
_OLD = 50


@contextmanager
def calm_collector() -> Generator[None]:
    """Let the cycle collector run less often: batches in flight are many objects and no garbage.

    Records die when nothing refers to them, without a collector; it is only there for cycles. At
    its defaults it looks through the batches under way every 700 new containers, which took a
    quarter of the time of a scoring job. What is loaded by now is not looked at again until the
    block is left. An embedding program keeps its own settings: only the launcher enters this.
    """
    before, frozen = gc.get_threshold(), gc.get_freeze_count() > 0
    if not frozen:
        gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:  # Else what was frozen before would be looked at again.
            gc.unfreeze()
