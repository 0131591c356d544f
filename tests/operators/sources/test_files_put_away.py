"""Files that were read are put away: each once, none lost, none read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from thalweg import Bookmark, Graph, Read, Row
from thalweg.operators import sinks, sources
from thalweg.testing import HeldFence, context, run_virtual

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def until(seen: Callable[[], bool]) -> None:
    """Wait for what is seen in a folder, which tells nobody of it; at most 30 seconds."""
    async with asyncio.timeout(30):
        while not seen():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def all_seen(rows: list[Row], wanted: list[Row], folder: Path) -> bool:
    """Whether these rows have come, and no file is left in the folder."""
    return rows == wanted and not names(folder)


@pytest.mark.parametrize("clean", ["archive", "delete"])
def test_what_a_job_had_read_when_it_ended_is_put_away_by_the_next(
    tmp_path: Path, clean: Any
) -> None:
    folder, archive, rows = tmp_path / "in", tmp_path / "read", list[Row]()
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.json").write_text(f'{{"n": {n}}}\n')
    wait_until_old(folder)

    async def start(**options: Any) -> None:
        graph = Graph("put_away")
        files = sources.files(folder, format="ndjson", follow=True, poll_interval=0.01, **options)
        graph.read("files", files).to("rows", sinks.collect(rows))
        async with graph.start(state=tmp_path / "state") as job:
            await job.process_all_available()

    # As if it had been killed before it could put anything away.
    asyncio.run(start())
    (folder / ".new").write_text('{"n": 9}\n')
    (folder / ".new").rename(folder / "1.json")
    asyncio.run(start(clean=clean, **({"archive": archive} if clean == "archive" else {})))
    assert [row["n"] for row in rows] == [0, 1, 2]
    assert names(folder) == ["1.json"], "another file by now, which nobody has read"
    if clean == "archive":
        assert names(archive) == ["0.json", "2.json"]


def test_a_file_of_which_all_had_arrived_when_the_job_was_killed_is_put_away(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"n": 1}\n{"n": 2}\n')

    async def part(mark: dict[str, Bookmark] | None) -> dict[str, Bookmark]:
        source = sources.files(path, format="ndjson", schema={"n": int}, clean="delete")
        await source.open(context(fence=HeldFence()))
        if mark is not None:
            await source.seek(mark)
        found: dict[str, Bookmark] = {}
        while (read := await source.read(1024)) is not None:
            if isinstance(read, Read) and read.lane and len(read.positions):
                found[read.lane] = Bookmark(read.positions[-1], read.note)
                break
        await source.close()
        return found

    async def main() -> None:
        # Both rows are in an epoch that was committed, and the end of the file is not.
        mark = await part(None)
        assert path.exists()
        assert await part(mark) == {}
        assert not path.exists()

    run_virtual(main)


def wait_until_old(folder: Path) -> None:
    """Wait until what is noted from now on is newer than these files by more than clocks are off.

    A job may start and read within that time, and then nobody knows which files it has read.
    """
    newest, probe = max(path.stat().st_ctime_ns for path in folder.iterdir()), folder / ".probe"
    probe.touch()
    while probe.stat().st_ctime_ns < newest + 50_000_000:
        probe.touch()
    probe.unlink()


def test_files_of_one_name_stand_beside_one_another_in_the_archive(tmp_path: Path) -> None:
    archive, rows = tmp_path / "read", list[Row]()
    for n in range(3):
        (tmp_path / f"in_{n}").mkdir()
        (tmp_path / f"in_{n}" / "a.json").write_text(f'{{"n": {n}}}\n')
    graph = Graph("one_name")
    files = sources.files(
        tmp_path / "in_*" / "a.json", format="ndjson", clean="archive", archive=archive
    )
    graph.read("files", files).to("rows", sinks.collect(rows))
    graph.run()
    assert names(archive) == ["a-1.json", "a-2.json", "a.json"]
    assert sorted(path.read_text() for path in archive.iterdir()) == [
        f'{{"n": {n}}}\n' for n in range(3)
    ]


@pytest.mark.parametrize(
    ("paths", "archive"),
    [
        ("in", "in"),
        ("later", "later"),
        ("in/*.json", "in/../in"),
        ("in/*/*.json", "in/read"),
        ("in/**", "in/read"),
        ("in/**/*.json", "in/read/more"),
        ("**/*.json", "anywhere"),
    ],
)
def test_an_archive_that_is_read_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: str, archive: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    with pytest.raises(ValueError, match="would be read for ever: archive to another folder"):
        sources.files(paths, format="ndjson", clean="archive", archive=archive)


@pytest.mark.parametrize(
    ("paths", "archive"),
    [("in", "in/read"), ("in/*.json", "in/read"), ("in/**", "read"), ("in/a.json", "read")],
)
def test_an_archive_that_is_not_read_is_taken(paths: str, archive: str) -> None:
    sources.files(paths, format="ndjson", clean="archive", archive=archive)


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("clean", ["archive", "delete"])
def test_what_comes_under_a_name_that_was_put_away_is_another_file(
    tmp_path: Path, clean: Any, store: bool
) -> None:
    folder, rows = tmp_path / "in", list[Row]()
    folder.mkdir()
    graph = Graph("again")
    files = sources.files(
        folder,
        format="ndjson",
        schema={"n": int},
        follow=True,
        poll_interval=0.01,
        clean=clean,
        archive=tmp_path / "read" if clean == "archive" else None,
    )
    graph.read("files", files).to("rows", sinks.collect(rows))

    async def main() -> None:
        async with graph.start(state=tmp_path / "state" if store else None) as job:
            for n in range(3):
                seen: list[Row] = [{"n": one} for one in range(n + 1)]
                (folder / ".new").write_text(f'{{"n": {n}}}\n')
                (folder / ".new").rename(folder / "a.json")
                await until(partial(all_seen, rows, seen, folder))
            await job.drain()

    asyncio.run(main())
    assert [row["n"] for row in rows] == [0, 1, 2]


@pytest.mark.parametrize("clean", ["archive", "delete"])
def test_a_file_that_takes_the_name_of_one_that_was_read_is_not_put_away_in_its_place(
    tmp_path: Path, clean: Any
) -> None:
    folder, rows = tmp_path / "in", list[Row]()
    folder.mkdir()
    (folder / "a.json").write_text('{"n": 0}\n')
    graph = Graph("replaced")
    archive = tmp_path / "read" if clean == "archive" else None

    def keep(row: Row) -> None:
        if not rows:  # It is read, and has not arrived.
            (folder / ".new").write_text('{"n": 1}\n')
            (folder / ".new").rename(folder / "a.json")
        rows.append(row)

    files = sources.files(
        folder, format="ndjson", follow=True, poll_interval=0.01, clean=clean, archive=archive
    )
    graph.read("files", files).to("rows", sinks.each(keep))

    async def main() -> None:
        async with graph.start() as job:
            await until(lambda: len(rows) > 1 and not names(folder))
            await job.drain()

    asyncio.run(main())
    assert [row["n"] for row in rows] == [0, 1]


@pytest.mark.parametrize("store", [False, True])
def test_a_file_that_cannot_be_put_away_is_not_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, store: bool
) -> None:
    folder, rows = tmp_path / "in", list[Row]()
    folder.mkdir()
    (tmp_path / "read").write_text("a file, and no folder")
    (folder / "a.json").write_text('{"n": 0}\n')
    graph = Graph("stays")
    files = sources.files(
        folder,
        format="ndjson",
        follow=True,
        poll_interval=0.01,
        clean="archive",
        archive=tmp_path / "read",
    )
    graph.read("files", files).to("rows", sinks.collect(rows))

    async def main() -> None:
        async with graph.start(state=tmp_path / "state" if store else None) as job:
            await until(lambda: "could not be put away" in caplog.text)
            (folder / "b.json").write_text('{"n": 1}\n')
            await job.process_all_available()
            await job.drain()

    asyncio.run(main())
    assert [row["n"] for row in rows] == [0, 1]
