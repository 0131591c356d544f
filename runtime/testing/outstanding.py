"""What a loop waits for that no clock can hurry, in words: threads, descriptors, tasks."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import cast

__all__ = [
    "describe_call",
    "describe_descriptor",
    "describe_tasks",
    "is_listening",
    "other_threads",
    "threads_awaited",
]

_DEEPEST = 1_000
_MOST_TASKS = 20
_WRAPPERS = frozenset(
    ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")
)
"""Awaitables that do not show what they drive; the garbage collector knows."""
_POOLS = ("asyncio_", "AnyIO worker thread")
"""Names of threads that are kept for reuse: when nobody awaits them, they do nothing."""
_CHILD_WATCHERS = ("asyncio-waitpid-", "waitpid-")
"""The beginnings of their names: the second in the first releases of Python 3.11."""

_FRAMES = (
    ("cr_code", "cr_frame", "cr_await"),
    ("gi_code", "gi_frame", "gi_yieldfrom"),
    ("ag_code", "ag_frame", "ag_await"),
)
"""Where coroutines, generators and async generators keep their code, their frame and what they
await."""
_LIBRARIES = (f"{os.sep}asyncio{os.sep}", f"{os.sep}anyio{os.sep}")


def threads_awaited(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Descriptions of threads that a task of the loop awaits beside `run_in_executor`.

    These are `anyio.to_thread.run_sync`, whatever its limiter, and on Python 3.11 the threads
    that wait for the end of a child process. Nothing public counts the former: a limiter can only
    be asked by who holds it. So the tasks themselves tell: one that waits inside `run_sync`, and
    not for its turn, waits for a thread.
    """
    if threading.active_count() == 1:
        return []
    found = [
        f"a child process ({thread.name})"
        for thread in threading.enumerate()
        if thread.name.startswith(_CHILD_WATCHERS)
    ]
    to_thread = sys.modules.get("anyio.to_thread")
    code = getattr(getattr(to_thread, "run_sync", None), "__code__", None)
    if code is None:
        return found
    for task in asyncio.all_tasks(loop):
        frames = list(_suspended(task.get_coro()))
        for depth, (frame_code, _line) in enumerate(frames):
            if frame_code is code:
                below = [inner.co_qualname for inner, _ in frames[depth + 1 :]]
                if not any("Limiter" in name for name in below):
                    found.append(f"anyio.to_thread.run_sync, awaited by {_describe_task(task)}")
                break
    return found


def other_threads() -> list[str]:
    """Names of live threads that might wake the loop up, idle pool threads left out."""
    here = threading.current_thread()
    return [
        thread.name
        for thread in threading.enumerate()
        if thread is not here and not thread.name.startswith(_POOLS)
    ]


def is_listening(descriptor: int) -> bool:
    """Whether this is a socket that listens for connections."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
    finally:
        sock.detach()


def describe_descriptor(key: selectors.SelectorKey) -> str:
    """`descriptor 7 (socket 127.0.0.1:5000 to 127.0.0.1:80), reading`."""
    doing = [
        word
        for event, word in ((selectors.EVENT_READ, "reading"), (selectors.EVENT_WRITE, "writing"))
        if key.events & event
    ]
    return f"descriptor {key.fd} ({_describe_file(key.fd)}), {' and '.join(doing)}"


def _describe_file(descriptor: int) -> str:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return "a pipe or a file"
    try:
        ends = [_address(sock.getsockname)]
        if other := _address(sock.getpeername):
            ends.append(other)
        return "socket " + " to ".join(end or "without a name" for end in ends)
    finally:
        sock.detach()


def _address(ask: Callable[[], object]) -> str:
    try:
        address = ask()
    except OSError:
        return ""
    if isinstance(address, tuple):
        host, port = cast("tuple[object, ...]", address)[:2]
        return f"{host}:{port}"
    return str(address)


def describe_call(function: Callable[..., object]) -> str:
    """The name and line of what a thread was asked to run, found inside what wraps it."""
    inner: object = function
    while isinstance(inner, functools.partial):
        wrapped = cast("functools.partial[object]", inner)
        # asyncio.to_thread asks for `partial(context.run, function, …)`.
        by_context = getattr(wrapped.func, "__name__", "") == "run" and wrapped.args
        inner = wrapped.args[0] if by_context else wrapped.func
    code: object = getattr(inner, "__code__", None)
    name = str(getattr(inner, "__qualname__", None) or type(inner).__qualname__)
    if isinstance(code, CodeType):
        return f"{name} ({code.co_filename}:{code.co_firstlineno})"
    return name


def describe_tasks(loop: asyncio.AbstractEventLoop) -> str:
    """One line for each pending task: its name and where it waits."""
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    if not tasks:
        return "  no task is pending"
    lines = [f"  {_describe_task(task)}" for task in tasks[:_MOST_TASKS]]
    if len(tasks) > _MOST_TASKS:
        lines.append(f"  and {len(tasks) - _MOST_TASKS} more")
    return "\n".join(lines)


def _describe_task(task: asyncio.Task[object]) -> str:
    frames = list(_suspended(task.get_coro()))
    if not frames:
        return f"{task.get_name()}, not started"
    names = " > ".join(code.co_qualname.replace("<locals>.", "") for code, _ in frames)
    own = [
        (code, line)
        for code, line in frames
        if not any(library in code.co_filename for library in _LIBRARIES)
    ]
    code, line = (own or frames)[-1]
    return f"{task.get_name()} waits at {code.co_filename}:{line} in {names}"


def _suspended(outermost: object) -> Iterator[tuple[CodeType, int]]:
    """Code and line of each frame that awaits another, from the outermost in."""
    current = outermost
    for _ in range(_DEEPEST):
        for code_name, frame_name, inner_name in _FRAMES:
            code: object = getattr(current, code_name, None)
            if isinstance(code, CodeType):
                frame: object = getattr(current, frame_name, None)
                line = frame.f_lineno if isinstance(frame, FrameType) else code.co_firstlineno
                yield code, line
                current = getattr(current, inner_name, None)
                break
        else:
            if type(current).__name__ not in _WRAPPERS:
                return
            current = _driven(current)


def _driven(wrapper: object) -> object:
    """The coroutine or generator that an opaque awaitable drives."""
    for inner in gc.get_referents(wrapper):
        if type(inner).__name__ in _WRAPPERS or any(hasattr(inner, names[0]) for names in _FRAMES):
            return inner
    return None
