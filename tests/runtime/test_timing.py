"""What is checked of event time before anything starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from thalweg import BatchFunction, Graph, GraphError, KeyedState, Operator, Stream
from thalweg.operators import aggregates, group_by, where
from thalweg.testing import CollectingSink, scripted


class Aged(Operator[Any, Any]):
    """Asks for times, and has no memory."""

    def process(self, record: Any) -> Iterable[Any]:
        return (record,)

    def process_at(self, record: Any, at: float) -> Iterable[Any]:
        return ((record, at),)


class ByTheClock(Aged):
    clock = "processing"


class Remembering(Operator[Any, Any]):
    def __init__(self) -> None:
        self.seen: KeyedState[int, int] = KeyedState()

    def process(self, record: Any) -> Iterable[Any]:
        return (record,)


class Plain(Operator[Any, Any]):
    def process(self, record: Any) -> Iterable[Any]:
        return (record,)


class Calls(BatchFunction[Any, Any]):
    def __init__(self, ordered: bool = True) -> None:
        self.ordered = ordered
        self.max_in_flight = 2

    async def call(self, records: Sequence[Any]) -> Sequence[Any]:
        return records


async def _later(record: Any) -> Any:
    return record


def _time(record: Any) -> float:
    return float(record)


def _read(graph: Graph, name: str = "numbers") -> Stream[Any]:
    return graph.read(name, scripted(1, 2, 3))


def _plan(build: Callable[[Graph], Stream[Any]]) -> None:
    graph = Graph("timing")
    build(graph).to("out", CollectingSink())
    graph.plan()


def _timed(graph: Graph, name: str = "numbers") -> Stream[Any]:
    return _read(graph, name).event_time(_time, unit="s", name=f"{name}.time")


ALLOWED: dict[str, Callable[[Graph], Stream[Any]]] = {
    "a chain": lambda g: _timed(g).map(abs).filter(bool).flat_map(lambda n: [n]).via("op", Aged()),
    "keys, batches and calls": lambda g: (
        _timed(g).key_by(abs).batch(5).map(_later).via("calls", Calls()).via("op", Aged())
    ),
    "results that overtake each other": lambda g: (
        _timed(g).map(_later, ordered=False).via("op", Aged())
    ),
    "a split": lambda g: (lambda s: s.matching.union(s.rest).via("op", Aged()))(
        _timed(g).split(bool)
    ),
    "a union of timed streams": lambda g: _timed(g).union(_timed(g, "more")).via("op", Aged()),
    "no memory between": lambda g: _timed(g).via("plain", Plain()).via("op", Aged()),
    "one of several inputs of the graph": lambda g: (
        _timed(g).via("op", Aged()).union(_read(g, "m"))
    ),
    "calls in order above": lambda g: (
        _read(g).map(_later).batch(3).via("c", Calls()).event_time(_time, unit="s").via("a", Aged())
    ),
    "a time anew": lambda g: _timed(g).event_time(_time, unit="s").via("op", Aged()),
    "a time anew below memory": lambda g: (
        _timed(g).via("memory", Remembering(), volatile=True).event_time(_time, unit="s")
    ),
    "memory makes a strand of a union": lambda g: (
        _read(g)
        .union(_read(g, "more"))
        .via("memory", Remembering(), volatile=True)
        .event_time(_time, unit="s")
    ),
    "what failed": lambda g: _failed(_read(g).map(abs)).event_time(
        lambda letter: letter.record, unit="s"
    ),
    "what is late, anew": lambda g: (
        _both(_timed(g)).event_time(_time, unit="s", lateness=100).via("op", Aged())
    ),
    "the clock of the runtime": lambda g: _read(g).via("op", ByTheClock()),
}


def _both(timed: Stream[Any]) -> Stream[Any]:
    timed.to("kept", CollectingSink())
    return timed.late


def _failed(stream: Stream[Any]) -> Stream[Any]:
    stream.to("kept", CollectingSink())
    return stream.failed


@pytest.mark.parametrize("build", ALLOWED.values(), ids=ALLOWED)
def test_times_go_through(build: Callable[[Graph], Stream[Any]]) -> None:
    _plan(build)


REFUSED: dict[str, tuple[Callable[[Graph], Stream[Any]], str]] = {
    "a union": (
        lambda g: _read(g).union(_read(g, "more")).event_time(_time, unit="s", name="time"),
        "'time' reads a union of numbers, more: event_time judges each lane in its own order. Say "
        "event_time on each stream before the union",
    ),
    "a union further above": (
        lambda g: (
            _read(g)
            .union(_read(g, "more"))
            .map(abs, name="abs")
            .event_time(_time, unit="s", name="time")
        ),
        "'time' stands below 'abs', which reads a union of numbers, more",
    ),
    "parts of a split together again": (
        lambda g: (lambda s: s.matching.union(s.rest).event_time(_time, unit="s"))(
            _read(g).split(bool, name="parts")
        ),
        "reads a union of parts.matching, parts.rest",
    ),
    "a batch function above": (
        lambda g: _read(g).map_batch(list, name="all").event_time(_time, unit="s", name="time"),
        "'time' stands below the batch function 'all', which hides which record became which. Say "
        "event_time above it",
    ),
    "no order above": (
        lambda g: (
            _read(g)
            .map(_later, ordered=False, name="later")
            .event_time(_time, unit="s", name="time")
        ),
        "'time' stands below 'later', whose results overtake one another",
    ),
    "no order of batches above": (
        lambda g: _read(g).via("calls", Calls(ordered=False)).event_time(_time, unit="s"),
        "stands below 'calls', whose results overtake one another",
    ),
    "no times at all": (
        lambda g: _read(g).map(abs).via("op", Aged()),
        "'op' asks for the times of records, and nothing above tells them, as far as numbers: say "
        ".event_time",
    ),
    "no times in one part of a union": (
        lambda g: _timed(g).union(_read(g, "more")).via("op", Aged()),
        "nothing above tells them, as far as more",
    ),
    "a batch function between": (
        lambda g: _timed(g).map_batch(list, name="all").via("op", Aged()),
        "'op' stands below the batch function 'all', which hides which record became which. Put "
        "map or filter in its place",
    ),
    "a condition in SQL between": (
        lambda g: _timed(g).via("some", where("n > 1")).via("op", Aged()),
        "'op' stands below the operator on columns 'some', which hides which record became which. "
        "Put map or filter in its place",
    ),
    "groups between": (
        lambda g: (
            _timed(g)
            .via("groups", group_by("n", measures={"n_": aggregates.count()}), volatile=True)
            .via("op", Aged())
        ),
        "'op' stands below the operator on columns 'groups', which hides which record became "
        "which. Say event_time below it, or use map",
    ),
    "memory between": (
        lambda g: _timed(g).via("memory", Remembering(), volatile=True).via("op", Aged()),
        "'op' asks for the times of what 'memory' makes of its memory, which has none",
    ),
    "what failed below": (
        lambda g: _failed(_timed(g).map(abs, name="abs")).via("op", Aged()),
        "nothing above tells them, as far as abs.failed",
    ),
    "what failed there": (
        lambda g: _failed(_timed(g)).via("op", Aged()),
        "nothing above tells them, as far as numbers.time.failed",
    ),
    "what is late": (
        lambda g: _both(_timed(g)).via("op", Aged()),
        "'op' asks for the times of what came too late at 'numbers.time', which is older than the "
        "watermark says: say event_time on it anew",
    ),
}


@pytest.mark.parametrize(("build", "message"), REFUSED.values(), ids=REFUSED)
def test_a_time_that_could_not_be_known_is_refused(
    build: Callable[[Graph], Stream[Any]], message: str
) -> None:
    with pytest.raises(GraphError) as info:
        _plan(build)
    assert message in str(info.value)
    assert info.value.where is not None
    assert info.value.where.startswith(f"{__file__}:")


def _line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


def test_the_line_is_that_of_who_asks() -> None:
    graph = Graph("line")
    numbers = _read(graph)
    aged = numbers.via("op", Aged())
    line = _line() - 1
    aged.to("out", CollectingSink())
    with pytest.raises(GraphError) as info:
        graph.plan()
    assert info.value.where == f"{__file__}:{line}"


def test_origins_are_exact_above_who_asks_for_times_and_nowhere_else() -> None:
    graph = Graph("exact")
    kept = _read(graph).filter(bool, name="above")
    timed = kept.event_time(_time, unit="s", name="time")
    timed.filter(bool, name="between").via("op", Aged()).filter(bool, name="below").to(
        "out", CollectingSink()
    )
    exact = {actor.name for actor in graph.plan().actors if actor.exact}
    assert exact == {"numbers", "above", "time", "between"}


# Options


WRONG: list[tuple[Callable[[Any], object], str]] = [
    (lambda s: s.event_time(3), "a function is asked for, not int"),
    (lambda s: s.event_time(_later), "event_time takes a plain function: use map first"),
    (lambda s: s.event_time(_time, unit="min"), "unit is one of"),
    (lambda s: s.event_time(_time, zone="Middle/Earth"), "no time zone 'Middle/Earth'"),
    (lambda s: s.event_time(_time, lateness=-1), "lateness is 0 seconds or more, not -1"),
    (lambda s: s.event_time(_time, lateness="5m"), "'m' could be a month"),
    (lambda s: s.event_time(_time, max_ahead="soon"), "max_ahead is a number of seconds"),
    (lambda s: s.event_time(_time, idle_after=float("nan")), "idle_after is 0 seconds or more"),
    (lambda s: s.event_time(_time, fail_after=0), "fail_after is 1 or more"),
    (lambda s: s.key_by(_later), "key_by takes a plain function: use map first"),
    (lambda s: s.key_by("name"), "a function is asked for, not str"),
    (lambda s: s.key_by(abs, version=0), "version is 1 or more, not 0"),
    (lambda s: s.late, "nothing is late at 'numbers': take .late of what event_time returns"),
    (lambda s: s.map(abs, name="abs").late, "nothing is late at 'abs'"),
    (lambda s: s.via("plain", Plain()).late, "nothing is late at 'plain'"),
    (lambda s: s.graph.failed.late, r"nothing is late at '\*'"),
    (
        lambda s: s.union(s.graph.read("more", scripted(1))).late,
        r"a union of \['more', 'numbers'\] has no late port of its own",
    ),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_a_wrong_option_is_refused_where_it_stands(
    wrong: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(GraphError, match=message) as info:
        wrong(_read(Graph("options")))
    assert info.value.where is not None
    assert info.value.where.startswith(f"{__file__}:")


def test_the_plan_tells_of_times_keys_and_what_is_late() -> None:
    graph = Graph("told")
    timed = _read(graph).event_time(_time, unit="s", lateness="5min", name="time")
    timed.key_by(abs, name="keys", version=3).via("op", Aged()).to("out", CollectingSink())
    text = graph.plan().text()
    assert "event_time time: _time (test_timing.py:" in text
    assert "up to 300 s late, a lane idle after 30 s" in text
    assert "time.late -> nowhere: counted and dropped" in text
    assert "op.late -> nowhere: counted and dropped" in text
    assert "key_by keys: abs, version 3" in text
    timed.late.to("late", CollectingSink())
    assert "time.late -> late" in graph.plan().text()
    assert "|late|" in graph.plan().mermaid()
