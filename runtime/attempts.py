"""Repeated calls: retries with patience, and halving until the bad record stands alone.

Only what is declared `repeatable` comes here. What an answer means:

- `DataError`: the batch is halved, down to the records that are refused alone; or each of its
  records is asked for singly. When every record of a batch is refused alone (or of ten batches of
  one), one that passed before is sent again: if that is refused too, or none ever passed, it is not
  the data.
- `BusyError`: wait as told, then again; fewer calls at once meanwhile.
- `UnavailableError`: again with backoff. When the retries are used up and the other side did
  answer, it may be the data after all, since servers disagree about codes: if other calls pass
  meanwhile, or a record that passed before still does, the batch is halved too. Otherwise the
  other side is down, and `Retry.when_down` says what that means: to wait is to open the circuit
  breaker, which lets one call ask for all.
- `MisconfiguredError`: where nothing has ever passed, a failure of the node. Later something has
  changed over there, and the node pauses, as behind an open breaker, unless told to fail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Protocol, cast

from .answers import Answer, checked
from .batch import Records
from .breaker import Breaker
from .clock import Clock
from .concurrency import Concurrency
from .counts import NodeCounts
from .errors import BusyError, DataError, MisconfiguredError, RuntimeFault, UnavailableError
from .retry import Retry
from .trail import Trail
from .tuning.meter import Observer
from .watch import Watch

__all__ = ["Attempts", "Repeatable"]

_LONGEST_ADVICE = 600.0
"""Seconds: what is advised beyond is not believed."""

_ENOUGH = 10
"""So many records refused alone, and none passed between them: fewer may be bad luck."""


class Repeatable(Protocol):
    """What is called: `BatchFunction.call`, or a sink's `write`."""

    async def __call__(self, records: Sequence[object], /) -> object: ...


class Attempts:
    """The calls of one repeatable node, which learn from each other while in flight.

    `one_to_one` says that each record has one output; a sink has none. `name` is what is called,
    for errors. `max_in_flight` calls run at once at most, pauses between them not counted. `divide`
    says how a refused batch is taken apart.
    """

    def __init__(
        self,
        call: Repeatable,
        *,
        retry: Retry,
        timeout: float,
        clock: Clock,
        counts: NodeCounts,
        chance: random.Random,
        one_to_one: bool = True,
        name: str | None = None,
        max_in_flight: int = 1,
        divide: Literal["halves", "singly"] = "halves",
    ) -> None:
        self._call = call
        self._divide = divide
        self.permits = Concurrency(max_in_flight)
        self.breaker = Breaker(clock.monotonic)
        self.observer: Observer | None = None
        self._retry = retry
        self._timeout = timeout
        self._clock = clock
        self._counts = counts
        self._chance = chance
        self._one_to_one = one_to_one
        self._silence = f"no answer within {timeout:g} s"
        if name is not None:
            self._silence = f"{name} gave {self._silence}"
        self._passed = 0
        self._good: list[object] = []
        self._passed_then: int = 0
        self._refused_alone = 0  # since that many had passed
        self._watch: Watch[asyncio.Task[object]] | None = None
        self._late: set[asyncio.Task[object]] = set()

    def close(self) -> None:
        """No call will follow."""
        if self._watch is not None:
            self._watch.close()

    def _expire(self, task: asyncio.Task[object]) -> None:
        self._late.add(task)
        task.cancel()

    async def run(self, records: Records, task: asyncio.Task[None] | None = None) -> Answer:
        """Call until it is known what became of every record, in `task`: the one that runs."""
        since = self._passed
        answer: Answer | None = None
        failed: Exception | None = None
        if self.breaker.is_open:
            answer = await self._settle(records, None, self._retry.attempts)
        else:
            try:
                answer = await self._once(records, None, task)
            except Exception as error:
                failed = error
        if failed is not None:
            try:
                answer = await self._settle(records, None, self._retry.attempts, (failed, since))
            finally:
                failed = None  # Or it would hold itself, and the records, by its traceback.
        assert answer is not None
        if answer.rejected and len(answer.rejected) == len(records):
            await self._blame_the_data(answer)
        return answer

    async def _settle(
        self,
        records: Records,
        trail: Trail | None,
        patience: int,
        first: tuple[Exception, int] | None = None,
    ) -> Answer:
        """Repeat the call as long as it makes sense; halve the batch if it may be the data.

        `trail` is what the records went through before, `first` what came of the first try, if
        that was made, and what had passed before it.
        """
        attempts = busy = 0
        proven = False
        breaker = self.breaker
        count, failed_at = len(records), 0.0
        while True:
            for_all = first is None and breaker.is_open and await breaker.admit()
            if attempts and trail is not None:
                trail = trail.waited(self._clock.monotonic() - failed_at)
            attempts += 1
            # What passed before this try says nothing: the other side may have broken since.
            since = self._passed
            reason: Exception
            apart: tuple[Exception, int] | None = None
            try:
                if first is not None:
                    error, since = first
                    first = None
                    raise error
                return await self._once(records, trail)
            except RuntimeFault:
                raise
            except MisconfiguredError as error:
                trail = Trail.after(trail, error, count)
                if not self._passed or self._retry.when_misconfigured == "fail":
                    raise
                breaker.open(str(error), self._retry.longest)
                pause, reason = 0.0, error
            except BusyError as error:
                trail = Trail.after(trail, error, count)
                busy += 1
                pause, reason = self._advice(error, busy), error
            except UnavailableError as error:
                trail = Trail.after(trail, error, count)
                if self.observer is not None:
                    self.observer.failed()
                if error.answered and attempts - busy >= patience:
                    if proven:
                        apart = error, 1
                    elif await self._others_pass(records, since):
                        if count == 1:
                            # The other side may have come back just now: a record is not given up
                            # before it has failed once more.
                            proven, failed_at = True, self._clock.monotonic()
                            continue
                        # Evidence is there, so the parts need not be as patient again.
                        apart = error, min(2, patience)
                pause, reason = self._pause(attempts - busy), error
                if apart is None and attempts - busy >= self._retry.attempts:
                    if self._retry.when_down == "fail":
                        raise MisconfiguredError(
                            f"given up after {attempts} tries: {error}"
                        ) from error
                    if self._retry.when_down == "failed":
                        return Answer([], dict.fromkeys(range(count), (error, trail)))
                    breaker.open(str(error), pause)
                    pause = 0.0
            except Exception as error:
                if not self._one_to_one and not isinstance(error, DataError):
                    raise  # A sink breaks by any error of its own; a function is asked for less.
                trail = Trail.after(trail, error, count)
                pause, reason, apart = 0.0, error, (error, patience)
            finally:
                if for_all:
                    breaker.report()
            if apart is not None:
                # After the report: each part asks for all in its turn, while the breaker is open.
                return await self._take_apart(records, trail, *apart)
            failed_at = self._clock.monotonic()
            self._counts.retries += 1
            self._counts.waiting = self._told(attempts + 1, reason)
            if pause:
                await asyncio.sleep(pause)

    def _told(self, attempt: int, reason: Exception) -> str:
        """What is waited for, in words."""
        if not self.breaker.is_open:
            return f"try {attempt} after: {reason}"
        if isinstance(reason, MisconfiguredError):
            return f"paused, and asks again each {self._retry.longest:g} s: {reason}"
        return f"down: one call asks again for all, after: {reason}"

    async def _once(
        self, records: Records, trail: Trail | None, task: asyncio.Task[None] | None = None
    ) -> Answer:
        """One call, limited in time, its answer checked against the number of records."""
        if task is None:
            task = asyncio.current_task()
            assert task is not None
        watch = self._watch
        if watch is None:
            loop = asyncio.get_running_loop()
            watch = self._watch = Watch(loop, self._clock.monotonic, self._timeout, self._expire)
        permits = self.permits
        permit = permits.begin()
        if permit is None:
            permit = await permits.wait()
        watch.start(task)
        began = 0.0 if self.observer is None else self._clock.monotonic()
        try:
            result = await self._call(records)
        except BusyError:
            permits.refused(permit)
            if self.observer is not None:
                self.observer.refused()
            raise
        except asyncio.CancelledError as error:
            if task in self._late and task.cancelling() == 1:
                silent = UnavailableError(self._silence)
                silent.said_by = getattr(error, "said_by", None)
                raise silent from None
            if task.cancelling():
                raise
            raise UnavailableError("the call was cancelled by something inside it") from None
        except TimeoutError as error:
            raise UnavailableError(str(error) or "a timeout inside the call") from error
        finally:
            permits.end()
            watch.stop(task)
            if self._late and task in self._late:
                self._late.discard(task)
                task.uncancel()
        if permits.allowed < permits.most:
            permits.passed()
        if self.breaker.is_open:
            self.breaker.close()
        if self.observer is not None:
            self.observer.answered(len(records), self._clock.monotonic() - began)
        kind = type(result)
        if kind is list and self._good:
            whole = cast("Records", result)
            if len(whole) == len(records):
                # What nearly every call comes to, without a look at what may be wrong with it.
                self._passed += 1
                self._counts.waiting = None
                return Answer(whole, {})
        outputs, rejected = checked(result, len(records), self._one_to_one)
        if len(rejected) < len(records):
            self._passed += 1
            self._counts.waiting = None
            if not self._good:
                index = next(i for i in range(len(records)) if i not in rejected)
                self._good = [records[index]]
        if trail is None:
            return Answer(outputs, {index: (error, None) for index, error in rejected.items()})
        return Answer(
            outputs,
            {
                index: (error, Trail.after(trail, error, len(records)))
                for index, error in rejected.items()
            },
        )

    async def _take_apart(
        self, records: Records, trail: Trail, error: Exception, patience: int
    ) -> Answer:
        """Ask for each part alone; a record that is refused alone is rejected."""
        count = len(records)
        if count == 1:
            return Answer([], {0: (error, trail)})
        cuts = range(count + 1) if self._divide == "singly" else (0, count // 2, count)
        answer = Answer([], {})
        for start, stop in pairwise(cuts):
            answer.follow(await self._settle(records[start:stop], trail, patience), start)
        return answer

    async def _blame_the_data(self, refused: Answer) -> None:
        """Return when a record that passed before still passes; raise when it is not the data."""
        count, error = len(refused.rejected), refused.rejected[0][0]
        if isinstance(error, UnavailableError) or (
            count > 1 and all(trail is None for _, trail in refused.rejected.values())
        ):
            return  # Given up as told, or rejected by the function itself without a refusal.
        if not self._good:
            self._refused_alone += count
            if self._refused_alone < _ENOUGH:
                return
            raise MisconfiguredError(
                f"each of {self._refused_alone} records was refused alone, and none has ever "
                f"passed: it is not the data: {error}"
            ) from error
        if not self._one_to_one:
            return  # To ask a sink is to write the record once more.
        if count == 1:
            # Batches of one record: a few bad ones in a row may be bad luck.
            if self._passed != self._passed_then:
                self._passed_then, self._refused_alone = self._passed, 0
            self._refused_alone += 1
            if self._refused_alone < _ENOUGH:
                return
            count, self._refused_alone = self._refused_alone, 0
        answer = await self._settle(self._good, None, self._retry.attempts)
        if answer.rejected:
            again = answer.rejected[0][0]
            raise MisconfiguredError(
                f"each of {count} records was refused alone, and so was one that passed before: "
                f"it is not the data: {again}"
            ) from again

    async def _others_pass(self, records: Records, since: int) -> bool:
        """Whether the other side works for other data than this."""
        if self._passed > since or not self._one_to_one:
            return self._passed > since
        if self._good:
            candidates = [self._good]
        elif len(records) > 1:
            candidates = [
                [records[0]],
                [records[-1]],
                [records[self._chance.randrange(len(records))]],
            ]
        else:
            candidates = []
        for candidate in candidates:
            try:
                await self._once(candidate, None)
            except (UnavailableError, BusyError, DataError):
                continue
            return True
        return False

    def _pause(self, attempt: int) -> float:
        """The pause before the next try; never short once the retries are used up."""
        pause = self._retry.pause(attempt, self._chance)
        return pause if attempt < self._retry.attempts else max(pause, self._retry.longest / 2)

    def _advice(self, error: BusyError, attempt: int) -> float:
        """How long to wait: as told, with a little jitter so that not all come back at once."""
        told = error.retry_after
        if told is None and error.retry_at is not None:
            told = error.retry_at - self._clock.now()
        if told is None:
            return self._retry.pause(attempt, self._chance)
        told = min(max(told, 0.0), _LONGEST_ADVICE)
        jitter = self._chance.uniform(0.0, min(1.0, 0.1 * told + 0.001))
        # Not less than without advice: "now", or a clock that is ahead of theirs, is no licence.
        return max(told + jitter, self._retry.pause(attempt, self._chance))
