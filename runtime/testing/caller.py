"""Calls a batch function or a sink as the engine does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from ..answers import Answer, checked
from ..attempts import Attempts
from ..clock import Clock
from ..contracts import BatchFunction, Sink
from ..counts import NodeCounts
from ..errors import MisconfiguredError, RuntimeFault

__all__ = ["Caller"]


class Caller:
    """One opened batch function or sink, with its timeout, its retries and its halving."""

    def __init__(self, thing: BatchFunction[Any, Any] | Sink[Any]) -> None:
        self._call = thing.write if isinstance(thing, Sink) else thing.call
        self._one_to_one = not isinstance(thing, Sink)
        self._timeout = thing.timeout
        self._attempts: Attempts | None = None
        if thing.repeatable:
            self._attempts = Attempts(
                self._call,
                retry=thing.retry,
                timeout=thing.timeout,
                clock=Clock(asyncio.get_running_loop()),
                counts=NodeCounts("test", "test", None),
                chance=random.Random(0),
                one_to_one=self._one_to_one,
                max_in_flight=1 if isinstance(thing, Sink) else thing.max_in_flight,
            )

    async def call(self, records: Sequence[object]) -> Answer:
        """What became of these records; raises what would fail the job."""
        batch = list(records)
        if self._attempts is not None:
            return await self._attempts.run(batch)
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._call(batch)
            outputs, rejected = checked(result, len(batch), self._one_to_one)
        except (MisconfiguredError, RuntimeFault):
            raise
        except Exception as error:
            if not self._one_to_one:
                raise
            return Answer([], dict.fromkeys(range(len(batch)), (error, None)))
        return Answer(outputs, {index: (error, None) for index, error in rejected.items()})
