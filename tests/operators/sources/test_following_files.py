"""Files that are read while others write, rotate, truncate, replace and delete them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.operators import sources
from thalweg.operators.sources import _generations, _tailed_file
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import run_virtual

from .following import Following


class Log:
    """A log that a program writes: it goes on in its file however that is called by now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.written: list[str] = []
        self.file = path.open("ab", buffering=0)

    def write(self, count: int = 1, *, torn: bool = False) -> None:
        for number in range(count):
            # Long enough that a fingerprint tells a file from its copy after some of them.
            line = f"line {self.count:06} {'-' * 300}"
            self.count += 1
            self.written.append(line)
            last = torn and number == count - 1
            self.file.write(line.encode() if last else line.encode() + b"\n")

    def finish(self) -> None:
        self.file.write(b"\n")

    def reopen(self) -> None:
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def name(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def shift(self) -> None:
        """As logrotate does: the oldest name first."""
        number = 1
        while self.name(number).exists():
            number += 1
        for older in range(number, 1, -1):
            self.name(older - 1).rename(self.name(older))
        self.path.rename(self.name(1))

    def rotate(self) -> None:
        self.shift()
        self.reopen()

    def copy_and_truncate(self) -> None:
        content = self.path.read_bytes()
        number = 1
        while self.name(number).exists():
            number += 1
        for older in range(number, 1, -1):
            self.name(older - 1).rename(self.name(older))
        self.name(1).write_bytes(content)
        os.truncate(self.path, 0)


def follow(log: Log, limit: int = 10, **options: Any) -> Following:
    return Following(lambda: sources.lines(log.path, follow=True, **options), limit)


Script = Callable[[Log, Following], Awaitable[None]]


def run(tmp_path: Path, script: Script, limit: int = 10) -> tuple[Log, Following]:
    """What came of it; everything that was written must have been read once, in order."""

    async def main() -> tuple[Log, Following]:
        log = Log(tmp_path / "app.log")
        reading = follow(log, limit)
        try:
            await script(log, reading)
        finally:
            await reading.stop()
            log.file.close()
        return log, reading

    return run_virtual(main)


def expect_all(log: Log, reading: Following) -> None:
    assert reading.records == log.written
    assert reading.rejected == []
    assert reading.events("lost") == reading.events("truncated") == 0


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        for _ in range(5):
            log.write(7)
            assert await reading.read()
            assert reading.records == log.written

    expect_all(*run(tmp_path, script))


def test_a_line_is_there_within_the_poll_interval(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write()
        await reading.read()
        loop = asyncio.get_running_loop()
        at = loop.time() + 3600.05
        loop.call_at(at, log.write)
        await reading.read(reads=1, seconds=7200)
        assert 0 <= loop.time() - at <= 0.2001

    expect_all(*run(tmp_path, script))


def test_a_torn_line_is_waited_for_also_over_a_restart(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(3, torn=True)
        await reading.read()
        assert len(reading.records) == 2
        await reading.stop()
        await reading.read()
        assert len(reading.records) == 2
        log.finish()
        await reading.read()

    expect_all(*run(tmp_path, script))


def test_a_file_that_is_not_there_yet_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> Following:
        path = tmp_path / "late.log"
        reading = Following(lambda: sources.lines(path, follow=True))
        assert await reading.read(seconds=100)
        path.write_text("here\n")
        assert await reading.read()
        await reading.stop()
        return reading

    assert run_virtual(main).records == ["here"]
    assert "does not exist yet; waiting for it" in caplog.text


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        await Following(lambda: sources.lines(tmp_path / "no" / "a.log", follow=True)).read()

    with pytest.raises(MisconfiguredError, match=r"no/a\.log.*no such file"):
        run_virtual(main)


def test_a_rotated_file_is_read_to_its_end_then_the_new_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def script(log: Log, reading: Following) -> None:
        log.write(25)
        await reading.read(reads=1)
        log.rotate()
        log.write(5)
        await reading.read()
        log.write(5)
        await reading.read()

    log, reading = run(tmp_path, script)
    expect_all(log, reading)
    assert reading.events("rotated") == 1
    assert f"{log.path}: was rotated; going on with {log.path}" in caplog.text
    assert reading.positions[str(log.path)][25] == log.name(1).stat().st_size


def test_what_is_written_to_the_old_file_after_its_rotation_is_read(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(3)
        await reading.read()
        log.shift()
        log.write(4)  # there is no new file yet
        await reading.read(seconds=60)
        assert reading.records == log.written
        old = log.file
        log.file = log.path.open("ab", buffering=0)
        for number in range(3):
            await reading.read(seconds=0.7)
            old.write(b"late line %d\n" % number)
            log.written.append(f"late line {number}")
        await reading.read(seconds=0.7)
        old.close()
        log.write(2)
        await reading.read()

    expect_all(*run(tmp_path, script))


def test_a_torn_last_line_of_a_rotated_file_is_a_line(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        await reading.read()
        log.write(3, torn=True)
        log.rotate()
        log.write(2)
        await reading.read()

    expect_all(*run(tmp_path, script))


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("read_before", [True, False])
@pytest.mark.parametrize("style", ["{name}.{n}", "{name}-2026112{i}", "{stem}-2026-11-2{i}.log"])
def test_rotated_several_times_before_anyone_looked(
    style: str, read_before: bool, running: bool, tmp_path: Path
) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(20)
        await reading.read(reads=2 if read_before else 1)
        if not running:
            await reading.stop()
        for i in range(1, 5):
            if "{n}" in style:
                log.rotate()
            else:
                log.path.rename(tmp_path / style.format(name="app.log", stem="app", i=i))
                log.reopen()
            log.write(5)
        (tmp_path / "app.log.0.gz").write_text("compressed\n")
        (tmp_path / "other.log.2").write_text("another's\n")
        (tmp_path / "app-0.log.bak").write_text("another's\n")
        await reading.read()

    log, reading = run(tmp_path, script)
    expect_all(log, reading)
    assert reading.events("rotated") == 4


def test_a_file_that_was_copied_and_truncated_is_finished_in_its_copy(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(30)
        await reading.read()
        log.write(30)
        await reading.read(reads=1)
        log.copy_and_truncate()
        log.write(15)
        await reading.read()
        log.write(25)
        await reading.stop()
        log.copy_and_truncate()
        log.write(3)
        await reading.read()

    expect_all(*run(tmp_path, script, limit=500))


def test_a_truncated_file_is_read_anew_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(20, torn=True)
        await reading.read()
        os.truncate(log.path, 0)
        log.write(4)
        await reading.read()

    log, reading = run(tmp_path, script)
    assert reading.records == log.written
    assert reading.events("truncated") == 1
    assert "was truncated or written over at byte" in caplog.text
    assert "lines that came after it are lost" in caplog.text


def test_a_file_that_is_written_over_and_longer_by_then_is_found_out(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(3)
        await reading.read()
        with log.path.open("r+b") as file:
            file.truncate()
            file.write(b"".join(b"other %d\n" % n for n in range(1_000)))
        await reading.read()

    log, reading = run(tmp_path, script)
    assert reading.records == [*log.written, *(f"other {n}" for n in range(1_000))]
    assert reading.events("truncated") == 1


def test_a_file_that_is_written_over_in_the_middle_of_reading_leaves_no_mixed_line(
    tmp_path: Path,
) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(1_000)
        await reading.read(reads=1)
        with log.path.open("r+b") as file:
            file.write(b"".join(b"other %d\n" % n for n in range(100_000)))
            file.truncate()
        await reading.read()

    log, reading = run(tmp_path, script)
    others = [line for line in reading.records if str(line).startswith("other")]
    assert others == [f"other {n}" for n in range(100_000)]
    before = reading.records[: -len(others)]
    assert before[:-1] == log.written[: len(before) - 1]
    assert log.written[len(before) - 1].startswith(str(before[-1]))


def test_a_deleted_file_is_read_to_its_end_and_a_new_one_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(30)
        await reading.read(reads=1)
        log.path.unlink()
        log.write(3, torn=True)
        await reading.read(seconds=60)
        await reading.stop()
        await reading.read()
        log.reopen()
        log.write(2)
        await reading.read()

    log, reading = run(tmp_path, script)
    expect_all(log, reading)
    assert "is gone, and no other file has its name; waiting" in caplog.text


def test_a_file_that_is_replaced_by_another_is_read_to_its_end(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(30)
        await reading.read(reads=1)
        other = tmp_path / "other"
        other.write_text("new 1\nnew 2\n")
        other.replace(log.path)
        log.written += ["new 1", "new 2"]
        await reading.read()

    expect_all(*run(tmp_path, script))


@pytest.mark.parametrize("fault", ["gone", "shorter", "other"])
def test_what_is_lost_while_the_job_is_down_is_told(
    fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.write(3)
        await reading.read()
        await reading.stop()
        if fault == "gone":
            log.path.unlink()
        elif fault == "shorter":
            os.truncate(log.path, 0)
        else:
            log.path.write_text("x" * 2_000 + "\n")
            log.written.append("x" * 2_000)
        log.reopen()
        log.write(2)
        await reading.read()

    log, reading = run(tmp_path, script)
    assert reading.records == log.written
    assert reading.events("lost") == 1
    assert f"{log.path}: the file that was read up to byte" in caplog.text


def test_a_file_that_was_not_touched_goes_on_where_another_disk_number_is_its_own(
    tmp_path: Path,
) -> None:
    """A file that was restored from a backup, or copied to another disk, has another inode."""

    async def script(log: Log, reading: Following) -> None:
        log.write(30)
        await reading.read()
        await reading.stop()
        content = log.path.read_bytes()
        log.path.rename(tmp_path / "elsewhere")
        log.path.write_bytes(content)
        (tmp_path / "elsewhere").unlink()
        log.reopen()
        log.write(3)
        await reading.read()

    expect_all(*run(tmp_path, script))


def test_a_short_file_with_the_same_beginning_is_no_copy(tmp_path: Path) -> None:
    async def script(log: Log, reading: Following) -> None:
        log.file.write(b"start\nwork\n")
        await reading.read()
        await reading.stop()
        log.path.unlink()
        log.name(1).write_text("start\nwork\nof the day before\n")
        log.reopen()
        log.file.write(b"start\nmore work\n")
        await reading.read()

    _, reading = run(tmp_path, script)
    assert reading.records == ["start", "work", "start", "more work"]
    assert reading.events("lost") == 1


def test_a_rotation_between_a_look_at_the_folder_and_the_next_file_skips_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = _generations.following

    async def script(log: Log, reading: Following) -> None:
        def rotated_after(path: str, inode: int) -> tuple[str, int] | None:
            found = look(path, inode)
            if log.count < 60:
                log.rotate()
                log.write(5)
            return found

        monkeypatch.setattr(_tailed_file, "following", rotated_after)
        log.write(20)
        await reading.read()
        log.rotate()
        log.write(5)
        await reading.read()

    log, reading = run(tmp_path, script)
    expect_all(log, reading)
    assert reading.events("rotated") == 8


def test_many_files_are_followed_in_turn_and_new_ones_are_found(tmp_path: Path) -> None:
    async def main() -> Following:
        logs = [Log(tmp_path / f"{name}.log") for name in "ab"]
        for log in logs:
            log.write(10)
        pattern = tmp_path / "*.log*"
        reading = Following(lambda: sources.lines(pattern, follow=True), limit=2)
        await reading.read(reads=6)
        assert {lane: len(lines) for lane, lines in reading.lanes.items()} == {
            str(log.path): 6 for log in logs
        }
        logs.append(Log(tmp_path / "c.log"))
        logs[2].write(3)
        logs[0].rotate()
        logs[0].write(3)
        await reading.read()
        await reading.stop()
        logs[1].rotate()
        logs[1].rotate()
        logs[1].write(1)
        await reading.read()
        await reading.stop()
        assert reading.lanes == {str(log.path): log.written for log in logs}
        for log in logs:
            log.file.close()
        return reading

    reading = run_virtual(main)
    assert reading.events("rotated") == 3


@pytest.mark.parametrize("running", [True, False])
def test_a_pattern_that_matches_the_new_name_of_a_file_is_refused(
    running: bool, tmp_path: Path
) -> None:
    async def main() -> None:
        log = Log(tmp_path / "app.log")
        log.write(20)
        reading = Following(lambda: sources.lines(tmp_path / "*.log", follow=True))
        await reading.read()
        if not running:
            await reading.stop()
        log.path.rename(tmp_path / "old-app.log")
        log.reopen()
        log.write()
        log.file.close()
        try:
            await reading.read()
        finally:
            await reading.stop()

    with pytest.raises(MisconfiguredError, match=r"old-app\.log is the file that is read as .*app"):
        run_virtual(main)


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 30)),
    st.tuples(st.just("tear"), st.integers(1, 5)),
    st.tuples(st.just("rotate"), st.just(0)),
    st.tuples(st.just("read"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.sampled_from([0.3, 1.5, 5])),
    st.tuples(st.just("save"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(STEP, max_size=30), limit=st.sampled_from([1, 7, 100]))
def test_every_line_is_read_once_and_in_order_whatever_happens(
    steps: list[tuple[str, float]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def main() -> None:
        log = Log(tmp_path_factory.mktemp("log") / "app.log")
        reading = follow(log, limit)
        await reading.read(reads=1)
        saved = reading.save()
        torn = False
        for name, amount in steps:
            if torn and name in ("write", "tear"):
                log.finish()
                torn = False
            if name in ("write", "tear"):
                torn = name == "tear"
                log.write(int(amount), torn=torn)
            elif name == "rotate":
                log.rotate()
                torn = False
            elif name == "read":
                await reading.read(reads=int(amount), seconds=0.5)
            elif name == "wait":
                await reading.read(seconds=amount)
            elif name == "save":
                saved = reading.save()
            elif name == "restart":
                await reading.stop()
            else:
                await reading.back(saved)
        if torn:
            log.finish()
        await reading.read()
        await reading.stop()
        log.file.close()
        assert [line for lines in reading.lanes.values() for line in lines] == log.written
        assert reading.rejected == []
        assert reading.events("lost") == reading.events("truncated") == 0

    run_virtual(main)
