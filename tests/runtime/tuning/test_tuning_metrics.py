"""What a controller decides, as metrics."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from thalweg import Graph, JobCancelled
from thalweg.operators import Throughput, sinks, sources
from thalweg.testing import run_virtual

from ...missing import found
from .workers import Asking, Workers

pytestmark = pytest.mark.usefixtures("nothing_left_behind")

OUTCOMES = {"kept", "slower", "over_bound", "confirmed", "changed", "starved", "failed"}


def _graph(tune: Throughput | None, rate: float | None = None) -> Graph:
    graph = Graph("tuned", max_batch_size=4096)
    numbers = graph.read("numbers", sources.records(lambda: iter(range(10**9)), rate=rate))
    asked = numbers.batch(64).via("ask", Asking(Workers(), tune, 8))
    asked.to("out", sinks.each(lambda _: None))
    return graph


def _samples(text: str) -> dict[str, float]:
    """Each sample by its name, and the value of its last own label where it has one."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = [v for k, v in sample.labels.items() if k not in ("graph", "node")]
            found[" ".join([sample.name, *own])] = sample.value
    return found


def _told(tune: Throughput | None, *, by_hand: bool = False, rate: float | None = None) -> str:
    async def main() -> str:
        registry = CollectorRegistry()
        text = ""
        with suppress(JobCancelled):
            async with _graph(tune, rate).start(metrics=registry) as job:
                await asyncio.sleep(30.0)
                if by_hand:
                    job.adjust("ask", max_in_flight=3, max_batch_size=100, linger=0.25)
                    await asyncio.sleep(1.0)
                text = generate_latest(registry).decode()
                await job.cancel()
        return text

    return run_virtual(main)


def test_the_settings_in_force_and_what_was_tried_are_told() -> None:
    found = _samples(_told(Throughput(p99=0.2, max_batch_size=1024)))
    assert found["thalweg_calls_max_batch_size"] > 64
    assert found["thalweg_calls_max_in_flight"] >= 8
    assert found["thalweg_calls_allowed"] == found["thalweg_calls_max_in_flight"]
    assert found["thalweg_calls_linger_seconds"] == 0.05
    assert found["thalweg_calls_total answered"] > 1000
    assert found["thalweg_calls_total refused"] == 0
    assert found["thalweg_calls_limited server"] == 1
    assert sum(v for k, v in found.items() if k.startswith("thalweg_calls_limited ")) == 1
    assert {k.split()[1] for k in found if k.startswith("thalweg_tuning_trials_total")} == OUTCOMES
    assert found["thalweg_tuning_trials_total kept"] >= 2
    assert found["thalweg_tuning_active"] == 1
    # The line through the times is that of the simulated server.
    assert found["thalweg_tuning_call_seconds"] == pytest.approx(0.005, rel=0.5)
    assert found["thalweg_tuning_record_seconds"] == pytest.approx(200e-6, rel=0.1)
    assert found["thalweg_tuning_bound_seconds"] == 0.2
    assert 0 < found["thalweg_tuning_p99_seconds"] <= 0.2
    assert found["thalweg_tuning_records_per_second"] > 30_000


def test_what_too_little_comes_for_is_counted_apart() -> None:
    found = _samples(_told(Throughput(), rate=200.0))
    assert found["thalweg_tuning_trials_total starved"] >= 5
    assert found["thalweg_tuning_trials_total kept"] == 0


def test_by_hand_it_is_not_active_and_keeps_what_it_counted() -> None:
    found = _samples(_told(Throughput(p99=0.2), by_hand=True))
    assert found["thalweg_tuning_active"] == 0
    assert found["thalweg_tuning_trials_total kept"] >= 2
    assert found["thalweg_calls_max_in_flight"] == 3
    assert found["thalweg_calls_max_batch_size"] == 100
    assert found["thalweg_calls_linger_seconds"] == 0.25


def test_a_node_that_does_not_tune_itself_tells_only_what_is_in_force() -> None:
    found = _samples(_told(None))
    assert found["thalweg_calls_max_batch_size"] == 64
    assert not any(name.startswith("thalweg_tuning") for name in found)


def test_promtool_finds_nothing_wrong() -> None:
    text = _told(Throughput(p99=0.2))
    command = [found("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=text, text=True, check=False)
    assert checked.returncode == 0
