"""One sweep from the command line: a graph that ends with it."""

from __future__ import annotations

from collections.abc import Callable

from ...operators import sinks, sources
from ...operators.fleet import Probe, ProbeLimits, ProbeResult, SshAccess, Targets
from ...runtime.graph import Graph

__all__ = ["probe_by_hand"]


async def probe_by_hand(
    targets: Targets,
    probe: Probe,
    *,
    access: SshAccess,
    limits: ProbeLimits,
    each: Callable[[ProbeResult], object],
) -> None:
    """Ask every target once, and hand over each result as it comes.

    Raises MisconfiguredError, or JobFailed, for targets or keys that cannot be read.
    """
    graph = Graph("probe")
    source = sources.ssh_probe(targets, [probe], every=1.0, sweeps=1, access=access, limits=limits)
    graph.read("results", source).to("results_out", sinks.each(each))
    async with graph.start() as job:
        await job.wait()
