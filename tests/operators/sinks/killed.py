"""A job that writes to a sink under a store, is killed at random moments and started again.

    python killed.py SINK TARGET STORE ROUNDS LONGEST

One process has everything imported and forks each copy of the job, so that a round takes a few
milliseconds. Each copy plays the runtime's part: it goes on from the last epoch that STORE holds,
and prepares, saves and commits until it is killed, after LONGEST seconds at the latest. The last
copy ends after a few epochs, when ENOUGH records are written: on a slow machine each copy before
it gets little done.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, TypedDict

from thalweg import Sink
from thalweg.operators import sinks
from thalweg.testing import HeldFence, context

ENOUGH = 200


class Saved(TypedDict):
    """What the store holds: `count` records belong to the epoch and those before it."""

    token: int
    epoch: int
    count: int
    prepared: str


def record(number: int) -> dict[str, Any]:
    """The record of this number: from the same source the same ones come again."""
    return {"n": number, "text": f"record {number}", "share": number / 8}


def make(kind: str, target: str) -> Sink[Any]:
    """The sink under test, over a target that a copy before may have written to."""
    match kind:
        case "ndjson":
            return sinks.ndjson(target)
        case "ndjson files":
            return sinks.ndjson(target, files="epoch")
        case "csv":
            return sinks.csv(target)
        case "csv files":
            return sinks.csv(target, files="epoch")
        case "sqlite":
            return sinks.sqlite(target, "records")
        case "sqlite key":
            return sinks.sqlite(target, "records", key=["n"])
        case "parquet":
            return sinks.parquet(target, max_file_rows=50)
        case "postgresql":
            url, _, table = target.rpartition(" ")
            return sinks.postgresql(url, table)
        case "postgresql key":
            url, _, table = target.rpartition(" ")
            return sinks.postgresql(url, table, key=["n"])
        case _:
            raise ValueError(kind)


def load(store: Path) -> Saved:
    """What was last saved."""
    if not store.exists():
        return Saved(token=0, epoch=0, count=0, prepared="")
    saved: Saved = json.loads(store.read_text())
    return saved


def save(store: Path, saved: Saved) -> None:
    """Save it whole or not at all."""
    new = store.with_suffix(".new")
    with new.open("w") as file:
        json.dump(saved, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(store)


async def work(kind: str, target: str, store: Path, epochs: int | None) -> None:
    """One copy of the job: for ever, or for so many epochs and until `ENOUGH` are written."""
    chance = random.Random()
    saved = load(store)
    saved["token"] += 1
    save(store, saved)
    sink = make(kind, target)
    await sink.open(
        context(graph="killed", fence=HeldFence(f"the state of {target}", saved["token"]))
    )
    await sink.discard(saved["epoch"])
    if saved["epoch"]:
        await sink.commit(saved["epoch"], base64.b64decode(saved["prepared"]))
    epoch, count = saved["epoch"], saved["count"]
    upto = count
    while epochs is None or epochs or upto < ENOUGH:
        count = await write(sink, count, chance)
        epoch += 1
        prepared = await sink.prepare(epoch)
        upto = count
        if chance.random() < 0.5:
            count = await write(sink, count, chance)
        text = base64.b64encode(prepared).decode()
        save(store, Saved(token=saved["token"], epoch=epoch, count=upto, prepared=text))
        if chance.random() < 0.5:
            count = await write(sink, count, chance)
        await sink.commit(epoch, prepared)
        epochs = epochs and epochs - 1
    await sink.close()


async def write(sink: Sink[Any], count: int, chance: random.Random) -> int:
    for _ in range(chance.randrange(4)):
        size = chance.choice((1, 7, 60))
        answer = await sink.write([record(n) for n in range(count, count + size)])
        assert answer is None or not answer.rejected
        count += size
    return count


def run(kind: str, target: str, store: Path, rounds: int, longest: float) -> None:
    """All rounds; the last copy is not killed."""
    # What an operator imports when it opens; a copy would need longer for it than it lives.
    if kind == "parquet":
        importlib.import_module("pyarrow.parquet")
    if kind.startswith("postgresql"):
        importlib.import_module("asyncpg")
    for number in range(rounds + 1):
        last = number == rounds
        child = os.fork()
        if not child:
            status = 1
            try:
                asyncio.run(work(kind, target, store, 3 if last else None))
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        if not last:
            time.sleep(random.uniform(0.0, longest))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        wanted = 0 if last else signal.SIGKILL
        if status != wanted:
            sys.exit(f"the copy of round {number} ended with {status}, not with {wanted}")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
