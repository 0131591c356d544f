"""The step that makes values of results, and that no output can break."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.operators.fleet import (
    OUTCOMES,
    ParseContext,
    ParsedResult,
    ProbeResult,
    Simulated,
    SimulatedProber,
    Target,
    Timetable,
    parse,
    parsers,
    probe,
    result_of,
)
from thalweg.operators.sources import Sweeps
from thalweg.testing import run_virtual

KEYS = parse(parsers.key_values)


def test_a_value_stands_beside_what_the_result_was() -> None:
    result = result_of("load=3", target="lab07", sweep=900)
    assert KEYS(result) == {**result, "value": {"load": "3"}}


@pytest.mark.parametrize("outcome", [one for one in OUTCOMES if one != "ok"])
def test_another_outcome_passes_as_it_is(outcome: str) -> None:
    result: ProbeResult = {**result_of("load=3"), "outcome": outcome}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
    assert KEYS(result) == {**result, "value": None}


def test_another_status_is_read_when_asked_for() -> None:
    result = result_of("load=3", outcome="exit", exit_status=4)
    read = parse(parsers.key_values, any_status=True)(result)
    assert (read["outcome"], read["value"]) == ("exit", {"load": "3"})
    assert (
        parse(parsers.key_values, any_status=True)(result_of("x", outcome="timeout"))["value"]
        is None
    )


def test_bad_output_is_an_outcome_that_keeps_it() -> None:
    bad = KEYS(result_of("nothing of ours"))
    assert bad["outcome"] == "parse_error"
    assert bad["stdout"] == "nothing of ours"
    assert bad["detail"].startswith("key_values: line 1: key=value is meant")
    assert bad["value"] is None


def test_whatever_a_parser_raises_is_told_with_its_place() -> None:
    def careless(result: ProbeResult) -> int:
        return int(result["stdout"])

    bad = parse(careless)(result_of("many"))
    assert bad["outcome"] == "parse_error"
    assert bad["detail"].startswith("ValueError: invalid literal for int() with base 10: 'many'")
    assert "(test_parse.py:" in bad["detail"]


class FromDdc:
    """Post-collecting code as it was written for DDC."""

    def __init__(self) -> None:
        self.seen: list[ParseContext] = []

    def parse_result(self, stdout: str, stderr: str, context: ParseContext) -> int:
        self.seen.append(context)
        (context.storage / f"{context.target}.txt").write_text(stdout + stderr)
        return len(stdout)


def test_a_class_in_the_form_of_ddc_is_a_parser(tmp_path: Path) -> None:
    ddc, storage = FromDdc(), tmp_path / "a" / "b"
    counted = parse(ddc, storage=storage)
    assert not storage.exists()
    result = result_of("four", stderr="!", target="lab07", probe="p", sweep=900)
    assert counted(result)["value"] == 4
    assert (storage / "lab07.txt").read_text() == "four!"
    assert ddc.seen == [
        ParseContext(
            target="lab07", probe="p", sweep=900, exit_status=0, elapsed=0.0, started=900.0,
            storage=storage,
        )
    ]  # fmt: skip


def test_a_parser_that_leaves_the_process_leaves_only_its_result() -> None:
    def leaves(result: ProbeResult) -> None:
        sys.exit("no disk")

    assert parse(leaves)(result_of("x"))["detail"].startswith("SystemExit: no disk (test_parse.py:")


@pytest.mark.asyncio
async def test_a_parser_with_a_time_holds_up_nobody_and_is_left_to_itself() -> None:
    free, entered = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Slow:
        def parse_result(self, stdout: str, stderr: str, context: ParseContext) -> str:
            loop.call_soon_threadsafe(entered.set)
            if stdout == "hangs":
                free.wait(20)
            return stdout

    read = parse(Slow(), timeout=0.1)
    quick = await read(result_of("quick"))
    assert (quick["outcome"], quick["value"]) == ("ok", "quick")
    entered.clear()
    hangs = asyncio.ensure_future(read(result_of("hangs", target="m7")))
    await entered.wait()  # The loop goes on while it hangs.
    assert not hangs.done()
    told = await hangs
    assert (told["target"], told["outcome"], told["value"]) == ("m7", "parse_error", None)
    assert told["detail"] == "the parser took longer than 0.1 s, and is left to itself"
    # So many may hang that nothing else is called; when they return, it goes on.
    await asyncio.gather(*(read(result_of("hangs")) for _ in range(15)))
    assert "16 calls of the parser hang" in (await read(result_of("quick")))["detail"]
    free.set()
    while (again := await read(result_of("quick")))["outcome"] != "ok":
        pass
    assert again["value"] == "quick"
    assert (await read(result_of("x", outcome="refused")))["value"] is None


def test_slow_post_collecting_delays_no_sweep() -> None:
    """In virtual time threads hold the clock: a step of a graph that takes its own time."""
    found: list[ParsedResult[str]] = []

    async def main() -> None:
        graph = Graph("fleet")
        source = Sweeps(
            [Target(f"m{number}") for number in range(1, 6)],
            [probe("uptime")],
            timetable=Timetable.of(every=60.0, sweeps=3),
            prober=SimulatedProber(lambda visit, one: Simulated(stdout="up", exit_status=0)),
        )
        slow = parse(lambda result: result["stdout"], timeout="10s")

        async def slowly(result: ProbeResult) -> ParsedResult[str]:
            await asyncio.sleep(30.0)
            return await slow(result)

        graph.read("lab", source).map(slowly, name="parsed").to("found", sinks.collect(found))
        async with graph.start() as job:
            await job.wait()

    run_virtual(main)
    first = found[0]["sweep"]
    # Five times 30 s a sweep, and yet the next one begins after 60 s.
    assert [one["sweep"] - first for one in found] == [0] * 5 + [60] * 5 + [120] * 5
    assert {one["value"] for one in found} == {"up"}


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_a_time_that_is_none_is_refused(timeout: float | str) -> None:
    with pytest.raises(ValueError, match="timeout"):
        parse(parsers.key_values, timeout=timeout)


def test_what_is_no_parser_is_refused() -> None:
    async def waits(result: ProbeResult) -> None: ...

    with pytest.raises(TypeError, match="give an async one to map"):
        parse(waits)
    with pytest.raises(TypeError, match=r"write parse\(FromDdc\(\)\)"):
        parse(FromDdc)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(TypeError, match="a parser is a function, or has a parse_result, unlike 7"):
        parse(7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.asyncio
async def test_it_is_a_step_of_a_graph() -> None:
    results = [result_of("a=1", target="x"), result_of("?", target="y")]
    graph = Graph("parsing")
    collected: list[ParsedResult[dict[str, str]]] = []
    graph.read("results", sources.records(results)).map(parse(parsers.key_values)).to(
        "collected", sinks.collect(collected)
    )
    async with graph.start() as job:
        await job.wait()
    assert [(one["target"], one["outcome"]) for one in collected] == [
        ("x", "ok"), ("y", "parse_error")
    ]  # fmt: skip
