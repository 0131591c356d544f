"""`ndjson` under a store: each line once, whatever happens in between."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from thalweg.operators import sinks
from thalweg.operators.sinks import Ndjson, WriteFailed
from thalweg.runtime.contracts import MisconfiguredError, StateLost
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

Form = Literal["one", "epoch"]
Check = Callable[[SinkCase[Any]], Awaitable[None]]

KILLED = Path(__file__).with_name("killed.py")
FORMS: tuple[Form, ...] = ("one", "epoch")


def lines(path: Path) -> list[Any]:
    """What anybody sees: of a folder, the files that are not hidden, in the order of names."""
    files = [path]
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    content = b"".join(each.read_bytes() for each in files)
    assert not content or content.endswith(b"\n")
    return [json.loads(line) for line in content.splitlines()]


def hidden(path: Path) -> list[str]:
    folder = path if path.is_dir() else path.parent
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


async def start(path: Path, files: Form = "one", *, fence: HeldFence | None = None) -> Ndjson:
    sink = sinks.ndjson(path, files=files)
    await sink.open(context(fence=HeldFence() if fence is None else fence))
    return sink


async def begin(path: Path, files: Form = "one", *, fence: HeldFence | None = None) -> Ndjson:
    sink = await start(path, files, fence=fence)
    await sink.discard(0)
    return sink


async def take(sink: Ndjson, epoch: int, *records: object) -> bytes:
    await sink.write(records)
    prepared = await sink.prepare(epoch)
    await sink.commit(epoch, prepared)
    return prepared


@pytest.mark.parametrize("files", FORMS)
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, files: Form, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out"
    case = SinkCase(
        lambda: sinks.ndjson(path, files=files),
        [{"n": number} for number in range(30)],
        lambda: lines(path),
        bad=[{"n": 2**70}],
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("files", FORMS)
def test_killed_at_any_moment_it_writes_each_line_once(files: Form, tmp_path: Path) -> None:
    kind = {"one": "ndjson", "epoch": "ndjson files"}[files]
    path, store = tmp_path / "out", tmp_path / "store.json"
    subprocess.run(
        [sys.executable, str(KILLED), kind, str(path), str(store), "30", "0.08"], check=True
    )
    saved = json.loads(store.read_text())
    assert [each["n"] for each in lines(path)] == list(range(saved["count"]))
    assert saved["count"] > 100
    assert hidden(path) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_what_waits_is_hidden_beside_the_output(files: Form, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sink = await begin(path, files)
    await sink.write([1, 2])
    (written,) = hidden(path)
    prepared = await sink.prepare(12)
    (waiting,) = hidden(path)
    assert written != waiting
    assert "000000000012" in waiting
    assert all(name.endswith(".part") for name in (written, waiting))
    assert lines(path) == []
    await sink.commit(12, prepared)
    assert hidden(path) == []
    assert lines(path) == [1, 2]
    if files == "epoch":
        assert [each.name for each in path.iterdir()] == ["part-000000000012-0000.ndjson"]
    await sink.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_job_that_begins_replaces_its_output_and_nothing_else(
    files: Form, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, files, fence=HeldFence("old"))
    await take(sink, 1, "old")
    await sink.write(["never prepared"])
    await sink.prepare(2)
    await sink.close()
    folder = path if files == "epoch" else tmp_path
    mine = [folder / name for name in ("notes.txt", ".hidden", "part-7.ndjson", ".out.1.part")]
    for each in mine:
        each.write_text("mine")
    assert len(hidden(path)) == 3
    sink = await begin(path, files, fence=HeldFence("new"))
    for each in mine:
        assert each.read_text() == "mine"
        each.unlink()
    assert hidden(path) == []
    assert lines(path) == []
    await take(sink, 1, "new")
    assert lines(path) == ["new"]
    await sink.close()


@pytest.mark.asyncio
async def test_a_torn_append_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sink = await begin(path)
    await take(sink, 1, "first")
    await sink.write(["second", "third"])
    prepared = await sink.prepare(2)
    await sink.close()
    for torn in (b"", b'"sec', b'"second"\n"third"\n', b"\x00" * 50):
        part = tmp_path / hidden(path)[0]
        kept = part.read_bytes()
        with path.open("ab") as file:
            file.write(torn)
        sink = await start(path)
        await sink.discard(2)
        await sink.commit(2, prepared)
        await sink.close()
        assert lines(path) == ["first", "second", "third"]
        part.write_bytes(kept)
        os.truncate(path, len(b'"first"\n'))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("files", "harm"),
    [("one", "gone"), ("one", "short"), ("one", "other"), ("epoch", "gone"), ("epoch", "short")],
)
async def test_lines_that_are_lost_are_named(files: Form, harm: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = await begin(path, files)
    await take(sink, 3, "first")
    await sink.write(["second"])
    prepared = await sink.prepare(4)
    await sink.close()
    (name,) = hidden(path)
    part = (path if files == "epoch" else tmp_path) / name
    if harm == "gone":
        part.unlink()
    else:
        part.write_bytes(b'"sec' if harm == "short" else b'"SECOND"\n')
    sink = await start(path, files)
    await sink.discard(4)
    with pytest.raises(MisconfiguredError, match="epoch 4 was prepared") as caught:
        await sink.commit(4, prepared)
    assert str(path) in str(caught.value)
    assert name in str(caught.value)
    assert "begin anew" in str(caught.value)
    assert lines(path) == ["first"]
    await sink.close()


@pytest.mark.asyncio
async def test_an_output_that_was_shortened_or_replaced_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sink = await begin(path)
    await take(sink, 1, "first")
    prepared = await take(sink, 2, "second")
    await sink.close()
    for content in (b"", b'"first"\n', b'"first"\n"SECOND"\n'):
        path.write_bytes(content)
        sink = await start(path)
        await sink.discard(2)
        with pytest.raises(MisconfiguredError, match=f"holds {len(content)} bytes"):
            await sink.commit(2, prepared)
        await sink.close()
        assert path.read_bytes() == content


@pytest.mark.asyncio
async def test_a_job_whose_output_has_moved_goes_on_there(tmp_path: Path) -> None:
    path, other = tmp_path / "out.ndjson", tmp_path / "elsewhere.ndjson"
    sink = await begin(path)
    prepared = await take(sink, 1, "first")
    await sink.close()
    sink = await start(other)
    await sink.discard(1)
    with pytest.raises(MisconfiguredError, match=r"prepared for '.*/out.ndjson'.*elsewhere"):
        await sink.commit(1, prepared)
    await sink.close()
    path.rename(other)
    sink = await start(other)
    await sink.discard(1)
    await sink.commit(1, prepared)
    await take(sink, 2, "second")
    await sink.close()
    assert lines(other) == ["first", "second"]


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_sink_that_had_prepared_nothing_goes_on_behind_what_is_there(
    files: Form, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, files)
    await take(sink, 1, "first")
    await sink.close()
    sink = await start(path, files)
    await sink.discard(7)
    await take(sink, 8, "second")
    await sink.close()
    assert lines(path) == ["first", "second"]


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_copy_that_was_replaced_neither_shows_nor_removes_anything(
    files: Form, tmp_path: Path
) -> None:
    path, fence = tmp_path / "out", HeldFence()
    sink = await begin(path, files, fence=fence)
    await take(sink, 1, "first")
    await sink.write(["second"])
    prepared = await sink.prepare(2)
    fence.taken_over()
    before = hidden(path)
    for step in (sink.commit(2, prepared), sink.discard(0)):
        with pytest.raises(StateLost):
            await step
    assert hidden(path) == before
    assert lines(path) == ["first"]
    await sink.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_copy_whose_hidden_file_was_swept_prepares_nothing(
    files: Form, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, files)
    await sink.write(["first"])
    (name,) = hidden(path)
    ((path if files == "epoch" else tmp_path) / name).unlink()
    with pytest.raises(WriteFailed, match="No such file"):
        await sink.prepare(1)
    await sink.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_hidden_file_that_a_power_cut_brought_back_goes(
    files: Form, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    folder = path if files == "epoch" else tmp_path
    sink = await begin(path, files)
    await sink.write(["first"])
    prepared = await sink.prepare(1)
    (name,) = hidden(path)
    back = (folder / name).read_bytes()
    await sink.commit(1, prepared)
    prepared = await take(sink, 2, "second")
    await sink.close()
    (folder / name).write_bytes(back)
    sink = await start(path, files, fence=HeldFence(token=2))
    await sink.discard(2)
    await sink.commit(2, prepared)
    await sink.close()
    assert hidden(path) == []
    assert lines(path) == ["first", "second"]


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_two_copies_do_not_write_one_output(files: Form, tmp_path: Path) -> None:
    path = tmp_path / "out"
    first = await begin(path, files)
    second = sinks.ndjson(path, files=files)
    what = "folder" if files == "epoch" else "file"
    with pytest.raises(MisconfiguredError, match=f"another sink is writing it.*{what}"):
        await second.open(context(fence=HeldFence(token=2)))
    await second.close()
    await first.close()


def test_a_pipe_or_a_device_cannot_take_part_in_an_epoch(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("file")
    assert not any(
        sinks.ndjson(path).transactional
        for path in (pipe, "/dev/null", "/dev/stdout", "/dev/stderr", "/dev/fd/1")
    )
    assert all(sinks.ndjson(path).transactional for path in (tmp_path / "new", link))
    assert sinks.ndjson(tmp_path, files="epoch").transactional


@pytest.mark.asyncio
async def test_a_pipe_is_written_at_once_also_under_a_store(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = await start(pipe)
    await sink.discard(0)
    await sink.write([1, 2])
    assert os.read(reader, 100) == b"1\n2\n"
    await sink.commit(1, await sink.prepare(1))
    await sink.close()
    os.close(reader)
    assert hidden(pipe) == []


@pytest.mark.asyncio
async def test_without_a_store_the_folder_holds_one_file_that_is_seen_at_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, "epoch")
    await take(sink, 3, "old")
    await sink.close()
    sink = sinks.ndjson(path, files="epoch")
    await sink.open(context())
    await sink.write([1])
    assert lines(path) == [1]
    second = sinks.ndjson(path, files="epoch")
    with pytest.raises(MisconfiguredError, match="a folder of its own"):
        await second.open(context())
    await second.close()
    await sink.close()
    assert [each.name for each in path.iterdir()] == ["part-000000000000-0000.ndjson"]


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_on_a_full_disk_the_epoch_holds_what_was_counted(
    files: Form, small_disk: Path
) -> None:
    path = small_disk / "out"
    sink = await begin(path, files)
    await take(sink, 1, "first")
    await sink.write(["second"])
    with pytest.raises(WriteFailed, match="No space left on device; 1 records of this run") as told:
        await sink.write(["x" * 2_000_000])
    assert str(path) in str(told.value)
    assert (told.value.records, told.value.bytes) == (1, len('"first"\n'))
    await take(sink, 2, "third")
    await sink.close()
    assert lines(path) == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_on_a_full_disk_a_commit_leaves_nothing_torn_and_may_be_repeated(
    small_disk: Path,
) -> None:
    path, filler = small_disk / "out", small_disk / "filler"
    sink = await begin(path)
    await take(sink, 1, "first")
    await sink.write(["x" * 400_000])
    prepared = await sink.prepare(2)
    filler.write_bytes(b"x" * 500_000)
    for _ in range(2):
        with pytest.raises(WriteFailed, match=r"cannot append epoch 2 to .*No space left"):
            await sink.commit(2, prepared)
        assert lines(path) == ["first"]
    filler.unlink()
    await sink.commit(2, prepared)
    await sink.close()
    assert lines(path) == ["first", "x" * 400_000]


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_what_the_disk_may_have_lost_is_never_prepared(
    files: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, files)
    await sink.write(["first"])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteFailed, match=r"cannot prepare an epoch .*No space left"):
            await sink.prepare(1)
    with pytest.raises(WriteFailed, match="cannot prepare an epoch"):
        await sink.prepare(1)
    await sink.close()
    assert lines(path) == []
    assert hidden(path) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("files", FORMS)
async def test_a_prepare_may_be_repeated_when_the_folder_could_not_be_synced(
    files: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "out", os.fsync
    sink = await begin(path, files)
    await sink.write(["first"])

    def no_folder(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        whole(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_folder)
        with pytest.raises(WriteFailed, match="Input/output error"):
            await sink.prepare(1)
    await sink.commit(1, await sink.prepare(1))
    assert lines(path) == ["first"]
    await sink.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("said", [errno.EXDEV, errno.ENOSYS, 0])
async def test_it_appends_by_hand_where_the_system_cannot(
    said: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> int:
        if said:
            raise OSError(said, "cannot")
        return 0

    monkeypatch.setattr(os, "copy_file_range", cannot)
    path = tmp_path / "out"
    sink = await begin(path)
    big = "y" * 3_000_000
    await take(sink, 1, "first", big)
    await take(sink, 2, "last")
    await sink.close()
    assert lines(path) == ["first", big, "last"]


@pytest.mark.asyncio
async def test_a_commit_holds_up_nobody_and_its_file_is_not_closed_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "out", os.copy_file_range
    reached, go_on = threading.Event(), threading.Event()

    def slow(*given: int) -> int:
        reached.set()
        assert go_on.wait(10)
        return whole(*given)

    monkeypatch.setattr(os, "copy_file_range", slow)
    sink = await begin(path)
    await sink.write(["first"])
    prepared = await sink.prepare(1)
    committing = asyncio.create_task(sink.commit(1, prepared))
    assert await asyncio.to_thread(reached.wait, 10)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    closing = asyncio.create_task(sink.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    go_on.set()
    await closing
    assert lines(path) == ["first"]
    sink = await start(path, fence=HeldFence(token=2))
    await sink.discard(1)
    await sink.commit(1, prepared)
    await sink.close()
    assert lines(path) == ["first"]


def test_an_unknown_form_is_refused() -> None:
    wrong: Any = "many"
    with pytest.raises(ValueError, match=r"files is one of \('one', 'epoch'\), not 'many'"):
        sinks.ndjson("out", files=wrong)


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    sink = sinks.ndjson(tmp_path / "file" / "out", files="epoch")
    with pytest.raises(MisconfiguredError, match=r"into the folder '.*out': Not a directory"):
        await sink.open(context())
    await sink.close()
