"""The words of a running job: its line fits, its summary counts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from thalweg import DeadLetter, Graph, JobCancelled
from thalweg.deploy.reporting import (
    Rate,
    dead_letter_sinks,
    fitted,
    left_undone,
    plain_line,
    summary,
)
from thalweg.operators import sinks, sources
from thalweg.runtime.progress import NodeProgress, Progress

PROGRESS = Progress(
    id="1",
    name="iris",
    state="running",
    timestamp="2026-01-01T00:00:00.000+00:00",
    seconds=2.0,
    read=12_345,
    settled=12_006,
    dead_letters=6,
    nodes=(
        NodeProgress("flowers", "source", "flowers", "running", records_out=12_345),
        NodeProgress("score", "function", "score", "running", dead_letters=6, seconds_busy=1.0,
                     records_in=12_345),
        NodeProgress("scored", "sink", "scored", "running", records_out=12_000),
        NodeProgress("failed", "sink", "failed", "running", records_out=6),
    ),
)  # fmt: skip
BAD = frozenset({"failed"})
LINE = "iris  12,345 records  4,321/s  scored 12,000  failed 6  in flight 339"


def test_a_line_names_every_sink() -> None:
    assert plain_line(PROGRESS, 4321.4, BAD) == LINE


def test_a_summary_tells_what_came_too_late() -> None:
    assert "late" not in summary(PROGRESS, BAD)
    late = [replace(PROGRESS.nodes[0], node=name, late=n) for name, n in (("t", 1234), ("w", 5))]
    told = summary(replace(PROGRESS, nodes=(*PROGRESS.nodes, *late)), BAD)
    assert "\n  late          t 1,234, w 5" in told


def test_a_line_says_what_is_waited_for_on_one_line() -> None:
    nodes = (*PROGRESS.nodes, replace(PROGRESS.nodes[1], waiting="503\r\n\x1b[2Jbusy"))
    line = plain_line(replace(PROGRESS, nodes=nodes, state="draining"), 0, BAD)
    assert line.endswith("in flight 339  draining  score waits: 503   [2Jbusy")


@pytest.mark.parametrize("width", range(10, 100))
def test_a_live_line_fits_its_terminal(width: int) -> None:
    line = fitted(PROGRESS, 4321.4, BAD, width=width, colour=False)
    assert len(line) <= width
    assert line in LINE
    coloured = fitted(PROGRESS, 4321.4, BAD, width=width, colour=True)
    assert re.sub(r"\x1b\[\d+m", "", coloured) == line


def test_a_narrow_terminal_keeps_the_count_and_the_rate() -> None:
    line = fitted(PROGRESS, 4321.4, BAD, width=30, colour=False)
    assert line == "12,345 records  4,321/s"


def test_failed_records_are_red_once_there_are_some() -> None:
    line = fitted(PROGRESS, 1, BAD, width=200, colour=True)
    assert "\x1b[31mfailed 6\x1b[0m" in line
    none = replace(PROGRESS, nodes=(replace(PROGRESS.nodes[3], records_out=0),))
    assert "\x1b[31m" not in fitted(none, 1, BAD, width=200, colour=True)


def test_the_rate_is_that_of_the_last_five_seconds() -> None:
    rate = Rate()
    assert rate.observe(0.0, 0) == 0.0
    assert rate.observe(1.0, 100) == 100.0
    assert [rate.observe(float(second), 100) for second in range(2, 8)][-1] == 0.0
    seen = [rate.observe(float(second), 100 + 7 * (second - 7)) for second in range(8, 20)]
    assert seen[-1] == 7.0


def test_the_rate_of_rare_looks_reaches_back_to_the_last_one() -> None:
    rate = Rate()
    assert [rate.observe(at, count) for at, count in ((0, 0), (60, 600), (120, 600))] == [0, 10, 0]


def test_the_summary_counts_sinks_and_dead_letters() -> None:
    assert summary(replace(PROGRESS, state="ended"), BAD) == (
        "iris ended after 2.0 s: 12,345 records read, 6,172 records/s\n"
        "  scored        12,000\n"
        "  failed             6\n"
        "  dead letters  score 6\n"
        "  bottleneck    score"
    )


def test_the_summary_of_a_cancelled_job_tells_what_was_waited_for() -> None:
    nodes = (replace(PROGRESS.nodes[1], waiting="try 3 after: no\nanswer", state="cancelled"),)
    text = summary(replace(PROGRESS, nodes=nodes, state="cancelled"), BAD)
    assert text.endswith("\n  waited        score: try 3 after: no answer")
    assert "waited" not in summary(replace(PROGRESS, nodes=nodes, state="drained"), BAD)


def test_a_source_that_ended_at_once_is_no_bottleneck() -> None:
    quick = NodeProgress("flowers", "source", "flowers", "ended", records_out=9, seconds_busy=0.1)
    slow = replace(PROGRESS.nodes[1], seconds_busy=9.0, seconds_waiting_for_input=0.5)
    assert replace(PROGRESS, nodes=(quick, slow)).bottleneck == "score"


def test_the_summary_of_nothing_is_short() -> None:
    nothing = replace(PROGRESS, nodes=(), read=0, settled=0, seconds=0.0, state="drained")
    assert summary(nothing, BAD) == "iris drained after 0.0 s: 0 records read, 0 records/s"


def test_what_was_left_is_told_by_actor_and_source() -> None:
    error = JobCancelled(
        "graph 'iris' was cancelled with 1 record",
        unprocessed={"score": 1_200},
        settled={"flowers": 11_999, "other[a]": None},
    )
    assert left_undone(error) == (
        "graph 'iris' was cancelled with 1 record\n"
        "  unprocessed  score: 1,200\n"
        "  settled      flowers: through record 11,999\n"
        "  settled      other[a]: nothing"
    )


def test_sinks_of_dead_letters_are_known_by_their_inputs() -> None:
    graph = Graph("g")
    numbers = graph.read("numbers", sources.records([1]))
    mapped = numbers.map(str)
    letters: list[DeadLetter] = []
    rest: list[DeadLetter] = []
    mapped.to("good", sinks.collect([]))
    mapped.failed.to("bad", sinks.collect(letters))
    graph.failed.to("rest", sinks.collect(rest))
    assert dead_letter_sinks(graph) == {"bad", "rest"}
