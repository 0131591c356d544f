"""The database of the usage experiment, and the table that is one query of it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from thalweg import Graph, State
from thalweg.operators import sources
from thalweg.operators.fleet import (
    ProbeResult,
    UsageTable,
    sweep_summaries,
    usage_database,
    usage_query,
    usage_samples,
    usage_table,
)
from thalweg.operators.fleet.usage.query_rows import query_rows
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import CHECKPOINT, CRASH, MemoryStore, run_virtual, scripted

from ..results import SWEEP, result

TABLES = ("attempts", "sweeps", "facts", "samples", "traffic", "sessions", "wear")
PREFIX = "usage_test_"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind, without the tables of the experiment."""
    if request.param == "sqlite":
        yield str(tmp_path / "usage.db")
        return
    url: str = request.getfixturevalue("postgres_url")
    drop(url)
    yield url
    drop(url)


def drop(url: str) -> None:
    import asyncpg

    async def run() -> None:
        connect: Any = cast("Any", asyncpg).connect
        connection = await connect(url)
        for table in TABLES:
            await connection.execute(f'DROP TABLE IF EXISTS "{PREFIX}{table}"')
        await connection.close()

    asyncio.run(run())


def printed(number: int, users: int, memory: int = 1000) -> str:
    uptime = 1000.0 + 100 * number
    sessions = "".join(f"session=user{n} pts/{n} @{SWEEP}\n" for n in range(users))
    return (
        f"usage=1\nboot_id=a\ncpu=Pentium\nuptime={uptime}\nidle={uptime}\nboot={SWEEP - 1000}\n"
        f"cpus=2\nmemory={memory}\nmemory_free=250\nswap=100\nswap_free=75\n"
        "filesystem=4000000 2000000 /\ndisk=sda 4000000 ST380\nsmart=sda 12 345\n"
        f"interface=eth0 physical aa\ntraffic=eth0 {1000 * number} {500 * number}\n"
        f"sessions=known\n{sessions}end=1\n"
    )


def sweep(number: int, *, memory: int = 1000) -> list[ProbeResult]:
    """Four machines: one that nobody uses, one that two people use, two that are down."""
    at, of = SWEEP + 900 * number, 4
    return [
        result("m1", sweep=at, of=of, stdout=printed(number, 0, memory)),
        result("m2", sweep=at, of=of, stdout=printed(number, 2)),
        result("m3\0\ud800", "unreachable", sweep=at, of=of, detail="no answer\0"),
        result("m4", "refused", sweep=at, of=of),
    ]


def experiment(database: str, source: Any, *, volatile: bool) -> Graph:
    graph = Graph("usage")
    results = graph.read("results", source)
    usage_database(
        database,
        results=results,
        sweeps=results.via("sums", sweep_summaries(), volatile=volatile),
        samples=results.via("measured", usage_samples(), volatile=volatile),
        prefix=PREFIX,
    )
    return graph


def rows(database: str, table: str, columns: str, order: str) -> list[tuple[Any, ...]]:
    return query_rows(database, f'SELECT {columns} FROM "{PREFIX}{table}" ORDER BY {order}')


def test_each_thing_stands_in_its_table(database: str) -> None:
    records = [*sweep(0), *sweep(1), *sweep(2, memory=2000)]
    experiment(database, sources.records(records), volatile=True).run()
    at = [SWEEP, SWEEP + 900, SWEEP + 1800]
    assert rows(database, "attempts", "count(*), count(exit_status)", "1") == [(12, 6)]
    assert rows(database, "attempts", "target, outcome, detail", "sweep, target")[2] == (
        "m3\ufffd\\ud800", "unreachable", "no answer\ufffd"
    )  # fmt: skip
    assert rows(database, "sweeps", "*", "sweep") == [
        (sweep, "usage", 0.25, 4, 2, 0, 2) for sweep in at
    ]
    assert rows(database, "facts", "target, sweep, cpu, memory", "target, sweep") == [
        ("m1", at[0], "Pentium", 1024_000),
        ("m1", at[2], "Pentium", 2048_000),
        ("m2", at[0], "Pentium", 1024_000),
    ]
    ((disks,), *_) = rows(database, "facts", "CAST(disks AS text)", "target")
    assert json.loads(disks) == [{"name": "sda", "bytes": 4_096_000_000, "model": "ST380"}]
    columns = "target, users, received_rate, sent_rate"
    assert rows(database, "samples", columns, "target, sweep") == [
        ("m1", 0, None, None), ("m1", 0, 10.0, 5.0), ("m1", 0, 10.0, 5.0),
        ("m2", 2, None, None), ("m2", 2, 10.0, 5.0), ("m2", 2, 10.0, 5.0),
    ]  # fmt: skip
    assert rows(database, "traffic", "interface, received, sent_rate", "target, sweep")[:2] == [
        ("eth0", 0, None),
        ("eth0", 1000, 5.0),
    ]
    assert rows(database, "sessions", "target, login, line, since", "sweep, login")[:2] == [
        ("m2", "user0", "pts/0", SWEEP),
        ("m2", "user1", "pts/1", SWEEP),
    ]
    assert rows(database, "wear", "disk, start_stops, power_on_hours", "sweep, target")[0] == (
        "sda", 12, 345
    )  # fmt: skip
    assert {row[0]: row[1:] for row in usage_table(database, prefix=PREFIX).rows} == {
        "samples": (3, 3, 6),
        "uptime %": (25, 25, 50),
        "CPU idle %": (50, 50, 50),
        "memory load %": (pytest.approx((75 + 75 + 87.5) / 3), 75, pytest.approx(77.08333333)),
        "swap load %": (25, 25, 25),
        "free disk (GB)": (2.048, 2.048, 2.048),
        "sent (bytes/s)": (5, 5, 5),
        "received (bytes/s)": (10, 10, 10),
    }


def test_a_crash_in_the_middle_of_a_sweep_repeats_nothing(database: str) -> None:
    first, second, third = sweep(0), sweep(1), sweep(2, memory=2000)
    source = scripted(
        *first, *second[:1], CHECKPOINT, *second[1:3], CRASH, *second[3:], CHECKPOINT, *third
    )
    graph, store = experiment(database, source, volatile=False), MemoryStore()

    async def main() -> None:
        async with graph.start(state=State(store, interval=1000.0)) as job:
            await job.wait()

    with pytest.raises(Exception, match="CRASH"):
        run_virtual(main)
    assert rows(database, "attempts", "count(*)", "1") == [(5,)]
    run_virtual(main)
    counts = [rows(database, table, "count(*)", "1")[0][0] for table in TABLES]
    assert dict(zip(TABLES, counts, strict=True)) == {
        "attempts": 12, "sweeps": 3, "facts": 3,
        "samples": 6, "traffic": 6, "sessions": 6, "wear": 6,
    }  # fmt: skip


def test_the_figures_of_the_paper_come_out(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    experiment(str(path), sources.records([]), volatile=True).run()
    with closing(sqlite3.connect(path)) as connection:
        attempts = f"INSERT INTO {PREFIX}attempts (sweep, target, probe, outcome) "
        samples = f"INSERT INTO {PREFIX}samples (sweep, target, cpu_idle, memory_load, users) "
        numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "
        connection.execute(
            numbers.format(484_522) + attempts + "SELECT i, 'm', 'usage', 'ok' FROM n"
        )
        connection.execute(attempts + "VALUES (-1, 'm', 'usage', 'interrupted')")
        connection.execute(attempts + "VALUES (-1, 'm', 'other', 'ok')")
        connection.execute(
            numbers.format(235_297)
            + samples
            + "SELECT i, 'm', 97.9, 58.9, CASE WHEN i < 129036 THEN 0 ELSE 1 END FROM n"
        )
        connection.commit()
    text = str(usage_table(path, prefix=PREFIX)).splitlines()
    assert text[0].split() == ["without", "users", "with", "users", "both"]
    assert text[1].split() == ["samples", "129,036", "106,262", "235,298"]
    assert text[2].split() == ["uptime", "%", "26.63", "21.93", "48.56"]
    assert text[3].split() == ["CPU", "idle", "%", "97.90", "97.90", "97.90"]
    assert text[5].split() == ["swap", "load", "%", "-", "-", "-"]


def test_a_machine_that_does_not_tell_who_is_there_counts_in_both_only(tmp_path: Path) -> None:
    silent = printed(0, 0).replace("sessions=known", "sessions=unknown")
    source = sources.records([result("m1", stdout=silent)])
    experiment(str(tmp_path / "usage.db"), source, volatile=True).run()
    assert usage_table(tmp_path / "usage.db", prefix=PREFIX).rows[0] == ("samples", 0, 0, 1)


def test_no_attempt_gives_no_figures(database: str) -> None:
    experiment(database, sources.records([]), volatile=True).run()
    table = usage_table(database, prefix=PREFIX)
    assert table.rows[:2] == [("samples", 0, 0, 0), ("uptime %", None, None, None)]
    assert "uptime %" in str(table)
    assert str(UsageTable([])).split() == ["without", "users", "with", "users", "both"]


def test_a_name_cannot_leave_its_quotes() -> None:
    query = usage_query(prefix='"; DROP', probe="it's")
    assert '"""; DROPsamples"' in query
    assert "probe = 'it''s'" in query


def test_a_database_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"cannot read .*none\.db"):
        usage_table(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_a_query_may_be_asked_where_a_loop_runs(database: str) -> None:
    experiment(database, sources.records([]), volatile=True).run()

    async def ask() -> UsageTable:
        return usage_table(database, prefix=PREFIX)

    assert asyncio.run(ask()).rows
