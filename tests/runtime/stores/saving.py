"""A process that saves epochs of a known content until it is killed, or a few.

Each epoch that is saved is told on a line of the output.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys

from thalweg.runtime.errors import StateError
from thalweg.runtime.stores import Checkpoint, Saved, Segment, Store
from thalweg.runtime.stores.locate import store_at
from thalweg.runtime.stores.postgres import PostgresStore

EVERY = 5
"""Every so many epochs the part begins anew."""


def since(epoch: int) -> int:
    return (epoch - 1) // EVERY * EVERY + 1


def made(epoch: int, size: int = 3000) -> Checkpoint:
    """The epoch of this number, which is the same in each process."""
    chance = random.Random(epoch)
    segments = [
        Segment("node", "delta", chance.randbytes(size), since(epoch)),
        Segment("node", "whole", chance.randbytes(chance.randrange(2 * size)), epoch),
    ]
    return Checkpoint(epoch, b"head %d" % epoch, segments, seen=epoch % 2 == 0)


def is_as_made(saved: Saved, size: int = 3000) -> bool:
    """Whether an epoch that was loaded is the one that was made."""
    deltas = [
        made(epoch, size).segments[0].data for epoch in range(since(saved.epoch), saved.epoch + 1)
    ]
    this = made(saved.epoch, size)
    return saved.head == this.head and saved.segments == {
        ("node", "delta"): deltas,
        ("node", "whole"): [this.segments[1].data],
    }


async def save(options: argparse.Namespace) -> None:
    store: Store = store_at(options.location)
    if options.schema:
        store = PostgresStore(options.location, schema=options.schema, lease=options.lease)
    held = await store.open("job")
    epochs = await store.epochs()
    last = epochs[-1].epoch if epochs else 0
    if last:
        await store.load(last)
    print("open", held.token, last, flush=True)
    for epoch in range(last + 1, last + 1 + options.count):
        if options.paced:
            await asyncio.to_thread(sys.stdin.readline)
        try:
            await store.save(made(epoch), keep=2)
        except StateError as error:
            print(type(error).__name__, error, flush=True)
            break
        print("saved", epoch, flush=True)
    await store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("location")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--schema")
    parser.add_argument("--lease", type=float)
    parser.add_argument("--paced", action="store_true", help="save when a line comes in")
    asyncio.run(save(parser.parse_args()))
