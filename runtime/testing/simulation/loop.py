"""The loop of one simulated process: it can be killed, and reaches nothing outside."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, NoReturn, TypeVar, TypeVarTuple

from ...errors import ThalwegError
from ..virtual_time import VirtualTimeLoop

__all__ = ["Killed", "OutOfReach", "SimulatedLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MOST_TURNS = 5_000_000
_LONGEST = 90 * 86_400.0
"""Turns, and seconds of virtual time, after which a run counts as one that does not end."""

_THREAD_PAUSES = (0.0, 0.0, 0.0, 0.001, 0.05)


class Killed(SystemExit):
    """The process is killed: a loop lets no other exception of a callback through."""


class OutOfReach(ThalwegError):
    """What runs in a simulation asked for the network, or does not end by itself."""


class SimulatedLoop(VirtualTimeLoop):
    """A virtual-time loop that tells each of its turns, can be killed in one, and has no outside.

    What is given to a thread runs at once, in this thread, so that the same seed gives the same
    run. `wall` is the time of the machine, which `Clock` asks for.
    """

    def __init__(
        self, *, seed: int, now: float, wall: Callable[[], float], turn: Callable[[], None]
    ) -> None:
        super().__init__(seed=seed)
        self._now = now
        self._began = now
        self._turns = 0
        self._turn = turn
        self._pauses = random.Random(f"threads {seed}")
        self.wall = wall
        self.out_of_reach: OutOfReach | None = None
        self._dead: list[asyncio.Task[Any]] = []

    def chance(self) -> random.Random:
        """Chance for who retries: of the seed, not of the machine."""
        return random.Random(self._pauses.getrandbits(32))

    def shuffle(self) -> None:
        """One turn: permute the wake-ups, and let what was planned for this turn happen."""
        super().shuffle()
        self._turns += 1
        if self._turns > _MOST_TURNS or self._now - self._began > _LONGEST:
            raise OutOfReach(
                "the graph does not come to an end by itself: limit the records of its sources"
            )
        self._turn()

    def complete(self, main: Coroutine[Any, Any, T]) -> T:
        """Run to its end. Raises `Killed` when killed, and OutOfReach when something asked for
        what there is not.
        """
        try:
            return self.run_until_complete(main)
        except Killed:
            if self.out_of_reach is not None:
                raise self.out_of_reach from None
            raise

    def abandon(self) -> None:
        """Nothing happens here any more; what is pending is kept as it is, until it is buried."""
        for task in asyncio.all_tasks(self):
            # Nothing in it runs as long as it is kept, and nobody is to complain.
            setattr(task, "_log_destroy_pending", False)  # noqa: B010
            self._dead.append(task)
        self.close()

    def bury(self) -> None:
        """Let go of what was abandoned: only now may its `finally` blocks run."""
        for task in self._dead:
            with contextlib.suppress(BaseException):
                task.get_coro().close()
        self._dead.clear()
        self.close()

    def kill(self, place: float = 0.0) -> None:
        """Stop for good, in this turn: after this share of what is ready has been done."""
        handle = asyncio.Handle(_kill, (), self, None)
        self._ready.insert(int(place * (len(self._ready) + 1)), handle)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function at once; what it returns comes a little later."""
        future: asyncio.Future[T] = self.create_future()
        try:
            result = func(*args)
        except Exception as error:
            raised: BaseException = error
            if isinstance(error, StopIteration):  # A future does not take one.
                raised = RuntimeError(f"the function raised {error!r}")
            self.call_later(self._pause(), _fail, future, raised)
        else:
            self.call_later(self._pause(), _answer, future, result)
        return future

    def _pause(self) -> float:
        return self._pauses.choice(_THREAD_PAUSES)

    def _refuse(self, what: str) -> NoReturn:
        task = asyncio.current_task(self)
        who = task.get_name().rpartition("/")[2] if task is not None else "something"
        error = OutOfReach(f"a simulation reaches nothing outside, and {who} asked for {what}")
        self.out_of_reach = self.out_of_reach or error
        # Whoever asked may take an error for bad luck and ask again: so nothing goes on.
        self.kill()
        raise error

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """Refused: a simulation has no network."""
        self._refuse(f"the address of {host!r}")

    async def create_connection(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """Refused: a simulation has no network."""
        where = options.get("host", args[0] if args else None) or "a socket"
        self._refuse(f"a connection to {where!r}")

    async def create_server(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """Refused: a simulation has no network."""
        self._refuse("a server")

    async def create_datagram_endpoint(self, protocol_factory: Any, *args: Any, **opts: Any) -> Any:
        """Refused: a simulation has no network."""
        self._refuse("a datagram socket")

    async def create_unix_connection(self, protocol_factory: Any, *args: Any, **opts: Any) -> Any:
        """Refused: a simulation has no network."""
        self._refuse("a connection on this machine")

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Refused: a simulation has no network."""
        self._refuse(f"a connection to {address!r}")

    async def subprocess_exec(self, protocol_factory: Any, *args: Any, **options: Any) -> Any:
        """Refused: a simulation starts no process."""
        self._refuse(f"a process of its own, {args[:1]}")

    async def subprocess_shell(self, protocol_factory: Any, cmd: Any, **options: Any) -> Any:
        """Refused: a simulation starts no process."""
        self._refuse(f"a process of its own, {cmd!r}")


def _kill() -> NoReturn:
    raise Killed("killed by the simulation")


def _answer(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
