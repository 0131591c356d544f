"""What a source is told has arrived: each position once, and of a lane that begins anew."""

from __future__ import annotations

import asyncio

import pytest

from thalweg import Read, Source
from thalweg.runtime.actors.acks import Acks
from thalweg.runtime.bookmarks import Bookmark


class Told(Source[int]):
    """A source that keeps what it is told."""

    def __init__(self) -> None:
        self.acks: list[tuple[str, int]] = []

    async def read(self, limit: int) -> Read[int] | None:
        return None

    async def ack(self, lane: str, position: int) -> None:
        self.acks.append((lane, position))


def told(*epochs: tuple[list[str], dict[str, int], list[str]]) -> list[tuple[str, int]]:
    """What is told of epochs: of each the lanes that are forgotten before it is saved, the lanes
    that it has, and those that are forgotten before it is committed.
    """
    source = Told()

    async def main() -> None:
        acks = Acks(source, lambda error: None)
        for before, marks, meanwhile in epochs:
            acks.forget(before)
            acks.saved()
            acks.forget(meanwhile)
            acks.committed({lane: Bookmark(last) for lane, last in marks.items()})
            acks.begin(asyncio.get_running_loop(), "acks")
            await acks.finish()

    asyncio.run(main())
    return source.acks


def test_a_position_is_told_once() -> None:
    assert told(([], {"a": 3}, []), ([], {"a": 3}, []), ([], {"a": 4}, [])) == [("a", 3), ("a", 4)]


@pytest.mark.parametrize("last", [2, 5, 7])
def test_a_lane_that_begins_anew_is_told_of_wherever_it_stands(last: int) -> None:
    assert told(([], {"a": 5}, []), (["a"], {"a": last}, [])) == [("a", 5), ("a", last)]


def test_an_epoch_that_was_saved_before_a_lane_was_forgotten_tells_nothing_of_it_again() -> None:
    assert told(([], {"a": 5}, []), ([], {"a": 5}, ["a"]), ([], {"a": 0}, [])) == [
        ("a", 5),
        ("a", 0),
    ]
