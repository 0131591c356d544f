"""The launcher's garbage collector: calmer while a job runs, as it was afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys

from thalweg.deploy.collector import calm_collector


def test_the_collector_is_calmer_inside_and_as_before_outside() -> None:
    before = gc.get_threshold()
    with calm_collector():
        assert gc.get_threshold()[0] > 10 * before[0]
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_nothing_is_looked_through_when_the_process_of_the_launcher_ends() -> None:
    code = (
        "import gc, sys\n"
        "from thalweg.deploy.cli import main\n"
        "main(['show', 'nowhere.py'])\n"
        "assert gc.get_freeze_count() == 0\n"
        "sys.argv = ['thalweg', 'show', 'nowhere.py']\n"
        "main()\n"
        "assert gc.get_freeze_count() > 1000\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
