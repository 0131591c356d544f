"""Two copies of a job on one state: one that was paused for too long stops, and does nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .inputs import visits
from .processes import PATIENCE, Copies
from .results import statements

LEASE = 0.6
BUSY = """
SELECT pid, state, wait_event_type, wait_event, (now() - xact_start)::text AS transaction,
    (now() - query_start)::text AS statement, pg_blocking_pids(pid)::text AS behind, query
FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()
"""
RUNS = max(2, int(os.environ.get("THALWEG_SOAK_RUNS", "0")) // 10)
FIRST = int(os.environ.get("THALWEG_SOAK_FIRST", "1"))


@pytest.fixture
def schema(postgres_url: str) -> Iterator[str]:
    """A schema with a table that numbers its rows."""
    name = f"paused_{uuid.uuid4().hex}"
    columns = 'id bigserial, "user" text, n bigint, count bigint'
    statements(postgres_url, f"CREATE SCHEMA {name}", f"CREATE TABLE {name}.visits ({columns})")
    yield name
    statements(
        postgres_url,
        f"DROP SCHEMA {name} CASCADE",
        f"DELETE FROM thalweg.jobs WHERE name = '{name}'",
    )


class Table:
    """The table, and how copies of the job that writes it are started."""

    def __init__(self, url: str, schema: str, folder: Path) -> None:
        self._url, self._schema, self._folder = url, schema, folder
        (folder / "visits.ndjson").write_bytes(visits())

    def start(self, copies: Copies, name: str) -> None:
        """Start a copy, whose words stand in a file of this name."""
        settings = {
            "job": self._schema, "folder": str(self._folder), "postgres": self._url,
            "table": f"{self._schema}.visits",
        }  # fmt: skip
        graph = str(Path(__file__).with_name("table.py"))
        argv = ["run", graph, "--state", self._url, "--interval", "0.05", "--progress", "plain"]
        for key, value in settings.items():
            argv += ["--set", f"{key}={value}"]
        copies.start(
            {
                "argv": argv,
                "said": str(self._folder / f"{name}-said"),
                "point": None,
                "tally": str(self._folder / f"{name}-tally"),
                "lease": LEASE,
            }
        )

    def said(self, name: str) -> str:
        """What a copy has said."""
        return (self._folder / f"{name}-said").read_text()

    def rows(self) -> list[tuple[str, int, int]]:
        """What is in the table, in the order in which it came there."""
        asked = f'SELECT "user", n, count FROM {self._schema}.visits ORDER BY id'
        (found,) = statements(self._url, asked)
        return [(row["user"], row["n"], row["count"]) for row in found]

    def wait_for(self, count: int) -> int:
        """Return once there are so many rows, or more; how many."""
        until = time.monotonic() + PATIENCE
        while (there := len(self.rows())) < count:
            if time.monotonic() > until:
                (found,) = statements(self._url, BUSY)
                told = "\n".join(str(list(row.values())) for row in found)
                said = [one.read_text() for one in self._folder.glob("*said")]
                pytest.fail(f"{there} rows, and not {count}: {said}; the server does\n{told}")
            time.sleep(0.02)
        return there


def wanted() -> list[tuple[str, int, int]]:
    """What must be in the table at the end."""
    counts: Counter[str] = Counter()
    rows: list[tuple[str, int, int]] = []
    for line in visits().splitlines():
        visit = json.loads(line)
        counts[visit["user"]] += 1
        rows.append((visit["user"], visit["n"], counts[visit["user"]]))
    return rows


@pytest.mark.service
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_a_copy_that_was_paused_beyond_its_lease_stops_and_commits_nothing_more(
    seed: int, postgres_url: str, schema: str, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    table = Table(postgres_url, schema, tmp_path)
    with Copies() as one, Copies() as two:
        table.start(one, "first")
        table.wait_for(chance.randint(1, 150))
        table.start(two, "second")
        assert two.status(2 * LEASE) is None, table.said("second")
        assert "goes on" not in table.said("second"), "it did not wait for the lease"
        time.sleep(chance.uniform(0.0, 0.1))
        one.send(signal.SIGSTOP)
        table.wait_for(len(table.rows()) + 50)
        # The second has committed by now: whatever the first still commits is there twice.
        one.send(signal.SIGCONT)
        assert one.status(PATIENCE) == 1, table.said("first")
        assert "taken over by another copy" in table.said("first")
        assert f"lease of {LEASE:g} s" in table.said("first")
        assert two.status(PATIENCE) == 0, table.said("second")
    assert table.rows() == wanted()
