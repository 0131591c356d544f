"""Metrics: one collector for each registry, read when somebody scrapes and never before.

The only file that imports prometheus_client.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias, get_args
from weakref import WeakKeyDictionary

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from .actors.call_actor import CallActor
from .counts import LATENCY_BUCKETS
from .endpoint_statistics import EndpointStatistics
from .progress import CallProgress, JobState, NodeProgress, Progress
from .tuning.decisions import OUTCOMES
from .tuning.limits import LIMITS

if TYPE_CHECKING:
    from prometheus_client import Metric

    from .job import Job

__all__ = ["JobCollector", "export", "exposition", "new_registry"]

_MOST_ENDPOINTS = 100
_LONGEST_NAME = 200
_Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily
_STATES: tuple[JobState, ...] = get_args(JobState)


class JobCollector(Collector):
    """Turns the plain numbers of a job into metric families, at the moment of a scrape.

    Every family has the labels `graph` and `node`; all of them are there from the start, at 0.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is to describe differs from job to job."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of the job as they are now."""
        progress = self._job.progress()
        yield self._state(progress)
        yield from self._of_job(progress)
        yield from self._of_epochs(progress)
        yield from self._of_nodes(progress)
        yield from self._of_endpoints(progress)
        yield from self._of_channels(progress)
        yield self._latency()
        yield from self._of_calls(progress)
        yield from self._of_tuning()
        yield from self._of_operators()

    def _state(self, progress: Progress) -> Metric:
        family = GaugeMetricFamily(
            "thalweg_job_state", "1 for the state the job is in", labels=["graph", "state"]
        )
        for state in _STATES:
            family.add_metric([progress.name, state], float(state == progress.state))
        return family

    def _of_job(self, progress: Progress) -> Iterator[Metric]:
        name = [progress.name]
        for metric, text, value in (
            ("thalweg_job_read_records", "Records that sources handed over", progress.read),
            ("thalweg_job_settled_records", "Records that have fully arrived", progress.settled),
        ):
            counter = CounterMetricFamily(metric, text, labels=["graph"])
            counter.add_metric(name, value)
            yield counter
        gauge = GaugeMetricFamily(
            "thalweg_job_in_flight_records", "Records read and not settled", labels=["graph"]
        )
        gauge.add_metric(name, progress.in_flight)
        yield gauge

    def _of_epochs(self, progress: Progress) -> Iterator[Metric]:
        """Only of a job that has a store: what counts epochs at 0 elsewhere would mislead."""
        epochs = progress.epochs
        if epochs is None:
            return
        counter = CounterMetricFamily(
            "thalweg_epochs", "Epochs that this run has committed", labels=["graph"]
        )
        counter.add_metric([progress.name], epochs.taken)
        yield counter
        for metric, text, value in (
            ("epoch", "The last epoch that was committed", float(epochs.epoch)),
            ("epoch_seconds", "How long the last epoch took, to its last commit", epochs.seconds),
            ("epoch_bytes", "The size of the last epoch", float(epochs.bytes)),
            ("epoch_age_seconds", "The time since an epoch was committed", epochs.age),
            ("store_waiting", "1 while an epoch waits for the store", epochs.waiting is not None),
        ):
            if value is not None:
                gauge = GaugeMetricFamily(f"thalweg_{metric}", text, labels=["graph"])
                gauge.add_metric([progress.name], float(value))
                yield gauge

    def _of_nodes(self, progress: Progress) -> Iterator[Metric]:
        counters: tuple[tuple[str, str, Callable[[NodeProgress], float]], ...] = (
            ("records_in", "Records that entered the node", lambda n: n.records_in),
            ("records_out", "Records that left the node, or that a sink wrote",
             lambda n: n.records_out),
            ("dead_letters", "Records that the node gave up", lambda n: n.dead_letters),
            ("late_records", "Records that came too late to be counted", lambda n: n.late),
            ("retries", "Calls that were repeated", lambda n: n.retries),
            ("converted_records", "Records made of columns at the inbox of the node, or columns of",
             lambda n: n.converted),
            ("converting_seconds", "How long that took", lambda n: n.seconds_converting),
        )  # fmt: skip
        for metric, text, value in counters:
            family = CounterMetricFamily(f"thalweg_{metric}", text, labels=["graph", "node"])
            for node in progress.nodes:
                family.add_metric([progress.name, node.node], value(node))
            yield family
        in_flight = GaugeMetricFamily(
            "thalweg_in_flight_records", "Records being worked on", labels=["graph", "node"]
        )
        for node in progress.nodes:
            in_flight.add_metric([progress.name, node.node], node.in_flight)
        yield in_flight
        times = CounterMetricFamily(
            "thalweg_actor_seconds",
            "Where the time of an actor went: working, or waiting for input or for output",
            labels=["graph", "actor", "activity"],
        )
        for actor in {node.actor: node for node in progress.nodes}.values():
            for activity, seconds in (
                ("busy", actor.seconds_busy),
                ("waiting_for_input", actor.seconds_waiting_for_input),
                ("waiting_for_output", actor.seconds_waiting_for_output),
            ):
                times.add_metric([progress.name, actor.actor, activity], seconds)
        yield times

    def _of_endpoints(self, progress: Progress) -> Iterator[Metric]:
        """Of nodes that choose among several endpoints. They stand in the graph, so they are few;
        where two look alike without what is secret in them, the second is told by a number.
        """
        stand: list[tuple[list[str], EndpointStatistics]] = []
        for node in progress.nodes:
            seen: Counter[str] = Counter()
            for one in node.endpoints[:_MOST_ENDPOINTS]:
                name = one.endpoint[:_LONGEST_NAME]
                seen[name] += 1
                label = name if seen[name] == 1 else f"{name} #{seen[name]}"
                stand.append(([progress.name, node.node, label], one))
        if not stand:
            return
        labels = ["graph", "node", "endpoint"]
        families: tuple[tuple[_Family, Callable[[EndpointStatistics], float]], ...] = (
            (CounterMetricFamily("thalweg_endpoint_calls", "Calls that an endpoint was asked, and "
             "that are over", labels=labels), lambda one: one.calls),
            (CounterMetricFamily("thalweg_endpoint_failures", "Calls after which the endpoint was "
             "left out for a while", labels=labels), lambda one: one.failures),
            (GaugeMetricFamily("thalweg_endpoint_in_flight", "Calls under way at an endpoint",
             labels=labels), lambda one: one.in_flight),
            (GaugeMetricFamily("thalweg_endpoint_healthy", "1 while an endpoint is given calls, 0 "
             "while it is left out", labels=labels), lambda one: float(one.healthy)),
        )  # fmt: skip
        for family, value in families:
            for names, one in stand:
                family.add_metric(names, value(one))
            yield family

    def _of_channels(self, progress: Progress) -> Iterator[Metric]:
        inboxes = {node.actor: node.inbox for node in progress.nodes if node.inbox is not None}
        labels = ["graph", "actor"]
        for unit in ("batches", "records", "bytes"):
            held = GaugeMetricFamily(
                f"thalweg_inbox_{unit}", f"What waits before an actor, in {unit}", labels=labels
            )
            most = GaugeMetricFamily(
                f"thalweg_inbox_max_{unit}", f"The bound of the inbox, in {unit}", labels=labels
            )
            for actor, inbox in inboxes.items():
                held.add_metric([progress.name, actor], getattr(inbox, unit))
                most.add_metric([progress.name, actor], getattr(inbox, f"max_{unit}"))
            yield held
            yield most

    def _latency(self) -> Metric:
        family = HistogramMetricFamily(
            "thalweg_latency_seconds",
            "From the reading of a batch to its writing, by record",
            labels=["graph", "node"],
        )
        for actor in self._job.actors:
            if actor.latency is not None:
                total = 0
                buckets: list[tuple[str, int]] = []
                for bound, count in zip(
                    (*LATENCY_BUCKETS, "+Inf"), list(actor.latency.buckets), strict=True
                ):
                    total += count
                    buckets.append((str(bound), total))
                family.add_metric(
                    [self._job.name, actor.nodes[-1].name], buckets, actor.latency.sum
                )
        return family

    def _of_calls(self, progress: Progress) -> Iterator[Metric]:
        """Of nodes whose calls are repeated: how they fared, what is in force, what limits."""
        nodes = [(node.node, node.calls) for node in progress.nodes if node.calls is not None]
        if not nodes:
            return
        labels = ["graph", "node"]
        counted = CounterMetricFamily(
            "thalweg_calls",
            "Calls that were answered, that were told to wait, or that came to nothing",
            labels=[*labels, "outcome"],
        )
        limited = GaugeMetricFamily(
            "thalweg_calls_limited",
            "1 for what holds the node back; all 0 while nothing has been asked for",
            labels=[*labels, "by"],
        )
        for name, calls in nodes:
            for outcome in ("answered", "refused", "failed"):
                counted.add_metric([progress.name, name, outcome], getattr(calls, outcome))
            by = (calls.limited_by or "").partition(":")[0]
            for limit in LIMITS:
                limited.add_metric([progress.name, name, limit], float(limit == by))
        yield counted
        yield limited
        gauges: tuple[tuple[str, str, Callable[[CallProgress], float | None]], ...] = (
            ("max_in_flight", "Calls that may be under way at once", lambda c: c.max_in_flight),
            ("allowed", "As many of these as the other side takes", lambda c: c.allowed),
            ("max_batch_size", "Records in a batch for the node", lambda c: c.max_batch_size),
            ("linger_seconds", "How long a record waits for its batch", lambda c: c.linger),
        )
        for metric, text, value in gauges:
            family = GaugeMetricFamily(f"thalweg_calls_{metric}", text, labels=labels)
            for name, calls in nodes:
                found = value(calls)
                if found is not None:
                    family.add_metric([progress.name, name], found)
            yield family

    def _of_tuning(self) -> Iterator[Metric]:
        """Of nodes that find their settings by themselves: what was tried, and what came of it."""
        nodes = [
            (actor.nodes[0].name, actor.dials.controller, actor.dials.decisions)
            for actor in self._job.actors
            if isinstance(actor, CallActor)
        ]
        labels = ["graph", "node"]
        active = GaugeMetricFamily(
            "thalweg_tuning_active", "1 unless settings were made by hand", labels=labels
        )
        trials = CounterMetricFamily(
            "thalweg_tuning_trials", "Settings that were measured", labels=[*labels, "outcome"]
        )
        refusals = CounterMetricFamily(
            "thalweg_tuning_refusals", "Times that calls at once were cut after one", labels=labels
        )
        gauges = {
            name: GaugeMetricFamily(f"thalweg_tuning_{name}", text, labels=labels)
            for name, text in (
                ("record_seconds", "What each record adds to a call, by the line through times"),
                ("call_seconds", "What a call takes beside its records, by that line"),
                ("records_per_second", "The rate that the setting in force had when measured"),
                ("p99_seconds", "The time of 99 of 100 calls then"),
                ("bound_seconds", "The most that this may be"),
            )
        }
        for name, controller, decisions in nodes:
            if decisions is None:
                continue
            key = [self._job.name, name]
            active.add_metric(key, float(controller is not None))
            refusals.add_metric(key, decisions.refusals)
            for outcome in OUTCOMES:
                trials.add_metric([*key, outcome], decisions.trials[outcome])
            if controller is not None:
                gauges["record_seconds"].add_metric(key, controller.fit.each)
                gauges["call_seconds"].add_metric(key, controller.fit.base)
                gauges["bound_seconds"].add_metric(key, controller.goal.p99)
            best = decisions.best
            gauges["records_per_second"].add_metric(key, 0.0 if best is None else best.rate)
            gauges["p99_seconds"].add_metric(key, 0.0 if best is None else best.p99)
        if trials.samples:
            yield from (active, trials, refusals, *gauges.values())

    def _of_operators(self) -> Iterator[Metric]:
        for name, text, labels, values in self._job.counters.families():
            family = CounterMetricFamily(f"thalweg_{name}", text, labels=["graph", "node", *labels])
            for label_values, value in values.items():
                family.add_metric([self._job.name, *label_values], value)
            yield family


class JobsCollector(Collector):
    """The jobs that one registry exports: each metric family once, with the samples of all."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobCollector] = {}

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is to describe differs from job to job."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of all jobs as they are now."""
        families: dict[str, Metric] = {}
        for job in list(self.jobs.values()):
            for family in job.collect():
                first = families.setdefault(family.name, family)
                if first is not family:
                    first.samples.extend(family.samples)
        yield from families.values()


_COLLECTORS: WeakKeyDictionary[CollectorRegistry, JobsCollector] = WeakKeyDictionary()


def export(job: Job, registry: CollectorRegistry) -> Callable[[], None]:
    """Export a job through a registry; call what is returned to take it off again.

    Raises ValueError for a second job of the same graph: both would export the same series, which
    Prometheus refuses.
    """
    collector = _COLLECTORS.get(registry)
    if collector is None:
        collector = _COLLECTORS[registry] = JobsCollector()
        registry.register(collector)
    jobs = collector.jobs
    if job.name in jobs:
        raise ValueError(
            f"a job of graph {job.name!r} is exported by this registry already: give each job of "
            "one graph a registry of its own"
        )
    jobs[job.name] = JobCollector(job)

    def take_off() -> None:
        del jobs[job.name]

    return take_off


def new_registry() -> CollectorRegistry:
    """A registry that tells of the process itself: CPU seconds, memory, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry, accept: str) -> tuple[str, bytes]:
    """The content type and the text of a scrape: OpenMetrics for who accepts it, else Prometheus'
    own format. `accept` is the request's header.
    """
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)
