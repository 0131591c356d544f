"""The work of `scoring.py` with requests, in 16 threads with a session each."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests  # type: ignore[import-untyped, import-not-found, unused-ignore]

from peers.flowers import (
    HEADERS,
    IN_FLIGHT,
    Delivery,
    Flower,
    batches,
    decode,
    encode,
    make,
    timed,
)
from peers.serving import serve


def by_threads(url: str, flowers: Sequence[Flower], delivery: Delivery) -> None:
    left = iter(batches(flowers))
    lock = threading.Lock()

    def work() -> None:
        with requests.Session() as session:
            session.headers.update(HEADERS)
            session.trust_env = False
            while True:
                with lock:
                    batch = next(left, None)
                if batch is None:
                    return
                response = session.post(url, data=encode(batch))
                response.raise_for_status()
                scored = decode(batch, response.content)
                with lock:
                    delivery.take(scored)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for future in [pool.submit(work) for _ in range(IN_FLIGHT)]:
            future.result()


serve({"requests in 16 threads": timed(by_threads, make(int(sys.argv[1])))})
