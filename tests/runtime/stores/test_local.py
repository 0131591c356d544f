"""The store in a directory: kills, full disks, second copies, and what it leaves on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from thalweg.runtime.errors import StateDamaged, StateError, StateLost, StateUnavailable
from thalweg.runtime.stores import Checkpoint, SavedEpoch, Segment
from thalweg.runtime.stores.local import LocalStore
from thalweg.testing import run_virtual

from . import saving
from .saving import is_as_made, made


def child(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, saving.__file__, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_kill_at_any_moment_and_what_is_there_is_whole(tmp_path: Path) -> None:
    """The epoch that was told last is there, or the one that was being saved."""
    chance = random.Random(7)

    async def look(told: int) -> int:
        store = LocalStore(tmp_path)
        await store.open("job")
        last = 0
        for one in await store.epochs():
            saved = await store.load(one.epoch)
            assert is_as_made(saved)
            assert one.seen == (one.epoch % 2 == 0)
            last = one.epoch
        assert told <= last <= told + 1
        await store.close()
        return last

    last, kills = 0, 0
    while kills < 20:
        with child(tmp_path) as process:
            assert process.stdout is not None
            _, token, found = process.stdout.readline().split()
            assert int(token) == 2 * kills + 1
            assert int(found) == last
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split("\n")
        told = [int(line.split()[1]) for line in lines[:-1]]
        last = asyncio.run(look(told[-1] if told else last))
        kills += 1
    assert last > 20


def test_a_second_copy_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    async def refused() -> None:
        store = LocalStore(tmp_path)
        with pytest.raises(StateLost, match=f"in process {process.pid}, and holds .*stop it first"):
            await store.open("job")
        # Another job is another matter.
        await store.open("other")
        await store.close()

    with child(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        asyncio.run(refused())
        process.kill()
        process.stdout.read()
    with child(tmp_path, "--count", 1) as process:
        assert process.stdout is not None
        assert "saved" in process.stdout.read()


def test_two_in_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    async def main() -> None:
        first, second = LocalStore(tmp_path), LocalStore(tmp_path)
        await first.open("job")
        with pytest.raises(StateLost, match="in this very process"):
            await second.open("job")
        await first.save(made(1), keep=1)
        await first.close()
        await second.open("job")
        assert is_as_made(await second.load(1))
        await second.close()

    asyncio.run(main())


def test_a_child_that_was_left_behind_is_named(tmp_path: Path) -> None:
    """It has the lock of its dead parent, as a forked worker would."""

    async def opened() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        await store.close()

    asyncio.run(opened())
    lock = tmp_path / "job" / "lock"
    lock.write_text("4194304999\n")
    with subprocess.Popen(["flock", lock, "-c", "echo; read _"], stdin=-1, stdout=-1) as held:
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(StateLost, match="in a process that 4194304999, now dead, had"):
            asyncio.run(opened())
        held.communicate(b"\n")
    asyncio.run(opened())


def test_a_folder_that_is_deleted_while_it_is_opened_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, calls = fcntl.flock, 0

    def late(file: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            shutil.rmtree(tmp_path / "job")
        flock(file, operation)

    monkeypatch.setattr("fcntl.flock", late)

    async def main() -> None:
        first, second = LocalStore(tmp_path), LocalStore(tmp_path)
        await first.open("job")
        assert calls == 3
        with pytest.raises(StateLost, match="another copy"):
            await second.open("job")
        await first.save(made(1), keep=1)
        await first.close()

    asyncio.run(main())


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(tmp_path / "deep" / "state")
        await store.open("job")
        await store.save(made(1), keep=1)
        files = list((tmp_path / "deep" / "state" / "job").iterdir())
        assert {one.name for one in files} >= {"state.sqlite", "mark", "lock", "state.sqlite-wal"}
        assert {one.stat().st_mode & 0o777 for one in files} == {0o600}
        for folder in ("deep/state/job", "deep/state"):
            assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
        await store.close()

    umask = os.umask(0)
    try:
        asyncio.run(main())
    finally:
        os.umask(umask)


def test_large_epochs_do_not_make_the_files_grow(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        sizes: list[int] = []
        for epoch in range(1, 201):
            data = random.Random(epoch).randbytes(1_000_000)
            segments = [Segment("node", "part", data, epoch)]
            await store.save(Checkpoint(epoch, b"", segments, seen=True), keep=3)
            sizes.append(sum(one.stat().st_size for one in (tmp_path / "job").iterdir()))
        # Three epochs, the one before they are pruned, and as much again in the log.
        assert max(sizes) < 20_000_000
        assert max(sizes[100:]) <= max(sizes[:50])
        await store.close()
        names = {one.name for one in (tmp_path / "job").iterdir()}
        assert names == {"state.sqlite", "mark", "lock"}

    asyncio.run(main())


@contextlib.contextmanager
def small_disk(path: Path) -> Generator[None, None, None]:
    path.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounting.returncode:
        pytest.skip(f"no disk can be mounted here: {mounting.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_told_and_passes(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(disk)
        await store.open("job")
        await store.save(made(1), keep=2)
        filler = disk / "filler"
        for _ in range(3):
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            with pytest.raises(StateUnavailable, match="the disk is full: make room"):
                await store.save(made(2, 50_000), keep=2)
            assert is_as_made(await store.load(1))
            filler.unlink()
        await store.save(made(2), keep=2)
        await store.close()
        await store.open("job")
        assert [one.epoch for one in await store.epochs()] == [1, 2]
        assert is_as_made(await store.load(2))
        await store.close()

    disk = tmp_path / "disk"
    with small_disk(disk):
        asyncio.run(main())


def test_a_job_that_starts_on_a_full_disk_says_so_and_harms_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(disk)
        await store.open("job")
        await store.save(made(1), keep=2)
        await store.close()
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        for job in ("job", "new"):
            with pytest.raises(StateUnavailable, match="the disk is full: make room"):
                await store.open(job)
        filler.unlink()
        assert (await store.open("job")).token == 2
        assert is_as_made(await store.load(1))
        await store.close()
        assert (await store.open("new")).token == 1
        await store.close()

    disk = tmp_path / "disk"
    with small_disk(disk):
        asyncio.run(main())


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        await store.save(made(1), keep=1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(StateUnavailable, match="disk"):
                await store.save(made(2, 200_000), keep=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await store.save(made(2), keep=1)
        assert is_as_made(await store.load(2))
        await store.close()

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGXFSZ, handler)


def test_another_program_that_looks_in_is_waited_for_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.runtime.stores.database._BUSY", 0.05)

    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        await store.save(made(1), keep=1)
        await store.close()
        shell = sqlite3.connect(tmp_path / "job" / "state.sqlite", isolation_level=None)
        shell.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateUnavailable, match=r"another program uses .*, such as a shell"):
            await store.open("job")
        shell.execute("ROLLBACK")
        shell.close()
        await store.open("job")
        assert is_as_made(await store.load(1))
        await store.close()

    asyncio.run(main())


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        await store.close()
        with contextlib.closing(sqlite3.connect(tmp_path / "job" / "state.sqlite")) as database:
            database.execute("PRAGMA user_version = 2")
        with pytest.raises(StateError, match="of version 2, and this Thalweg reads 1"):
            await store.open("job")

    asyncio.run(main())


def test_a_place_that_cannot_be_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StateError, match=r"cannot use .*file/job'.*"):
            await LocalStore(tmp_path / "file").open("job")

    asyncio.run(main())
    with pytest.raises(ValueError, match="directory is empty"):
        LocalStore("")


def test_large_segments_are_cut_and_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thalweg.runtime.stores.chain.PIECE", 1000)

    async def main() -> None:
        store = LocalStore(tmp_path)
        await store.open("job")
        for epoch in range(1, 8):
            await store.save(made(epoch), keep=2)
        await store.close()
        await store.open("job")
        for one in await store.epochs():
            assert is_as_made(await store.load(one.epoch))
        await store.close()

    asyncio.run(main())


def test_it_works_in_virtual_time(tmp_path: Path) -> None:
    async def main() -> float:
        store = LocalStore(tmp_path)
        await store.open("job")
        for epoch in range(1, 6):
            await asyncio.sleep(600)
            await store.save(made(epoch), keep=2)
        await store.close()
        return asyncio.get_running_loop().time()

    assert run_virtual(main) == 3000
    assert repr(LocalStore("state")) == "LocalStore('state')"


def test_a_folder_can_be_copied_and_goes_on_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        first = LocalStore(tmp_path / "a")
        held = await first.open("job")
        await first.save(made(1), keep=2)
        await first.close()
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        second = LocalStore(tmp_path / "b")
        assert (await second.open("job")).lineage == held.lineage
        assert await second.epochs() == [SavedEpoch(1, seen=False)]
        assert is_as_made(await second.load(1))
        await second.close()

    asyncio.run(main())


def test_a_crash_in_the_first_open_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    """Between any two of its steps."""

    async def main() -> None:
        folder = tmp_path / "job"
        for left in ([], ["lock"], ["lock", "state.sqlite"]):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in left:
                (folder / name).touch()
            store = LocalStore(tmp_path)
            assert (await store.open("job")).token == 1
            await store.close()
        # The database was made, and the mark was not.
        (folder / "mark").rename(folder / "mark.new")
        assert (await store.open("job")).token == 2
        await store.save(made(1), keep=1)
        await store.close()
        (folder / "mark").unlink()
        assert (await store.open("job")).token == 3
        assert is_as_made(await store.load(1))
        await store.close()
        (folder / "state.sqlite").unlink()
        with pytest.raises(StateDamaged, match="is gone or empty, and job 'job' had saved epoch 1"):
            await store.open("job")

    asyncio.run(main())
