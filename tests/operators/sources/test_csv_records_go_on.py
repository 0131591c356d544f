"""How `csv_records` goes on after a restart: at the next record, reading nothing again."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.operators import sources
from thalweg.operators.sources import _csv_file
from thalweg.runtime.contracts import Bookmark, Context, MisconfiguredError, Read

pytestmark = pytest.mark.asyncio

Make = Callable[[], sources.CsvRecords]
# Every piece of what was read: its position, and the record or the complaint about it.
Pieces = list[tuple[int, object]]


def pieces(read: Read[Any]) -> Pieces:
    found: Pieces = list(zip(read.positions, read.records, strict=True))
    found += [(bad.position, (bad.record, str(bad.error))) for bad in read.rejected]
    return sorted(found, key=lambda piece: piece[0])


async def read_some(
    source: sources.CsvRecords,
    context: Context,
    limit: int,
    *,
    mark: Bookmark | None = None,
    stop: int | None = None,
) -> tuple[Pieces, Bookmark | None]:
    """What `source` reads from `mark` on, in `stop` reads, and the bookmark behind it."""
    seen: Pieces = []
    try:
        await source.open(context)
        if mark is not None:
            await source.seek({"": mark})
        while (stop is None or stop > 0) and (read := await source.read(limit)) is not None:
            seen += pieces(read)
            mark = Bookmark(seen[-1][0], read.note)
            stop = None if stop is None else stop - 1
    finally:
        await source.close()
    return seen, mark


LINES = st.sampled_from(
    [
        b"1,x\n", b"2,y\r\n", b'3,"a\nb"\n', b'"4","c""d"\n', b"\n", b"bad\n", b"x,1\n",
        b'5,"open\n', b'"\n', b"6,\xff\n", b"7,\0\n", b"8," + b"z" * 300 + b"\n",
        b'"",""\n', b'""x\n',
        b'9,"' + b"long\n" * 30 + b'"\n',
    ]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(LINES, max_size=25),
    torn=st.booleans(),
    repeat=st.integers(1, 3),
    plain=st.booleans(),
    most_kept=st.sampled_from([0, 5, 10_000]),
    block=st.sampled_from([1, 30, 200, 65_536]),
    limits=st.lists(st.integers(1, 12), min_size=2, max_size=4),
    stops=st.lists(st.integers(1, 12), max_size=6),
)
async def test_it_reads_the_same_however_often_it_is_started_again(
    lines: list[bytes],
    torn: bool,
    repeat: int,
    plain: bool,
    most_kept: int,
    block: int,
    limits: list[int],
    stops: list[int],
    tmp_path: Path,
    context: Context,
) -> None:
    content = b"".join(lines)
    path = tmp_path / "data.csv"
    path.write_bytes(b"n,t\n" + (content[:-1] if torn else content))
    kind: Callable[[str], int] = int if plain else lambda text: int(text)

    def make() -> sources.CsvRecords:
        return sources.csv_records(
            path, columns={"n": kind, "t": str}, number="at", repeat=repeat, max_line_bytes=250
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv_file, "_BLOCK", block)
        patch.setattr(
            importlib.import_module(sources.CsvRecords.__module__), "_MOST_KEPT", most_kept
        )
        whole, _ = await read_some(make(), context, limits[0])
        seen: Pieces = []
        mark: Bookmark | None = None
        for number, stop in enumerate([*stops, None]):
            limit = limits[number % len(limits)]
            more, mark = await read_some(make(), context, limit, mark=mark, stop=stop)
            seen += more
    assert seen == whole


def many(path: Path, count: int = 50_000) -> Path:
    path.write_text("n,t\n" + "".join(f"{n},text {n}\n" for n in range(count)))
    return path


@pytest.mark.parametrize("repeat", [1, 3])
async def test_what_was_read_before_is_not_read_again(
    repeat: int, tmp_path: Path, context: Context
) -> None:
    path = many(tmp_path / "data.csv")
    make: Make = lambda: sources.csv_records(path, columns={"n": int}, repeat=repeat)  # noqa: E731
    whole, _ = await read_some(make(), context, 1_000)
    before, mark = await read_some(make(), context, 1_000, stop=40)
    assert len(before) > 36_000
    content = path.read_bytes()
    spoiled = content.index(b"\n35000,")
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * (spoiled - 4_096))
    after, _ = await read_some(make(), context, 1_000, mark=mark, stop=10)
    assert before + after == whole[: len(before) + len(after)]


async def test_a_file_that_is_repeated_from_memory_is_so_after_a_restart(
    tmp_path: Path, context: Context
) -> None:
    path = many(tmp_path / "data.csv", 100)
    make: Make = lambda: sources.csv_records(path, columns={"n": int}, repeat=0)  # noqa: E731
    for stop in (3, 15, 42):
        _, mark = await read_some(make(), context, 10, stop=stop)
        again, _ = await read_some(make(), context, 10, mark=mark, stop=30)
        assert again == [(at, {"n": at % 100}) for at in range(stop * 10, stop * 10 + 300)]


async def test_a_file_too_large_for_memory_is_repeated_from_the_disk_after_a_restart(
    tmp_path: Path, context: Context
) -> None:
    path = many(tmp_path / "data.csv", 12_000)
    make: Make = lambda: sources.csv_records(path, columns={"n": int}, repeat=3)  # noqa: E731
    for stop in (9, 11, 20, 30):
        seen, mark = await read_some(make(), context, 1_000, stop=stop)
        more, _ = await read_some(make(), context, 1_000, mark=mark)
        assert seen + more == [(at, {"n": at % 12_000}) for at in range(36_000)]


async def test_a_file_that_grew_while_it_was_repeated_is_refused(
    tmp_path: Path, context: Context
) -> None:
    path = many(tmp_path / "data.csv", 10)
    make: Make = lambda: sources.csv_records(path, columns={"n": int}, repeat=5)  # noqa: E731
    _, mark = await read_some(make(), context, 7, stop=4)
    with path.open("a") as file:
        file.write("10,more\n")
    with pytest.raises(MisconfiguredError, match=r"has grown from .* is to be repeated as it was"):
        await read_some(make(), context, 7, mark=mark)


async def test_a_file_may_have_grown_when_it_is_not_repeated(
    tmp_path: Path, context: Context
) -> None:
    path = many(tmp_path / "data.csv", 10)
    make: Make = lambda: sources.csv_records(path, columns={"n": int})  # noqa: E731
    _, mark = await read_some(make(), context, 100)
    with path.open("a") as file:
        file.write("10,more\n")
    assert (await read_some(make(), context, 100, mark=mark))[0] == [(10, {"n": 10})]


async def test_another_file_in_its_place_is_refused(tmp_path: Path, context: Context) -> None:
    path = many(tmp_path / "data.csv", 1_000)
    content = path.read_bytes()
    make: Make = lambda: sources.csv_records(path, columns={"n": int})  # noqa: E731
    _, mark = await read_some(make(), context, 100, stop=9)
    for other, told in (
        (content[:5_000], "now is only 5,000 bytes long"),
        (content.replace(b"text 7\n", b"text X\n"), "now begins differently"),
    ):
        path.write_bytes(other)
        with pytest.raises(MisconfiguredError, match=told) as caught:
            await read_some(make(), context, 100, mark=mark)
        assert str(path) in str(caught.value)
    path.write_bytes(content)
    assert (await read_some(make(), context, 100, mark=mark))[0][0] == (900, {"n": 900})


@pytest.mark.parametrize("note", [b"", b"[]", b'{"kind":"lines"}', b'{"kind":"csv","offset":"x"}'])
async def test_the_note_of_another_source_is_refused(
    note: bytes, tmp_path: Path, context: Context
) -> None:
    source = sources.csv_records(many(tmp_path / "data.csv", 10))
    with pytest.raises(MisconfiguredError, match="another kind of source wrote it") as caught:
        await read_some(source, context, 10, mark=Bookmark(3, note))
    assert str(caught.value).startswith("node cannot go on")


async def test_it_begins_anew_where_nothing_had_been_read(tmp_path: Path, context: Context) -> None:
    make: Make = lambda: sources.csv_records(many(tmp_path / "data.csv", 10))  # noqa: E731
    whole, _ = await read_some(make(), context, 10)
    assert (await read_some(make(), context, 10, mark=Bookmark(-1)))[0] == whole
