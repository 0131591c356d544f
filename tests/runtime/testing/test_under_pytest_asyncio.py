"""The virtual-time loop under pytest-asyncio, as its documentation says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CONFTEST = """
import asyncio
from thalweg.testing import VirtualTimeLoop

def pytest_asyncio_loop_factories(config, item):
    return {"real": asyncio.new_event_loop, "virtual": VirtualTimeLoop}
"""

_TESTS = """
import asyncio
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def began():
    await asyncio.sleep(0)
    return asyncio.get_running_loop().time()

@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_an_hour(began):
    await asyncio.sleep(3600)
    assert asyncio.get_running_loop().time() == began + 3600 == 3600

@pytest.mark.asyncio(loop_factories=["virtual"])
async def test_a_deadlock_fails():
    await asyncio.Event().wait()

@pytest.mark.asyncio(loop_factories=["real"])
async def test_a_real_loop():
    assert not hasattr(asyncio.get_running_loop(), "virtual")
"""


def test_a_test_chooses_the_virtual_loop_by_name(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_time.py").write_text(_TESTS)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    options = ["-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"]
    run = subprocess.run(
        [*command, *options, "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if "unknown hook 'pytest_asyncio_loop_factories'" in run.stdout + run.stderr:
        pytest.skip("this pytest-asyncio has no pytest_asyncio_loop_factories")
    assert "1 failed, 2 passed" in run.stdout, run.stdout + run.stderr
    assert "DeadlockError: nothing can happen any more" in run.stdout
