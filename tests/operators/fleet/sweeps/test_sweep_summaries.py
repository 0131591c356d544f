"""`sweep_summaries`: each sweep once, when all of it has come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from thalweg import Graph, State
from thalweg.operators import sinks
from thalweg.operators.fleet import (
    OUTCOMES,
    ProbeOutcome,
    ProbeResult,
    SweepSummary,
    sweep_summaries,
)
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    OPERATOR_CHECKS,
    CollectingSink,
    MemoryStore,
    OperatorCase,
    run_virtual,
    scripted,
)

from ..results import SWEEP, result

Check = Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]]


def sweep_of(number: int, size: int = 5) -> list[ProbeResult]:
    """A sweep of two probes, whose answers take a second longer each."""
    outcomes: list[ProbeOutcome] = ["ok", "exit", "timeout", "refused", "unreachable"]
    return [
        result(
            f"m{target}",
            outcomes[target % 5],
            sweep=SWEEP + 900 * number,
            of=2 * size,
            probe=probe,
            elapsed=1.0 + target,
        )
        for target in range(size)
        for probe in ("usage", "disks")
    ]


def summary_of(number: int, probe: str) -> SweepSummary:
    return SweepSummary(
        sweep=SWEEP + 900 * number,
        probe=probe,
        seconds=5.0,
        ok=["m0", "m1"],
        failed=["m2"],
        unavailable=["m3", "m4"],
    )


def both(number: int) -> list[SweepSummary]:
    return [summary_of(number, "disks"), summary_of(number, "usage")]


def mixed(*sweeps: list[ProbeResult]) -> list[ProbeResult]:
    records = [record for sweep in sweeps for record in sweep]
    random.Random(7).shuffle(records)
    return records


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check) -> None:
    case: OperatorCase[Any, Any] = OperatorCase(
        sweep_summaries,
        records=[*sweep_of(0), *sweep_of(1)[:-1], *sweep_of(2), *sweep_of(1)[-1:]],
        expected=[*both(0), *both(2), *both(1)],
        bad=[None, {"sweep": 1}, {**result(), "outcome": "fine"}],
    )
    asyncio.run(check(case))


def summaries(*records: ProbeResult, **options: int) -> tuple[list[SweepSummary], list[str]]:
    seen: list[SweepSummary] = []
    failed: list[Any] = []
    graph = Graph("sweeps")
    made = graph.read("results", scripted(*records)).via(
        "sums", sweep_summaries(**options), volatile=True
    )
    made.to("seen", sinks.collect(seen))
    graph.failed.to("failed", sinks.collect(failed))
    graph.run()
    return seen, [letter.error.message for letter in failed]


def test_results_come_in_any_order_and_sweeps_overlap() -> None:
    seen, failed = summaries(*mixed(sweep_of(0), sweep_of(1)), *sweep_of(2))
    assert sorted(seen, key=lambda each: (each["sweep"], each["probe"])) == [
        *both(0), *both(1), *both(2)
    ]  # fmt: skip
    assert not failed


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_counts_as_one_thing(outcome: ProbeOutcome) -> None:
    ((made,), _) = summaries(result(outcome=outcome))
    where = {
        "ok": "ok", "exit": "ok", "unreachable": "unavailable", "refused": "unavailable"
    }.get(outcome, "failed")  # fmt: skip
    assert [kind for kind in ("ok", "failed", "unavailable") if made[kind]] == [where]


def test_a_target_that_is_answered_for_twice_counts_once() -> None:
    one = result("m1", "timeout", of=2)
    ((made,), _) = summaries(one, one, result("m1", "ok", of=2), result("m2", of=2))
    assert (made["ok"], made["failed"]) == (["m1", "m2"], [])


def test_what_was_cut_off_takes_no_time() -> None:
    records = [
        result("m1", of=3, elapsed=2.0),
        result("m2", "interrupted", of=3, started=0.0, elapsed=0.0),
        result("m3", "interrupted", of=3, started=9e9, elapsed=0.0),
    ]
    ((made,), _) = summaries(*records)
    assert made["seconds"] == 2.0
    ((made,), _) = summaries(result("m2", "interrupted"))
    assert made["seconds"] == 0.0


def test_a_sweep_that_is_never_complete_is_told_at_the_end() -> None:
    seen, failed = summaries(*sweep_of(0)[:-1])
    assert [(each["probe"], len(each["unavailable"])) for each in seen] == [
        ("disks", 1), ("usage", 2)
    ]  # fmt: skip
    assert not failed


def test_sweeps_that_are_never_complete_do_not_gather_and_their_latecomers_are_told_of() -> None:
    started = [result("m1", sweep=SWEEP + number, of=2) for number in range(4)]
    late = result("m2", sweep=SWEEP, of=2)
    seen, failed = summaries(*started, late, open_sweeps=2)
    assert [each["sweep"] - SWEEP for each in seen] == [0, 1, 2, 3]
    assert failed == [
        f"'m2' comes after sweep {SWEEP} was closed: 2 later ones had begun meanwhile"
    ]


def test_half_a_sweep_survives_a_crash() -> None:
    first, second = sweep_of(0), sweep_of(1)
    source = scripted(*first[:4], CHECKPOINT, *first[4:6], CRASH, *first[6:], *second)
    graph, out, store = Graph("sweeps"), CollectingSink[SweepSummary](), MemoryStore()
    graph.read("results", source).via("sums", sweep_summaries()).to("out", out)

    async def main() -> None:
        async with graph.start(state=State(store, interval=1000.0)) as job:
            await job.wait()

    with pytest.raises(Exception, match="CRASH"):
        run_virtual(main)
    assert out.records == []
    run_virtual(main)
    assert out.records == [*both(0), *both(1)]


@pytest.mark.parametrize("most", [0, -1, "two"])
def test_at_least_one_sweep_is_open(most: Any) -> None:
    with pytest.raises(ValueError, match="open_sweeps"):
        sweep_summaries(open_sweeps=most)
