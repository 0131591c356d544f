"""`usage_samples`: what happened from one sample of a machine to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from thalweg.operators.fleet import ProbeResult, UsageSample, usage_samples
from thalweg.testing import OPERATOR_CHECKS, OperatorCase, context

from ..results import SWEEP, result

Check = Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]]


def printed(
    uptime: float,
    idle: float,
    received: int = 0,
    sent: int = 0,
    *,
    boot: str = "one",
    more: str = "",
    memory: int = 1000,
) -> str:
    """What a machine of two processors prints."""
    return (
        f"usage=1\nboot_id={boot}\nuptime={uptime}\nidle={idle}\nboot=1081940000\ncpus=2\n"
        f"memory={memory}\nmemory_free=250\nswap=0\nfilesystem=2000 500 /\n"
        f"interface=eth0 physical aa\ntraffic=eth0 {received} {sent}\nsessions=known\n{more}end=1\n"
    )


def answers(*texts: str, target: str = "m1") -> list[ProbeResult]:
    return [
        result(target, sweep=SWEEP + 900 * number, stdout=text) for number, text in enumerate(texts)
    ]


def samples(records: list[ProbeResult], probe: str = "usage") -> list[UsageSample]:
    async def run() -> list[UsageSample]:
        operator = usage_samples(probe)
        await operator.open(context())
        made = [sample for record in records for sample in operator.process(record)]
        await operator.close()
        return made

    return asyncio.run(run())


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check) -> None:
    records = answers(*(printed(100.0 * n, 150.0 * n, 1000 * n) for n in range(1, 20)))
    case: OperatorCase[Any, Any] = OperatorCase(
        usage_samples,
        records=[*records, result("m2", "timeout"), result("m3", probe="other")],
        expected=samples(records),
        bad=[result(stdout="half"), None],
    )
    asyncio.run(check(case))


def test_what_is_counted_since_the_start_becomes_what_happened_since_the_last_sample() -> None:
    first, second = samples(
        answers(printed(1000, 1500, 10_000, 5_000), printed(1100, 1600, 30_000, 5_500))
    )
    assert (first["cpu_idle"], first["cpu_idle_between"], first["received_rate"]) == (
        75,
        None,
        None,
    )
    assert second["cpu_idle"] == pytest.approx(100 * 1600 / 2200)
    assert second["cpu_idle_between"] == 50.0
    assert (second["received_rate"], second["sent_rate"]) == (200.0, 5.0)
    assert second["interfaces"] == [
        {
            "name": "eth0",
            "received": 30_000,
            "sent": 5_500,
            "received_rate": 200.0,
            "sent_rate": 5.0,
        }
    ]
    assert (first["memory_load"], first["swap_load"], first["disk_free"]) == (75, None, 512_000)


@pytest.mark.parametrize("boot", ["two", ""])
def test_after_a_restart_it_is_what_happened_since_then(boot: str) -> None:
    _, second = samples(
        answers(printed(1000, 1500, 10_000, boot=boot and "one"), printed(50, 90, 200, boot=boot))
    )
    assert second["restarted"]
    assert (second["cpu_idle_between"], second["received_rate"]) == (90.0, 4.0)


def test_a_restart_is_seen_also_where_the_machine_is_up_for_longer_than_before() -> None:
    _, second = samples(answers(printed(100, 150), printed(500, 900, 1_000, boot="two")))
    assert second["restarted"]
    assert second["received_rate"] == 2.0


def test_a_counter_of_32_bits_is_followed_when_it_begins_anew() -> None:
    _, second = samples(answers(printed(1000, 0, 2**32 - 1_000), printed(1010, 0, 9_000)))
    assert second["received_rate"] == 1_000.0


@pytest.mark.parametrize("before", [5_000, 2**33])
def test_a_counter_that_was_put_back_has_no_rate_once(before: int) -> None:
    _, second, third = samples(
        answers(printed(1000, 0, before), printed(1010, 0, 10), printed(1020, 0, 110))
    )
    assert second["received_rate"] is None
    assert second["sent_rate"] == 0.0
    assert third["received_rate"] == 10.0


def test_facts_are_new_once_and_again_when_they_change() -> None:
    found = samples(
        answers(
            printed(1, 1), printed(2, 2), printed(3, 3, memory=2000), printed(4, 4, memory=2000)
        )
    )
    assert [sample["changed"] for sample in found] == [True, False, True, False]


def test_what_was_overtaken_by_a_later_sweep_is_a_sample_without_rates() -> None:
    one, two, three = answers(printed(1000, 0, 0), printed(1010, 0, 100), printed(1020, 0, 300))
    found = samples([one, three, two])
    assert [sample["received_rate"] for sample in found] == [None, 15.0, None]
    assert not found[2]["changed"]


def test_each_machine_is_compared_with_itself() -> None:
    found = samples([*answers(printed(1000, 0, 0)), *answers(printed(2000, 0, 10**9), target="m2")])
    assert [sample["received_rate"] for sample in found] == [None, None]


def test_users_are_counted_once_however_often_they_are_logged_in() -> None:
    more = "session=eve tty1 @1\nsession=eve pts/0 @2\nsession=bob pts/1 @3\n"
    (sample,) = samples(answers(printed(1, 1, more=more)))
    assert (sample["users"], len(sample["sessions"] or ())) == (2, 3)
    silent = printed(1, 1).replace("sessions=known", "sessions=unknown")
    assert samples(answers(silent))[0]["users"] is None


def test_a_probe_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name of the probe"):
        usage_samples("")
