"""Simulated workers: when each request is done, to the microsecond."""

from __future__ import annotations

import asyncio

import pytest

from thalweg.deploy.serve.workers import Workers, until
from thalweg.testing import run_virtual


def test_requests_wait_for_the_first_worker_that_is_free() -> None:
    workers = Workers(2, now=0.0)
    done = [workers.done_at(1.0, seconds) for seconds in (5.0, 1.0, 1.0, 1.0, 4.0, 1.0)]
    #       the other worker takes three short ones while the first is at work
    assert done == [6.0, 2.0, 3.0, 4.0, 8.0, 7.0]


def test_without_a_number_nobody_waits() -> None:
    workers = Workers(0, now=0.0)
    assert [workers.done_at(1.0, 5.0) for _ in range(3)] == [6.0, 6.0, 6.0]


def test_more_workers_are_free_at_once_and_fewer_finish_what_they_do() -> None:
    workers = Workers(1, now=0.0)
    assert workers.done_at(0.0, 10.0) == 10.0
    workers.resize(2, now=3.0)
    assert workers.done_at(3.0, 4.0) == 7.0
    workers.resize(1, now=4.0)
    assert workers.done_at(4.0, 1.0) == 8.0


def test_a_moment_is_waited_for_in_full_and_no_wait_adds_to_the_next() -> None:
    workers = Workers(1, now=0.0)
    reached: list[float] = []

    async def main() -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        workers.resize(1, now=began)
        for number in range(1, 101):
            # Each millisecond and a quarter, which no timer of whole milliseconds meets.
            await until(workers.done_at(began, 0.00125), clock)
            assert clock() - began >= 0.00125 * number - 1e-9
            reached.append(clock() - began)

    run_virtual(main)
    assert reached[-1] == pytest.approx(0.125, abs=0.0011)
