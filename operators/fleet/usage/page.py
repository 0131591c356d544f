"""`usage_page`: what a usage experiment has found, as one page of HTML."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from ...sinks._tables import quoted
from ._plot import Series, plot
from .query_rows import query_rows
from .rows import ATTEMPTS, SAMPLES, SWEEPS
from .table import UsageTable, usage_table

__all__ = ["usage_page"]

_MACHINES = 2_000
"""Machines in the list."""
_OVER_TIME = """\
SELECT sweeps.sweep, CAST(sweeps.ok AS double precision),
    CAST(sweeps.ok + sweeps.failed + sweeps.unavailable AS double precision),
    measured.idle, measured.memory, measured.disk, measured.users, measured.sent, measured.received
FROM {sweeps} AS sweeps LEFT JOIN (
    SELECT sweep,
        CAST(avg(coalesce(cpu_idle_between, cpu_idle)) AS double precision) AS idle,
        CAST(avg(memory_load) AS double precision) AS memory,
        CAST(sum(disk_free / 1e9) AS double precision) AS disk,
        CAST(sum(users) AS double precision) AS users,
        CAST(sum(sent_rate) AS double precision) AS sent,
        CAST(sum(received_rate) AS double precision) AS received
    FROM {samples} GROUP BY sweep
) AS measured ON measured.sweep = sweeps.sweep
WHERE sweeps.probe = {probe} ORDER BY 1
"""
_BY_MACHINE = """\
SELECT target, CAST(count(*) AS double precision),
    CAST(count(*) FILTER (WHERE outcome = 'ok') AS double precision), max(sweep)
FROM {attempts} WHERE probe = {probe} AND outcome <> 'interrupted'
GROUP BY target ORDER BY 1
"""
_STYLE = """\
:root{color-scheme:light dark;--ink:#1c2126;--paper:#fff;--soft:#5d6873;--rule:#d9dee3;
--a:#1f6fb2;--b:#b4521b;--c:#2c7a4b}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--paper:#14181c;--soft:#98a4b0;
--rule:#323a42;--a:#6db3f2;--b:#f0a36b;--c:#77c998}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}p,figcaption{color:var(--soft)}
figure{margin:1.5rem 0}svg{width:100%;height:auto;display:block}
svg text{font-size:12px;fill:var(--soft)}.grid{stroke:var(--rule)}
path{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
.line0{stroke:var(--a)}.line1{stroke:var(--b)}.line2{stroke:var(--c)}
span{margin-right:1.2rem;font-size:.9rem}span::before{content:"— ";font-weight:bold}
.key0{color:var(--a)}.key1{color:var(--b)}.key2{color:var(--c)}
.wide{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.25rem .9rem .25rem 0;
text-align:right;border-bottom:1px solid var(--rule);font-variant-numeric:tabular-nums}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}
"""


def usage_page(
    database: str | os.PathLike[str],
    *,
    title: str = "Usage of the machines",
    prefix: str = "",
    probe: str = "usage",
) -> str:
    """What a usage experiment has found, as one page of HTML.

        Path("out/usage.html").write_text(usage_page("out/usage.db"), encoding="utf-8")

    It is made of the same database that the table is; see `usage_table`.

    Parameters: `database` and `prefix`, as `usage_database` has them; `title`, that of the page;
    `probe`, the name of the probe ("usage").

    It shows the machines that are up over time, how idle their processors are, memory, free disk,
    users and traffic, the table of the experiment, and how often each machine was up. The page is
    whole: it asks for nothing from elsewhere, runs no script, and is dark where the reader's
    system is. Times are in UTC.

    Raises MisconfiguredError where there is no such database or no such table, UnavailableError
    where a server is out of reach.
    """
    names = {
        "sweeps": quoted(prefix + SWEEPS.name),
        "samples": quoted(prefix + SAMPLES.name),
        "attempts": quoted(prefix + ATTEMPTS.name),
        "probe": "'" + probe.replace("'", "''") + "'",
    }
    rows = query_rows(database, _OVER_TIME.format(**names))
    machines = query_rows(database, _BY_MACHINE.format(**names))
    table = usage_table(database, prefix=prefix, probe=probe)
    parts = [*_plots(rows), _table(table), _machines(machines)]
    about = "No sweep has ended."
    if rows:
        first, last = _when(rows[0][0]), _when(rows[-1][0])
        about = f"{len(rows):,} sweeps of {len(machines):,} machines, from {first} to {last} UTC."
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_shown(title)}</title>\n<style>\n{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_shown(title)}</h1>\n<p>{about}</p>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _plots(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    def series(name: str, column: int) -> Series:
        return Series(name, [(float(row[0]), row[column]) for row in rows])

    traffic = [series("sent", 7), series("received", 8)]
    return [
        plot("Machines", "per sweep", [series("up", 1), series("probed", 2)]),
        plot("CPU idle", "% of the time, mean", [series("idle", 3)], top=100.0),
        plot("Memory load", "%, mean", [series("memory", 4)], top=100.0),
        plot("Free disk", "GB, all that are up", [series("free", 5)]),
        plot("Users", "logged in, all that are up", [series("users", 6)]),
        plot("Traffic", "bytes a second, all that are up", traffic),
    ]


def _table(table: UsageTable) -> str:
    lines: list[str] = []
    for figure, *values in table.rows:
        digits = 0 if figure == "samples" else 2
        cells = "".join(
            f"<td>{'-' if value is None else f'{value:,.{digits}f}'}</td>" for value in values
        )
        lines.append(f"<tr><td>{_shown(figure)}</td>{cells}</tr>")
    return (
        '<h2>In all</h2>\n<div class="wide"><table>\n<tr><th></th><th>without users</th>'
        "<th>with users</th><th>both</th></tr>\n" + "\n".join(lines) + "\n</table></div>"
    )


def _machines(machines: Sequence[tuple[Any, ...]]) -> str:
    lines = [
        f"<tr><td>{_shown(str(name))}</td><td>{attempts:,.0f}</td><td>{ok:,.0f}</td>"
        f"<td>{100 * ok / attempts:.2f}</td><td>{_when(last)}</td></tr>"
        for name, attempts, ok, last in machines[:_MACHINES]
    ]
    if len(machines) > _MACHINES:
        lines.append(f"<tr><td>and {len(machines) - _MACHINES:,} more</td></tr>")
    return (
        '<h2>Each machine</h2>\n<div class="wide"><table>\n<tr><th>machine</th><th>attempts</th>'
        "<th>samples</th><th>uptime %</th><th>last asked</th></tr>\n"
        + "\n".join(lines)
        + "\n</table></div>"
    )


def _shown(text: str) -> str:
    printable = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return escape(printable)


def _when(sweep: float) -> str:
    return datetime.fromtimestamp(float(sweep), UTC).strftime("%Y-%m-%d %H:%M")
