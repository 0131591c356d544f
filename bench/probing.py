"""How long does a sweep over a fleet take, and is what it finds true?

    python bench/probing.py

The fleet are real SSH servers on this machine, so that what a machine spends on answering is spent
here too. 169 of them, 120 good, 25 silent and 24 refusing, are swept by Thalweg, by asyncssh alone
with several limits on how many at once, and by pdsh, clush, parallel-ssh and Ansible; all check
known_hosts and wait a second for a silent machine. Then sweeps over kept connections, 500 and 1,000
good machines, a kill -9 in mid-sweep, and a month of sweeps in virtual time.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

from environments import PeerMissing
from measure import Report, arguments, progress, spread
from probing_killed import measure_killed
from probing_month import SWEEPS, measure_month
from probing_peers import PEERS, Asked, asked_of, run_script

from thalweg.deploy.fleet_farm import Farm

PARTS = ("sweep", "kept", "large", "killed", "month")
LIMITS = (16, 32, 64)
"""How many at once asyncssh is tried with."""


def truth(host: str) -> str:
    """What a machine of the farm is."""
    return {"127.1": "ok", "127.2": "refused", "127.3": "unreachable"}[host[:5]]


def false_outcomes(told: Any) -> list[int]:
    """How many machines each sweep told to be what they are not."""
    return [
        sum(outcome != truth(host) for host, outcome in sweep.items()) for sweep in told["outcomes"]
    ]


def thalweg(asked: Asked) -> Any:
    """Sweeps with Thalweg, in a process of its own."""
    return run_script(sys.executable, "probing_thalweg", asked)


def measure_sweep(report: Report, rounds: int, wanted: Sequence[str]) -> None:
    """One sweep of the 169, nothing connected, by each contender once a round."""
    times: dict[str, list[float]] = {}
    found: dict[str, list[int]] = {}
    wrong: list[int] = []
    missing: dict[str, str] = {}
    with Farm(120, refusing=24, silent=25) as farm:
        for number in range(rounds):
            progress(f"one sweep: round {number + 1} of {rounds}, thalweg")
            told = thalweg(asked_of(farm))
            times.setdefault("thalweg", []).extend(told["seconds"])
            found.setdefault("thalweg", []).append(len(told["found"][0]))
            wrong += false_outcomes(told)
            for name in wanted:
                # The others need no more rounds than tell which is faster.
                if name in missing or (name != "asyncssh" and number % 3):
                    continue
                for at_once in LIMITS if name == "asyncssh" else (32,):
                    label = f"{name}, {at_once} at once"
                    progress(f"one sweep: round {number + 1} of {rounds}, {label}")
                    try:
                        seconds, count = PEERS[name](asked_of(farm, at_once=at_once))
                    except PeerMissing as error:
                        missing[name] = str(error)
                        break
                    times.setdefault(label, []).append(seconds)
                    found.setdefault(label, []).append(count)
    rows = [
        [name, spread(seconds), f"{min(found[name])} … {max(found[name])}"]
        for name, seconds in times.items()
    ]
    report.table(
        "one sweep: 120 good, 25 silent, 24 refusing", ["", "seconds", "good found of 120"], rows
    )
    for name, why in missing.items():
        report.note(f"{name} is skipped: {why}")
    report.numbers["sweep"] = {"seconds": times, "found": found, "false outcomes": wrong}
    own = statistics.median(times["thalweg"])
    report.figure(
        "every good machine found and no false outcome, in each sweep",
        f"{wrong.count(0)} of {len(wrong)} sweeps",
        reached=not any(wrong) and set(found["thalweg"]) == {120},
    )
    bare = [
        statistics.median(seconds)
        for name, seconds in times.items()
        if name.startswith("asyncssh") and min(found[name]) == 120
    ]
    if bare:
        report.figure(
            "no more than 1.15 times bare asyncssh at its best limit that finds all",
            f"{own / min(bare):.2f}",
            reached=own <= 1.15 * min(bare),
        )
    for name, seconds in times.items():
        if not name.startswith(("asyncssh", "thalweg")):
            peer = statistics.median(seconds)
            report.figure(
                f"less than {name.partition(',')[0]}", f"{own:.2f} s, {peer:.2f} s",
                reached=own < peer,
            )  # fmt: skip


def measure_kept(report: Report, sweeps: int, machines: int) -> None:
    """Sweeps of good machines over connections that are kept."""
    progress("sweeps over kept connections")
    with Farm(machines) as farm:
        told = thalweg(asked_of(farm, sweeps=sweeps, keep=True))
        bare = run_script(
            sys.executable, "probing_asyncssh", asked_of(farm, sweeps=sweeps, keep=True)
        )["seconds"]
    first, *others = told["seconds"]
    report.table(
        f"{machines} good machines over kept connections",
        ["sweep", "seconds"],
        [
            ["thalweg, the first, which connects", f"{first:.2f}"],
            ["thalweg, the next ones", spread(others)],
            ["asyncssh alone, which leaves orphans when it is killed", spread(bare)],
        ],
    )
    wrong = false_outcomes(told)
    report.numbers["kept"] = {
        "seconds": told["seconds"], "asyncssh": bare, "false outcomes": wrong,
    }  # fmt: skip
    middle = statistics.median(others)
    report.figure(
        "next sweep over kept connections in under 0.6 s", f"{middle:.2f} s",
        reached=middle < 0.6 and not any(wrong),
    )  # fmt: skip


def measure_large(report: Report, sizes: Sequence[int]) -> None:
    """One sweep of many good machines, nothing connected."""
    rows: list[list[str]] = []
    for size in sizes:
        progress(f"one sweep of {size} machines")
        with Farm(size) as farm:
            told = thalweg(asked_of(farm))
        seconds, wrong, peak = told["seconds"][0], false_outcomes(told)[0], told["peak"]
        rows.append([f"{size:,}", f"{seconds:.1f}", f"{peak:.0f}", str(wrong)])
        report.numbers[f"{size} machines"] = {"seconds": seconds, "peak MiB": peak, "wrong": wrong}
        if size >= 1_000:
            report.figure(
                f"{size:,} machines in under 25 s, under 150 MB, no false outcome",
                f"{seconds:.1f} s, {peak * 1.048576:.0f} MB, {wrong} false",
                reached=seconds < 25 and peak * 1.048576 < 150 and not wrong,
            )
    report.table(
        "one sweep, nothing connected", ["good machines", "seconds", "peak MiB", "false"], rows
    )


def main() -> int:
    parser = arguments("Sweeps over a fleet of SSH servers.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--rounds", type=int, default=10, help="sweeps with nothing connected")
    parser.add_argument(
        "--peers", nargs="*", choices=[*PEERS, "none"], default=list(PEERS), help="who else"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1_000], help="large fleets")
    parser.add_argument(
        "--machines", type=int, help="fewer of them, with kept connections and when it is killed"
    )
    parser.add_argument("--month", type=int, default=SWEEPS, help="sweeps of the month")
    options = parser.parse_args()
    report = Report("Sweeps over a fleet of SSH servers on this machine")
    peers = [name for name in options.peers if name != "none"]
    if "sweep" in options.parts:
        measure_sweep(report, options.rounds, peers)
    if "kept" in options.parts:
        measure_kept(report, 7, options.machines or 120)
    if "large" in options.parts:
        measure_large(report, options.sizes)
    if "killed" in options.parts:
        measure_killed(report, options.machines or 60)
    if "month" in options.parts:
        measure_month(report, options.month)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
