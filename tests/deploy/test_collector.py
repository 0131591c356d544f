"""The launcher's garbage collector: calmer while a job runs, as it was afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from thalweg.deploy.collector import calm_collector


def test_the_collector_is_calmer_inside_and_as_before_outside() -> None:
    before = gc.get_threshold()
    with calm_collector():
        assert gc.get_threshold()[0] > 10 * before[0]
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_what_is_frozen_already_stays_so() -> None:
    code = (
        "import gc\n"
        "from thalweg.deploy.collector import calm_collector\n"
        "gc.freeze()\n"
        "count = gc.get_freeze_count()\n"
        "made = [[] for _ in range(10_000)]\n"
        "with calm_collector():\n"
        "    assert gc.get_freeze_count() <= count\n"
        "assert gc.get_freeze_count() > count // 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_what_is_loaded_is_not_looked_through_when_the_process_of_the_launcher_ends() -> None:
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


@pytest.mark.parametrize("within", [True, False])
def test_what_a_graph_leaves_open_is_closed_at_the_end(tmp_path: Path, within: bool) -> None:
    opened = f"out = open({str(tmp_path / 'out')!r}, 'w')"
    (tmp_path / "leaving.py").write_text(
        "from thalweg import Graph\n"
        "from thalweg.operators import sinks, sources\n"
        f"{'' if within else opened}\n"
        "def write(number): out.write(str(number))\n"
        "def graph():\n"
        f"    {opened if within else ''}\n"
        "    graph = Graph('leaving')\n"
        f"    take = {'lambda number: out.write(str(number))' if within else 'write'}\n"
        "    graph.read('in', sources.records([1, 2, 3])).to('out', sinks.each(take))\n"
        "    return graph\n"
    )
    command = [sys.executable, "-m", "thalweg.deploy.cli", "run", str(tmp_path / "leaving.py")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "out").read_text() == "123"
