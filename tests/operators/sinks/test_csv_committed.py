"""`csv` under a store: one header and each line once, whatever happens in between."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from thalweg.operators import sinks
from thalweg.operators.sinks import Csv, WriteFailed
from thalweg.runtime.contracts import MisconfiguredError, StateLost
from thalweg.testing import SINK_CHECKS, HeldFence, SinkCase, context, run_virtual

Form = Literal["one", "epoch"]
Check = Callable[[SinkCase[Any]], Awaitable[None]]

KILLED = Path(__file__).with_name("killed.py")
FORMS: tuple[Form, ...] = ("one", "epoch")


def files(path: Path) -> list[Path]:
    """What anybody sees: of a folder, the files that are not hidden, in the order of names."""
    if path.is_dir():
        return sorted(each for each in path.iterdir() if not each.name.startswith("."))
    return [path] if path.exists() else []


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of all files, each of which begins with its header."""
    found: list[dict[str, str]] = []
    for each in files(path):
        content = each.read_text()
        assert not content or content.endswith("\n")
        found += csv.DictReader(content.splitlines(), strict=True)
    return found


def hidden(path: Path) -> list[str]:
    folder = path if path.is_dir() else path.parent
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


async def start(path: Path, form: Form = "one", *, token: int = 1, **options: Any) -> Csv:
    sink = sinks.csv(path, files=form, **options)
    await sink.open(context(fence=HeldFence(token=token)))
    return sink


async def begin(path: Path, form: Form = "one", **options: Any) -> Csv:
    sink = await start(path, form, **options)
    await sink.discard(0)
    return sink


async def take(sink: Csv, epoch: int, *records: object) -> bytes:
    await sink.write(records)
    prepared = await sink.prepare(epoch)
    await sink.commit(epoch, prepared)
    return prepared


async def again(path: Path, form: Form, epoch: int, prepared: bytes, **options: Any) -> Csv:
    sink = await start(path, form, token=2, **options)
    await sink.discard(epoch)
    await sink.commit(epoch, prepared)
    return sink


@pytest.mark.parametrize("columns", [None, ["n"]], ids=["seen", "named"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(
    check: Check, form: Form, columns: list[str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "out"
    case = SinkCase(
        lambda: sinks.csv(path, files=form, columns=columns),
        [{"n": number} for number in range(30)],
        lambda: [{"n": int(row["n"])} for row in rows(path)],
        bad=[{"n": b"bytes"}],
    )
    run_virtual(lambda: check(case))


@pytest.mark.parametrize("form", FORMS)
def test_killed_at_any_moment_it_writes_each_line_once(form: Form, tmp_path: Path) -> None:
    kind = {"one": "csv", "epoch": "csv files"}[form]
    path, store = tmp_path / "out", tmp_path / "store.json"
    subprocess.run(
        [sys.executable, str(KILLED), kind, str(path), str(store), "30", "0.08"], check=True
    )
    saved = json.loads(store.read_text())
    assert [row["n"] for row in rows(path)] == [str(n) for n in range(saved["count"])]
    assert saved["count"] > 100
    assert hidden(path) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_the_columns_are_those_of_before_after_a_restart(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = await begin(path, form)
    await take(sink, 1, {"a": 1, "b": 2})
    prepared = await take(sink, 2)
    await sink.close()
    sink = await again(path, form, 2, prepared)
    outcome = await sink.write([{"c": 1}, {"b": 4, "a": 3}])
    assert outcome is not None
    assert "no column for the field 'c'" in str(outcome.rejected[0])
    await take(sink, 3)
    await sink.close()
    assert rows(path) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    texts = [each.read_text() for each in files(path)]
    assert texts == (["a,b\n1,2\n3,4\n"] if form == "one" else ["a,b\n1,2\n", "a,b\n3,4\n"])


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_a_header_that_waits_is_appended_once(form: Form, tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = await begin(path, form)
    await sink.write([{"a": 1}])
    prepared = await sink.prepare(1)
    await sink.write([{"a": 2}])
    await sink.close()
    assert rows(path) == []
    for _ in range(2):
        sink = await again(path, form, 1, prepared)
        assert [each.read_text() for each in files(path)] == ["a\n1\n"]
        await sink.close()
    sink = await again(path, form, 1, prepared)
    await take(sink, 2, {"a": 2})
    await sink.close()
    assert rows(path) == [{"a": "1"}, {"a": "2"}]


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_a_job_killed_before_its_first_record_has_no_columns_yet(
    form: Form, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, form)
    prepared = await take(sink, 1)
    await sink.write([{"lost": 1}])
    await sink.close()
    sink = await again(path, form, 1, prepared)
    await take(sink, 2, {"a": 1})
    await sink.close()
    assert rows(path) == [{"a": "1"}]


@pytest.mark.asyncio
async def test_named_columns_head_a_file_without_records(tmp_path: Path) -> None:
    one, folder = tmp_path / "out.csv", tmp_path / "folder"
    sink = await begin(one, columns=["b", "a"])
    prepared = await take(sink, 1)
    assert one.read_text() == "b,a\n"
    await sink.close()
    sink = await again(one, "one", 1, prepared, columns=["b", "a"])
    await take(sink, 2, {"a": 1, "b": 2})
    await sink.close()
    assert one.read_text() == "b,a\n2,1\n"
    sink = await begin(folder, "epoch", columns=["b", "a"])
    await take(sink, 1)
    await sink.on_end()
    await take(sink, 2)
    await sink.close()
    assert files(folder) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": ["b", "a"]}, r"has the columns \['a', 'b'\], and now columns= names \['b'"),
        ({"delimiter": ";"}, "was written with delimiter=',', and now it is ';'"),
        ({"null": "NULL"}, "was written with null='', and now it is 'NULL'"),
    ],
    ids=["columns", "delimiter", "null"],
)
async def test_lines_of_another_form_are_refused_after_a_restart(
    form: Form, options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    sink = await begin(path, form)
    prepared = await take(sink, 1, {"a": 1, "b": 2})
    await sink.close()
    sink = await start(path, form, token=2, **options)
    await sink.discard(1)
    with pytest.raises(MisconfiguredError, match=told) as caught:
        await sink.commit(1, prepared)
    assert str(path) in str(caught.value)
    assert "begin anew with another state" in str(caught.value)
    await sink.close()
    sink = await again(path, form, 1, prepared, columns=["a", "b"])
    await sink.close()


@pytest.mark.asyncio
async def test_a_sink_that_had_prepared_nothing_goes_on_below_the_header_that_is_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.csv"
    path.write_text('"a ""x""",b\n1,2\n')
    sink = await start(path)
    await sink.discard(7)
    await take(sink, 8, {"b": 4, 'a "x"': 3})
    await sink.close()
    assert path.read_text() == '"a ""x""",b\n1,2\n3,4\n'
    sink = await start(path, columns=["a", "b"], token=2)
    await sink.discard(9)
    with pytest.raises(MisconfiguredError, match=r"now columns= names \['a', 'b'\]"):
        await sink.write([{"a": 1, "b": 2}])
    await sink.close()
    path.unlink()
    sink = await start(path, token=3)
    await sink.discard(9)
    await take(sink, 10, {"a": 1})
    await sink.close()
    assert path.read_text() == "a\n1\n"


@pytest.mark.asyncio
async def test_each_file_has_one_header_also_where_an_epoch_has_no_records(tmp_path: Path) -> None:
    path = tmp_path / "out"
    sink = await begin(path, "epoch")
    for epoch, records in enumerate([[{"a": 1}], [], [{"a": 2}, {"a": 3}]], 1):
        await take(sink, epoch, *records)
    await sink.close()
    assert {each.name: each.read_text() for each in files(path)} == {
        "part-000000000001-0000.csv": "a\n1\n",
        "part-000000000003-0000.csv": "a\n2\n3\n",
    }


@pytest.mark.asyncio
async def test_a_torn_header_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = await begin(path)
    await sink.write([{"first": 1, "second": 2}])
    prepared = await sink.prepare(1)
    await sink.close()
    (name,) = hidden(path)
    whole = (tmp_path / name).read_bytes()
    for torn in (b"", b"fir", b"first,second\n1", b"\x00" * 50):
        path.write_bytes(torn)
        (tmp_path / name).write_bytes(whole)
        sink = await again(path, "one", 1, prepared)
        await take(sink, 2, {"first": 3, "second": 4})
        await sink.close()
        assert path.read_text() == "first,second\n1,2\n3,4\n"


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_on_a_full_disk_the_epoch_holds_what_was_counted(
    form: Form, small_disk: Path
) -> None:
    path = small_disk / "out"
    sink = await begin(path, form)
    with pytest.raises(WriteFailed, match="No space left on device; 0 records of this run"):
        await sink.write([{"a": "x" * 2_000_000}])
    await take(sink, 1, {"a": "first"})
    with pytest.raises(WriteFailed, match="No space left on device; 1 records of this run"):
        await sink.write([{"a": "x" * 2_000_000}])
    await take(sink, 2, {"a": "second"})
    await sink.close()
    assert rows(path) == [{"a": "first"}, {"a": "second"}]


@pytest.mark.asyncio
@pytest.mark.parametrize("form", FORMS)
async def test_a_copy_that_was_replaced_shows_nothing(form: Form, tmp_path: Path) -> None:
    path, fence = tmp_path / "out", HeldFence()
    sink = sinks.csv(path, files=form)
    await sink.open(context(fence=fence))
    await sink.discard(0)
    await take(sink, 1, {"a": 1})
    await sink.write([{"a": 2}])
    prepared = await sink.prepare(2)
    fence.taken_over()
    for step in (sink.commit(2, prepared), sink.discard(0)):
        with pytest.raises(StateLost):
            await step
    assert rows(path) == [{"a": "1"}]
    await sink.close()


@pytest.mark.asyncio
async def test_a_pipe_is_written_at_once_also_under_a_store(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert not sinks.csv(pipe).transactional
    sink = await start(pipe)
    await sink.write([{"a": 1}])
    await sink.write([{"a": 2}])
    assert os.read(reader, 100) == b"a\n1\n2\n"
    await sink.close()
    os.close(reader)
    assert hidden(pipe) == []


@pytest.mark.asyncio
async def test_without_a_store_the_folder_holds_one_file_that_is_seen_at_once(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out"
    sink = sinks.csv(path, files="epoch", columns=["a"])
    await sink.open(context())
    await sink.write([{"a": 1}])
    assert rows(path) == [{"a": "1"}]
    await sink.on_end()
    await sink.close()
    assert [each.name for each in files(path)] == ["part-000000000000-0000.csv"]
    assert files(path)[0].read_text() == "a\n1\n"
