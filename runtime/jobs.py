"""The jobs of this process, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from .errors import ThalwegError
from .nodes import nearest

if TYPE_CHECKING:
    from .job import Job

__all__ = ["Jobs", "jobs"]


class Jobs:
    """Finds the jobs that were started in this process. It keeps none alive, and none is shared.

    >>> import asyncio
    >>> from thalweg import Graph, jobs
    >>> from thalweg.operators import sinks, sources
    >>> graph = Graph("found_by_name")
    >>> graph.read("words", sources.push()).to("out", sinks.collect([])) and None
    >>> async def main():
    ...     async with graph.start() as job:
    ...         return jobs.get("found_by_name") is job, job in jobs.active
    >>> asyncio.run(main())
    (True, True)

    Safe from any thread; what a job offers besides its progress is for the thread of its loop.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[str, Job] = WeakValueDictionary()

    def add(self, job: Job) -> None:
        """A job has begun."""
        self._known[job.id] = job

    @property
    def active(self) -> tuple[Job, ...]:
        """The jobs that have begun and not ended, the oldest first."""
        return tuple(job for job in self._alive() if job.is_active)

    def get(self, name: str) -> Job:
        """The job of this name or id: the active one, else the last that ended and is still held.

        The name of a job is that of its graph. Raises ThalwegError where there is none, or where
        several of this name are active: ask for one of them by its id.
        """
        alive = self._alive()
        found = [job for job in alive if name in (job.name, job.id)]
        active = [job for job in found if job.is_active]
        if len(active) > 1:
            raise ThalwegError(
                f"{len(active)} jobs {name!r} are active: ask for one by its id, "
                f"{' or '.join(job.id for job in active)}"
            )
        if not found:
            names = list(dict.fromkeys(job.name for job in alive))
            raise ThalwegError(
                f"no job {name!r} was started in this process; there is "
                f"{', '.join(names) or 'none'}.{nearest(name, names)}"
            )
        return (active or found)[-1]

    def _alive(self) -> list[Job]:
        # The list is made in one step, whatever other threads start or let go meanwhile.
        return [job for known in self._known.valuerefs() if (job := known()) is not None]


jobs = Jobs()
