"""`alerts`: mails about what has changed and stays so, and few of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from thalweg import Graph, State
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import ProbeOutcome, ProbeResult, alerts
from thalweg.operators.sinks import Mail
from thalweg.testing import (
    CHECKPOINT,
    CRASH,
    OPERATOR_CHECKS,
    At,
    CollectingSink,
    MemoryStore,
    OperatorCase,
    Wake,
    feed,
    run_virtual,
    scripted,
)

from .results import result

Check = Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]]
HOUR = 3600.0


def seen(
    minute: float, outcome: ProbeOutcome = "ok", target: str = "m1", detail: str = ""
) -> At[ProbeResult]:
    return At(result(target, outcome, detail=detail), 60.0 * minute)


def repeated(minutes: Sequence[int], outcome: ProbeOutcome, target: str = "m1") -> list[At[Any]]:
    return [seen(minute, outcome, target) for minute in minutes]


def mails(values: Sequence[object], *, end: bool = False, **options: Any) -> list[Mail]:
    fed = asyncio.run(feed(alerts("lab", **options), values, end=end))
    assert not fed.dead_letters
    return fed.records


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check) -> None:
    case: OperatorCase[Any, Any] = OperatorCase(
        alerts,
        records=[*repeated(range(5), "timeout"), Wake(HOUR), *repeated(range(61, 70), "ok")],
        expected=[
            Mail("fleet: 1 machine needs a look", "usage: timeout (1): m1"),
            Mail("fleet: 1 well again", "usage: well again (1): m1"),
        ],
        bad=[At({"sweep": 1}, 1.0), At({**result(), "outcome": "fine"}, 1.0)],
    )
    asyncio.run(check(case))


def test_one_mail_tells_of_all_machines_that_changed_together() -> None:
    values: list[object] = []
    for minute in (0, 15, 30):
        values += [seen(minute, "timeout", f"m{n:03}") for n in range(60)]
        values += [seen(minute, "host_key_changed", "gate", "SHA256:abc\nis not SHA256:def")]
    (mail,) = mails([*values, Wake(2 * HOUR)])
    assert mail.subject == "lab: 61 machines need a look"
    first, second = mail.text.split("\n\n")
    assert first == ("usage: host_key_changed (1): gate\n    gate: SHA256:abc is not SHA256:def")
    assert second.startswith("usage: timeout (60): m000, m001,")
    assert second.endswith("m049 and 10 more")


def test_it_is_told_so_long_after_the_first_change_and_not_before() -> None:
    values = repeated([0, 15, 30], "timeout")
    assert mails([*values, Wake(60.0 * 30 + 59)]) == []
    assert len(mails([*values, Wake(60.0 * 30 + 60)])) == 1


def test_what_comes_and_goes_is_not_told_of() -> None:
    flapping: list[object] = []
    for minute in range(0, 300, 3):
        flapping += [seen(minute, "timeout"), seen(minute + 1, "timeout"), seen(minute + 2)]
    assert mails([*flapping, Wake(24 * HOUR)], end=True) == []


def test_it_is_told_once_and_once_more_when_the_machine_is_well_again() -> None:
    values: list[object] = [*repeated(range(0, 600, 15), "refused"), Wake(11 * HOUR)]
    assert [mail.subject for mail in mails(values)] == ["lab: 1 machine needs a look"]
    values += [*repeated([700, 715], "ok"), Wake(20 * HOUR)]
    assert len(mails(values)) == 1
    values += [seen(1300), Wake(40 * HOUR)]
    assert [mail.subject for mail in mails(values)][1:] == ["lab: 1 well again"]


def test_another_trouble_is_news() -> None:
    values = [*repeated([0, 1, 2], "timeout"), Wake(HOUR), *repeated([70, 71, 72], "busy")]
    assert [mail.text for mail in mails([*values, Wake(3 * HOUR)])] == [
        "usage: timeout (1): m1",
        "usage: busy (1): m1",
    ]


def test_between_two_mails_there_is_an_hour() -> None:
    values: list[object] = [*repeated([0, 1, 2], "timeout"), Wake(240.0)]
    values += [*repeated([5, 6, 7], "busy", "m2"), Wake(50 * 60.0)]
    assert len(mails(values)) == 1
    assert len(mails([*values, Wake(64 * 60.0)])) == 2
    assert len(mails(values, end=True)) == 2


def test_what_is_as_it_was_before_the_mail_goes_is_not_told_of() -> None:
    values: list[object] = [*repeated([0, 1, 2], "timeout"), Wake(240.0)]
    values += [*repeated([5, 6, 7], "busy", "m2"), *repeated([8, 9, 10], "ok", "m2")]
    assert len(mails([*values, Wake(5 * HOUR)], end=True)) == 1


def test_a_machine_that_is_switched_off_needs_nobody_unless_it_is_said() -> None:
    values = [*repeated(range(5), "unreachable"), Wake(HOUR)]
    assert mails(values) == []
    assert len(mails(values, troubles=["unreachable"])) == 1


def test_a_machine_that_is_off_in_between_is_neither_well_nor_worse() -> None:
    values: list[object] = [
        seen(0, "timeout"),
        *repeated([1, 2], "unreachable"),
        seen(3, "timeout"),
    ]
    values += [seen(4, "interrupted"), seen(5, "exclusive")]
    assert mails([*values, Wake(HOUR)]) == []
    assert len(mails([*values, seen(61, "timeout"), Wake(2 * HOUR)])) == 1


def test_a_crash_neither_forgets_nor_repeats_a_mail() -> None:
    timeouts = [result(outcome="timeout")] * 3
    source = scripted(*timeouts[:2], CHECKPOINT, timeouts[2], CRASH, *timeouts)
    graph, out, store = Graph("alerts"), CollectingSink[Mail](), MemoryStore()
    graph.read("results", source).via("alerts", alerts()).to("out", out)

    async def main() -> None:
        async with graph.start(state=State(store, interval=1000.0)) as job:
            await job.wait()

    with pytest.raises(Exception, match="CRASH"):
        run_virtual(main)
    run_virtual(main)
    assert [mail.subject for mail in out.records] == ["fleet: 1 machine needs a look"]


def test_hostile_names_stay_in_their_line() -> None:
    values = [*repeated([0, 1, 2], "timeout", "m1\nBcc: all\x1b[31m"), Wake(HOUR)]
    assert [mail.text for mail in mails(values)] == ["usage: timeout (1): m1 Bcc: all [31m"]


def test_it_runs_in_a_graph_by_the_clock_of_the_job() -> None:
    seen_mails: list[Mail] = []
    graph = Graph("alerts")
    results = graph.read("results", sources.records([result(outcome="busy")] * 3))
    made = results.via("alerts", alerts(gather="5min"), volatile=True)
    made.to("mails", sinks.collect(seen_mails))
    graph.run()
    assert len(seen_mails) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"after": 0}, "after"),
        ({"every": -1}, "every"),
        ({"gather": "5m"}, "gather"),
        ({"troubles": ["ok"]}, "'ok' is none"),
        ({"troubles": ["down"]}, "'down' is none"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        alerts(**options)
