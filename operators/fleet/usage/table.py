"""`usage_table`: the table of a usage experiment, by one query."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ....runtime.contracts import dataclass
from ...sinks._tables import quoted
from .query_rows import query_rows
from .rows import ATTEMPTS, SAMPLES

__all__ = ["UsageTable", "usage_query", "usage_table"]

# It is understood by SQLite and by PostgreSQL.
_QUERY = """\
WITH measured AS (
    SELECT
        CASE WHEN users > 0 THEN 1 WHEN users = 0 THEN 0 END AS used,
        coalesce(cpu_idle_between, cpu_idle) AS cpu_idle,
        memory_load, swap_load, disk_free, sent_rate, received_rate
    FROM {samples}
), attempted AS (
    SELECT nullif(count(*), 0) AS n FROM {attempts}
    WHERE probe = {probe} AND outcome <> 'interrupted'
), parts AS (
    SELECT 3 AS place, 'CPU idle %' AS figure, used, cpu_idle AS value FROM measured
    UNION ALL SELECT 4, 'memory load %', used, memory_load FROM measured
    UNION ALL SELECT 5, 'swap load %', used, swap_load FROM measured
    UNION ALL SELECT 6, 'free disk (GB)', used, disk_free / 1e9 FROM measured
    UNION ALL SELECT 7, 'sent (bytes/s)', used, sent_rate FROM measured
    UNION ALL SELECT 8, 'received (bytes/s)', used, received_rate FROM measured
)
SELECT 1 AS place, 'samples' AS figure,
    CAST(count(*) FILTER (WHERE used = 0) AS double precision) AS without_users,
    CAST(count(*) FILTER (WHERE used = 1) AS double precision) AS with_users,
    CAST(count(*) AS double precision) AS both
FROM measured
UNION ALL
SELECT 2, 'uptime %',
    100.0 * CAST(count(*) FILTER (WHERE used = 0) AS double precision) / (SELECT n FROM attempted),
    100.0 * CAST(count(*) FILTER (WHERE used = 1) AS double precision) / (SELECT n FROM attempted),
    100.0 * CAST(count(*) AS double precision) / (SELECT n FROM attempted)
FROM measured
UNION ALL
SELECT place, figure,
    CAST(avg(value) FILTER (WHERE used = 0) AS double precision),
    CAST(avg(value) FILTER (WHERE used = 1) AS double precision),
    CAST(avg(value) AS double precision)
FROM parts GROUP BY place, figure
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class UsageTable:
    """The figures of an experiment: without users, with users, and both; None for no samples.

    >>> table = UsageTable([("samples", 2, 1, 3), ("swap load %", None, 30.0, 30.0)])
    >>> [" ".join(line.split()) for line in str(table).splitlines()[1:]]
    ['samples 2 1 3', 'swap load % - 30.00 30.00']
    """

    rows: Sequence[tuple[str, float | None, float | None, float | None]]

    def __str__(self) -> str:
        lines = [["", "without users", "with users", "both"]]
        for figure, *values in self.rows:
            digits = 0 if figure == "samples" else 2
            told = ["-" if value is None else f"{value:,.{digits}f}" for value in values]
            lines.append([figure, *told])
        first = max(len(line[0]) for line in lines)
        return "\n".join(
            f"{line[0]:<{first}}" + "".join(f"{cell:>16}" for cell in line[1:]) for line in lines
        )


def usage_query(*, prefix: str = "", probe: str = "usage") -> str:
    """The query of `usage_table` as SQL, for whoever wants to change it.

    >>> usage_query(prefix="lab_").startswith("WITH measured AS")
    True

    It is the same for SQLite (3.30) and PostgreSQL.
    """
    return _QUERY.format(
        samples=quoted(prefix + SAMPLES.name),
        attempts=quoted(prefix + ATTEMPTS.name),
        probe="'" + probe.replace("'", "''") + "'",
    )


def usage_table(
    database: str | os.PathLike[str], *, prefix: str = "", probe: str = "usage"
) -> UsageTable:
    """The table of a usage experiment: samples, uptime, idleness, loads, disk and traffic.

    >>> import os, sqlite3, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "usage.db")
    >>> with sqlite3.connect(path) as connection:
    ...     made = connection.executescript('''
    ...         CREATE TABLE attempts (probe, outcome);
    ...         INSERT INTO attempts VALUES ('usage', 'ok'), ('usage', 'unreachable');
    ...         CREATE TABLE samples (users, cpu_idle, cpu_idle_between, memory_load, swap_load,
    ...             disk_free, sent_rate, received_rate);
    ...         INSERT INTO samples (users, cpu_idle) VALUES (0, 97.9);
    ...     ''')
    >>> connection.close()
    >>> for row in usage_table(path).rows[:3]:
    ...     print(row)
    ('samples', 1.0, 0.0, 1.0)
    ('uptime %', 50.0, 0.0, 50.0)
    ('CPU idle %', 97.9, None, 97.9)

    Parameters: `database` and `prefix`, as `usage_database` has them; `probe`, the name of the
    probe whose attempts count ("usage").

    Its columns are the samples of machines without users, with users, and both; one whose machine
    does not tell who is logged in counts only in the last. "uptime %" is the samples of each of
    all attempts: those that were cut off with their sweep are none. "CPU idle %" is that between
    two samples, and that since the machine started where there is no sample before.

    Raises MisconfiguredError where there is no such database or no such table, UnavailableError
    where a server is out of reach.
    """
    rows = query_rows(database, usage_query(prefix=prefix, probe=probe))
    return UsageTable([(str(row[1]), row[2], row[3], row[4]) for row in rows])
