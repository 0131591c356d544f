"""What every test of the engine may ask for."""

from __future__ import annotations

import asyncio
import gc
from asyncio import runners
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test that leaves a task pending, or an exception that nobody retrieved."""
    found: list[str] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        found.append(f"{context.get('message')}: {context.get('exception')!r}")

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_exception_handler", note)
    cancel_all = runners._cancel_all_tasks  # type: ignore[attr-defined]  # pyright: ignore

    def look_and_cancel(loop: asyncio.AbstractEventLoop) -> None:
        found.extend(f"left pending: {task!r}" for task in asyncio.all_tasks(loop))
        cancel_all(loop)

    monkeypatch.setattr(runners, "_cancel_all_tasks", look_and_cancel)
    gc.freeze()  # What is there already need not be looked at again for each test.
    yield
    gc.collect()
    gc.unfreeze()
    assert not found
