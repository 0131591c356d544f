"""The pages for machines: metrics, health, progress and the graph, from a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace
from typing import cast

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics import parser as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_metrics
from prometheus_client.registry import Collector

from thalweg import Graph, ThalwegError
from thalweg.deploy.address import Address, AddressError
from thalweg.deploy.http import HttpServer, Pages
from thalweg.deploy.watchdog import Blocked
from thalweg.operators import sinks, sources
from thalweg.runtime.metrics import new_registry
from thalweg.runtime.progress import Progress
from thalweg.runtime.triggers.report import Status, TriggerReport

from ..missing import found


def open_families(text: str) -> set[str]:
    parse = cast(
        Callable[[str], Iterable[Metric]],
        open_metrics.text_string_to_metric_families,  # pyright: ignore[reportUnknownMemberType]
    )
    return {family.name for family in parse(text)}


class World:
    """What the pages tell of, to be changed by a test."""

    def __init__(self) -> None:
        self.progress = Progress(
            "1", "flow", "running", "2026-01-01T00:00:00.000+00:00", 1.0, 5, 4, 0, ()
        )
        self.blocked: Blocked | None = None
        self.registry = new_registry()

    def pages(self) -> Pages:
        return Pages(
            self.registry,
            lambda: self.progress,
            lambda: {"graph": "flow", "mermaid": "flowchart LR"},
            lambda: self.blocked,
        )


@contextlib.contextmanager
def serving(world: World) -> Generator[HttpServer]:
    server = HttpServer(Address("127.0.0.1", 0), world.pages())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def ask(
    server: HttpServer, path: str, *, method: str = "GET", accept: str = "*/*"
) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()


def spark_named(world: World, recent: list[TriggerReport]) -> Pages:
    """The pages of a job that tells its triggers too."""
    status: Status = {"message": "Stopped", "isDataAvailable": False, "isTriggerActive": False}
    return replace(world.pages(), status=lambda: status, recent=lambda: recent)


def test_status_and_triggers_are_told_in_the_field_names_of_spark() -> None:
    graph = Graph("flow")
    graph.read("numbers", sources.records([1, 2, 3])).to("out", sinks.collect([]))

    async def main() -> list[TriggerReport]:
        async with graph.start() as job:
            await job.wait()
        return job.recent_progress

    recent = asyncio.run(main())
    server = HttpServer(Address("127.0.0.1", 0), spark_named(World(), recent))
    server.start()
    try:
        assert json.loads(ask(server, "/status")[2])["message"] == "Stopped"
        assert json.loads(ask(server, "/progress/recent")[2]) == recent
        last = json.loads(ask(server, "/progress/last")[2])
        assert last == recent[-1]
        assert last["numInputRows"] == 3
        assert "nodes" in json.loads(ask(server, "/progress")[2])
        status, _, text = ask(server, "/nothing")
        assert (status, "/progress/last" in text, "/status" in text) == (404, True, True)
    finally:
        server.stop()


def test_before_the_first_trigger_the_last_is_null() -> None:
    server = HttpServer(Address("127.0.0.1", 0), spark_named(World(), []))
    server.start()
    try:
        assert ask(server, "/progress/last") == (200, "application/json", "null")
        assert ask(server, "/progress/recent") == (200, "application/json", "[]")
    finally:
        server.stop()


def test_metrics_are_prometheus_text_by_default() -> None:
    with serving(World()) as server:
        status, content_type, text = ask(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=0.0.4")
    names = {family.name for family in plain_metrics(text)}
    assert "process_cpu_seconds" in names


def test_metrics_are_open_metrics_for_who_asks() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    with serving(World()) as server:
        status, content_type, text = ask(server, "/metrics", accept=accept)
    assert status == 200
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "process_cpu_seconds" in open_families(text)


def test_promtool_finds_nothing_wrong() -> None:
    with serving(World()) as server:
        _, _, text = ask(server, "/metrics")
    command = [found("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=text, text=True, check=False)
    assert checked.returncode == 0


def test_health_names_who_blocks_the_loop() -> None:
    world = World()
    with serving(world) as server:
        assert ask(server, "/healthz")[::2] == (200, "ok\n")
        world.blocked = Blocked("slow", "flow.py:12 in wait", 3.14)
        assert ask(server, "/healthz")[::2] == (
            503,
            "operator 'slow' has blocked the event loop for 3.1 s at flow.py:12 in wait\n",
        )


def test_readiness_is_the_state() -> None:
    world = World()
    found: dict[str, int] = {}
    with serving(world) as server:
        for state in ("created", "starting", "running", "draining", "ended", "failed"):
            world.progress = replace(world.progress, state=state)
            status, _, text = ask(server, "/readyz")
            found[text.strip()] = status
    assert found == {
        "created": 503,
        "starting": 503,
        "running": 200,
        "draining": 503,
        "ended": 503,
        "failed": 503,
    }


def test_progress_and_graph_are_json() -> None:
    with serving(World()) as server:
        _, progress_type, progress = ask(server, "/progress")
        _, graph_type, graph = ask(server, "/graph")
    assert progress_type == graph_type == "application/json"
    assert json.loads(progress)["in_flight"] == 1
    assert json.loads(graph) == {"graph": "flow", "mermaid": "flowchart LR"}


def test_another_path_is_told_which_there_are() -> None:
    with serving(World()) as server:
        status, _, text = ask(server, "/")
        assert (status, text) == (404, "there are: /metrics /healthz /readyz /progress /graph\n")
        assert ask(server, "/metrics/../../etc/passwd")[0] == 404


def test_nothing_can_be_changed() -> None:
    with serving(World()) as server:
        assert ask(server, "/metrics", method="POST")[0] == 405
        assert ask(server, "/metrics", method="HEAD")[::2] == (200, "")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:9464", 200),
        ("127.0.0.1:9464", 200),
        ("127.8.9.1", 200),
        ("[::1]:9464", 200),
        ("evil.example", 421),
        ("evil.example:9464", 421),
        ("127.0.0.1.evil.example", 421),
        ("[fe80::1]:9464", 421),
        ("", 421),
    ],
)
def test_who_asks_under_another_name_sets_nothing(host: str, status: int) -> None:
    def adjust(node: str, wanted: Mapping[str, object]) -> Mapping[str, object]:
        return {"node": node}

    pages = replace(World().pages(), adjust=adjust)
    server = HttpServer(Address("127.0.0.1", 0), pages)
    server.start()
    with contextlib.ExitStack() as ends:
        ends.callback(server.stop)
        address = server.address
        connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
        ends.callback(connection.close)
        sent = {"Host": host, "Content-Type": "application/json"}
        connection.request("PATCH", "/nodes/score", body=b'{"max_in_flight": 2}', headers=sent)
        answer = connection.getresponse()
        assert answer.status == status
        told = answer.read().decode()
        assert (status == 200) == ("this answers who asks for localhost" not in told)
        connection.request("GET", "/readyz", headers={"Host": host})
        assert connection.getresponse().status == 200


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(AddressError, match=f"cannot listen on {address}: Address already"):
            HttpServer(address, World().pages())


class Gate(Collector):
    """Metrics that take as long as a test wants."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        self.asked.set()
        assert self.answer.wait(30)
        return [CounterMetricFamily("gate", "after all", value=7)]


def test_a_scrape_during_the_shutdown_gets_a_whole_answer() -> None:
    world = World()
    world.registry = CollectorRegistry()
    gate = Gate()
    world.registry.register(gate)
    answers: list[tuple[int, str, str]] = []
    with serving(world) as server:
        scrape = threading.Thread(target=lambda: answers.append(ask(server, "/metrics")))
        scrape.start()
        assert gate.asked.wait(30)
        stop = threading.Thread(target=server.stop)
        stop.start()
        gate.answer.set()
        scrape.join(30)
        stop.join(30)
        (status, _, text) = answers[0]
        assert status == 200
        assert [sample.value for family in plain_metrics(text) for sample in family.samples] == [7]
        with pytest.raises(ConnectionRefusedError):
            ask(server, "/metrics")


def test_an_idle_connection_does_not_hold_up_the_end() -> None:
    with serving(World()) as server:
        address = server.address
        connection = http.client.HTTPConnection(address.host, address.port, timeout=30)
        connection.request("GET", "/readyz")
        connection.getresponse().read()
        server.stop()
        assert "thalweg-http" not in {thread.name for thread in threading.enumerate()}
        connection.close()


@pytest.mark.asyncio
async def test_a_node_is_adjusted_by_whoever_says_that_it_is_json() -> None:
    asked: list[tuple[str, dict[str, object]]] = []

    def adjust(node: str, wanted: Mapping[str, object]) -> Mapping[str, object]:
        if node == "nobody":
            raise ThalwegError("there is no node 'nobody'")
        asked.append((node, dict(wanted)))
        return {"max_in_flight": 4}

    pages = Pages(
        registry=new_registry(),
        progress=lambda: Progress("1", "g", "running", "", 0.0, 0, 0, 0, ()),
        graph=dict,
        blocked=lambda: None,
        adjust=adjust,
    )
    server = HttpServer(Address("127.0.0.1", 0), pages)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.address.port}/nodes"
        async with aiohttp.ClientSession() as session:
            async with session.patch(f"{url}/score", json={"max_in_flight": 4}) as answer:
                assert (answer.status, await answer.json()) == (200, {"max_in_flight": 4})
            async with session.patch(f"{url}/score", data='{"max_in_flight": 4}') as answer:
                assert answer.status == 415
            async with session.patch(f"{url}/score", json={"threads": 4}) as answer:
                assert answer.status == 400
                assert "linger, max_batch_size" in await answer.text()
            async with session.patch(f"{url}/nobody", json={"linger": 1}) as answer:
                assert (answer.status, await answer.text()) == (400, "there is no node 'nobody'\n")
        assert asked == [("score", {"max_in_flight": 4})]
    finally:
        await asyncio.to_thread(server.stop)
