"""Sources that wait until some of what they have read has arrived, and who must hear of it."""

from __future__ import annotations

from .actors import RegroupActor, SourceActor
from .course import Course

__all__ = ["Credit"]


class Credit:
    """What the sources of a job wait for. A part that a regrouper holds may be just that."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def starved(self) -> bool:
        """Whether every source that could still read waits for what is under way."""
        live = [one for one in self._sources() if not one.finished]
        return bool(live) and all(one.waits_for_credit for one in live)

    def held_up(self) -> bool:
        """Whether one of them does."""
        return any(one.waits_for_credit for one in self._sources())

    def changed(self) -> None:
        """Wake the regroupers whose part may have to go now."""
        starved = self.starved()
        for actor in self._course.actors:
            if not isinstance(actor, RegroupActor) or actor.inbox is None:
                continue
            if starved or actor.rule.linger is None:
                actor.inbox.wake()

    def _sources(self) -> list[SourceActor]:
        return [one for one in self._course.actors if isinstance(one, SourceActor)]
