"""The virtual clock stands still while a thread or real input and output is outstanding."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import anyio
import anyio.to_thread
import pytest

from thalweg.testing import DeadlockError, StalledError, run_virtual

_REAL_PAUSE = 0.1
"""Long enough that a clock that did not stand still would have jumped."""


def _slow() -> str:
    threading.Event().wait(_REAL_PAUSE)
    return "slow"


async def _by_executor() -> str:
    return await asyncio.get_running_loop().run_in_executor(None, _slow)


async def _by_own_executor() -> str:
    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, _slow)


async def _by_asyncio() -> str:
    return await asyncio.to_thread(_slow)


async def _by_anyio() -> str:
    return await anyio.to_thread.run_sync(_slow)


async def _by_anyio_with_a_limiter() -> str:
    return await anyio.to_thread.run_sync(
        _slow, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
    )


async def _by_anyio_in_a_generator() -> str:
    async def results() -> AsyncIterator[str]:
        yield await anyio.to_thread.run_sync(_slow)

    async for result in results():
        return result
    raise AssertionError("the generator is not empty")


@pytest.mark.parametrize(
    "call",
    [
        _by_executor,
        _by_own_executor,
        _by_asyncio,
        _by_anyio,
        _by_anyio_with_a_limiter,
        _by_anyio_in_a_generator,
    ],
)
def test_a_thread_holds_the_clock(call: Callable[[], Awaitable[str]]) -> None:
    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        rushed = loop.create_task(asyncio.sleep(1.0))
        async with asyncio.timeout(5.0):
            result = await call()
        at = loop.time()
        await rushed
        return result, at

    assert run_virtual(main) == ("slow", 0.0)


def test_a_turn_at_a_limiter_is_no_thread() -> None:
    async def main() -> float:
        limiter = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(_slow, limiter=limiter)
        async with anyio.create_task_group() as tasks, limiter:
            tasks.start_soon(lambda: anyio.to_thread.run_sync(_slow, limiter=limiter))
            await asyncio.sleep(30.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main, patience=2.0) == 30.0


def test_a_thread_that_nobody_awaits_any_more_does_not_hold_the_clock() -> None:
    release = threading.Event()

    async def main() -> float:
        calls = [
            asyncio.create_task(asyncio.to_thread(release.wait, 10.0)),
            asyncio.create_task(
                anyio.to_thread.run_sync(release.wait, 10.0, abandon_on_cancel=True)
            ),
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await asyncio.sleep(60.0)
        release.set()
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 60.0


def test_a_wake_up_from_a_thread_started_by_hand_is_heard() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[str] = loop.create_future()

        def call_back() -> None:
            _slow()
            loop.call_soon_threadsafe(woken.set_result, "woken")

        threading.Thread(target=call_back).start()
        return await woken

    assert run_virtual(main) == "woken"


@contextmanager
def _served(answer: Callable[[socket.socket], None]) -> Generator[int]:
    """The port of a server in a thread that treats one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10.0)


def _echo_slowly(connection: socket.socket) -> None:
    while data := connection.recv(1024):
        threading.Event().wait(_REAL_PAUSE)
        connection.sendall(data)


def test_a_socket_holds_the_clock() -> None:
    async def main(port: int) -> tuple[bytes, float]:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            answer = await reader.readline()
            at = asyncio.get_running_loop().time()
        writer.close()
        await writer.wait_closed()
        return answer, at

    with _served(_echo_slowly) as port:
        assert run_virtual(lambda: main(port)) == (b"hello\n", 0.0)


def test_a_child_process_holds_the_clock() -> None:
    code = f"import threading; threading.Event().wait({_REAL_PAUSE})"

    async def main() -> float:
        async with asyncio.timeout(5.0):
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
            assert await process.wait() == 0
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 0.0


def test_a_listening_socket_does_not_hold_the_clock() -> None:
    async def main() -> float:
        async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0):
            await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 3600.0


async def _keep_alive(port: int) -> tuple[float, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.sleep(60.0)
        at = asyncio.get_running_loop().time()
        writer.write(b"still here\n")
        return at, await reader.readline()
    finally:
        writer.close()


def test_a_silent_connection_stalls_with_its_name() -> None:
    with _served(_echo_slowly) as port, pytest.raises(StalledError) as caught:
        run_virtual(lambda: _keep_alive(port), patience=0.2)
    message = str(caught.value)
    assert "nothing happened for 0.2 s of real time" in message
    assert f"to 127.0.0.1:{port}), reading" in message
    assert "_keep_alive" in message
    assert "idle_after" in message


def test_a_silent_connection_counts_as_idle_after_a_while() -> None:
    with _served(_echo_slowly) as port:
        result = run_virtual(lambda: _keep_alive(port), idle_after=3 * _REAL_PAUSE)
    assert result == (60.0, b"still here\n")


def _blocked(release: threading.Event) -> None:
    release.wait(20.0)


@pytest.mark.parametrize("by", ["asyncio", "anyio"])
def test_a_thread_that_never_ends_stalls_with_its_name(by: str) -> None:
    release = threading.Event()

    async def waits_for_a_thread() -> None:
        if by == "asyncio":
            await asyncio.to_thread(_blocked, release)
        else:
            await anyio.to_thread.run_sync(_blocked, release, abandon_on_cancel=True)

    async def main() -> None:
        async with asyncio.timeout(1.0):
            await waits_for_a_thread()

    try:
        with pytest.raises(StalledError) as caught:
            run_virtual(main, patience=0.2)
    finally:
        release.set()
    assert "waits_for_a_thread" in str(caught.value)
    if by == "asyncio":
        assert f"a thread: _blocked ({__file__}:" in str(caught.value)
    else:
        assert "anyio.to_thread.run_sync" in str(caught.value)


def test_a_deadlock_names_each_task_and_where_it_waits() -> None:
    async def waits_for_a_bell(bell: asyncio.Event) -> None:
        await bell.wait()

    async def main() -> None:
        asyncio.create_task(waits_for_a_bell(asyncio.Event()), name="bell")  # noqa: RUF006
        queue: asyncio.Queue[int] = asyncio.Queue()
        await queue.get()

    with pytest.raises(DeadlockError) as caught:
        run_virtual(main)
    message = str(caught.value)
    assert "nothing can happen any more" in message
    line = waits_for_a_bell.__code__.co_firstlineno + 1
    assert f"bell waits at {__file__}:{line} in " in message
    assert "waits_for_a_bell > Event.wait" in message
    assert "main > Queue.get" in message


def test_a_deadlock_behind_a_listening_socket_is_told_after_a_real_wait() -> None:
    async def main() -> None:
        async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0):
            await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"socket 127\.0\.0\.1:\d+\), reading, listening"):
        run_virtual(main, patience=0.1)


def test_a_clean_up_that_waits_again_does_not_hang() -> None:
    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5.0)

    with pytest.raises(DeadlockError):
        run_virtual(main)
