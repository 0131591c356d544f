"""The work of `records.py` on reactivex, which knows records only."""

from __future__ import annotations

import sys

import reactivex  # type: ignore[import-not-found]
from reactivex import operators  # type: ignore[import-not-found]

from peers.readings import Count, bare, convert, judge, keep, make
from peers.serving import cpu_seconds, serve

readings = make(int(sys.argv[1]))
expected = bare(readings)


def by_record() -> int:
    counted = Count()
    reactivex.from_iterable(readings).pipe(
        operators.map(convert), operators.filter(keep), operators.map(judge)
    ).subscribe(counted.add)
    return counted.count


serve(
    {
        "bare loop": lambda: cpu_seconds(lambda: bare(readings), expected),
        "reactivex": lambda: cpu_seconds(by_record, expected),
    }
)
