"""`usage_database`: what a usage experiment finds, in a relational database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ....runtime.contracts import Sink
from ...sinks.postgresql import postgresql
from ...sinks.sqlite import sqlite
from .rows import (
    ATTEMPTS,
    FACTS,
    SAMPLES,
    SESSIONS,
    SWEEPS,
    TRAFFIC,
    WEAR,
    Table,
    attempt_row,
    facts_row,
    sample_row,
    session_rows,
    sweep_row,
    traffic_rows,
    wear_rows,
)

if TYPE_CHECKING:
    from ....runtime.contracts import Stream
    from ..probes.probe_result import ProbeResult
    from ..sweeps.sweep_summary import SweepSummary
    from .samples import UsageSample

__all__ = ["is_postgresql", "usage_database"]


def usage_database(
    database: str | os.PathLike[str],
    *,
    results: Stream[ProbeResult],
    sweeps: Stream[SweepSummary],
    samples: Stream[UsageSample],
    prefix: str = "",
) -> None:
    """Write what a usage experiment finds to a relational database: seven tables.

    >>> from thalweg import Graph
    >>> from thalweg.operators import fleet, sources
    >>> graph = Graph("usage")
    >>> results = graph.read("results", sources.records([]))
    >>> usage_database(
    ...     "out/usage.db",
    ...     results=results,
    ...     sweeps=results.via("sweeps", fleet.sweep_summaries(), volatile=True),
    ...     samples=results.via("samples", fleet.usage_samples(), volatile=True),
    ... )

    Parameters:

    - `database`: the path of an SQLite file, or the URL of a PostgreSQL
      (`postgresql://user@host/name`), which asks for the extra `postgres`.
    - `results`, `sweeps` and `samples`: the results of probes, and what `sweep_summaries` and
      `usage_samples` make of them.
    - `prefix`: how the names of the tables begin (""), for several experiments in one database.

    The tables are made where they are missing. `attempts` has a row for each attempt of a probe on
    a target; `sweeps` one for each sweep and probe; `facts` one for what a machine is (processor,
    system, its version and when it was installed, memory, disks, interfaces), and another one only
    when that changes; `samples` one for what it does at each sweep; `traffic`, `sessions` and
    `wear` tell of each of its interfaces, of who is logged in, and of its disks. Their keys are
    sweep and target, with what else tells a row. Sizes are in bytes, times in Unix seconds, rates a
    second, loads in percent.

    Each table is a sink of its own, `database_attempts` and so on, as `sinks.sqlite` or
    `sinks.postgresql` makes it, and everything that is said there holds: with a store each row is
    there exactly once. `usage_table` reads the table of the experiment from it.

    Raises ValueError for a database or a prefix that makes no sense.
    """

    def sink(table: Table) -> Sink[object]:
        return _table(database, table, prefix)

    results.map(attempt_row, name="attempts").to("database_attempts", sink(ATTEMPTS))
    sweeps.map(sweep_row, name="sweep_rows").to("database_sweeps", sink(SWEEPS))
    changed = samples.filter(lambda sample: sample["changed"], name="changed")
    changed.map(facts_row, name="facts").to("database_facts", sink(FACTS))
    samples.map(sample_row, name="sample_rows").to("database_samples", sink(SAMPLES))
    samples.flat_map(traffic_rows, name="traffic").to("database_traffic", sink(TRAFFIC))
    samples.flat_map(session_rows, name="sessions").to("database_sessions", sink(SESSIONS))
    samples.flat_map(wear_rows, name="wear").to("database_wear", sink(WEAR))


def is_postgresql(database: str) -> bool:
    """Whether it is the URL of a PostgreSQL, and not the path of a file."""
    return database.startswith(("postgresql://", "postgres://"))


def _table(database: str | os.PathLike[str], table: Table, prefix: str) -> Sink[object]:
    where, name = os.fspath(database), prefix + table.name
    if is_postgresql(where):
        return postgresql(where, name, columns=table.columns, key=table.key)
    return sqlite(where, name, columns=table.columns, key=table.key)
