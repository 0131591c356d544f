"""`several`: one model on several servers, of which any may answer."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Unpack, cast

from ...runtime.contracts import (
    BusyError,
    Context,
    DataError,
    EndpointStatistics,
    MisconfiguredError,
    UnavailableError,
)
from .endpoint import Answer, Endpoint
from .http_options import HttpOptions
from .member import Member

__all__ = ["Several", "several"]

_SHOWN = 3
"""So many reasons stand in a message; with more servers it would fill the screen."""


class Several(Endpoint):
    """See `several`."""

    def __init__(
        self, endpoints: Sequence[Endpoint], *, first_pause: float, longest_pause: float
    ) -> None:
        if not 0 < first_pause <= longest_pause < float("inf"):
            raise ValueError(
                "0 < first_pause <= longest_pause, in seconds, is asked for, "
                f"not first_pause={first_pause!r}, longest_pause={longest_pause!r}"
            )
        self._endpoints = tuple(endpoints)
        self._pauses = (first_pause, longest_pause)
        self._members: tuple[Member, ...] = ()
        # Where one of them does not look at the values itself, nobody may rely on it.
        self.checks_values = all(endpoint.checks_values for endpoint in self._endpoints)

    def __repr__(self) -> str:
        return f"several([{', '.join(map(repr, self._endpoints))}])"

    async def open(self, context: Context) -> None:
        first, longest = self._pauses
        chance = random.Random()
        self._turn = 0
        self._members = ()
        members: list[Member] = []
        for prototype in self._endpoints:
            endpoint = copy.copy(prototype)
            # Not a share: when the others are down, one of them has all the calls.
            endpoint.max_in_flight = self.max_in_flight
            member = Member(endpoint, first=first, longest=longest, chance=chance)
            members.append(member)
            self._members = tuple(members)  # so that what follows is closed, whatever happens
            try:
                await endpoint.open(context)
                member.opened = True
            except MisconfiguredError as error:
                member.fails(error, 0)
        if not any(member.opened for member in members):
            raise MisconfiguredError(self._told("can be opened"))

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        tried: set[Member] = set()
        refused: tuple[Member, UnavailableError, int] | None = None
        silent: UnavailableError | None = None
        while True:
            member = self._choice(tried, last_resort=refused is None and silent is None)
            if member is None:
                raise self._verdict(silent if refused is None else refused[1])
            tried.add(member)
            since, failures = loop.time(), member.failures
            member.in_flight += 1
            try:
                answer = await self._asked(member, fields, rows)
            except DataError as error:
                error.said_by = repr(member.endpoint)
                member.works(failures)
                raise
            except (BusyError, MisconfiguredError) as error:
                member.fails(error, failures)
            except UnavailableError as error:
                error.said_by = repr(member.endpoint)
                if not error.answered:
                    member.fails(error, failures)
                    silent = error
                elif refused is None:
                    refused = (
                        member,
                        error,
                        failures,
                    )  # It may be the data: another one will tell.
                else:
                    raise  # Two say so, and neither is to blame.
            except asyncio.CancelledError as error:
                vars(error)["said_by"] = repr(member.endpoint)  # For the one who timed the call.
                # By who waits no longer. It had its time, unless another one had most of that.
                if loop.time() - since > (loop.time() - begun) / 2.0:
                    late = UnavailableError(f"{member.endpoint!r} gave no answer in time")
                    member.fails(late, failures)
                raise
            else:
                member.works(failures)
                if refused is not None:
                    refused[0].fails(refused[1], refused[2])
                return answer
            finally:
                member.in_flight -= 1
                member.calls += 1

    async def _asked(
        self, member: Member, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]
    ) -> Answer:
        try:
            answer = await member.endpoint.predict(fields, rows)
        except TimeoutError as error:
            raise UnavailableError(
                f"{member.endpoint!r}: {error or 'a timeout inside the call'}"
            ) from error
        if len(answer.rows) != len(rows):
            raise UnavailableError(
                f"{member.endpoint!r} answered {len(answer.rows)} rows for {len(rows)}: "
                "no row can be told from another, so none is used",
                answered=True,
            )
        return answer

    def _choice(self, tried: set[Member], *, last_resort: bool) -> Member | None:
        """Who is asked next: the one with the fewest calls under way, else by turns."""
        left = [member for member in self._members if member not in tried]
        candidates = [member for member in left if member.takes_calls]
        if not candidates:
            if not last_resort or any(member.is_busy for member in self._members):
                return None
            # All are left out. The caller is patient, and has waited already: to ask one that may
            # be up again is better than to tell of what was.
            candidates = [m for m in left if m.opened and not m.is_misconfigured]
            if not candidates:
                return None
            chosen = min(candidates, key=lambda member: (member.out_for, member.turn))
        else:
            # One that is due has none under way, so its turn comes soon.
            chosen = min(candidates, key=lambda member: (member.in_flight, member.turn))
        self._turn += 1
        chosen.turn = self._turn
        return chosen

    def _verdict(self, failed: UnavailableError | None) -> Exception:
        """The error for a call that nobody answered."""
        if any(member.is_busy for member in self._members):
            # It is alive, so it is waited for, as it would be if it were alone; or for another
            # one, if that is due before.
            pauses = [member.out_for for member in self._members if member.opened]
            return BusyError(self._told("takes calls now"), retry_after=min(pauses))
        if all(member.is_misconfigured for member in self._members):
            return MisconfiguredError(self._told("can be used"))
        if failed is not None and failed.answered:
            return failed
        return UnavailableError(self._told("answers"))

    def _told(self, what: str) -> str:
        reasons = [str(member.reason) for member in self._members if member.reason is not None]
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        return f"none of {len(self._members)} endpoints {what}: {'; '.join(reasons[:_SHOWN])}{more}"

    async def fields(self) -> Mapping[str, str] | None:
        """What the first of them says that answers."""
        failed: Exception | None = None
        for member in self._members:
            if member.opened:
                try:
                    return await member.endpoint.fields()
                except (BusyError, MisconfiguredError, UnavailableError) as error:
                    failed = failed or error
        raise failed or MisconfiguredError(self._told("can be opened"))

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """How each of them stands, in the order in which they were given; () before `open`."""
        return tuple(member.statistics() for member in self._members)

    def told_seconds(self) -> float | None:
        """The mean of what those tell that are healthy, by the calls that each has answered."""
        told = [
            (seconds, member.calls)
            for member in self._members
            if member.reason is None and member.calls
            if (seconds := member.endpoint.told_seconds()) is not None
        ]
        calls = sum(count for _, count in told)
        return sum(seconds * count for seconds, count in told) / calls if calls else None

    async def close(self) -> None:
        async with AsyncExitStack() as closing:  # closes all, whichever fails
            for member in self._members:
                closing.push_async_callback(member.endpoint.close)


def several(
    endpoints: Iterable[str | Endpoint],
    *,
    first_pause: float = 1.0,
    longest_pause: float = 30.0,
    **options: Unpack[HttpOptions],
) -> Endpoint:
    """One model on several servers, of which any may answer.

    >>> several([f"oip+http://127.0.0.1:{port}/v2/models/iris" for port in (8501, 8502)])
    several([oip('http://127.0.0.1:8501/v2/models/iris'), oip('http://127.0.0.1:8502/v2/models/iris')])

    Each call goes to the one with the fewest calls under way. One that is out of reach, is busy or
    has no such model is left out for a while, which grows each time in a row; a busy one for as
    long as it asks. Then a single call tries it. The call itself goes to another one at once, and
    fails only when no other is left. Bad data is nobody's fault and goes nowhere else. An answer
    that says "broken" may be the data's doing: one more is asked, and when that says so too, no
    health suffers. While one is only busy, all are waited for as it asks, and that no call can
    succeed is said only when each one says so. A call that is not answered in time counts against
    the one that had most of the time.

    A text may name several endpoints, too: `score("oip+http://a/v2/models/m
    oip+http://b/v2/models/m", ...)`, see `parse_endpoint`; so may a list.

    Parameters: `endpoints`, texts or endpoints, at least one; the calls under way at once, which
    `score` limits, are those of all together. `first_pause`, the longest time in seconds for which
    one is left out at first (1), doubled each time it fails again; `longest_pause`, the longest of
    all (30); the others, see `HttpOptions`, for those that are given as text. Raises ValueError
    for an empty list, for one that is given twice, or a wrong pause or option; TypeError for what
    is no endpoint. At the start, MisconfiguredError where none can be opened.
    """
    from .parse import parse_endpoint  # which makes one of these, where a text names several

    if isinstance(endpoints, str | Endpoint):
        raise TypeError(f"several takes a list of endpoints, not {type(endpoints).__name__}")
    given = list(endpoints)
    if not given:
        raise ValueError("several takes at least one endpoint, and the list is empty")
    for index, one in enumerate(given):
        if not isinstance(cast(object, one), str | Endpoint):
            raise TypeError(
                "an endpoint is text such as 'onnx:model.onnx' or an Endpoint such as "
                f"onnx('model.onnx'), not {one!r}"
            )
        if one in given[:index]:
            shown = repr(parse_endpoint(one) if isinstance(one, str) else one)
            raise ValueError(f"{shown} is given twice: one server has one place in the list")
    told = [name for name, value in options.items() if value is not None]
    for one in given:
        if told and isinstance(one, Endpoint):
            raise ValueError(
                f"{told[0]} belongs to the endpoint: give it to {one!r}, where that is made"
            )
    made = [parse_endpoint(one, **options) if isinstance(one, str) else one for one in given]
    return Several(made, first_pause=first_pause, longest_pause=longest_pause)
