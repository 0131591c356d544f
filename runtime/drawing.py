"""How a plan looks: as text, as a Mermaid flowchart, and as data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from .contracts import BatchFunction
from .forms import cost_of_conversion
from .memory import needs_store
from .nodes import FAILED, LATE, Node, Port, Regroup, describe_callable, is_a

if TYPE_CHECKING:
    from .plan import Plan, PlannedActor

__all__ = ["as_dict", "as_mermaid", "as_text"]

AnyFunction: TypeAlias = BatchFunction[Any, Any]


def as_text(plan: Plan) -> str:
    """A few lines for each actor: what it is, what it does, where its records go."""
    graph = plan.graph
    lines = [
        f"graph {graph.name}: {len(plan.actors)} actors, batches of up to "
        f"{graph.max_batch_size:,} records, channels of up to {graph.channel_batches} batches "
        f"and {graph.channel_records:,} records"
    ]
    for actor in plan.actors:
        lines.append(f"\n{actor.name}  [{actor.shape}]")
        lines.extend(f"    {line}" for node in actor.nodes for line in _about(node))
        for port, readers in _outputs(plan, actor):
            lost = (
                "counted and dropped"
                if port.endswith(f".{LATE}")
                else "the first error fails the job"
            )
            where = ", ".join(readers) if readers else f"nowhere: {lost}"
            lines.append(f"    {port} -> {where}")
        if actor.exact is False and any(n.kind in ("filter", "flat_map") for n in actor.nodes):
            lines.append("    origins below are stretches: nothing there sends dead letters on")
        if actor.makes == "rows":
            cost = cost_of_conversion("rows")
            lines.append(f"    columns become records at its inbox: {cost}")
        elif actor.makes == "columns":
            cost = cost_of_conversion("columns")
            lines.append(f"    records become columns at its inbox: {cost}")
        elif actor.name in plan.wanted:
            lines.append(f"    columns asked for: {', '.join(sorted(plan.wanted[actor.name]))}")
        elif actor.columns:
            lines.append("    takes columns as they are")
        if any(node.kind == "map_batch" for node in actor.nodes):
            lines.append("    origins below are stretches: a batch function hides which is which")
    return "\n".join([*lines, *_delivery(plan)])


def _delivery(plan: Plan) -> list[str]:
    """What is promised across restarts, with a store and without."""
    lines = ["\ndelivery with a store (--state)"]
    lines += [f"    {promise}" for promise in plan.promises(store=True)]
    lines.append("delivery without")
    needs = [node.name for node in plan.graph.nodes if needs_store(node)]
    if needs:
        return [*lines, f"    none: {', '.join(needs)} may not forget (volatile=True would let it)"]
    return lines + [f"    {promise}" for promise in plan.promises(store=False)]


def _about(node: Node) -> list[str]:
    options, work = node.options, node.work
    what = f"{node.kind} {node.name}"
    if isinstance(work, Regroup):
        limits = [
            f"{work.max_batch_size:,} records" if work.max_batch_size else "",
            f"{work.max_batch_bytes:,} bytes" if work.max_batch_bytes else "",
            f"{work.linger:g} s" if work.linger is not None else "",
        ]
        return [f"{what}: " + " or ".join(limit for limit in limits if limit)]
    if callable(work) and not is_a(work, BatchFunction):
        what += f": {describe_callable(work)}"
    else:
        plain = type(work).__repr__ is object.__repr__
        what += f": {type(work).__name__}" if plain else f": {work!r}"
    if options.max_in_flight > 1:
        order = "in order" if options.ordered else "not in order"
        what += f", {options.max_in_flight} in flight, {order}, {options.timeout:g} s each"
    if is_a(work, BatchFunction) and (goal := cast("AnyFunction", work).tune) is not None:
        what += f", tunes itself: 99 of 100 calls within {goal.p99:g} s"
    if options.key_version > 1:
        what += f", version {options.key_version}"
    if options.volatile:
        what += ", volatile: without a store its memory is lost with the process"
    if options.on_failure == "isolate":
        what += ", isolated if it breaks"
    return [what]


def _outputs(plan: Plan, actor: PlannedActor) -> list[tuple[str, tuple[str, ...]]]:
    last = actor.nodes[-1]
    ports = [Port(last.name, name) for name in last.ports]
    ports += [Port(node.name, FAILED) for node in actor.nodes]
    return [(str(port), plan.readers.get(port, ())) for port in ports]


def as_mermaid(plan: Plan) -> str:
    """A flowchart that Mermaid draws: solid arrows for records, dotted ones for dead letters."""
    numbers = {actor.name: f"a{number}" for number, actor in enumerate(plan.actors)}
    lines = ["flowchart LR"]
    for actor in plan.actors:
        label = "<br/>".join(f"{node.name}" for node in actor.nodes)
        left, right = {"source": ("([", "])"), "sink": ("[(", ")]")}.get(actor.shape, ("[", "]"))
        lines.append(f'    {numbers[actor.name]}{left}"{label}"{right}')
    for actor in plan.actors:
        last = actor.nodes[-1]
        for name in last.ports:
            for reader in plan.readers.get(Port(last.name, name), ()):
                arrow = "-->" if name == "out" else f"-->|{name}|"
                lines.append(f"    {numbers[actor.name]} {arrow} {numbers[reader]}")
        letters = {
            reader
            for node in actor.nodes
            for reader in plan.readers.get(Port(node.name, FAILED), ())
        }
        lines.extend(
            f"    {numbers[actor.name]} -.->|failed| {numbers[reader]}"
            for reader in sorted(letters)
        )
    return "\n".join(lines)


def as_dict(plan: Plan) -> dict[str, object]:
    """The plan as plain data."""
    graph = plan.graph
    return {
        "graph": graph.name,
        "declared_at": graph.where,
        "max_batch_size": graph.max_batch_size,
        "channel": {
            "batches": graph.channel_batches,
            "records": graph.channel_records,
            "bytes": graph.channel_bytes,
        },
        "actors": [
            {
                "name": actor.name,
                "shape": actor.shape,
                "exact_origins": actor.exact,
                "takes": "columns" if actor.columns and not actor.makes else "records",
                "converts_to": actor.makes,
                "nodes": [
                    {
                        "name": node.name,
                        "kind": node.kind,
                        "about": _about(node)[0],
                        "declared_at": node.where,
                    }
                    for node in actor.nodes
                ],
                "outputs": [
                    {"port": port, "to": list(readers)} for port, readers in _outputs(plan, actor)
                ],
            }
            for actor in plan.actors
        ],
        "delivery": {
            name: [asdict(promise) for promise in plan.promises(store=store)]
            for name, store in (("with_store", True), ("without_store", False))
        },
        "mermaid": as_mermaid(plan),
    }
