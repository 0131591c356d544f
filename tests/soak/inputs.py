"""What goes into the graph that is killed: a file of orders, and a file of visits that grows."""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path

__all__ = ["Growing", "write_orders"]

ORDERS, VISITS = 2400, 1600
USERS = 700
"""So many that an epoch changes only some of them."""
GROWING = 0.6
"""Seconds in which the visits come."""


def write_orders(path: Path) -> None:
    """Orders of some users, in an order that is nearly that of their times; some are bad."""
    chance = random.Random(1)
    with path.open("w") as file:
        file.write("n,user,amount,at\n")
        for n in range(ORDERS):
            amount = "much" if n % 50 == 7 else n % 13
            at = 1.7e9 + 0.5 * n - chance.choice((0.0, 0.0, 3.0, 4.5, 9.0))
            file.write(f"{n},user-{chance.randrange(USERS)},{amount},{at}\n")


def visits() -> bytes:
    """The whole of the file that grows."""
    chance = random.Random(2)
    return b"".join(
        json.dumps({"n": n, "user": f"user-{chance.randrange(USERS)}", "amount": n % 7}).encode()
        + b"\n"
        for n in range(VISITS)
    )


class Growing(threading.Thread):
    """Writes the visits bit by bit, cut anywhere, also within a line."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        super().__init__(name="visits")
        data = visits()
        cuts = sorted(chance.sample(range(1, len(data)), 80))
        self._pieces = [
            data[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)
        ]
        self._file = path.open("ab", buffering=0)

    def run(self) -> None:
        """Write all of it."""
        with self._file:
            for piece in self._pieces:
                self._file.write(piece)
                time.sleep(GROWING / len(self._pieces))
