"""A job that is killed at any moment and started again ends as one that was not.

`make soak` makes 200 such runs; some of them are among the normal tests.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .killed_run import KilledRun
from .processes import Copies, Programs
from .results import Results, leftovers, results, rows_of, statements

RUNS = int(os.environ.get("THALWEG_SOAK_RUNS", "6"))
FIRST = int(os.environ.get("THALWEG_SOAK_FIRST", "1"))


@dataclass
class Reference:
    """What comes of the run that is not killed, how long it takes, and what points it passes."""

    results: Results
    seen: dict[str, list[str]]
    duration: float
    points: dict[str, int]


@pytest.fixture(scope="module")
def copies() -> Iterator[Copies]:
    """The process that all copies are forked from."""
    with Copies() as process:
        yield process


@pytest.fixture
def schema(postgres_url: str) -> Iterator[str]:
    """A schema with a table that numbers its rows."""
    yield from _schema(postgres_url)


def _schema(url: str) -> Iterator[str]:
    name = f"soak_{uuid.uuid4().hex}"
    statements(
        url,
        f"CREATE SCHEMA {name}",
        f"CREATE TABLE {name}.counts (id bigserial, lane text, n bigint, \"user\" text, "
        "count bigint, amount bigint)",
    )  # fmt: skip
    yield name
    statements(url, f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="module")
def reference(
    copies: Copies, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reference]:
    """The run that nobody kills."""
    folder = tmp_path_factory.mktemp("reference")
    for name in _schema(postgres_url):
        run = KilledRun(folder, copies, random.Random(0), str(folder / "state"))
        run.given = settings(postgres_url, name)
        duration, points = run.uninterrupted()
        assert not leftovers(folder)
        found = results(folder, rows_of(postgres_url, name))
        yield Reference(found, seen(folder), duration, points)


def settings(url: str, schema: str) -> dict[str, str]:
    """The settings of the graph that are the same for all runs."""
    return {"postgres": url, "table": f"{schema}.counts", "columns": "true"}


def seen(folder: Path) -> dict[str, list[str]]:
    """For each lane what was handed to the sink that commits nothing, in order."""
    found: dict[str, list[str]] = {}
    for line in said_of(folder).splitlines():
        lane, what = line.split(" ", 1)
        found.setdefault(lane, []).append(what)
    return found


def said_of(folder: Path, start: int = 0, end: int | None = None) -> str:
    """What stands in the file of that sink; the keys of lanes hold the path of the input."""
    return (folder / "seen").read_bytes()[start:end].decode().replace(str(folder), "")


def check_seen(run: KilledRun, reference: Reference) -> None:
    """Nothing is missing, and nothing came again but what came after the last epoch."""
    ends: list[int | None] = [size for size, _ in run.starts[1:]]
    ends.append(None)
    reached = dict.fromkeys(reference.seen, 0)
    for (start, committed), end in zip(run.starts, ends, strict=True):
        for lane, wanted in reference.seen.items():
            came = [
                line.split(" ", 1)[1]
                for line in said_of(run.folder, start, end).splitlines()
                if line.startswith(f"{lane} ")
            ]
            if not came:
                continue
            first = wanted.index(came[0])
            assert first <= reached[lane], f"{lane}: something is missing before {came[0]}"
            if lane in committed:
                last = next(
                    i for i, one in enumerate(wanted) if one.startswith(f"{committed[lane]} ")
                )
                assert first > last, f"{lane}: {came[0]} came again, which had been committed"
            assert came == wanted[first : first + len(came)]
            reached[lane] = max(reached[lane], first + len(came))
    assert reached == {lane: len(wanted) for lane, wanted in reference.seen.items()}


@pytest.mark.service
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_a_job_that_is_killed_ends_as_one_that_is_not(
    seed: int,
    copies: Copies,
    reference: Reference,
    postgres_url: str,
    schema: str,
    tmp_path: Path,
) -> None:
    chance = random.Random(seed)
    # One run of four keeps its state in PostgreSQL.
    shared = chance.random() < 0.25
    run = KilledRun(tmp_path, copies, chance, postgres_url if shared else str(tmp_path / "state"))
    run.given = settings(postgres_url, schema)
    run.job = schema
    try:
        run.run(chance.randint(1, 5), reference.duration, reference.points)
        compare(run, reference, rows_of(postgres_url, schema))
    except BaseException:
        print(run.told())
        raise
    finally:
        if shared:
            statements(postgres_url, f"DELETE FROM thalweg.jobs WHERE name = '{run.job}'")


@pytest.mark.service
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + max(1, RUNS // 20)))
def test_the_command_itself_is_killed_and_ends_as_one_that_is_not(
    seed: int, reference: Reference, postgres_url: str, schema: str, tmp_path: Path
) -> None:
    chance = random.Random(-seed)
    with Programs() as programs:
        run = KilledRun(tmp_path, programs, chance, str(tmp_path / "state"))
        run.given = settings(postgres_url, schema)
        try:
            # Longer, since it takes some time to start.
            run.run(chance.randint(1, 5), reference.duration + 1.0)
            compare(run, reference, rows_of(postgres_url, schema))
        except BaseException:
            print(run.told())
            raise


def compare(run: KilledRun, reference: Reference, rows: list[dict[str, object]]) -> None:
    """A run has ended as the one that nobody killed, and left nothing behind."""
    found = results(run.folder, rows)
    for name, wanted in reference.results.items():
        assert found[name] == wanted, name
    check_seen(run, reference)
    assert not leftovers(run.folder)
