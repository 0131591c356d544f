"""How the machines of a fleet are used: who is up, how idle they are, and who sits there.

thalweg run fleet_usage --set inventory=hosts.yml
thalweg run fleet_usage --set inventory=hosts.yml --set every=15min --set lasting=30d --state state
thalweg usage out/fleet/usage.db --page usage.html
make fleet              # against 20 SSH servers that it starts on this machine
make fleet N=169
"""

from __future__ import annotations

import sys
import time

from thalweg import Graph, setting
from thalweg.operators import fleet, sinks, sources
from thalweg.operators.fleet import ProbeResult, UsageSample

inventory = setting("inventory", "hosts.yml", "an Ansible inventory of the machines, INI or YAML")
every = setting("every", "15min", "a sweep begins so long after the last one began")
minimum_gap = setting("minimum_gap", "30s", "and not sooner than this after it ended")
sweeps = setting("sweeps", 0, "the most sweeps; 0 is no limit", minimum=0)
lasting = setting("lasting", "", "how long after the first sweep the last one may begin")
user = setting("user", "", "who logs in, where the inventory does not tell")
identity = setting("identity", "", "the private key; without it the agent and those of ~/.ssh")
known_hosts = setting("known_hosts", "~/.ssh/known_hosts", "the keys of the machines")
keep = setting("keep", False, "keep connections open from one sweep to the next")
database = setting(
    "database",
    "",
    "SQLite file, or URL of a PostgreSQL (its password in PGPASSWORD); else OUT/usage.db",
)
out = setting("out", "out/fleet", "the folder that logs, trace and database go to")
live = setting("live", sys.stdout.isatty(), "show a table of the machines that changes as it goes")


class Live:
    """The table on the terminal: drawn over the one before, a few times a second."""

    def __init__(self) -> None:
        self.latest: dict[str, ProbeResult] = {}
        self.samples: dict[str, UsageSample] = {}
        self.lines = 0
        self.drawn = 0.0

    def result(self, result: ProbeResult) -> None:
        """A machine has answered, or has not."""
        self.latest[result["target"]] = result
        self.draw()

    def sample(self, sample: UsageSample) -> None:
        """What it does."""
        self.samples[sample["target"]] = sample
        self.draw()

    def summary(self, summary: object) -> None:
        """A sweep is over: what it found stays until the next one begins."""
        self.draw(now=True)

    def draw(self, *, now: bool = False) -> None:
        """Draw it, unless that was only just done."""
        if not now and time.monotonic() - self.drawn < 0.2:
            return
        lines = fleet.live_table(
            self.latest, self.samples, height=22, colour=fleet.wants_colour(sys.stdout)
        )
        back = f"\x1b[{self.lines}F\x1b[J" if self.lines else "\r\x1b[K"
        sys.stdout.write(back + "\n".join(lines) + "\n")
        sys.stdout.flush()
        self.lines, self.drawn = len(lines), time.monotonic()


graph = Graph("fleet_usage")

results = graph.read(
    "lab",
    sources.ssh_probe(
        fleet.inventory(inventory),
        fleet.script(fleet.USAGE_SCRIPT, name="usage"),
        every=every,
        minimum_gap=minimum_gap,
        sweeps=sweeps or None,
        lasting=lasting or None,
        keep=keep,
        access=fleet.SshAccess(
            user=user or None,
            identities=[identity] if identity else [],
            known_hosts=known_hosts,
        ),
    ),
).batch(1_000, linger=0.5, name="batch")
results.to("logs", sinks.probe_logs(out))

# What these two remember is saved where there is a store, and begins anew where there is none.
summaries = results.via("summaries", fleet.sweep_summaries(), volatile=True)
samples = results.via("samples", fleet.usage_samples(), volatile=True)
summaries.to("trace", sinks.sweep_trace(out))
fleet.usage_database(
    database or f"{out}/usage.db", results=results, sweeps=summaries, samples=samples
)
graph.failed.to("failed", sinks.ndjson(f"{out}/failed.ndjson"))

if live:
    shown = Live()
    results.to("live", sinks.each(shown.result))
    samples.to("live_samples", sinks.each(shown.sample))
    summaries.to("live_sweeps", sinks.each(shown.summary))
