"""Sweeps in virtual time, with simulated targets: when they begin, whom they ask, what is kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from thalweg import Graph, JobCancelled, State
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import ProbeResult, Target
from thalweg.operators.fleet.probes.probe import Probe, probe
from thalweg.operators.fleet.probes.simulated_prober import Simulated, SimulatedProber
from thalweg.operators.fleet.probes.visit import Visit
from thalweg.operators.fleet.sweeps.timetable import Timetable
from thalweg.operators.sources import Sweeps
from thalweg.testing import SOURCE_CHECKS, MemoryStore, SourceCase, VirtualTimeLoop, run_virtual

Answer = Callable[[Visit, Probe], Simulated]

UP = Simulated(stdout="up", exit_status=0)
DOWN = Simulated("unreachable", detail="nothing answers within 3 s")


def machines(count: int) -> list[Target]:
    return [Target(f"m{number:03}") for number in range(1, count + 1)]


def sweeps(
    answer: Answer,
    targets: Sequence[Target] | Callable[[], Sequence[Target]],
    *probes: str,
    max_waiting: int = 10_000,
    **options: Any,
) -> Sweeps:
    asked = [probe(one) for one in probes or ("uptime",)]
    given: dict[str, Any] = {"every": "15min", **options}
    timetable = Timetable.of(**given)
    prober = SimulatedProber(answer)
    return Sweeps(targets, asked, timetable=timetable, prober=prober, max_waiting=max_waiting)


def run(source: Sweeps) -> list[ProbeResult]:
    """All results of a graph that runs to its end, in virtual time."""

    async def main() -> list[ProbeResult]:
        graph, found = Graph("fleet"), list[ProbeResult]()
        graph.read("lab", source).to("found", sinks.collect(found))
        async with graph.start() as job:
            await job.wait()
        return found

    return run_virtual(main)


def beginnings(found: Sequence[ProbeResult]) -> list[int]:
    """When each sweep began, in seconds after the first."""
    ids = list(dict.fromkeys(result["sweep"] for result in found))
    return [one - ids[0] for one in ids]


def asked(found: Sequence[ProbeResult]) -> list[tuple[int, str, str]]:
    return [(one["sweep"], one["target"], one["probe"]) for one in found]


def test_a_sweep_asks_every_probe_of_every_target_and_says_of_how_many() -> None:
    found = run(sweeps(lambda visit, one: UP, machines(3), "uptime", "df -P", sweeps=2))
    assert [(one["target"], one["probe"]) for one in found[:6]] == [
        (name, command) for name in ("m001", "m002", "m003") for command in ("uptime", "df")
    ]
    assert {one["of"] for one in found} == {6}
    assert beginnings(found) == [0, 900]


def test_the_next_sweep_begins_every_so_often_after_the_last_one_began() -> None:
    slow = Simulated(stdout="up", exit_status=0, seconds=387.0)
    found = run(sweeps(lambda visit, one: slow, machines(5), minimum_gap="30s", sweeps=4))
    assert beginnings(found) == [0, 900, 1800, 2700]


def test_a_sweep_that_takes_longer_is_followed_by_the_gap() -> None:
    slow = Simulated(stdout="up", exit_status=0, seconds=1000.0)
    found = run(sweeps(lambda visit, one: slow, machines(2), minimum_gap="30s", sweeps=3))
    assert beginnings(found) == [0, 1030, 2060]


def test_no_sweep_begins_later_than_lasting_says() -> None:
    found = run(sweeps(lambda visit, one: UP, machines(1), every="1h", lasting="3h"))
    assert beginnings(found) == [0, 3600, 7200, 10800]


def test_two_sweeps_in_one_second_have_different_ids() -> None:
    found = run(sweeps(lambda visit, one: UP, machines(1), every=0.1, sweeps=15))
    ids = [one["sweep"] for one in found]
    assert ids == sorted(set(ids))
    assert len(ids) == 15


def test_a_clock_that_steps_back_changes_neither_order_nor_times() -> None:
    starts: list[float] = []

    def answer(visit: Visit, one: Probe) -> Simulated:
        starts.append(asyncio.get_running_loop().time())
        return UP

    class SteppingBack(VirtualTimeLoop):
        def wall(self) -> float:
            """An hour back, between the second and the third sweep."""
            return 1_000_000.0 + self.time() - (3600.0 if self.time() > 1000.0 else 0.0)

    async def main() -> list[ProbeResult]:
        graph, found = Graph("fleet"), list[ProbeResult]()
        source = sweeps(answer, machines(1), sweeps=4)
        graph.read("lab", source).to("found", sinks.collect(found))
        async with graph.start() as job:
            await job.wait()
        return found

    with asyncio.Runner(loop_factory=SteppingBack) as runner:
        found = runner.run(main())
    assert [one["sweep"] for one in found] == [1_000_000, 1_000_900, 1_000_901, 1_000_902]
    assert starts == [0.0, 900.0, 1800.0, 2700.0]


def test_single_shot_asks_until_each_probe_of_each_target_was_answered_and_ends() -> None:
    def answer(visit: Visit, one: Probe) -> Simulated:
        tries[visit.target.name, one.name] = tries.get((visit.target.name, one.name), 0) + 1
        late = visit.target.name == "m002" and one.name == "df"
        if late and tries["m002", "df"] < 3:
            return Simulated("exit", exit_status=1)
        return DOWN if visit.target.name == "m003" and tries["m003", one.name] < 2 else UP

    tries: dict[tuple[str, str], int] = {}
    found = run(sweeps(answer, machines(3), "uptime", "df -P", mode="single_shot", every="1min"))
    assert tries == {
        ("m001", "uptime"): 1, ("m001", "df"): 1, ("m002", "uptime"): 1, ("m002", "df"): 3,
        ("m003", "uptime"): 2, ("m003", "df"): 2,
    }  # fmt: skip
    assert [one["of"] for one in found] == [6] * 6 + [3] * 3 + [1]


def test_single_shot_gives_up_after_so_many_sweeps() -> None:
    found = run(sweeps(lambda visit, one: DOWN, machines(2), mode="single_shot", sweeps=3))
    assert beginnings(found) == [0, 900, 1800]


def test_the_list_of_targets_is_read_at_each_sweep() -> None:
    lists = [machines(1), machines(1), machines(3), machines(2)]

    def reload() -> list[Target]:
        return lists.pop(0)

    found = run(sweeps(lambda visit, one: UP, reload, sweeps=3))
    assert [one["target"] for one in found] == ["m001", "m001", "m002", "m003", "m001", "m002"]


def test_a_list_that_breaks_later_is_that_of_before() -> None:
    answers: list[object] = [machines(2), machines(2), ValueError("hosts.ini:3: what is this?")]

    def reload() -> list[Target]:
        answer = answers.pop(0)
        if isinstance(answer, ValueError):
            raise answer
        return cast("list[Target]", answer)

    found = run(sweeps(lambda visit, one: UP, reload, sweeps=2))
    assert [one["target"] for one in found] == ["m001", "m002", "m001", "m002"]


def test_a_slow_consumer_delays_no_sweep_until_too_much_is_on_its_way() -> None:
    starts: list[float] = []

    def answer(visit: Visit, one: Probe) -> Simulated:
        if visit.target.name == "m001":
            starts.append(asyncio.get_running_loop().time())
        return UP

    async def main() -> None:
        async def post_process(result: ProbeResult) -> None:
            await asyncio.sleep(100.0)

        graph = Graph("fleet")
        source = sweeps(answer, machines(10), every=900.0, max_waiting=10, sweeps=13)
        results = graph.read("lab", source).map(post_process, timeout=1000.0)
        results.to("found", sinks.collect([]))
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    # The 10 results of a sweep take 1,000 s and arrive together. Each time another 100 s are
    # missing, until two sweeps are on their way when the third is due.
    assert starts == [*(900.0 * number for number in range(11)), 10_000.0, 11_000.0]


class WithWallClock(VirtualTimeLoop):
    """A loop whose wall clock goes with its time, over several jobs."""

    def wall(self) -> float:
        return 1_081_948_390.5 + self.time()


def killed_and_again(
    answer: Answer, *, at: float, pause: float, **options: Any
) -> tuple[list[ProbeResult], list[ProbeResult]]:
    with asyncio.Runner(loop_factory=WithWallClock) as runner:
        return runner.run(_killed_and_again(answer, at=at, pause=pause, **options))


async def _killed_and_again(
    answer: Answer, *, at: float, pause: float, **options: Any
) -> tuple[list[ProbeResult], list[ProbeResult]]:
    """What arrives before a job is broken off at this time, and what after its next start."""
    store = MemoryStore()
    parts: list[list[ProbeResult]] = []
    for broken in (True, False):
        found: list[ProbeResult] = []
        graph = Graph("fleet")
        source = sweeps(answer, machines(10), **{"sweeps": 2, **options})
        graph.read("lab", source).to("found", sinks.collect(found))
        state = State(store if broken else store.another(), interval=1.0)
        with contextlib.suppress(JobCancelled):
            async with graph.start(state=state) as job:
                if broken:
                    await asyncio.sleep(at)
                    await job.cancel()
                await job.wait()
        parts.append(found)
        await asyncio.sleep(pause)
    return parts[0], parts[1]


def _one_a_minute(visit: Visit, one: Probe) -> Simulated:
    return Simulated(stdout="up", exit_status=0, seconds=60.0 * int(visit.target.name[1:]))


def test_what_was_answered_is_not_asked_again_after_a_restart_in_mid_sweep() -> None:
    before, after = killed_and_again(_one_a_minute, at=330.5, pause=5.0)
    assert [one["target"] for one in before] == [f"m00{n}" for n in range(1, 6)]
    everything = asked(before) + asked(after)
    first, second = sorted({one["sweep"] for one in before + after})
    assert sorted(everything) == sorted(
        (sweep, target.name, "uptime") for sweep in (first, second) for target in machines(10)
    )
    assert second - first >= 900
    assert {one["of"] for one in before + after} == {10}
    assert {one["outcome"] for one in before + after} == {"ok"}


def test_a_sweep_older_than_every_is_closed_as_interrupted() -> None:
    before, after = killed_and_again(_one_a_minute, at=330.5, pause=2000.0)
    first = before[0]["sweep"]
    closed = [one for one in after if one["sweep"] == first]
    assert [one["target"] for one in closed] == [f"m{n:03}" for n in range(6, 11)]
    assert {one["outcome"] for one in closed} == {"interrupted"}
    rest = after[len(closed) :]
    assert len(rest) == 10
    assert {one["outcome"] for one in rest} == {"ok"}
    assert rest[0]["sweep"] > first


def test_a_restart_between_two_sweeps_waits_for_the_next_one() -> None:
    before, after = killed_and_again(lambda visit, one: UP, at=300.0, pause=50.0)
    assert len(before) == len(after) == 10
    assert after[0]["sweep"] - before[0]["sweep"] == 900


def test_the_gap_after_a_sweep_is_kept_over_a_restart() -> None:
    slow = Simulated(stdout="up", exit_status=0, seconds=890.0)
    before, after = killed_and_again(lambda visit, one: slow, at=895.0, pause=1.0, minimum_gap=60.0)
    assert len(before) == len(after) == 10
    # 890 s for the sweep, and then the gap, although it was to begin every 900 s.
    assert after[0]["started"] - before[0]["started"] == pytest.approx(950.0, abs=1.0)


def test_single_shot_goes_on_where_it_was() -> None:
    def answer(visit: Visit, one: Probe) -> Simulated:
        number = int(visit.target.name[1:])
        calls[number] = calls.get(number, 0) + 1
        good = number <= 4 or calls[number] > 2
        return Simulated("ok" if good else "timeout", seconds=60.0 * number)

    calls: dict[int, int] = {}
    options = {"mode": "single_shot", "sweeps": None, "every": "15min"}
    before, after = killed_and_again(answer, at=1100.5, pause=5.0, **options)
    good = [one["target"] for one in before + after if one["outcome"] == "ok"]
    assert sorted(good) == [target.name for target in machines(10)]
    assert {calls[number] for number in range(1, 5)} == {1}
    triples = asked(before) + asked(after)
    assert len(set(triples)) == len(triples)


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: str(check.__name__))
def test_sweeps_keep_the_contract(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wall(loop: VirtualTimeLoop) -> float:
        return 1000.0

    monkeypatch.setattr(VirtualTimeLoop, "wall", wall, raising=False)
    expected = [
        ProbeResult(
            sweep=1000,
            of=30,
            target=target.name,
            probe="uptime",
            outcome="ok",
            exit_status=0,
            signal=None,
            stdout="up",
            stderr="",
            started=1000.0,
            elapsed_there=0.0,
            elapsed_here=0.0,
            attempt=1,
            bytes=2,
            truncated=False,
            detail="",
        )
        for target in machines(30)
    ]
    case = SourceCase(lambda: sweeps(lambda visit, one: UP, machines(30), sweeps=1), expected)
    run_virtual(lambda: check(case))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every is more than 0"),
        ({"every": "15m"}, "say 'min'"),
        ({"every": 1, "mode": "once"}, "mode is one of"),
        ({"every": 1, "sweeps": 0}, "sweeps is 1 or more"),
        ({"every": 1, "max_waiting": -1}, "max_waiting"),
        ({"every": 1, "probes": []}, "probes is empty"),
        ({"every": 1, "probes": ["df -P", "df -i"]}, "two probes are called 'df'"),
        ({"every": 1, "targets": [7]}, "a name or a Target"),
        ({"every": 1, "targets": ["@nowhere"]}, "there is no group"),
    ],
)
def test_a_wrong_option_is_told_where_it_is_written(options: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"targets": [Target("a")], "probes": "uptime", **options}
    with pytest.raises((ValueError, TypeError), match=words):
        sources.ssh_probe(**given)
