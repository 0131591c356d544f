from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import errno
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet as parquet_files
import pytest

from thalweg.operators import sinks
from thalweg.operators.sinks import Parquet, WriteFailed
from thalweg.runtime.contracts import (
    Cause,
    DeadLetter,
    MisconfiguredError,
    MissingExtra,
    Origin,
    StateLost,
)
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

pytestmark = pytest.mark.asyncio

Check = Callable[[SinkCase[Any]], Awaitable[None]]

KILLED = Path(__file__).with_name("killed.py")
pa: Any = pyarrow
pq: Any = parquet_files


def files(folder: Path) -> list[Path]:
    """What anybody sees, in the order of names."""
    found = folder.iterdir() if folder.exists() else ()
    return sorted(each for each in found if not each.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for each in files(folder) for row in pq.read_table(each).to_pylist()]


def numbers(folder: Path) -> list[int]:
    return [row["n"] for row in rows(folder)]


async def opened(sink: Parquet, fence: HeldFence | None = None) -> Parquet:
    await sink.open(context(fence=fence))
    return sink


async def begin(folder: Path, fence: HeldFence | None = None, **options: Any) -> Parquet:
    sink = await opened(sinks.parquet(folder, **options), fence or HeldFence())
    await sink.discard(0)
    return sink


async def write(sink: Parquet, *records: object) -> dict[int, str]:
    outcome = await sink.write(list(records))
    return {} if outcome is None else {at: str(error) for at, error in outcome.rejected.items()}


async def take(sink: Parquet, epoch: int, *records: object) -> bytes:
    assert await write(sink, *records) == {}
    prepared = await sink.prepare(epoch)
    await sink.commit(epoch, prepared)
    return prepared


@pytest.mark.parametrize("limit", [7, 1_000])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
async def test_it_keeps_the_contract(check: Check, limit: int, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    case = SinkCase(
        lambda: sinks.parquet(folder, max_file_rows=limit, row_group_size=3),
        [{"n": number, "text": str(number)} for number in range(30)],
        lambda: rows(folder),
        bad=[{"n": 2**70, "text": ""}, {"n": "one", "text": ""}, {"n": 1, "text": 5}],
        delivered="close",
    )
    await asyncio.to_thread(run_virtual, lambda: check(case))


async def test_killed_at_any_moment_it_writes_each_row_once(tmp_path: Path) -> None:
    folder, store = tmp_path / "out", tmp_path / "store.json"
    command = [sys.executable, str(KILLED), "parquet", str(folder), str(store), "30", "0.1"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    saved = json.loads(store.read_text())
    assert numbers(folder) == list(range(saved["count"]))
    assert saved["count"] > 100
    assert hidden(folder) == []


async def test_a_file_is_closed_when_it_is_full(tmp_path: Path) -> None:
    sink = await begin(tmp_path, row_group_size=2, max_file_rows=4)
    await take(sink, 3, *({"n": n} for n in range(3)))
    for n in range(9):
        await write(sink, {"n": n})
    assert len(hidden(tmp_path)) == 2
    await sink.commit(7, await sink.prepare(7))
    await sink.close()
    assert [each.name for each in files(tmp_path)] == [
        "part-000000000003-0000.parquet",
        "part-000000000007-0000.parquet",
        "part-000000000007-0001.parquet",
        "part-000000000007-0002.parquet",
    ]
    assert [pq.read_metadata(each).num_rows for each in files(tmp_path)] == [3, 4, 4, 1]
    assert pq.read_metadata(files(tmp_path)[1]).num_row_groups == 2
    assert numbers(tmp_path) == [0, 1, 2, *range(9)]


async def test_a_file_is_closed_when_it_is_large(tmp_path: Path) -> None:
    sink = await opened(
        sinks.parquet(tmp_path, row_group_size=10, max_file_bytes=20_000, compression="none")
    )
    for n in range(10):
        await write(sink, *({"n": n, "s": os.urandom(500).hex()} for _ in range(10)))
    await sink.close()
    assert len(files(tmp_path)) == 5
    assert all(20_000 <= each.stat().st_size < 40_000 for each in files(tmp_path))


async def test_without_a_store_a_file_is_seen_when_it_is_full_and_at_the_end(
    tmp_path: Path,
) -> None:
    sink = await opened(sinks.parquet(tmp_path, row_group_size=2, max_file_rows=2))
    await write(sink, {"n": 1})
    assert files(tmp_path) == []
    await write(sink, {"n": 2}, {"n": 3})
    assert numbers(tmp_path) == [1, 2, 3]
    await write(sink, {"n": 4})
    await sink.close()
    assert numbers(tmp_path) == [1, 2, 3, 4]
    assert hidden(tmp_path) == []


async def test_a_job_that_begins_removes_its_files_and_no_others(tmp_path: Path) -> None:
    sink = await begin(tmp_path)
    await take(sink, 1, {"n": 1})
    await write(sink, {"n": 2})
    await sink.prepare(2)
    await sink.close()
    mine = [tmp_path / name for name in ("notes.txt", "other.parquet", "part-1.parquet", ".x")]
    for each in mine:
        each.write_text("mine")
    await (await opened(sinks.parquet(tmp_path))).close()
    assert sorted(os.listdir(tmp_path)) == sorted(each.name for each in mine)


class Color(enum.StrEnum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: float


class Pair(NamedTuple):
    n: int
    right: str


AT = dt.datetime(2020, 1, 2, 3, tzinfo=dt.UTC)
NAIVE = dt.datetime(2020, 1, 2, 3)  # noqa: DTZ001
ONE = uuid.UUID(int=1)
VALUES: list[tuple[object, str, object]] = [
    (7, "int64", 7),
    (True, "bool", True),
    (0.5, "double", 0.5),
    ("ä", "string", "ä"),
    (Color.RED, "string", "red"),
    (b"\xff", "binary", b"\xff"),
    (bytearray(b"a"), "binary", b"a"),
    (AT, "timestamp[us, tz=UTC]", AT),
    (NAIVE, "timestamp[us]", NAIVE),
    (dt.date(2020, 1, 2), "date32[day]", dt.date(2020, 1, 2)),
    (dt.time(1, 2), "time64[us]", dt.time(1, 2)),
    (dt.timedelta(seconds=1.5), "duration[us]", dt.timedelta(seconds=1.5)),
    (ONE, "string", str(ONE)),
    (decimal.Decimal("1.10"), "decimal128(38, 9)", decimal.Decimal("1.10")),
    ({"a": 1, "b": ["x"]}, "struct<a: int64, b: list<element: string>>", {"a": 1, "b": ["x"]}),
    ([1, None], "list<element: int64>", [1, None]),
    ([Point(1, 2.5)], "list<element: struct<x: int64, y: double>>", [{"x": 1, "y": 2.5}]),
    ({}, "string", "{}"),
    ([], "string", "[]"),
    ({"a": []}, "string", '{"a":[]}'),
    ([1, "x"], "string", '[1,"x"]'),
    (None, "string", None),
]


@pytest.mark.parametrize(("value", "kind", "kept"), VALUES, ids=[repr(v[0]) for v in VALUES])
async def test_the_first_batch_tells_the_types(
    value: object, kind: str, kept: object, tmp_path: Path
) -> None:
    sink = await opened(sinks.parquet(tmp_path))
    assert await write(sink, {"v": None}, {"v": value}, {}) == {}
    assert await write(sink, {"v": value}) == {}
    await sink.close()
    (file,) = files(tmp_path)
    assert str(pq.read_schema(file).field("v").type) == kind
    assert [row["v"] for row in rows(tmp_path)] == [None, kept, None, kept]


async def test_the_types_may_be_named(tmp_path: Path) -> None:
    types = {"n": int, "s": str, "at": dt.datetime, "j": dict}
    schema = pa.schema([("n", pa.int8()), pa.field("s", pa.string(), nullable=False)])
    for given, record, told in (
        (types, {"n": 1, "s": "a", "at": AT, "j": {"k": [1]}, "passed": "over"}, "n"),
        (schema, {"n": 1, "s": "a", "passed": "over"}, "n"),
    ):
        sink = await opened(sinks.parquet(tmp_path, schema=given))
        assert await write(sink, record) == {}
        assert list(await write(sink, {told: "x", "s": "b"})) == [0]
        await sink.close()
        assert numbers(tmp_path) == [1]
    assert pq.read_schema(files(tmp_path)[0]).equals(schema)


BAD: list[tuple[object, str]] = [
    ({"i": 1.5}, "column 'i', int64, does not take 1.5"),
    ({"i": True}, "does not take True"),
    ({"i": "1"}, "does not take '1'"),
    ({"i": 2**63}, "column 'i', int64, does not take 9223372036854775808: it is too large"),
    ({"f": "x"}, "column 'f', double"),
    ({"f": 2**53 + 1}, "outside of the range"),
    ({"s": 5}, "column 's', string, does not take 5"),
    ({"s": "\ud800"}, "surrogates not allowed"),
    ({"s": b"x"}, "does not take b'x'"),
    ({"d": NAIVE}, "column 'd', date32"),
    ({"at": NAIVE}, "column 'at', timestamp"),
    ({"o": {"a": 1, "more": 2}}, "column 'o', struct"),
    ({"o": {"a": 1.5}}, "column 'o'"),
    ({"o": [1]}, "column 'o'"),
    ({"l": ["x"]}, "column 'l', list"),
    ({"l": {"a": 1}}, "column 'l'"),
    ({"m": decimal.Decimal("1.0000000001")}, "Rescaling Decimal"),
    ({"strange": 1}, "no column for the field 'strange': name the columns"),
    ({"i": object()}, "column 'i'"),
    (5, "a row is made of a dict"),
]


@pytest.mark.parametrize(("bad", "told"), BAD, ids=range(len(BAD)))
async def test_a_record_that_does_not_fit_is_rejected_alone_and_nothing_is_cut(
    bad: object, told: str, tmp_path: Path
) -> None:
    good = {
        "i": 1,
        "f": 0.5,
        "s": "a",
        "d": dt.date(2020, 1, 2),
        "at": AT,
        "o": {"a": 1},
        "l": [1],
        "m": decimal.Decimal(1),
    }
    sink = await opened(sinks.parquet(tmp_path))
    assert await write(sink, good) == {}
    rejected = await write(sink, good, bad, good, bad, {"o": {}, "f": 1})
    assert list(rejected) == [1, 3]
    assert told in rejected[1]
    assert await write(sink, bad) == {0: rejected[1]}
    await sink.close()
    found = rows(tmp_path)
    assert found[:3] == [good] * 3
    assert (found[3]["o"], found[3]["f"]) == ({"a": None}, 1.0)
    assert len(found) == 4


async def test_columns_are_told_by_the_first_record_that_is_a_row(tmp_path: Path) -> None:
    sink = await opened(sinks.parquet(tmp_path))
    assert list(await write(sink, 5, {}, {"": 1})) == [0, 1, 2]
    assert await write(sink, 5, {"n": 1}) == {
        0: "a row is made of a dict, a dataclass or a named tuple, not of 5"
    }
    assert await write(sink, Pair(2, "r")) == {
        0: "there is no column for the field 'right': name the columns to be written with schema="
    }
    await sink.close()
    assert numbers(tmp_path) == [1]


@pytest.mark.parametrize("record", [{"a": 1}, b"\xff", object(), "text", None])
async def test_a_dead_letter_is_always_a_row(record: object, tmp_path: Path) -> None:
    def letter(what: object) -> DeadLetter:
        return DeadLetter("g", "n", Origin("s", "", 7), what, Cause("ValueError", "no"), 2)

    sink = await opened(sinks.parquet(tmp_path))
    assert await write(sink, letter(record)) == {}
    assert await write(sink, letter({"other": [1]})) == {}
    await sink.close()
    first, second = rows(tmp_path)
    assert (first["graph"], first["attempts"]) == ("g", 2)
    assert json.loads(first["origin"])["position"] == 7
    assert json.loads(second["record"]) == {"other": [1]}


async def test_a_job_that_goes_on_keeps_the_columns(tmp_path: Path) -> None:
    fence = HeldFence()
    sink = await begin(tmp_path, fence)
    await take(sink, 1, {"n": 1, "f": 0.5})
    empty = await take(sink, 2)
    await sink.close()
    sink = await opened(sinks.parquet(tmp_path), fence.taken_over())
    await sink.discard(2)
    await sink.commit(2, empty)
    assert sorted(await write(sink, {"n": 2, "f": 1}, {"n": "x"}, {"m": 1})) == [1, 2]
    await sink.commit(3, await sink.prepare(3))
    await sink.close()
    assert rows(tmp_path) == [{"n": 1, "f": 0.5}, {"n": 2, "f": 1.0}]
    first, second = (pq.read_schema(each) for each in files(tmp_path))
    assert first.equals(second)


async def test_a_copy_that_was_replaced_shows_nothing(tmp_path: Path) -> None:
    fence = HeldFence()
    sink = await begin(tmp_path, fence)
    await write(sink, {"n": 1})
    prepared = await sink.prepare(1)
    fence.taken_over()
    with pytest.raises(StateLost):
        await sink.commit(1, prepared)
    with pytest.raises(StateLost):
        await sink.discard(0)
    assert len(hidden(tmp_path)) == 1
    assert files(tmp_path) == []
    await sink.close()


async def test_files_that_are_lost_are_named(tmp_path: Path) -> None:
    sink = await begin(tmp_path)
    await write(sink, {"n": 1})
    prepared = await sink.prepare(4)
    await sink.close()
    (name,) = hidden(tmp_path)
    (tmp_path / name).unlink()
    sink = await opened(sinks.parquet(tmp_path), HeldFence(token=2))
    await sink.discard(4)
    with pytest.raises(MisconfiguredError, match=r"holds neither 'part-0+4-0000.parquet' nor"):
        await sink.commit(4, prepared)
    await sink.close()


@pytest.mark.parametrize("store", [False, True])
async def test_on_a_full_disk_a_torn_file_is_never_shown(store: bool, small_disk: Path) -> None:
    folder = small_disk / "out"
    options: dict[str, Any] = {"row_group_size": 10, "max_file_rows": 20}
    if store:
        sink = await begin(folder, **options)
    else:
        sink = await opened(sinks.parquet(folder, **options))
    batch = [{"n": n, "s": os.urandom(5_000).hex()} for n in range(10)]
    shown = 0

    async def fill() -> None:
        nonlocal shown
        while True:
            await write(sink, *batch)
            await write(sink, *batch)
            if store:
                epoch = shown // 20 + 1
                await sink.commit(epoch, await sink.prepare(epoch))
            shown += 20

    with pytest.raises(WriteFailed, match=r"No space left on device; .* stand in whole") as told:
        await fill()
    assert shown > 0
    assert told.value.records == shown == len(rows(folder))
    assert told.value.bytes == sum(each.stat().st_size for each in files(folder))
    for again in (lambda: write(sink, {"n": 1}), lambda: sink.prepare(99)):
        with pytest.raises(WriteFailed):
            await again()
    await sink.close()
    assert len(rows(folder)) == shown
    assert hidden(folder) == []
    if store:
        sink = await opened(sinks.parquet(folder, **options), HeldFence(token=2))
        await sink.discard(shown // 20)
        await sink.close()
        assert len(rows(folder)) == shown


async def test_what_the_disk_may_have_lost_is_never_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = await begin(tmp_path)
    await write(sink, {"n": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteFailed, match="Input/output error"):
            await sink.prepare(1)
    with pytest.raises(WriteFailed, match="Input/output error"):
        await sink.prepare(1)
    await sink.close()
    assert os.listdir(tmp_path) == []


async def test_two_copies_do_not_write_into_one_folder(tmp_path: Path) -> None:
    first = await begin(tmp_path)
    second = sinks.parquet(tmp_path)
    with pytest.raises(MisconfiguredError, match=r"another sink is writing it.*a folder of its"):
        await second.open(context())
    await second.close()
    await take(first, 1, {"n": 1})
    await first.close()
    assert numbers(tmp_path) == [1]


async def test_what_parquet_cannot_hold_is_told(tmp_path: Path) -> None:
    kind = pa.dense_union([pa.field("a", pa.int64())])
    for wrong in (kind, pa.struct([])):
        sink = sinks.parquet(tmp_path, schema=pa.schema([("n", pa.int64()), ("u", wrong)]))
        with pytest.raises(MisconfiguredError, match="Parquet cannot hold this schema"):
            await sink.open(context())
        await sink.close()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = sinks.parquet(tmp_path / "file" / "out")
    with pytest.raises(MisconfiguredError, match=r"into the folder '.*out': Not a directory"):
        await sink.open(context())
    await sink.close()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"folder": ""}, "folder is empty"),
        ({"row_group_size": 0}, "row_group_size is 1 or more, not 0"),
        ({"max_file_rows": "9"}, "max_file_rows is 1 or more, not '9'"),
        ({"max_file_bytes": -1}, "max_file_bytes is 1 or more, not -1"),
        ({"compression": "zip"}, "compression is one of .*'snappy'.* not 'zip'"),
        ({"schema": {"a": complex}}, "column 'a' has no type"),
        ({"schema": {}}, "names of columns"),
        ({"schema": ["a"]}, r"schema is a pyarrow.Schema, or a dict .*not \['a'\]"),
    ],
)
async def test_what_makes_no_sense_is_told_when_it_is_written(
    wrong: dict[str, Any], told: str
) -> None:
    given: dict[str, Any] = {"folder": "out", **wrong}
    with pytest.raises((ValueError, TypeError), match=told):
        sinks.parquet(**given)


@pytest.mark.parametrize("compression", ["snappy", "gzip", "none"])
async def test_the_compression_is_the_one_that_was_asked_for(
    compression: Any, tmp_path: Path
) -> None:
    sink = await opened(sinks.parquet(tmp_path, compression=compression))
    await write(sink, {"n": 1})
    await sink.close()
    column = pq.read_metadata(files(tmp_path)[0]).row_group(0).column(0)
    assert column.compression == {"none": "UNCOMPRESSED"}.get(compression, compression.upper())


async def test_the_extra_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    sink = sinks.parquet(tmp_path)
    with pytest.raises(MissingExtra, match=r"thalweg\[parquet\]"):
        await sink.open(context())
    await sink.close()
