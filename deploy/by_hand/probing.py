"""One sweep from the command line: a graph that ends with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...operators import sinks, sources
from ...operators.fleet import Probe, ProbeLimits, ProbeResult, SshAccess, Target
from ...runtime.graph import Graph
from .broken_pipe import broken_pipe_told

__all__ = ["probe_by_hand"]


async def probe_by_hand(
    targets: Sequence[Target],
    probe: Probe,
    *,
    access: SshAccess,
    limits: ProbeLimits,
    each: Callable[[ProbeResult], object],
) -> None:
    """Ask every target once, and hand over each result as it comes.

    Raises MisconfiguredError, or JobFailed, for keys that cannot be read, and BrokenPipeError where
    `each` does.
    """
    graph = Graph("probe")
    source = sources.ssh_probe(targets, [probe], every=1.0, sweeps=1, access=access, limits=limits)
    graph.read("results", source).to("results_out", sinks.each(each))
    with broken_pipe_told():
        async with graph.start() as job:
            await job.wait()
