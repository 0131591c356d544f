from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import datetime
import json
import math
import os
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.operators import sinks
from thalweg.operators.sinks import Ndjson, WriteFailed
from thalweg.runtime.contracts import Cause, Context, DeadLetter, MisconfiguredError, Origin

pytestmark = pytest.mark.asyncio


def lines(path: Path) -> list[Any]:
    content = path.read_bytes()
    assert not content or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


async def write(path: Path, context: Context, *batches: list[Any]) -> list[dict[int, Exception]]:
    sink = sinks.ndjson(path)
    await sink.open(context)
    rejected: list[dict[int, Exception]] = []
    for batch in batches:
        outcome = await sink.write(batch)
        assert outcome is None or outcome.rejected
        rejected.append({} if outcome is None else dict(outcome.rejected))
    await sink.close()
    return rejected


def letter(record: object, message: str = "too small") -> DeadLetter:
    return DeadLetter(
        "graph", "node", Origin("flowers", "", 7), record, Cause("ValueError", message)
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: object


async def test_each_record_is_a_line_of_json(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "out" / "deep" / "a.ndjson"
    at = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    batch = [{"a": "ä\n"}, [1, None], Point(1, 2.5), "text", 7, {"id": uuid.UUID(int=1), "at": at}]
    assert await write(path, context, batch, [], [{"b": True}]) == [{}, {}, {}]
    assert lines(path) == [
        {"a": "ä\n"},
        [1, None],
        {"x": 1, "y": 2.5},
        "text",
        7,
        {"id": str(uuid.UUID(int=1)), "at": "2020-01-02T00:00:00+00:00"},
        {"b": True},
    ]


async def test_a_run_replaces_the_output_of_the_one_before(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    prototype = sinks.ndjson(path)
    for run in range(2):
        job = copy.copy(prototype)
        await job.open(context)
        await job.write([run, run][run:])
        await job.close()
    assert lines(path) == [1]


async def test_no_record_leaves_an_empty_file(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text("old\n")
    await write(path, context)
    assert path.read_bytes() == b""


async def test_what_is_no_number_becomes_null(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.ndjson"
    await write(path, context, [{"a": float("nan"), "b": float("-inf")}])
    assert path.read_text() == '{"a":null,"b":null}\n'


def circular() -> list[object]:
    around: list[object] = []
    around += [around, around]
    return around


def deep(levels: int) -> list[object]:
    nested: list[object] = []
    for _ in range(levels):
        nested = [nested]
    return nested


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no text either")


CANNOT: list[Any] = [
    {"n": 2**64},
    {"n": -(2**63) - 1},
    {"n": 10**5_000},
    {1: "a"},
    {"a": object()},
    {"a": b"bytes \xff"},
    {"a": {1, 2}},
    {"a": "\ud800"},
    {"\ud800": 1},
    deep(1_000),
    circular(),
    Broken(),
    {"a": Point(1, Broken())},
    {(1, "\ud800"): Broken},
]


@pytest.mark.parametrize("bad", CANNOT, ids=range(len(CANNOT)))
async def test_a_record_that_cannot_be_encoded_is_rejected_alone(
    bad: Any, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    rejected = await write(path, context, [0, bad, 2], [bad], [bad, bad, 5])
    assert [list(one) for one in rejected] == [[1], [0], [0, 1]]
    assert lines(path) == [0, 2, 5]


@pytest.mark.parametrize("bad", CANNOT, ids=range(len(CANNOT)))
async def test_a_dead_letter_is_written_whatever_its_record_is(
    bad: Any, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    batch = [letter({"good": 1}), letter(bad), letter({"whole": 1, "bad": bad}), letter(2)]
    assert await write(path, context, batch) == [{}]
    first, second, third, last = lines(path)
    assert first["record"] == {"good": 1}
    assert second["error"] == {"type": "ValueError", "message": "too small", "where": None}
    assert second["origin"]["position"] == 7
    assert third["record"]["whole"] == 1
    assert last["record"] == 2


async def test_what_a_dead_letter_cannot_hold_becomes_its_text(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    at = datetime.date(2020, 1, 2)
    record = {
        "big": 2**64,
        "fits": 2**64 - 1,
        "bytes": b"\xff!",
        "point": Point(1, at),
        7: {"k"},
        "nan": float("nan"),
        "bad\ud800": "\ud800",
        "very big": 1 << 100_000,
    }
    await write(path, context, [letter(record, "a \ud800 b")])
    written = lines(path)[0]
    assert written["record"] == {
        "big": "18446744073709551616",
        "fits": 2**64 - 1,
        "bytes": "\\xff!",
        "point": {"x": 1, "y": "2020-01-02"},
        "7": ["k"],
        "nan": None,
        "bad\\ud800": "\\ud800",
        "very big": "<int of about 30103 digits>",
    }
    assert written["error"]["message"] == "a \\ud800 b"


async def test_a_file_that_cannot_be_written_is_named_at_the_start(
    tmp_path: Path, context: Context
) -> None:
    (tmp_path / "file").write_text("")
    for path, told in (
        (tmp_path, "Is a directory"),
        (tmp_path / "file" / "a.ndjson", "file' is no folder"),
    ):
        sink = sinks.ndjson(path)
        with pytest.raises(MisconfiguredError, match=told) as caught:
            await sink.open(context)
        assert str(path) in str(caught.value)
        await sink.close()
    await sinks.ndjson("never opened").close()
    with pytest.raises(ValueError, match="path is empty"):
        sinks.ndjson("")


async def test_two_sinks_do_not_write_one_file(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.ndjson"
    first, second = sinks.ndjson(path), sinks.ndjson(path)
    await first.open(context)
    await first.write([1])
    with pytest.raises(MisconfiguredError, match="another sink is writing it"):
        await second.open(context)
    await second.close()
    await first.close()
    assert lines(path) == [1]
    await second.open(context)
    await second.close()


async def fill(sink: Ndjson, size: int) -> WriteFailed:
    """Write batches until it fails; see that it has counted what it was given before."""
    counted = 0
    while True:
        try:
            await sink.write([{"n": n, "pad": "x" * 40} for n in range(counted, counted + size)])
        except WriteFailed as failure:
            if failure.records != counted:
                pytest.fail(f"{failure.records} counted, {counted} written")
            return failure
        counted += size


@pytest.mark.parametrize("size", [1, 7, 256, 30_000])
async def test_on_a_full_disk_every_line_is_whole_and_was_counted(
    size: int, small_disk: Path, context: Context
) -> None:
    path = small_disk / "a.ndjson"
    sink = sinks.ndjson(path)
    await sink.open(context)
    failure = await fill(sink, size)
    counted = failure.records
    assert [record["n"] for record in lines(path)] == list(range(counted))
    assert failure.bytes == path.stat().st_size
    assert isinstance(failure.__cause__, OSError)
    text = str(failure)
    assert str(path) in text
    assert "No space left on device" in text
    assert f"{counted} records ({failure.bytes} bytes) are safely written" in text
    await sink.close()
    assert len(lines(path)) == counted


async def test_after_a_failure_the_file_goes_on_where_it_was_cut(
    small_disk: Path, context: Context
) -> None:
    path = small_disk / "a.ndjson"
    sink = sinks.ndjson(path)
    await sink.open(context)
    await sink.write(["first"])
    with pytest.raises(WriteFailed):
        await sink.write(["x" * 2_000_000])
    await sink.write(["second"])
    await sink.close()
    assert lines(path) == ["first", "second"]


def printed_by(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_at_a_limit_on_the_file_size_every_line_is_whole_and_was_counted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.ndjson"
    program = """
        import asyncio, resource, sys
        from thalweg.operators import sinks
        from thalweg.runtime.context import Context
        from thalweg.runtime.counters import Counters

        async def main():
            sink = sinks.ndjson(sys.argv[1])
            await sink.open(Context("g", "n", thread=None, counters=Counters()))
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
            counted = 0
            try:
                while True:
                    await sink.write([{"n": n} for n in range(counted, counted + 7)])
                    counted += 7
            except sinks.WriteFailed as failure:
                print(counted, failure)

        asyncio.run(main())
    """
    counted, _, text = printed_by(program, path).partition(" ")
    assert len(lines(path)) == int(counted) > 500
    assert "File too large" in text


async def test_a_device_that_is_full_is_told(context: Context) -> None:
    sink = sinks.ndjson("/dev/full")
    await sink.open(context)
    with pytest.raises(WriteFailed, match="No space left on device; 0 records"):
        await sink.write([1])
    await sink.close()


async def test_a_device_can_be_written_to(context: Context) -> None:
    assert await write(Path("/dev/null"), context, [1, 2]) == [{}]


async def test_a_pipe_is_written_to_while_it_is_read(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = sinks.ndjson(path)
    await sink.open(context)
    os.set_blocking(descriptor, True)
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(descriptor, "rb") as pipe:
            got.append(pipe.read())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    batch = [{"n": n} for n in range(20_000)]  # more than a pipe holds
    await sink.write(batch)
    await sink.close()
    await asyncio.to_thread(reader.join)
    assert [json.loads(line) for line in got[0].splitlines()] == batch


async def test_an_inherited_pipe_that_does_not_block_is_waited_for(context: Context) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sink = sinks.ndjson(f"/dev/fd/{writing}")
    await sink.open(context)
    before = 0
    with contextlib.suppress(BlockingIOError):
        while True:  # until it is full
            before += os.write(writing, b"0\n" * 500) // 2
    batch = [{"n": n} for n in range(20_000)]
    task = asyncio.create_task(sink.write(batch))
    await asyncio.sleep(0)
    os.close(writing)
    got: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            got.append(pipe.read())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    await task
    await sink.close()
    await asyncio.to_thread(reader.join)
    assert [json.loads(line) for line in got[0].splitlines()] == [0] * before + batch


async def test_a_pipe_that_nobody_reads_is_refused(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = sinks.ndjson(path)
    with pytest.raises(MisconfiguredError, match="nothing reads this pipe; start its reader"):
        await sink.open(context)
    await sink.close()


async def test_a_reader_that_goes_away_is_told(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = sinks.ndjson(path)
    await sink.open(context)
    await sink.write([1])
    os.close(descriptor)
    with pytest.raises(WriteFailed) as caught:
        await sink.write([2])
    assert str(caught.value) == (
        f"cannot write on to '{path}': Broken pipe; its reader has gone after 1 records (2 bytes)"
    )
    await sink.close()


PRINTS = """
    import asyncio
    from thalweg.operators import sinks
    from thalweg.runtime.context import Context
    from thalweg.runtime.counters import Counters

    async def thread(function):
        return await asyncio.to_thread(function)

    async def main():
        sink = sinks.ndjson("/dev/stdout")
        await sink.open(Context("g", "n", thread=thread, counters=Counters()))
        print("before", flush=True)
        await sink.write([{"n": n} for n in range(20_000)])
        await sink.close()
        print("after", flush=True)

    asyncio.run(main())
"""


def printed_into(path: Path) -> list[str]:
    with path.open("a") as out:
        subprocess.run([sys.executable, "-c", textwrap.dedent(PRINTS)], stdout=out, check=True)
    return path.read_text().splitlines()


def printed_through_a_pipe() -> list[str]:
    reading, writing = os.pipe()
    running = subprocess.Popen([sys.executable, "-c", textwrap.dedent(PRINTS)], stdout=writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        printed = pipe.read().splitlines()
    assert running.wait() == 0
    return printed


@pytest.mark.parametrize("how", ["file", "pipe"])
async def test_standard_output_is_shared_with_what_is_printed(how: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine\n")
    if how == "file":
        printed = printed_into(path)
        assert printed.pop(0) == "mine"
    else:
        printed = printed_through_a_pipe()
    assert printed[0] == "before"
    assert printed[-1] == "after"
    assert [json.loads(line)["n"] for line in printed[1:-1]] == list(range(20_000))


KEYS = st.text(max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(batches=st.lists(st.lists(VALUES, max_size=5), max_size=4))
async def test_lines_and_rejected_records_add_up(
    batches: list[list[Any]], tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    rejected = await write(path, context, *batches)
    written = iter(lines(path))
    for batch, bad in zip(batches, rejected, strict=True):
        for index, record in enumerate(batch):
            if index not in bad:
                assert same(next(written), record)
    assert next(written, None) is None
    letters = [[letter(record) for record in batch] for batch in batches]
    assert await write(path, context, *letters) == [{}] * len(batches)
    assert len(lines(path)) == sum(map(len, batches))


def same(read: Any, record: object) -> bool:
    if isinstance(record, float) and not math.isfinite(record):
        return read is None
    if isinstance(record, dict):
        items = cast("dict[object, object]", record).items()
        return len(read) == len(items) and all(same(read[key], value) for key, value in items)
    if isinstance(record, list):
        values = cast("list[object]", record)
        return len(read) == len(values) and all(map(same, read, values))
    return bool(read == record)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    room=st.integers(0, 1_500),
    piece=st.integers(1, 300),
)
async def test_wherever_a_write_stops_the_file_holds_what_was_counted(
    sizes: list[int], room: int, piece: int, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.ndjson"
    whole: Callable[[int, Any], int] = os.write
    left = room

    def short(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(28, "No space left on device")
        count = whole(descriptor, data[: min(piece, left)])
        left -= count
        return count

    sink: Ndjson = sinks.ndjson(path)
    await sink.open(context)
    counted: list[Any] = []
    told: list[tuple[int, int]] = []
    held: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", short)
        for size in sizes:
            batch = [{"n": n} for n in range(size)]
            try:
                await sink.write(batch)
            except WriteFailed as failure:
                told.append((failure.records, failure.bytes))
                held.append((len(counted), path.stat().st_size))
            else:
                counted += batch
    await sink.close()
    assert lines(path) == counted
    assert told == held
