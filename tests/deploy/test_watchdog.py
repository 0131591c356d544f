"""The watchdog names who blocks the loop, and keeps quiet while the loop runs."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable

import pytest

from thalweg.deploy.watchdog import Watchdog


def block(release: threading.Event) -> None:
    release.wait(30)


def decode_slowly(release: threading.Event) -> None:
    json.JSONDecoder(object_hook=lambda _: release.wait(30)).decode("{}")


async def reports_while(work: str, release: threading.Event) -> tuple[list[str], str]:
    """Block the loop in a task of an actor until the watchdog has said so."""
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    watchdog = Watchdog(asyncio.get_running_loop(), said.put, interval=0.01, limit=0.04)
    health: list[str] = []

    def supervise() -> None:
        health.append(said.get(timeout=30))
        health.append(str(watchdog.blocked()))
        release.set()

    async def actor() -> None:
        watchdog.start()  # here, so that nothing else can be taken for what blocks
        if work == "user":
            block(release)
        else:
            decode_slowly(release)

    outside = threading.Thread(target=supervise)
    outside.start()
    await asyncio.create_task(actor(), name="thalweg:flow/slow")
    after = await asyncio.to_thread(said.get, timeout=30)
    outside.join(30)
    assert watchdog.blocked() is None
    watchdog.stop()
    return health, after


@pytest.mark.asyncio
@pytest.mark.parametrize("work", ["user", "library"])
async def test_it_names_the_actor_and_the_users_line(work: str) -> None:
    (first, health), after = await reports_while(work, threading.Event())
    assert first.startswith("operator 'slow' has blocked the event loop for 0.")
    place = first.partition(" s at ")[2]
    assert place.startswith(f"{__file__}:")
    assert place.endswith(" in block" if work == "user" else " in <lambda>")
    assert health.startswith("operator 'slow' has blocked the event loop for ")
    assert after.startswith("the event loop runs again: operator 'slow' blocked it for ")


@pytest.mark.asyncio
async def test_it_is_quiet_while_the_loop_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    beaten = asyncio.Event()
    beats = 0
    plain = loop.call_soon_threadsafe

    def counting(callback: Callable[[], object]) -> None:
        nonlocal beats
        beats += 1
        plain(callback)
        if beats == 5:
            plain(beaten.set)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counting)
    watchdog = Watchdog(loop, said.append, interval=0.001, limit=10)
    watchdog.start()
    async with asyncio.timeout(10):
        await beaten.wait()
    assert watchdog.blocked() is None
    watchdog.stop()
    assert said == []


@pytest.mark.asyncio
async def test_its_thread_ends_when_told() -> None:
    watchdog = Watchdog(asyncio.get_running_loop(), print, interval=60)
    watchdog.start()
    assert "thalweg-watchdog" in {thread.name for thread in threading.enumerate()}
    watchdog.stop()
    assert "thalweg-watchdog" not in {thread.name for thread in threading.enumerate()}
