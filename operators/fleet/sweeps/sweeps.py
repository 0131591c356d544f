"""Sweeps of a fleet as a source: whom to ask, when, and what has been answered."""

from __future__ import annotations

import asyncio
import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from ....runtime.contracts import Bookmark, Context, MisconfiguredError, Read, Source
from ...sources._note import FORGET, Note, encode_note
from ..probes.probe import Probe
from ..probes.probe_result import ProbeResult
from ..probes.prober import Prober
from ..probes.visit import Visit
from ..targets.target import Target
from ..targets.targets import AnyTargets, Targets
from ..wall_clock import wall_clock
from .sweep import Pairs, Sweep
from .timetable import Timetable
from .waiting_results import WaitingResults

__all__ = ["Sweeps"]

_log = logging.getLogger("thalweg.sources")


class Sweeps(Source[ProbeResult]):
    """The source that `ssh_probe` makes, with any prober: a simulated one asks no machine.

    >>> from thalweg.operators.fleet import Simulated, SimulatedProber, Target, Timetable, probe
    >>> source = Sweeps(
    ...     [Target("lab01")],
    ...     [probe("uptime")],
    ...     timetable=Timetable.of(every="15min", sweeps=96),
    ...     prober=SimulatedProber(lambda visit, probe: Simulated(stdout="up 3 days")),
    ... )

    One task begins the sweeps and sees to it that every target is visited; what comes of that is
    kept until it is read. What has been handed over is written down in the note of each read, so
    that a restart asks for the rest, and for nothing else.
    """

    def __init__(
        self,
        targets: AnyTargets,
        probes: Sequence[Probe],
        *,
        timetable: Timetable,
        prober: Prober,
        max_waiting: int = 10_000,
    ) -> None:
        self._targets = Targets.of(targets)
        self._probes = _checked_probes(probes)
        if not isinstance(cast(object, max_waiting), int) or max_waiting < 0:
            raise ValueError(f"max_waiting is a number of results, 0 or more, not {max_waiting!r}")
        self._timetable = timetable
        self._prober = prober
        self._max_waiting = max_waiting

    async def open(self, context: Context) -> None:
        """Read the list of targets for the first time, and get ready to ask them."""
        self._context = context
        self._prober = copy.copy(self._prober)
        self._results = WaitingResults()
        self._sweep: Sweep | None = None
        self._position = 0
        self._arrived = 0
        self._noted = True
        self._ended = False
        self._error: BaseException | None = None
        self._something = asyncio.Event()
        self._settled = asyncio.Event()
        self._clock = asyncio.get_running_loop().time
        self._wall = wall_clock()
        self._began = 0.0
        self._payloads: dict[str, bytes] = {}
        self._notes: Sequence[str] = ()
        self._task: asyncio.Task[None] | None = None
        self._known = await self._load()
        await self._prober.open(context)

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on with the sweep that was under way, or behind it."""
        mark = bookmarks.get("")
        if mark is None:
            return
        self._position = self._arrived = mark.last + 1
        if mark.note:
            note = Note(mark.note, "ssh_probe", "ssh_probe")
            try:
                self._sweep = Sweep.read(note.text("sweep"))
            except ValueError as error:
                raise MisconfiguredError(f"ssh_probe cannot go on: {error}; {FORGET}") from None

    async def read(self, limit: int) -> Read[ProbeResult] | None:
        """The results that have come, as soon as there are some."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="thalweg-sweeps")
        while not self._results and self._noted:
            if self._ended:
                if self._error is not None:
                    raise self._error
                return None
            self._something.clear()
            await self._something.wait()
        self._noted = True
        results = self._results.take(limit)
        start = self._position
        self._position += len(results)
        sweep = self._sweep
        assert sweep is not None
        single_shot, now = self._timetable.mode == "single_shot", self._wall()
        for result in results:
            answer = single_shot and result["outcome"] == "ok"
            sweep.hand_over(result["target"], result["probe"], now=now, answer=answer)
        self._settled.set()
        note = encode_note("ssh_probe", sweep=sweep.written())
        return Read(results, range(start, self._position), note=note)

    async def ack(self, lane: str, position: int) -> None:
        """So many results have arrived."""
        self._arrived = position + 1
        self._settled.set()

    async def close(self) -> None:
        """Break off what is under way; what runs on the targets ends."""
        task = getattr(self, "_task", None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if hasattr(self, "_known"):
            await self._prober.close()
            self._results.close()

    async def _run(self) -> None:
        try:
            ended = await self._go_on()
            while (due := self._due(ended)) is not None:
                await self._sleep_until(due)
                await self._until(lambda: self._position - self._arrived <= self._max_waiting)
                sweep = await self._begin()
                if sweep is None:
                    break
                await self._ask(sweep, sweep.left)
                ended = await self._handed_over()
        except ExceptionGroup as group:
            self._error = group.exceptions[0]
        except Exception as error:
            self._error = error
        self._ended = True
        self._something.set()

    async def _go_on(self) -> float:
        """End the sweep that a restart has found open; return when it ended, by the loop's time."""
        sweep = self._sweep
        if sweep is None:
            return -math.inf
        # A clock that stepped back between two starts must not make the next one wait for longer.
        age = max(0.0, self._wall() - sweep.began)
        self._began = self._clock() - age
        if not sweep.left:
            return self._clock() - max(0.0, self._wall() - sweep.last)
        if age > self._timetable.every:
            _log.warning("the sweep %d was cut off, and is too old to go on", sweep.id)
            self._interrupt(sweep, sweep.left, "the sweep was cut off, and is too old to go on")
            return await self._handed_over()
        targets = {target.name for target in self._known}
        probes = {probe.name for probe in self._probes}
        left: Pairs = {}
        gone: Pairs = {}
        for target, asked in sweep.left.items():
            for name in asked:
                to = left if target in targets and name in probes else gone
                to.setdefault(target, []).append(name)
        self._interrupt(sweep, gone, "it was no longer asked for when the sweep went on")
        await self._read_scripts()
        await self._ask(sweep, left)
        return await self._handed_over()

    def _due(self, ended: float) -> float | None:
        """When the next sweep begins, by the loop's time; None where there is none."""
        now, sweep, timetable = self._clock(), self._sweep, self._timetable
        if sweep is None:
            return now
        due = max(now, timetable.due(began=self._began, ended=ended))
        since_first = sweep.began - sweep.first + due - self._began
        return None if timetable.is_over(begun=sweep.number, since_first=since_first) else due

    async def _begin(self) -> Sweep | None:
        """Begin a sweep; None where nothing is left to ask."""
        self._known = await self._load()
        await self._read_scripts()
        names = [probe.name for probe in self._probes]
        pairs = {target.name: names for target in self._known}
        sweep = Sweep.begin(pairs, now=self._wall(), before=self._sweep)
        if not sweep.left and self._timetable.mode == "single_shot":
            return None
        self._began = self._clock()
        self._sweep = sweep
        self._noted = False
        self._something.set()
        return sweep

    async def _ask(self, sweep: Sweep, asked: Pairs) -> None:
        """Visit each of these targets, and wait until all have been."""
        targets = {target.name: target for target in self._known}
        probes = {probe.name: probe for probe in self._probes}
        visits = [
            Visit(
                sweep.id,
                sweep.of,
                targets[name],
                tuple(probes[one] for one in wanted),
                self._payloads,
            )
            for name, wanted in asked.items()
        ]
        async with asyncio.TaskGroup() as group:
            for visit in visits:
                name = f"thalweg-visit-{visit.target.name}"
                group.create_task(self._prober.visit(visit, self._take), name=name)
        await self._prober.rest(self._known)

    async def _handed_over(self) -> float:
        """Wait until no result is kept here any more; return when that was."""
        await self._until(lambda: not self._results)
        return self._clock()

    def _take(self, result: ProbeResult) -> None:
        self._results.add(result)
        self._something.set()

    def _interrupt(self, sweep: Sweep, pairs: Pairs, why: str) -> None:
        for target, probes in pairs.items():
            for name in probes:
                self._take(_interrupted(sweep, target, name, why))

    async def _load(self) -> Sequence[Target]:
        """The targets as they are now; those of before where they cannot be read any more."""
        try:
            loaded = await self._context.in_thread(self._targets.load)
        except (MisconfiguredError, OSError, ValueError) as error:
            if self._sweep is None:
                raise
            _log.warning("the list of targets is that of before, since it is broken: %s", error)
            return self._known
        for note in loaded.notes:
            if note not in self._notes:
                _log.warning("%s", note)
        self._notes = loaded.notes
        return loaded.targets

    async def _read_scripts(self) -> None:
        for one in self._probes:
            if one.script is None:
                continue
            try:
                self._payloads = {
                    **self._payloads,
                    one.name: await self._context.in_thread(one.payload),
                }
            except MisconfiguredError as error:
                if one.name not in self._payloads:
                    raise
                _log.warning("the script is that of before: %s", error)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a read or an ack may bring about."""
        while not condition():
            self._settled.clear()
            await self._settled.wait()

    async def _sleep_until(self, due: float) -> None:
        await asyncio.sleep(max(0.0, due - self._clock()))


def _checked_probes(probes: Sequence[Probe]) -> tuple[Probe, ...]:
    if not probes:
        raise ValueError("probes is empty: name at least one command, such as 'uptime'")
    names = [one.name for one in probes]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise ValueError(
            f"two probes are called {double!r}: give one of them a name of its own, "
            "as in probe('df -Pi', name='inodes')"
        )
    return tuple(probes)


def _interrupted(sweep: Sweep, target: str, probe: str, why: str) -> ProbeResult:
    return ProbeResult(
        sweep=sweep.id,
        of=sweep.of,
        target=target,
        probe=probe,
        outcome="interrupted",
        exit_status=None,
        signal=None,
        stdout="",
        stderr="",
        started=sweep.began,
        elapsed_there=None,
        elapsed_here=0.0,
        attempt=1,
        bytes=0,
        truncated=False,
        detail=why,
    )
