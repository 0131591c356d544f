"""A worker process: it measures what it is asked to, one line in, one line out."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Mapping

__all__ = ["cpu_seconds", "serve", "timed", "wall_and_cpu_seconds"]


COLLECTOR = (50_000, 20, 50)
"""The garbage collector's settings: those of `thalweg run`, for everyone who takes part."""


def cpu_seconds(work: Callable[[], int], expected: int) -> float:
    """The CPU time of this process, all threads, for `work`, which must return `expected`."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTOR)
    try:
        began = time.process_time()
        result = work()
        took = time.process_time() - began
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
    if result != expected:
        raise AssertionError(f"{work} counted {result} records and not {expected}")
    return took


def wall_and_cpu_seconds(work: Callable[[], int], expected: int) -> tuple[float, float]:
    """The time on the wall, and the CPU time of this process, for `work`."""
    gc.collect()
    began, began_cpu = time.perf_counter(), time.process_time()
    result = work()
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    if result != expected:
        raise AssertionError(f"{work} counted {result} records and not {expected}")
    return took, took_cpu


def timed(work: Callable[[], object]) -> tuple[float, float, object]:
    """The time on the wall, the CPU time of this process, and what `work` returned.

    The garbage collector is set as `cpu_seconds` sets it.
    """
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(*COLLECTOR)
    try:
        began, began_cpu = time.perf_counter(), time.process_time()
        result = work()
        return time.perf_counter() - began, time.process_time() - began_cpu, result
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def serve(contenders: Mapping[str, Callable[..., object]]) -> None:
    """Read `[name, arguments]` a line until the input ends, and answer what that contender says."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        name, given = json.loads(line)
        print(json.dumps(contenders[name](*given)), file=answers, flush=True)
