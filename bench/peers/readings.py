"""The records and the functions of `records.py`: the same for everyone, with nothing imported."""

from __future__ import annotations

from typing import Any

__all__ = ["BATCH", "Count", "Reading", "bare", "convert", "judge", "keep", "make"]

Reading = dict[str, Any]

BATCH = 256
"""Records in a batch, for every peer that takes batches."""


def make(count: int) -> list[Reading]:
    """So many readings of sensors."""
    return [
        {
            "n": n,
            "sensor": f"sensor-{n % 97}",
            "at": 1_700_000_000.0 + n,
            "fahrenheit": 40.0 + n % 61,
            "humidity": 0.25 + n % 64 / 128,
        }
        for n in range(count)
    ]


def convert(reading: Reading) -> Reading:
    """The reading in degrees Celsius."""
    return {
        "n": reading["n"],
        "sensor": reading["sensor"],
        "at": reading["at"],
        "celsius": (reading["fahrenheit"] - 32.0) / 1.8,
        "humidity": reading["humidity"],
    }


def keep(reading: Reading) -> bool:
    """Nine readings of ten."""
    return bool(reading["n"] % 10)


def judge(reading: Reading) -> Reading:
    """The reading, with whether it is too hot or too damp."""
    return {**reading, "alarm": reading["celsius"] > 30.0 or reading["humidity"] > 0.7}


class Count:
    """A sink that counts what it is called with."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, reading: Reading) -> None:
        """One more."""
        self.count += 1


def bare(readings: list[Reading]) -> int:
    """What all are measured against: the same functions in a `for` loop."""
    counted = Count()
    add = counted.add
    for reading in readings:
        converted = convert(reading)
        if keep(converted):
            add(judge(converted))
    return counted.count
