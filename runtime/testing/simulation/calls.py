"""Calls from a simulated process to the outside: where they are late, refused, or cut off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Protocol, TypeVar

from ...errors import BusyError, UnavailableError
from .world import World

__all__ = ["Caller", "call", "out_of_reach"]

T = TypeVar("T")

_DELAYS = (0.001, 0.02, 0.3, 3.0, 20.0, 90.0)
_PAUSES = (0.0, 0.0, 0.0, 0.0005, 0.01)


class Caller(Protocol):
    """What a call asks of the process that makes it."""

    @property
    def world(self) -> World:
        """The world around it."""
        ...

    def now(self) -> float:
        """The virtual time."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it has not been killed."""
        ...

    def blame(self, what: str, *, excuse: str = "") -> None:
        """Note that a fault has reached this process, and by which words an error shows that."""
        ...

    async def die(self) -> None:
        """Be killed here: this does not return."""
        ...

    async def never(self) -> None:
        """What a process that is dead gets of the outside: nothing, for ever."""
        ...


def out_of_reach(chance: random.Random, what: str) -> Exception:
    """How most of the outside refuses: with an error after which it may be asked again."""
    if chance.random() < 0.3:
        return BusyError(f"{what} is busy (simulated)", retry_after=chance.choice((None, 0.05, 2)))
    return UnavailableError(f"{what} is out of reach (simulated)")


async def call(
    process: Caller,
    name: str,
    subject: str,
    do: Callable[[], T],
    *,
    refusal: Callable[[random.Random, str], Exception] = out_of_reach,
    part: Callable[[random.Random], object] | None = None,
    again: bool = False,
    gentle: bool = False,
    waits: bool = True,
) -> T:
    """Do something to the world, as a process does it that may be killed any moment.

    `do` is all or nothing; `part` does some of it, where the other side knows no such thing.
    `again` says that the caller repeats what was refused, so that nothing may be done then; with
    `gentle` nothing is refused at all. With `waits` false it takes no time, unless something goes
    wrong.
    """
    world = process.world
    if not process.alive:
        await process.never()
    if waits:
        await asyncio.sleep(world.chance.choice(_PAUSES))
    fault = world.called(name)
    what = f"{name} of {subject}"
    left = world.refusing.get((name, subject), 0)
    if left and not gentle:
        world.refusing[name, subject] = left - 1
        raise refusal(random.Random(left), subject)
    if fault is None:
        done = do()
        if waits:
            await asyncio.sleep(0)
        return done
    chance = random.Random(fault.seed)
    kind = fault.kind if not gentle or fault.kind == "process" else "delay"
    if again and kind == "answer":
        kind = "refuse"
    if kind == "process":
        return await _cut_off(process, what, do, part, chance)
    if kind == "delay":
        seconds = chance.choice(_DELAYS[:4] if gentle else _DELAYS)
        before = again or chance.random() < 0.5
        when = "before" if before else "after"
        # What is limited in time may give up.
        excuse = "Timeout" if seconds >= 1.0 else ""
        process.blame(f"{what} takes {seconds:g} s, {when} it is done", excuse=excuse)
        if before:
            await asyncio.sleep(seconds)
            return do()
        done = do()
        await asyncio.sleep(seconds)
        return done
    if kind == "refuse":
        times = chance.choice((1, 1, 2, 5))
        world.refusing[name, subject] = times - 1
        process.blame(f"{what} is refused, {times} times")
        raise refusal(chance, subject)
    if part is not None and chance.random() < 0.5:
        part(chance)
        process.blame(f"{what} is done in part, and then refused")
    else:
        do()
        process.blame(f"{what} is done, and its answer is lost")
    raise refusal(chance, subject)


async def _cut_off(
    process: Caller,
    what: str,
    do: Callable[[], T],
    part: Callable[[random.Random], object] | None,
    chance: random.Random,
) -> T:
    """The process is killed before the call, after it, or in the midst of it."""
    if chance.random() < 0.5:
        process.blame(f"the process is killed just before {what}")
    elif part is not None and chance.random() < 0.5:
        part(chance)
        process.blame(f"the process is killed in the midst of {what}")
    else:
        do()
        process.blame(f"the process is killed right after {what} was done")
    await process.die()
    raise AssertionError("a process that was killed went on")
