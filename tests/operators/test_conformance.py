"""The conformance suites, over every source, sink and function that ships."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from importlib import import_module
from math import dist
from pathlib import Path
from typing import Any, cast

import pytest

from thalweg import Bookmark, Context, DataError, Read
from thalweg.deploy.serve import serving
from thalweg.operators import endpoints, score, sinks, sources
from thalweg.operators.endpoints import Answer, Endpoint, parse_endpoint
from thalweg.operators.sources import Push
from thalweg.testing import (
    FUNCTION_CHECKS,
    SINK_CHECKS,
    SOURCE_CHECKS,
    CollectingSink,
    FunctionCase,
    SinkCase,
    SourceCase,
    run_virtual,
    scripted,
)

Check = Callable[[Any], Awaitable[None]]
Flower = Mapping[str, object]

MODEL = Path(__file__).parents[2] / "graphs" / "models" / "iris.onnx"
FIELDS = {
    "sepal_length": "Sepal.Length",
    "sepal_width": "Sepal.Width",
    "petal_length": "Petal.Length",
    "petal_width": "Petal.Width",
}
ROWS = [(5.1, 3.5, 1.4, 0.2), (7.0, 3.2, 4.7, 1.4), (6.3, 3.3, 6.0, 2.5), (5.8, 2.7, 5.1, 1.9)]


def name_of(value: object) -> str:
    return str(getattr(value, "__name__", value))


class Fed(Push[int]):
    """A push source that is fed as soon as it opens."""

    async def open(self, context: Context) -> None:
        await super().open(context)
        await self.push(list(range(30)))
        await self.end()


async def thirty() -> AsyncIterator[int]:
    for number in range(30):
        await asyncio.sleep(0.01 * (number % 3))
        yield number


SOURCES: dict[str, SourceCase[Any]] = {
    "records": SourceCase(lambda: sources.records(range(30)), range(30)),
    "records_from_a_callable": SourceCase(
        lambda: sources.records(lambda: iter(range(30))), range(30)
    ),
    "generate": SourceCase(lambda: sources.generate(thirty), range(30)),
    "push": SourceCase(lambda: Fed(capacity=100), range(30)),
    "scripted": SourceCase(lambda: scripted(*range(30)), range(30)),
}


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
@pytest.mark.parametrize("source", SOURCES)
def test_a_source_keeps_the_contract(source: str, check: Check) -> None:
    run_virtual(lambda: check(SOURCES[source]))


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_csv_records_keep_the_contract(check: Check, repeat: int, tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text("name,value\r\n" + "".join(f'"n,{n}",{n}\r\n' for n in range(10)) + "bad,x\r\n")
    rows = [{"name": f"n,{n}", "value": n} for n in range(10)] * repeat
    case = SourceCase(
        lambda: sources.csv_records(path, columns={"name": str, "value": int}, repeat=repeat),
        rows,
        rejected=repeat,
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_ndjson_records_keep_the_contract(check: Check, tmp_path: Path) -> None:
    for name in "abc":
        lines = [f'{{"{name}": {n}}}\r\n' for n in range(10)]
        (tmp_path / f"{name}.ndjson").write_text("\ufeff" + "".join(lines) + "\nbad\n{}")
    case = SourceCase(
        lambda: sources.ndjson_records(tmp_path / "*.ndjson"),
        [record for name in "abc" for record in [*({name: n} for n in range(10)), {}]],
        rejected=3,
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_files_keep_the_contract(check: Check, form: Any, tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    pa: Any = arrow
    writing: Any = parquet
    for name in "ab":
        path, numbers = tmp_path / f"{name}.{form}", range(3)
        if form == "ndjson":
            path.write_text("".join(f'{{"n": {n}, "s": "{name}"}}\n' for n in numbers) + "torn")
        elif form == "csv":
            path.write_text("n,s\n" + "".join(f"{n},{name}\n" for n in numbers) + "torn,\n")
        else:
            writing.write_table(pa.table({"n": list(numbers), "s": [name] * 3}), path)
        os.utime(path, (0, 0))
    schema = {"n": int, "s": str}
    case = SourceCase(
        lambda: sources.files(tmp_path, format=form, schema=schema, max_files_per_trigger=1),
        [{"n": n, "s": name} for name in "ab" for n in range(3)],
        rejected=0 if form == "parquet" else 2,
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_lines_keep_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("zwölf Böxkämpfer\n".encode() * 20 + b"\xff\n\nlast")
    expected = ["zwölf Böxkämpfer"] * 20 + ["", "last"]
    case = SourceCase(lambda: sources.lines(path), expected, rejected=1)
    run_virtual(lambda: check(case))


class LinesUntilEnd(sources.TextLines):
    """Follows a file, to the line that says that it is the last one."""

    async def open(self, context: Context) -> None:
        await super().open(context)
        self.ended = False

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        await super().seek(bookmarks)
        self.ended = any(mark.last >= 80 for mark in bookmarks.values())

    async def read(self, limit: int) -> Read[str] | None:
        if self.ended:
            return None
        read = await super().read(limit)
        self.ended = bool(read and read.records and read.records[-1] == "end")
        return read


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_lines_that_are_followed_keep_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"one\ntwo\n" * 10 + b"end\ntorn")
    options: Any = {"poll_interval": 0.2, "rotation_wait": 1.0, "encoding": "utf-8"}
    case = SourceCase(
        lambda: LinesUntilEnd(path, follow=True, max_line_bytes=99, rate=None, **options),
        ["one", "two"] * 10 + ["end"],
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("page_size", [1, 4, 1000])
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
def test_rows_of_sqlite_keep_the_contract(check: Check, page_size: int, tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT)")
        rows = [(2 * n, f"row {n}") for n in range(30)]
        connection.executemany("INSERT INTO rows VALUES (?, ?)", rows)
        connection.execute("INSERT INTO rows VALUES (7, CAST(x'ff' AS TEXT))")
    case = SourceCase(
        lambda: sources.sqlite_table(path, "rows", page_size=page_size),
        [{"id": number, "name": name} for number, name in rows],
        rejected=1,
    )
    run_virtual(lambda: check(case))


@pytest.mark.service
@pytest.mark.asyncio
@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=name_of)
async def test_rows_of_postgresql_keep_the_contract(check: Check, postgres_url: str) -> None:
    query = "SELECT 2 * n AS id, 'row ' || n AS name FROM generate_series(0, 29) n"
    case = SourceCase(
        lambda: sources.sql_query(postgres_url, query, key="id", page_size=20),
        [{"id": 2 * n, "name": f"row {n}"} for n in range(30)],
    )
    await check(case)


@pytest.mark.parametrize("check", SINK_CHECKS, ids=name_of)
def test_ndjson_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    case = SinkCase(
        lambda: sinks.ndjson(path),
        [{"n": number} for number in range(30)],
        lambda: [json.loads(line) for line in path.read_text().splitlines()],
        bad=[{"n": 2**70}],
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("waits", [False, True], ids=["plain", "async"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=name_of)
def test_each_keeps_the_contract(check: Check, waits: bool) -> None:
    seen: list[object] = []

    def take(number: object) -> None:
        if number == "bad":
            raise ValueError("bad")
        seen.append(number)

    async def take_later(number: object) -> None:
        await asyncio.sleep(0.01)
        take(number)

    case = SinkCase[object](
        lambda: sinks.each(take_later if waits else take),
        range(30),
        lambda: seen,
        bad=["bad"],
        again="appends",
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("kit", [False, True], ids=["collect", "CollectingSink"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=name_of)
def test_sinks_that_collect_keep_the_contract(check: Check, kit: bool) -> None:
    seen: list[int] = []
    collecting: CollectingSink[int] = CollectingSink()
    case = SinkCase[int](
        lambda: collecting if kit else sinks.collect(seen),
        range(30),
        lambda: collecting.records if kit else seen,
        again="appends",
    )
    run_virtual(lambda: check(case))


def species(rows: list[dict[str, Any]]) -> list[str]:
    return ["setosa" if row["Petal.Length"] < 2.5 else "other" for row in rows]


def close(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal but for the last digits of a probability, which a batch of one row may change."""
    told = one.get("probability")
    return one["prediction"] == other["prediction"] and (
        told is None or told == pytest.approx(other["probability"], abs=1e-5)
    )


class Nearest(Endpoint):
    """An endpoint as users write them: it has something to open, waits, and may refuse a batch."""

    async def open(self, context: Context) -> None:
        self.middles: dict[str, tuple[float, ...]] | None = {
            "setosa": (5.0, 3.4, 1.5, 0.2),
            "versicolor": (5.9, 2.8, 4.3, 1.3),
            "virginica": (6.6, 3.0, 5.6, 2.0),
        }

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        assert self.middles is not None, "asked outside of open and close"
        await asyncio.sleep(0.002 / len(rows))
        if any(not isinstance(value, float) for row in rows for value in row):
            raise DataError("a measure is no number")
        middles = self.middles.items()
        named = [
            min((dist(middle, row), name) for name, middle in middles)[1]
            for row in cast("Sequence[tuple[float, ...]]", rows)
        ]
        return Answer(("prediction",), [(name,) for name in named], "1")

    async def fields(self) -> Mapping[str, str]:
        return dict.fromkeys(FIELDS.values(), "FP64")

    async def close(self) -> None:
        self.middles = None


MODULE = """
def species(rows):
    return ["setosa" if row["Petal.Length"] < 2.5 else "other" for row in rows]
"""


def _model_file(kind: str, folder: Path) -> Path:
    if kind == "pmml":
        return MODEL.with_name("iris_chaid.pmml")
    import skops.io
    from sklearn.linear_model import LogisticRegression

    model = cast(Any, LogisticRegression(max_iter=10_000))  # scikit-learn carries no types
    model.fit(ROWS, ["setosa", "versicolor", "virginica", "virginica"])
    path = folder / "iris.skops"
    skops.io.dump(model, path)
    return path


def _local(kind: str, folder: Path) -> Endpoint | None:
    """The endpoint that runs on this machine; None where it is a server's."""
    if kind == "function":
        return endpoints.function(species)
    if kind == "process":
        (folder / "conforming_model.py").write_text(MODULE)
        call = import_module("conforming_model").species
        return endpoints.function(call, where="process", workers=2)
    if kind == "own":
        return Nearest()
    if kind in ("sklearn", "pmml"):
        return parse_endpoint(f"{kind}:{_model_file(kind, folder)}")
    return None


async def _check_score(check: Check, kind: str, folder: Path) -> None:
    async with AsyncExitStack() as stack:
        endpoint: str | Endpoint | None = _local(kind, folder)
        if endpoint is not None:
            pass
        elif kind == "onnx":
            endpoint = f"onnx:{MODEL}"
        else:
            server = await stack.enter_async_context(serving(str(MODEL)))
            endpoint = server.wml if kind == "wml" else server.oip
        flowers: list[Flower] = [
            {"n": n, **dict(zip(FIELDS, row, strict=True))}
            for n, row in zip(range(12), itertools.cycle(ROWS), strict=False)
        ]
        make = lambda: score(endpoint, fields=FIELDS, max_in_flight=4)  # noqa: E731
        expected = await _scored(make, flowers)
        bad: list[Flower] = [{"n": 0}, {**flowers[0], "petal_width": float("nan")}]
        if kind not in ("function", "process"):  # which take whatever they get
            bad.append({**flowers[0], "petal_width": "wide"})
        case = FunctionCase(
            make,
            flowers,
            expected,
            bad=bad,
            same=close,
        )
        await check(case)


async def _scored(make: Callable[[], Any], flowers: list[Flower]) -> list[dict[str, Any]]:
    from thalweg.testing import feed

    fed = await feed(make(), flowers)
    assert [record["n"] for record in fed.records] == list(range(12))
    return list(fed.records)


KINDS = ["function", "process", "own", "onnx", "sklearn", "pmml", "wml", "oip"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", FUNCTION_CHECKS, ids=name_of)
def test_score_keeps_the_contract(
    check: Check,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if kind == "pmml":
        request.getfixturevalue("java")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "conforming_model", raising=False)
    # Real time: sockets, threads and processes are at work.
    asyncio.run(_check_score(check, kind, tmp_path))
