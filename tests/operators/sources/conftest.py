from __future__ import annotations

import asyncio
from collections.abc import Callable
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
