"""What a graph's nodes are, as far as their saved state depends on it; what a store asks of it."""

from __future__ import annotations

from ..contracts import Source
from ..errors import GraphError
from ..identities import IDS
from ..memory import remembers, upgraded_by, versions_of
from ..nodes import overrides
from ..plan import Plan
from ..promises import sources_above
from ..roles import STEPS, as_sink, as_source, commits, source_role, steps_of
from .head import Manifest

__all__ = ["acked_sources", "check_with_store", "manifest_of"]


def manifest_of(plan: Plan) -> dict[str, Manifest]:
    """The manifest of each node that has something to remember."""
    found: dict[str, Manifest] = {}
    for node in plan.graph.nodes:
        work = node.work
        if as_source(work) is not None or commits(work):
            ids = {IDS: 1} if node.options.identity is not None else {}
            found[node.name] = Manifest(node.kind, type(work).__qualname__, versions=ids)
        elif remembers(work):
            found[node.name] = Manifest(
                node.kind,
                versions=versions_of(work),
                keys=plan.keys_above(node.name),
                upgraded=upgraded_by(work),
                sources=tuple(sources_above(plan, node.name)),
            )
    return found


def acked_sources(plan: Plan) -> list[str]:
    """The sources that are told what has arrived."""
    return [
        node.name
        for node in plan.graph.nodes
        if (source := as_source(node.work)) is not None and overrides(source, Source, "ack")
    ]


def check_with_store(plan: Plan) -> None:
    """Raise GraphError where a store could not keep what it promises."""
    for node in plan.graph.nodes:
        source, sink, lossy = as_source(node.work), as_sink(node.work), node.options.lossy
        if source is not None and source_role(source) == "loses" and not lossy:
            raise GraphError(
                f"the source {node.name!r} ({type(source).__name__}) cannot go on where it was: "
                "what is under way is lost when the process dies, though the job has a store. "
                f"Say .read({node.name!r}, …, lossy=True) if it may be",
                where=node.where,
            )
        if sink is not None:
            steps = steps_of(sink)
            if steps and len(steps) < len(STEPS):
                missing = [step for step in STEPS if step not in steps]
                raise GraphError(
                    f"the sink {node.name!r} ({type(sink).__name__}) has {steps} and lacks "
                    f"{missing}: a sink that commits has all three",
                    where=node.where,
                )
            if commits(sink) and node.options.on_failure == "isolate":
                raise GraphError(
                    f"the sink {node.name!r} commits with the epoch, so the others cannot go on "
                    'without it: on_failure="isolate" is for sinks that do not commit',
                    where=node.where,
                )
