"""Results that wait to be read: in memory up to a limit, then in a file."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from thalweg.operators.fleet import ProbeResult, result_of
from thalweg.operators.fleet.sweeps.waiting_results import WaitingResults


@pytest.fixture
def waiting() -> Iterator[WaitingResults]:
    made = WaitingResults(memory=10_000)
    yield made
    made.close()


def one(number: int, size: int = 1000) -> ProbeResult:
    return result_of("é" * size, sweep=number)


def unnamed() -> set[Path]:
    """The files of this process that have no name."""
    return {
        path for path in Path("/proc/self/fd").iterdir()
        if os.path.lexists(path) and str(path.readlink()).endswith(" (deleted)")
    }  # fmt: skip


def numbers(results: list[ProbeResult]) -> list[int]:
    return [result["sweep"] for result in results]


def test_they_come_out_as_they_went_in_however_they_are_kept(waiting: WaitingResults) -> None:
    chance, added, taken = random.Random(7), 0, list[int]()
    for _ in range(300):
        for _ in range(chance.randrange(20)):
            waiting.add(one(added, chance.randrange(3000)))
            added += 1
        taken += numbers(waiting.take(chance.randrange(1, 22)))
        assert len(waiting) == added - len(taken)
    while len(waiting):
        taken += numbers(waiting.take(50))
    assert taken == list(range(added))
    waiting.add(one(added))
    assert waiting.take(5) == [one(added)]


def test_a_little_is_in_memory_and_much_in_a_file_that_becomes_empty_again(
    waiting: WaitingResults,
) -> None:
    before = unnamed()
    for number in range(5):
        waiting.add(one(number))
    assert unnamed() == before
    for number in range(5, 500):
        waiting.add(one(number))
    [file] = unnamed() - before
    # Two bytes for each character, of all but the few that memory takes.
    assert file.stat().st_size > 480 * 2000
    assert numbers(waiting.take(1000)) == list(range(500))
    assert file.stat().st_size == 0
    waiting.close()
    assert unnamed() == before


def test_what_is_large_is_not_taken_all_at_once(waiting: WaitingResults) -> None:
    for number in range(10):
        waiting.add(one(number, 3_000_000))
    assert numbers(waiting.take(100)) == [0, 1, 2]
    assert numbers(waiting.take(100)) == [3, 4, 5]


def test_where_the_disk_is_full_they_wait_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(**options: object) -> IO[bytes]:
        return open("/dev/full", "r+b", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    waiting = WaitingResults(memory=2_000)
    for number in range(100):
        waiting.add(one(number))
    assert numbers(waiting.take(1000)) == list(range(100))
    waiting.close()
    assert caplog.text.count("results wait in memory") == 1
    assert "No space left" in caplog.text
