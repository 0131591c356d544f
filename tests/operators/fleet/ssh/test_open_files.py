"""Few files that may be open: this process is short of something, and no machine is down."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.deploy.fleet_farm import Farm

pytestmark = [pytest.mark.service, pytest.mark.usefixtures("sshd")]

_ASKS = Path(__file__).with_name("asking_with_few_files.py")


@pytest.fixture(scope="module")
def farm(sshd: None) -> Iterator[Farm]:
    with Farm(1) as farm:
        yield farm


def found(farm: Farm, soft: int, hard: int, *, names: int = 20, keep: bool = False) -> str:
    one = farm.machines[0]
    words = [one.address, one.port, farm.identity, farm.known_hosts, soft, hard, names]
    done = subprocess.run(
        [sys.executable, str(_ASKS), *map(str, words), "keep" if keep else "let_go"],
        capture_output=True, text=True, timeout=110, check=False,
        # To look up who this is would ask for a file more.
        env={**os.environ, "USER": getpass.getuser(), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_process_that_may_have_more_files_open_takes_them(farm: Farm) -> None:
    assert found(farm, 20, 4096) == "{'ok': 20}"


@pytest.mark.parametrize("keep", [False, True])
def test_where_there_are_no_more_targets_wait_for_one(farm: Farm, keep: bool) -> None:
    assert found(farm, 20, 20, keep=keep) == "{'ok': 20}"
