from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from thalweg.runtime.context import Context
from thalweg.runtime.counters import Counters

T = TypeVar("T")


async def in_thread(function: Callable[[], T], /) -> T:
    return await asyncio.to_thread(function)


@pytest.fixture
def context() -> Context:
    """What the runtime would give to an operator that it opens."""
    return Context("graph", "node", thread=in_thread, counters=Counters())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    mount = shutil.which("mount")
    where = tmp_path / "disk"
    where.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=1m", "thalweg-test", str(where)]
    if mount is None or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield where
    subprocess.run(["umount", "--lazy", str(where)], check=True)
