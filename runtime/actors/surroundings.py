"""What the job gives to each of its actors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..clock import Clock
from ..context import Context

if TYPE_CHECKING:
    import random

    from ..checkpoints.coordinator import Coordinator

__all__ = ["Surroundings"]


class Surroundings:
    """What the job gives to each of its actors."""

    __slots__ = (
        "anew",
        "chance",
        "checkpoints",
        "clock",
        "context",
        "credit_changed",
        "graph",
        "held_up",
        "limit",
        "loop",
        "starts",
        "starved",
        "suspended",
        "triggered",
    )

    def __init__(
        self,
        graph: str,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        *,
        limit: int,
        context: Callable[[str], Context],
        starved: Callable[[], bool],
        held_up: Callable[[], bool],
        suspended: Callable[[], bool],
        credit_changed: Callable[[], None],
        checkpoints: Coordinator | None = None,
        anew: frozenset[str] = frozenset(),
        triggered: Callable[[str, int], None] | None = None,
    ) -> None:
        self.graph = graph
        self.loop = loop
        self.clock = clock
        self.limit = limit
        self.context = context
        self.starved = starved
        """Whether every source that could still read waits for what is under way."""
        self.held_up = held_up
        """Whether one of them does."""
        self.suspended = suspended
        """Whether the job stops because its last epoch is taken, and for no other reason."""
        self.credit_changed = credit_changed
        self.checkpoints = checkpoints
        self.anew = anew
        """The sources that count their records from 0 after each start."""
        self.triggered = triggered
        """Who wants to know, by its name, which actor has passed which trigger on."""
        self.chance: Callable[[], random.Random] = getattr(loop, "chance", _chance)
        """Chance for who retries; a loop that repeats a run has its own."""
        self.starts = checkpoints.restored.held.token if checkpoints is not None else 0
        """How often the job has been started on its state."""


def _chance() -> random.Random:
    import random  # For those who retry, and no others.

    return random.Random()
