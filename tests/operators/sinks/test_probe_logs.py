"""`probe_logs`: what each machine said, each result once, in no file but its own."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from thalweg.operators import sinks
from thalweg.operators.fleet import ProbeResult
from thalweg.operators.sinks import ProbeLogs, WriteFailed, _appended_folder, _files
from thalweg.runtime.contracts import Context, MisconfiguredError
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

Check = Callable[[SinkCase[Any]], Awaitable[None]]
SWEEP = 1_081_948_390


def result(target: str = "m1", number: int = 0, **given: Any) -> ProbeResult:
    made: dict[str, Any] = {
        "sweep": SWEEP + number,
        "of": 1,
        "target": target,
        "probe": "usage",
        "outcome": "ok",
        "exit_status": 0,
        "signal": None,
        "stdout": f"{number}\n",
        "stderr": "",
        "started": 0.0,
        "elapsed_there": None,
        "elapsed_here": 0.25,
        "attempt": 1,
        "bytes": 2,
        "truncated": False,
        "detail": "",
        **given,
    }
    return made  # type: ignore[return-value]


def entries(path: Path) -> list[tuple[int, str]]:
    """The sweeps of a log, each with what was said: by the lengths that the log itself tells."""
    data, at, found = path.read_bytes(), 0, list[tuple[int, str]]()
    while at < len(data):
        end = data.index(b"\n", at) + 1
        header = re.match(rb"# sweep (\d+) \S+ .*? bytes=(\d+)", data[at:end])
        assert header is not None, data[at:end]
        length = int(header[2])
        found.append((int(header[1]), data[end : end + length].decode()))
        at = end + length
    return found


def shown(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    )


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


async def start(folder: Path, fence: HeldFence | None = None) -> ProbeLogs:
    sink = sinks.probe_logs(folder)
    await sink.open(context(fence=fence))
    return sink


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    def read_back() -> list[ProbeResult]:
        path = tmp_path / "m1" / "usage.stdout"
        if not path.exists():
            return []
        return [result(number=sweep - SWEEP) for sweep, _ in entries(path)]

    case: SinkCase[Any] = SinkCase(
        lambda: sinks.probe_logs(tmp_path),
        [result(number=number) for number in range(30)],
        read_back,
        bad=[{"target": "m1"}, None, result(target=7)],  # type: ignore[arg-type]
        again="appends",
    )
    run_virtual(lambda: check(case))


@pytest.mark.asyncio
async def test_each_target_has_a_log_for_each_probe_with_a_line_for_each_sweep(
    tmp_path: Path,
) -> None:
    sink = await start(tmp_path)
    await sink.write(
        [
            result("m1", 0, stdout="3.14", stderr="warned"),
            result("m2", 0, outcome="refused", exit_status=None, stdout="", detail="port\n22"),
            result("m1", 900, outcome="exit", exit_status=None, signal="KILL", truncated=True),
            result("m1", 0, probe="uptime"),
        ]
    )
    await sink.close()
    assert shown(tmp_path) == ["m1/uptime.stdout", "m1/usage.stderr", "m1/usage.stdout",
                               "m2/usage.stdout"]  # fmt: skip
    assert (tmp_path / "m1" / "usage.stdout").read_text() == (
        "# sweep 1081948390 2004-04-14T13:13:10Z ok exit_status=0 elapsed=0.250 bytes=5\n3.14\n"
        "# sweep 1081949290 2004-04-14T13:28:10Z exit signal=KILL elapsed=0.250 truncated bytes=4\n"
        "900\n"
    )
    assert entries(tmp_path / "m1" / "usage.stderr") == [(SWEEP, "warned\n")]
    assert (tmp_path / "m2" / "usage.stdout").read_text() == (
        "# sweep 1081948390 2004-04-14T13:13:10Z refused elapsed=0.250 bytes=0 port 22\n"
    )


HOSTILE = [
    "../../escaped", "..", ".", "", "a/b", "/etc/passwd", "nul\0byte", "new\nline", ".hidden",
    "x" * 5_000, "x" * 5_001, "ümlaut", "half \ud800", "%2E", "a%00", "fe80::1%eth0", " ", "~",
]  # fmt: skip


@pytest.mark.asyncio
async def test_whatever_a_target_is_called_it_has_a_folder_of_its_own_inside(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "deep" / "experiment"
    sink = await start(folder)
    await sink.write([result(name, number) for number, name in enumerate(HOSTILE)])
    await sink.write([result("plain", 50, probe=name) for name in HOSTILE])
    await sink.close()
    logs = shown(folder)
    assert len(logs) == 2 * len(HOSTILE)
    assert os.listdir(tmp_path) == ["deep"]
    assert os.listdir(tmp_path / "deep") == ["experiment"]
    assert all(len(entries(folder / log)) == 1 for log in logs)


@pytest.mark.asyncio
async def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    (folder / "m1").mkdir(parents=True)
    (tmp_path / "precious").write_text("precious")
    (folder / "m1" / "usage.stdout").symlink_to(tmp_path / "precious")
    sink = await start(folder)
    with pytest.raises(WriteFailed, match=r"usage\.stdout"):
        await sink.write([result()])
    await sink.close()
    assert (tmp_path / "precious").read_text() == "precious"

    sink = await start(folder, HeldFence())
    await sink.discard(0)
    await sink.write([result()])
    prepared = await sink.prepare(1)
    with pytest.raises(WriteFailed, match=r"usage\.stdout"):
        await sink.commit(1, prepared)
    await sink.close()
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.asyncio
@pytest.mark.parametrize("stored", [False, True], ids=["without a store", "with one"])
async def test_a_thousand_targets_need_no_more_open_files_than_one(
    stored: bool, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sink = await start(tmp_path, HeldFence() if stored else None)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 8, hard))
    try:
        if stored:
            await sink.discard(0)
        await sink.write([result(f"m{number}", number, stderr="e") for number in range(1_000)])
        if stored:
            await sink.commit(1, await sink.prepare(1))
        assert len(os.listdir("/proc/self/fd")) <= opened + 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await sink.close()
    assert len(shown(tmp_path)) == 2_000


@pytest.mark.asyncio
async def test_an_output_cannot_pass_for_a_sweep(tmp_path: Path) -> None:
    forged = "# sweep 1 2004-04-14T13:13:10Z ok exit_status=0 elapsed=0.250 bytes=0\n"
    sink = await start(tmp_path)
    await sink.write([result(stdout=forged, signal="KILL bytes=0"), result(number=1)])
    await sink.close()
    assert entries(tmp_path / "m1" / "usage.stdout") == [(SWEEP, forged), (SWEEP + 1, "1\n")]


@pytest.mark.asyncio
@pytest.mark.parametrize("count", [5, 20], ids=["few files", "many files"])
@pytest.mark.parametrize(
    "kinds", [("open_in", 3), ("sync_all", 0), ("sync_folder", 1), ("_note", 1)]
)
async def test_a_crash_in_the_middle_of_appending_is_made_good(
    count: int, kinds: tuple[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = HeldFence()
    sink = await start(tmp_path, fence)
    await sink.discard(0)
    targets = [f"m{number}" for number in range(count)]
    await sink.write([result(target) for target in targets])
    await sink.commit(1, await sink.prepare(1))
    await sink.write([result(target, 1) for target in targets])
    prepared = await sink.prepare(2)
    (name, left) = kinds
    where: Any = _appended_folder.AppendedFolder if name == "_note" else _appended_folder
    real = getattr(where, name)

    def dying(*given: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, "pulled the plug")
        return real(*given)

    monkeypatch.setattr(where, name, dying)
    if (name, count) == ("sync_all", 5):
        await sink.commit(2, prepared)  # So few are synced one by one.
    else:
        with pytest.raises(WriteFailed, match=r"epoch 2.*pulled the plug"):
            await sink.commit(2, prepared)
    monkeypatch.undo()
    await sink.close()

    sink = await start(tmp_path, fence.taken_over())
    await sink.discard(2)
    await sink.commit(2, prepared)
    await sink.close()
    for target in targets:
        assert entries(tmp_path / target / "usage.stdout") == [(SWEEP, "0\n"), (SWEEP + 1, "1\n")]
    assert not parts(tmp_path)


@pytest.mark.asyncio
async def test_many_files_are_synced_one_by_one_where_the_system_cannot_do_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def count(descriptor: int) -> None:
        synced.append(descriptor)
        sync(descriptor)

    for able in (True, False):
        monkeypatch.setattr(_appended_folder, "can_sync_all", lambda able=able: able)
        monkeypatch.setattr(os, "fsync", count)
        sink = await start(tmp_path / str(able), HeldFence())
        await sink.discard(0)
        await sink.write([result(f"m{number}") for number in range(50)])
        prepared = await sink.prepare(1)
        synced.clear()
        await sink.commit(1, prepared)
        await sink.close()
        assert (len(synced) >= 50) is not able
        assert len(shown(tmp_path / str(able))) == 50


@pytest.mark.asyncio
async def test_a_file_system_that_cannot_be_synced_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        _files.sync_all(-1)
    with (tmp_path / "file").open("wb") as file:
        _files.sync_all(file.fileno())


@pytest.mark.asyncio
async def test_a_log_may_be_rotated_between_epochs(tmp_path: Path) -> None:
    sink = await start(tmp_path, HeldFence())
    await sink.discard(0)
    await sink.write([result()])
    await sink.commit(1, await sink.prepare(1))
    log = tmp_path / "m1" / "usage.stdout"
    log.rename(log.with_suffix(".1"))
    await sink.write([result(number=1)])
    await sink.commit(2, await sink.prepare(2))
    await sink.close()
    assert entries(log) == [(SWEEP + 1, "1\n")]


@pytest.mark.asyncio
async def test_a_hidden_file_that_is_gone_or_broken_is_told_of(tmp_path: Path) -> None:
    fence = HeldFence()
    sink = await start(tmp_path, fence)
    await sink.discard(0)
    await sink.write([result()])
    prepared = await sink.prepare(1)
    await sink.close()
    (part,) = parts(tmp_path)
    held = bytearray(part.read_bytes())
    held[0] ^= 1
    part.write_bytes(held)
    sink = await start(tmp_path, fence.taken_over())
    await sink.discard(1)
    with pytest.raises(MisconfiguredError, match=r"epoch 1 .* not whole"):
        await sink.commit(1, prepared)
    await sink.close()


@pytest.mark.asyncio
async def test_a_broken_ledger_is_told_of(tmp_path: Path) -> None:
    (tmp_path / ".probe_logs.json").write_text("[1")
    sink = await start(tmp_path, HeldFence())
    with pytest.raises(MisconfiguredError, match=r"\.probe_logs\.json"):
        await sink.discard(3)
    await sink.close()


@pytest.mark.asyncio
async def test_two_sinks_do_not_share_a_folder_but_the_trace_may(tmp_path: Path) -> None:
    logs = await start(tmp_path)
    with pytest.raises(MisconfiguredError, match="another sink is writing"):
        await start(tmp_path)
    trace = sinks.sweep_trace(tmp_path)
    await trace.open(context())
    await trace.close()
    await logs.close()


@pytest.mark.asyncio
async def test_a_full_disk_leaves_whole_batches(small_disk: Path, context: Context) -> None:
    sink = sinks.probe_logs(small_disk / "experiment")
    await sink.open(context)
    written = 0

    async def fill() -> None:
        nonlocal written
        while True:
            await sink.write([result(f"m{n}", written, stdout="x" * 9_000) for n in range(5)])
            written += 1

    with pytest.raises(WriteFailed, match="No space left") as failed:
        await fill()
    await sink.close()
    assert failed.value.records == 5 * written > 0
    logs = shown(small_disk / "experiment")
    assert {len(entries(small_disk / "experiment" / log)) for log in logs} == {written}


@pytest.mark.asyncio
async def test_a_disk_that_is_full_at_the_commit_loses_nothing(small_disk: Path) -> None:
    folder, fence = small_disk / "experiment", HeldFence()
    sink = await start(folder, fence)
    await sink.discard(0)
    (small_disk / "ballast").write_bytes(b"x" * 700_000)
    await sink.write([result(f"m{n}", stdout="x" * 20_000) for n in range(10)])
    prepared = await sink.prepare(1)
    with pytest.raises(WriteFailed, match=r"epoch 1.*No space left"):
        await sink.commit(1, prepared)
    await sink.close()
    (small_disk / "ballast").unlink()
    sink = await start(folder, fence.taken_over())
    await sink.discard(1)
    await sink.commit(1, prepared)
    await sink.close()
    assert [len(entries(folder / log)) for log in shown(folder)] == [1] * 10


@pytest.mark.parametrize("folder", ["", "a\0b"])
def test_a_folder_without_a_name_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match="folder of an experiment"):
        sinks.probe_logs(folder)


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MisconfiguredError, match="cannot write into the folder"):
        await start(tmp_path / "file")
