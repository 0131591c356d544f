"""Files of activity readings by seed, in the shape of the published Heterogeneity Activity data.

    from thalweg.graphs.data.activity import write_activity
    write_activity("out/activity", files=10)

The data as published is a folder of 80 NDJSON files and Spark's marker files: 6.24 million readings
of the accelerometers of two phones, carried by nine people who did six things, and a seventh that
is the *string* `null`. No package carries it, so this makes such files: the same fields and types,
as many rows in a file and bytes in a row, the published shares of devices and activities. Every
file spans the whole recording and holds its share of the readings, as Spark had shuffled them.

Nothing but the standard library is needed, and a file depends on the seed, its number and its rows
alone: the first ten of eighty are the ten, and the same everywhere.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

__all__ = ["ROWS", "activity_lines", "write_activity"]

ROWS = 78_012
"""Rows in a file, as published."""

# Readings by activity in the first two files as published, of 156,023 in all.
ACTIVITIES = {
    "stand": 22_769,
    "sit": 24_619,
    "walk": 26_512,
    "null": 20_896,
    "stairsup": 20_905,
    "stairsdown": 18_729,
    "bike": 21_593,
}
# How strongly each shakes the phone, in m/s²: what is carried lies nearly still while sitting.
STRENGTH = {
    "stand": 0.02,
    "sit": 0.01,
    "walk": 4.0,
    "null": 1.5,
    "stairsup": 3.5,
    "stairsdown": 5.0,
    "bike": 2.0,
}
USERS = "gcbieadfh"
FIRST_DEVICE = 0.49540
"""The share of nexus4_1."""

BEGAN = 1_424_686_735_000
STEP = 200
"""Milliseconds between two readings of one file."""

PHASES = 80
"""Files that share one recording: so many readings of two devices fall into one step."""

BETWEEN_USERS = 3 * 60 * 60 * 1000
# How far the clock of each phone is from that of the machine that took its readings in.
CLOCK = {"nexus4_1": -2_000_000_000, "nexus4_2": 1_846_053_000_000}
CHUNK = 8_192


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one file in which one person does one thing."""

    user: int
    activity: str
    rows: int


def activity_lines(number: int = 0, *, rows: int = ROWS, seed: int = 0) -> Iterator[str]:
    """The lines of one file, each with its line feed, as they are asked for.

    `number` is that of the file and `rows` the rows in it. No line comes twice, whatever the
    number of files. Raises ValueError for a negative number.

    >>> import json
    >>> reading = json.loads(next(activity_lines(seed=7)))
    >>> reading["Device"], reading["Model"], reading["User"], reading["gt"]
    ('nexus4_2', 'nexus4', 'g', 'stand')
    """
    if number < 0 or rows < 0:
        raise ValueError(f"number={number}, rows={rows}: neither may be negative")
    return _lines(number, rows, random.Random(f"activity {seed} {number}"))


def _lines(number: int, rows: int, chance: random.Random) -> Iterator[str]:
    draw = chance.random
    recording, phase = divmod(number, PHASES)
    # A slot of its own for each reading of a recording, so that none is there twice.
    slot = STEP * 1_000_000 // PHASES
    begins = BEGAN + recording * (len(USERS) * BETWEEN_USERS + rows * STEP)
    row = 0
    index = 0
    user = -1
    for stretch in _stretches(rows):
        if stretch.user != user:
            user, index = stretch.user, phase // 2
        strength = STRENGTH[stretch.activity]
        lean = strength * 0.05 * (1 + user)
        text = f'"Model":"nexus4","User":"{USERS[user]}","gt":"{stretch.activity}","x":'
        for _ in range(stretch.rows):
            measured = (begins + user * BETWEEN_USERS + row * STEP) * 1_000_000 + phase * slot
            measured += int(draw() * slot)
            device = "nexus4_1" if draw() < FIRST_DEVICE else "nexus4_2"
            yield (
                f'{{"Arrival_Time":{measured // 1_000_000 + int(draw() * 4)},'
                f'"Creation_Time":{measured + CLOCK[device]},'
                f'"Device":"{device}","Index":{index},{text}'
                f"{lean + strength * (draw() + draw() - 1):.9f},"
                f'"y":{strength * (draw() + draw() - 1) - lean:.9f},'
                f'"z":{strength * (draw() + draw() - 1):.9f}}}\n'
            )
            row += 1
            index += STEP // 5


def _stretches(rows: int) -> Iterator[Stretch]:
    """Who does what for how many rows: everybody everything in turn, in the published shares."""
    shares = [
        (user, activity, weight)
        for user in range(len(USERS))
        for activity, weight in ACTIVITIES.items()
    ]
    whole = len(USERS) * sum(ACTIVITIES.values())
    passed = before = 0
    for user, activity, weight in shares:
        passed += weight
        until = rows * passed // whole
        if until > before:
            yield Stretch(user, activity, until - before)
        before = until


def write_activity(
    folder: str | os.PathLike[str],
    *,
    files: int = 1,
    rows: int = ROWS,
    seed: int = 0,
    first: int = 0,
    markers: bool = False,
    keep: bool = False,
) -> list[Path]:
    """Write `part-00000-c000.json` and so on into a folder, and return their paths.

    The folder is made where it is not there. Each file appears whole, under its name, after those
    before it, so that a stream may watch the folder meanwhile. `first` is the number of the first
    file, to add some to those that are there; `markers` adds the files that Spark leaves, which
    readers pass over; `keep` leaves a file as it is that is there already. About 15 MB and a third
    of a second for each file of `ROWS` rows. Raises ValueError for a negative number.
    """
    if files < 0 or first < 0 or rows < 0:
        raise ValueError(f"files={files}, first={first}, rows={rows}: none may be negative")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for number in range(first, first + files):
        path = place / f"part-{number:05d}-c000.json"
        written.append(path)
        if keep and path.exists():
            continue
        hidden = place / f".{path.name}"
        lines = activity_lines(number, rows=rows, seed=seed)
        with hidden.open("w", encoding="ascii", newline="") as file:
            while chunk := "".join(islice(lines, CHUNK)):
                file.write(chunk)
        hidden.replace(path)
    if markers:
        for name in (f"_started_{seed}", f"_committed_{seed}", "_SUCCESS"):
            (place / name).touch()
    return written
