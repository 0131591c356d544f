"""The work of `bundles.py` in the way of streamsx.wml: two threads with requests, bundles of 100.

Two senders share one list. Each takes what waits, up to a bundle, and looks again in 0.1 s where
nothing does; who brings a record waits while more than 2,000 are in the list. Each sender has a
session, a waiting feeder is woken at once, and answers are delivered when they come: better than
the original in all three, which has no session, polls, and also delivers out of order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import requests  # type: ignore[import-untyped, import-not-found, unused-ignore]

from peers.flowers import HEADERS, Flower, decode, encode, make
from peers.serving import serve

SENDERS = 2
BUNDLE = 100
QUEUE = 2000
POLL = 0.1


class Bundles:
    """Scores flowers for so long, and remembers the order in which they came out."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: list[Flower] = []
        self._changed = threading.Condition()
        self._stopped = False
        self.came: list[int] = []

    def feed(self, flowers: Sequence[Flower], seconds: float) -> float:
        """Hand in flowers until the time is over; return when all that were taken are scored."""
        threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        n = 0
        while time.perf_counter() - began < seconds:
            with self._changed:
                while len(self._waiting) > QUEUE:
                    self._changed.wait()
                self._waiting.append({**flowers[n % len(flowers)], "n": n})
            n += 1
        self._stopped = True
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if len(self.came) != n:
            raise AssertionError(f"{len(self.came)} of {n} flowers came out")
        return took

    def _send(self) -> None:
        with requests.Session() as session:
            session.headers.update(HEADERS)
            session.trust_env = False
            while True:
                with self._changed:
                    bundle = self._waiting[:BUNDLE]
                    del self._waiting[:BUNDLE]
                    self._changed.notify_all()
                if not bundle:
                    if self._stopped:
                        return
                    time.sleep(POLL)
                    continue
                response = session.post(self._url, data=encode(bundle))
                response.raise_for_status()
                scored = decode(bundle, response.content)
                with self._changed:
                    self.came += [flower["n"] for flower in scored]


def bundles(url: str, seconds: float) -> tuple[float, bool]:
    """Records a second, and whether they came in order."""
    work = Bundles(url)
    took = work.feed(make(50_000), seconds)
    return len(work.came) / took, work.came == sorted(work.came)


if __name__ == "__main__":
    serve({"bundles": bundles})
