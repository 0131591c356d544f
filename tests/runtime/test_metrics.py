"""The metrics of a job: there at 0, valid whatever operators do, and right."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from functools import partial

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from thalweg import BatchFunction, Context, Graph, JobFailed
from thalweg.testing import PAUSE, CollectingSink, run_virtual, scripted

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _scrape(registry: CollectorRegistry) -> Samples:
    """All samples, after a check that the text is what Prometheus takes."""
    samples: Samples = {}
    families: set[str] = set()
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.name not in families, f"{family.name} is there twice"
        families.add(family.name)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted({"graph": "metered", **labels}.items()))]


def _graph(count: int) -> Graph:
    def picky(number: int) -> int:
        if number % 10 == 3:
            raise ValueError(number)
        return number

    graph = Graph("metered")
    numbers = graph.read("numbers", scripted(*range(count)))
    numbers.map(picky, name="picky").batch(4, name="four").to("out", CollectingSink())
    graph.failed.to("failed", CollectingSink())
    return graph


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_metric_is_there_from_the_start_and_right_at_the_end(count: int) -> None:
    async def main() -> None:
        registry = CollectorRegistry()
        async with _graph(count).start(metrics=registry) as job:
            first = _scrape(registry)
            await job.wait()
            last = _scrape(registry)
        assert first.keys() == last.keys()
        assert _value(first, "thalweg_job_state", state="running") == 1
        assert all(
            value == 0
            for (name, _), value in first.items()
            if name.endswith("_total") and "seconds" not in name
        )
        bad = len(range(3, count, 10))
        assert _value(last, "thalweg_job_read_records_total") == count
        assert _value(last, "thalweg_job_settled_records_total") == count
        assert _value(last, "thalweg_job_state", state="ended") == 1
        assert _value(last, "thalweg_dead_letters_total", node="picky") == bad
        assert _value(last, "thalweg_records_out_total", node="out") == count - bad
        assert _value(last, "thalweg_latency_seconds_count", node="out") == count - bad
        assert _scrape(registry) == {}

    run_virtual(main)


def test_what_came_too_late_is_counted_where_it_was_late() -> None:
    async def main() -> None:
        registry = CollectorRegistry()
        graph = Graph("metered")
        timed = graph.read("numbers", scripted(5, 9, 3, 9, 1)).event_time(
            float, unit="s", name="time"
        )
        timed.to("out", CollectingSink())
        async with graph.start(metrics=registry) as job:
            await job.wait()
            last = _scrape(registry)
        assert _value(last, "thalweg_late_records_total", node="time") == 2
        assert _value(last, "thalweg_late_records_total", node="numbers") == 0

    run_virtual(main)


class Naughty(BatchFunction[int, int]):
    """Asks for counters that nobody should ask for."""

    def __init__(self, names: Sequence[tuple[str, dict[str, str]]]) -> None:
        self.names = names

    async def open(self, context: Context) -> None:
        for name, labels in self.names:
            context.counter(name, 'What "is" it?\nNobody \\ knows', **labels).add(1)

    async def call(self, records: Sequence[int]) -> list[int]:
        return list(records)


def _naughty(names: Iterable[tuple[str, dict[str, str]]]) -> Graph:
    graph = Graph("metered")
    numbers = graph.read("numbers", scripted(1, PAUSE(10)))
    numbers.via("naughty", Naughty(list(names))).to("out", CollectingSink())
    return graph


async def _scraped(graph: Graph) -> Samples:
    registry = CollectorRegistry()
    async with graph.start(metrics=registry):
        return _scrape(registry)


def test_hostile_label_values_are_written_as_they_are() -> None:
    hostile = ['a"b', "a\nb", "a\\b", "{}", "ä\u2028", "", 'x",le="+Inf"} 1\nforged 1']
    samples = run_virtual(lambda: _scraped(_naughty(("answers", {"code": h}) for h in hostile)))
    found = {dict(labels)["code"] for (name, labels) in samples if name == "thalweg_answers_total"}
    assert found == set(hostile)
    assert not any(name == "forged" for name, _ in samples)


def test_a_million_label_values_are_counted_under_other() -> None:
    names = (("answers", {"code": str(number)}) for number in range(20_000))
    samples = run_virtual(lambda: _scraped(_naughty(names)))
    answers = {
        dict(labels)["code"]: value
        for (name, labels), value in samples.items()
        if name == "thalweg_answers_total"
    }
    assert len(answers) <= 1001
    assert answers["_other"] == 20_000 - 1000
    assert sum(answers.values()) == 20_000


def test_a_counter_cannot_take_a_name_of_the_runtime() -> None:
    ours = {name for name, _ in run_virtual(lambda: _scraped(_naughty([])))}
    names = {name.removeprefix("thalweg_") for name in ours}
    names |= {name.removesuffix(end) for name in names for end in ("_total", "_sum")}
    for name in names - {"latency_seconds_bucket", "latency_seconds_count", "latency_seconds_sum"}:
        with pytest.raises(JobFailed, match=f"cannot be named '{name}'"):
            run_virtual(partial(_scraped, _naughty([(name, {})])))


def test_jobs_of_several_graphs_share_a_registry_and_two_of_one_do_not() -> None:
    async def main() -> None:
        registry = CollectorRegistry()
        graph, other = _naughty([("answers", {"code": "1"})]), Graph("other")
        numbers = other.read("numbers", scripted(1))
        numbers.via("naughty", Naughty([("answers", {})])).to("out", CollectingSink())
        async with graph.start(metrics=registry):
            with pytest.raises(ValueError, match="graph 'metered' is exported by this registry"):
                await graph.start(metrics=registry).__aenter__()
            async with other.start(metrics=registry) as job:
                await job.wait()
                both = _scrape(registry)
            assert ("thalweg_job_state", (("graph", "other"), ("state", "ended"))) in both
            assert ("thalweg_job_state", (("graph", "metered"), ("state", "running"))) in both
            assert {dict(labels)["graph"] for _, labels in _scrape(registry)} == {"metered"}
        assert _scrape(registry) == {}

    run_virtual(main)


def test_a_job_that_could_not_start_leaves_nothing_in_the_registry() -> None:
    class Broken(CollectingSink[int]):
        async def open(self, context: Context) -> None:
            raise ValueError("no")

    async def main() -> None:
        registry = CollectorRegistry()
        graph = Graph("metered")
        graph.read("numbers", scripted(1)).to("out", Broken())
        for _ in range(2):
            with pytest.raises(Exception, match="could not be opened"):
                await graph.start(metrics=registry).__aenter__()
            assert _scrape(registry) == {}
        task = asyncio.create_task(_graph(1).start(metrics=registry).__aenter__())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert _scrape(registry) == {}

    run_virtual(main)


def test_scraping_from_a_thread_while_a_job_starts_and_stops_is_safe() -> None:
    stop = threading.Event()
    errors: list[BaseException] = []
    scrapes = 0
    registry = CollectorRegistry()

    def scrape() -> None:
        nonlocal scrapes
        while not stop.is_set():
            try:
                _scrape(registry)
                scrapes += 1
            except BaseException as error:
                errors.append(error)
                return

    async def main() -> None:
        for _ in range(30):
            async with _graph(50).start(metrics=registry) as job:
                await job.wait()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        while scrapes < 20 and not errors:
            asyncio.run(main())
    finally:
        stop.set()
        thread.join()
    assert not errors
