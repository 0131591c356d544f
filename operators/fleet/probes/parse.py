"""From what a probe printed to values, as a step of a graph that no output can break."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast, overload

from ....runtime.contracts import DataError, Duration, dataclass, in_seconds
from .probe_result import ProbeResult
from .thread_per_call import ThreadPerCall

__all__ = ["ParseContext", "ParsedResult", "ResultParser", "parse"]

_MOST_HANGING = 16
"""Calls of a parser that had their time and have not returned."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ParsedResult(ProbeResult, Generic[T]):
    """A `ProbeResult` with what was made of its output, as `value`; None where nothing was.

    See `parse`.
    """

    value: T | None


@dataclass(frozen=True, slots=True)
class ParseContext:
    """What a `parse_result` is told beside the output.

    `elapsed` is in seconds by the clock of the target, None where that is not known; `storage` is a
    folder for what the parser wants to keep, which is there. See `parse`.
    """

    target: str
    probe: str
    sweep: int
    exit_status: int | None
    elapsed: float | None
    started: float
    storage: Path


class ResultParser(Protocol[T_co]):
    """A parser as a class, in the form of DDC's post-collecting code. See `parse`."""

    def parse_result(self, stdout: str, stderr: str, context: ParseContext, /) -> T_co:
        """Make a value of what a probe printed; raise whatever tells that it cannot be done."""
        ...


@overload
def parse(
    parser: Callable[[ProbeResult], T] | ResultParser[T],
    *,
    any_status: bool = False,
    storage: str | os.PathLike[str] = "out/parsed",
    timeout: None = None,
) -> Callable[[ProbeResult], ParsedResult[T]]: ...
@overload
def parse(
    parser: Callable[[ProbeResult], T] | ResultParser[T],
    *,
    any_status: bool = False,
    storage: str | os.PathLike[str] = "out/parsed",
    timeout: Duration,
) -> Callable[[ProbeResult], Awaitable[ParsedResult[T]]]: ...
def parse(
    parser: Callable[[ProbeResult], T] | ResultParser[T],
    *,
    any_status: bool = False,
    storage: str | os.PathLike[str] = "out/parsed",
    timeout: Duration | None = None,
) -> Callable[[ProbeResult], ParsedResult[T] | Awaitable[ParsedResult[T]]]:
    """A function for `stream.map` that adds to each result what a parser makes of it.

    >>> from thalweg.operators.fleet import parsers, result_of
    >>> uptimes = parse(parsers.uptime)
    >>> uptimes(result_of(" 9:00 up 3 min,  1 user,  load average: 0.10, 0.20, 0.30"))["value"]
    {'seconds': 180.0, 'users': 1, 'load': [0.1, 0.2, 0.3]}
    >>> bad = uptimes(result_of("uptime: not found"))
    >>> bad["outcome"], bad["detail"]
    ('parse_error', "uptime: line 1: this is not what uptime says: 'uptime: not found'")

    A result that is not `ok` passes as it is, with None for `value`. One that the parser raises for
    becomes a `parse_error` that keeps its output, and tells what was raised; so no output, however
    odd, stops the graph.

    Parameters:

    - `parser`: a function of a result, such as those of `fleet.parsers`, or an object with
      `parse_result(stdout, stderr, context)`, whose context tells target, probe, sweep, exit
      status, elapsed time there and a folder.
    - `any_status`: whether the output is read also where the command ended with another status than
      0, as `smartctl` and `grep` do to tell something (False).
    - `storage`: the folder in the context; it is made when the first result is parsed.
    - `timeout`: how long it may take, in seconds or as text (None: it is called where the graph
      runs, which stands still meanwhile; so it is for parsers that take no time, as the shipped
      ones). With one, each call has a thread of its own, and `map` takes `max_in_flight`; a call
      that takes longer is a `parse_error`, and is left to itself: of these there may be 16, and
      until one of them returns no other is made. Below a minute, or `map` has to be given a
      longer `timeout` too.

    Raises TypeError for what is no parser, ValueError for a `timeout` of nothing.
    """
    call: Callable[[ProbeResult], T]
    if hasattr(parser, "parse_result"):
        if isinstance(parser, type):
            raise TypeError(f"parse() takes an object: write parse({parser.__name__}())")
        call = _Adapted(cast("ResultParser[T]", parser), Path(storage))
    elif callable(parser):
        call = parser
    else:
        raise TypeError(f"a parser is a function, or has a parse_result, unlike {parser!r}")
    if inspect.iscoroutinefunction(getattr(parser, "parse_result", parser)):
        raise TypeError("a parser is a plain function: give an async one to map(), without parse()")
    read = ("ok", "exit") if any_status else ("ok",)

    def parsed(result: ProbeResult) -> ParsedResult[T]:
        if result["outcome"] not in read:
            return {**result, "value": None}
        try:
            value = call(result)
        except DataError as error:
            return _bad(result, str(error))
        except (Exception, SystemExit) as error:
            return _bad(result, _told(error))
        return {**result, "value": value}

    if timeout is None:
        return parsed
    seconds = in_seconds(timeout, "timeout")
    if seconds <= 0:
        raise ValueError("timeout is more than 0 seconds")
    threads, running, late = ThreadPerCall("parse"), set[object](), set[object]()

    def noted(call: object, result: ProbeResult) -> ParsedResult[T]:
        try:
            return parsed(result)
        finally:
            running.discard(call)

    async def parsed_in_time(result: ProbeResult) -> ParsedResult[T]:
        if result["outcome"] not in read:
            return {**result, "value": None}
        late.intersection_update(running)
        if len(late) >= _MOST_HANGING:
            return _bad(result, f"{len(late)} calls of the parser hang, so that no other is made")
        call = object()
        running.add(call)
        try:
            async with asyncio.timeout(seconds):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(threads, noted, call, result)
        except TimeoutError:
            late.add(call)
            return _bad(result, f"the parser took longer than {seconds:g} s, and is left to itself")

    return parsed_in_time


def _bad(result: ProbeResult, why: str) -> ParsedResult[T]:
    return {**result, "outcome": "parse_error", "detail": why, "value": None}


class _Adapted(Generic[T]):
    """A `parse_result` as a function of a result."""

    def __init__(self, parser: ResultParser[T], storage: Path) -> None:
        self._parser, self._storage = parser, storage
        self._made = False

    def __call__(self, result: ProbeResult) -> T:
        if not self._made:
            self._storage.mkdir(parents=True, exist_ok=True)
            self._made = True
        context = ParseContext(
            target=result["target"],
            probe=result["probe"],
            sweep=result["sweep"],
            exit_status=result["exit_status"],
            elapsed=result["elapsed_there"],
            started=result["started"],
            storage=self._storage,
        )
        return self._parser.parse_result(result["stdout"], result["stderr"], context)


def _told(error: BaseException) -> str:
    """An exception in a line, with the place where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = ""
    if trace is not None:
        place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{type(error).__name__}: {error}"[:500] + place
