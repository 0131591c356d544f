"""Machines that are asked by ICMP whether they are there, in a network of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.operators.fleet import ProbeLimits

_ASKS = Path(__file__).with_name("asking_by_ping.py")
_DROPPED = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]


def outcome(*, group: str, silent: bool = False, root: bool = True) -> str:
    """What becomes of a target with a closed port that is pinged, and why."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("a network of its own asks for root, unshare and ip")
    settings = (
        f"ip link set lo up && echo '{group}' >/proc/sys/net/ipv4/ping_group_range && "
        f'echo {int(silent)} >/proc/sys/net/ipv4/icmp_echo_ignore_all && exec "$@"'
    )
    asking = [*([] if root else _DROPPED), sys.executable, str(_ASKS)]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", settings, "sh", *asking],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if "unshare failed" in done.stderr:
        pytest.skip("there is no network of its own here")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("group", "root"), [("0 0", False), ("1 0", True)], ids=["anybody's", "raw"]
)
def test_a_machine_that_answers_is_asked_for_its_port(group: str, root: bool) -> None:
    assert outcome(group=group, root=root) == "refused: its port is closed"


def test_a_machine_that_answers_no_ping_is_unreachable() -> None:
    told = outcome(group="0 0", silent=True)
    assert told == "unreachable: no answer to a ping within 0.5 s"


def test_a_process_that_may_send_no_pings_is_told_at_the_start() -> None:
    told = outcome(group="1 0", root=False)
    assert told.startswith("MisconfiguredError: this process may send no pings: leave ping_timeout")


def test_a_time_for_pings_is_a_length_of_time() -> None:
    assert ProbeLimits().ping_seconds is None
    assert ProbeLimits(ping_timeout="500ms").ping_seconds == 0.5
    with pytest.raises(ValueError, match="ping_timeout is more than 0 seconds"):
        ProbeLimits(ping_timeout=0)
