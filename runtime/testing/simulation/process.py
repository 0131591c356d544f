"""One start of the simulated program: a loop and a job, until it ends, fails or is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal, NoReturn, cast

from ...actors import Actor
from ...checkpoints.coordinator import Coordinator
from ...checkpoints.options import State
from ...checkpoints.parts import Part
from ...contracts import Operator
from ...errors import ThalwegError
from ...graph import Graph
from ...job import Job
from ...nodes import overrides
from ...plan import Plan
from ..still_selector import DeadlockError
from .faults import Fault
from .loop import Killed, SimulatedLoop
from .sinks import SimulatedSink
from .store import SimulatedStore
from .targets import PlainTarget
from .world import World

__all__ = ["Ending", "Process"]

Ending = Literal["ended", "suspended", "failed", "killed"]
"""How a start came to its end."""

_HAND_OVERS = ("emit", "emit_all", "forward", "rest", "await_input")
_INTERVALS = (0.03, 0.2, 2.0)
_BATCHES = (1, 2, 3, 7)
_PATIENCE = (0.3, 20.0, 300.0)
_AWAY = (0.05, 1.0, 12.0, 100.0)
_DOWN = (0.0, 0.01, 2.0, 60.0)
"""Seconds: between epochs, of patience with a store, of a store that is away, between starts."""


class ActorKilled(Exception):
    """What an actor dies of in a simulation."""


class Process:
    """One start of the program. What it has not done when it is killed, nobody does for it."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.starts += 1
        self.alive = True
        self.error: Exception | None = None
        """Why it failed, if it did."""
        self._excuses = ["(simulated)", "the simulated store", "killed by the simulation"]
        self.job: Job | None = None
        self.on_lost_connection: list[Callable[[], None]] = []
        if world.starts > 1:
            world.now += world.chance.choice(_DOWN)
        self.loop = SimulatedLoop(
            seed=world.chance.getrandbits(32),
            now=world.now,
            wall=lambda: world.wall(self.now()),
            turn=self._turn,
        )
        self._never: asyncio.Future[None] = self.loop.create_future()
        self._unheard: list[str] = []

    def now(self) -> float:
        """The virtual time, in seconds since the first start."""
        return self.loop.time()

    def blame(self, what: str, *, excuse: str = "") -> None:
        """Note that a fault has reached this process, and by which words an error shows that."""
        if excuse:
            self._excuses.append(excuse)
        self.world.tell(what, self.now())

    def excused(self, error: BaseException | None) -> bool:
        """Whether an error comes of a fault that was injected here."""
        while error is not None:
            text = f"{type(error).__name__}: {error}"
            if any(excuse in text for excuse in self._excuses):
                return True
            error = error.__cause__ or error.__context__
        return False

    async def die(self) -> None:
        """Be killed here."""
        self.alive = False
        self.loop.kill()
        await self._never

    async def never(self) -> NoReturn:
        """Wait for ever."""
        await self._never
        raise AssertionError("what never happens has happened")

    def run(self, graph: Graph) -> Ending:
        """Run the graph until the process has come to its end.

        Raises what only the simulation itself can raise: OutOfReach, StalledError.
        """
        loop = self.loop
        loop.set_exception_handler(self._note)
        ending: Ending = "killed"
        try:
            ending = loop.complete(self._live(graph))
            if ending != "failed":
                self._look_behind()
        except Killed:
            pass
        except DeadlockError as error:
            self.world.complain(f"everything waits, and nothing can happen: {error}")
            self.error = error
            ending = "failed"
        finally:
            self.world.now = self.now()
            self.alive = False
            loop.abandon()
        for what in self._unheard:
            self.world.complain(what)
        return ending

    def bury(self) -> None:
        """Let go of what a killed process held."""
        self.loop.bury()

    async def _live(self, graph: Graph) -> Ending:
        plan = Plan.of(graph)
        # So that each row of a target tells where it came from.
        plan = replace(plan, actors=tuple(replace(one, exact=True) for one in plan.actors))
        try:
            async with Job(plan, state=self._state()) as job:
                self.job = job
                assert job.restored is not None
                self.world.go_back(job.restored.epoch)
                for actor in job.actors:
                    self._attend(actor)
                await job.wait()
        except ThalwegError as error:
            self.error = error
            return "failed"
        if job.state == "suspended":
            return "suspended"
        progress = job.progress()
        if progress.in_flight:
            self.world.complain(f"the job has ended with {progress.in_flight} records under way")
        return "ended"

    def _state(self) -> State:
        chance = self.world.chance
        return State(
            SimulatedStore(self),
            interval=chance.choice(_INTERVALS),
            batches=chance.choice(_BATCHES),
            keep=chance.choice((1, 2, 3)),
            patience=chance.choice(_PATIENCE),
        )

    def _attend(self, actor: Actor) -> None:
        """Note at which rows of a target each epoch stands, and where rows come from."""
        node = actor.nodes[-1]
        work, target = node.work, self.world.targets.get(node.name)
        if isinstance(work, Operator):
            self._watch_clock(node.name, cast("Operator[object, object]", work))
        if isinstance(work, SimulatedSink):
            work.whence = actor
        if isinstance(target, PlainTarget):
            _mark_epochs(actor, target)

    def _watch_clock(self, node: str, operator: Operator[object, object]) -> None:
        """Note when an operator emits something because it is time to."""
        if not overrides(operator, Operator, "on_wake"):
            return
        on_wake, noted = operator.on_wake, self.world.by_the_clock

        def watched(now: float) -> Iterable[object]:
            for record in on_wake(now):
                noted.add(node)
                yield record

        object.__setattr__(operator, "on_wake", watched)

    def _turn(self) -> None:
        if self.alive:
            for fault in self.world.turn():
                self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        chance, world = random.Random(fault.seed), self.world
        match fault.kind:
            case "process":
                self.blame("the process is killed")
                self.alive = False
                self.loop.kill(chance.random())
            case "actor" | "suspend" if self.job is None:
                world.postpone(fault, chance.randrange(1, 40))
            case "actor":
                self._kill_actor(chance)
            case "suspend":
                assert self.job is not None
                if self.job.state == "running":
                    self.blame("the job is suspended")
                    task = self.loop.create_task(self.job.suspend())
                    task.add_done_callback(_heard)
            case "clock":
                world.ahead += chance.choice((-3600.0, 3600.0))
                self.blame(f"the clock of the machine jumps to {world.ahead:+,.0f} s")
            case "store":
                self._break_store(chance)
            case _:
                for lose in self.on_lost_connection:
                    self.blame("the broker loses its connection")
                    lose()

    def _kill_actor(self, chance: random.Random) -> None:
        assert self.job is not None
        live = [one for one in self.job.actors if not one.stopping]
        if not live:
            return
        actor = chance.choice(live)
        if chance.random() < 0.5:
            self.blame(
                f"the actor {actor.name} is cancelled where it waits",
                excuse="cancelled by something inside it",
            )
            for task in asyncio.all_tasks(self.loop):
                if task.get_name() == f"thalweg:{self.job.name}/{actor.name}":
                    task.cancel()
            return
        self.blame(f"the actor {actor.name} raises when it next waits or hands something over")

        async def raising(*args: object, **options: object) -> NoReturn:
            raise ActorKilled("killed by the simulation")

        for name in _HAND_OVERS:
            setattr(actor, name, raising)

    def _break_store(self, chance: random.Random) -> None:
        world = self.world
        if chance.random() < 0.2:
            world.damage_next = True
            return
        world.store_full = chance.random() < 0.3
        seconds = chance.choice(_AWAY)
        world.store_back_at = self.now() + seconds
        what = "has no room" if world.store_full else "cannot be reached"
        self.blame(f"the store {what} for {seconds:g} s")

    def _look_behind(self) -> None:
        """A job that has ended leaves nothing behind that goes on."""
        for task in asyncio.all_tasks(self.loop):
            if task.get_name().startswith("thalweg:"):
                self._unheard.append(f"a task was left behind: {task.get_name()}")

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self.alive:
            error = context.get("exception")
            self._unheard.append(f"{context.get('message')}: {error!r}")


def _mark_epochs(actor: Actor, target: PlainTarget) -> None:
    """Note how much a target held at the barrier of each epoch, and at the end."""
    save, save_end = actor.save, actor.save_end

    async def marked(epoch: int) -> Part:
        target.mark(epoch)
        return await save(epoch)

    async def marked_end(keeper: Coordinator) -> Part:
        part = await save_end(keeper)
        target.mark(keeper.upcoming(actor))
        return part

    setattr(actor, "save", marked)  # noqa: B010
    setattr(actor, "save_end", marked_end)  # noqa: B010


def _heard(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
