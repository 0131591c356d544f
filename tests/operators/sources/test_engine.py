"""What reads files: its settings, what it says, and what becomes of it when it is not there."""

from __future__ import annotations

import asyncio
import mmap
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from thalweg.operators import sources
from thalweg.operators.sources import _file_sample as sample
from thalweg.operators.sources._engine import Broken, Engine, Link, OutOfMemory, together
from thalweg.operators.sources._file_schema import PLAIN, is_known, known_types
from thalweg.runtime.contracts import MisconfiguredError, MissingExtra
from thalweg.testing import context

pa: Any = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
driver: Any = pytest.importorskip("adbc_driver_duckdb")


@pytest.fixture
def link() -> Iterator[Link]:
    """A link to an engine of its own."""
    with closing(Engine()) as engine, closing(engine.link()) as link:
        yield link


def test_it_works_in_one_thread_and_loads_nothing(link: Link) -> None:
    settings = dict(link.rows("select name, value from duckdb_settings()"))
    assert {
        name: settings[name]
        for name in (
            "threads", "enable_external_file_cache", "autoinstall_known_extensions",
            "autoload_known_extensions", "allow_community_extensions",
        )
    } == {
        "threads": "1", "enable_external_file_cache": "false",
        "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
    }  # fmt: skip


@pytest.mark.parametrize("query", ["selec", "select 'x' + i from range(3) of(i)", "select nowhere"])
def test_errors_are_told_in_the_words_of_the_engine(link: Link, query: str) -> None:
    with pytest.raises(Broken, match=r"\A(Parser|Binder|Conversion) Error: ") as caught:
        link.table(query)
    assert not isinstance(caught.value, OutOfMemory)
    assert "LINE" not in str(caught.value)
    assert link.rows("select 1") == [(1,)]


def test_that_there_is_no_memory_is_told_apart(link: Link) -> None:
    link.rows("set memory_limit='10MB'")
    link.rows("set max_temp_directory_size='0MB'")
    with pytest.raises(OutOfMemory):
        list(link.batches("select i from range(5000000) of(i) order by hash(i)", 65_536))


def test_nothing_is_asked_that_the_engine_would_see_a_part_of(link: Link) -> None:
    with pytest.raises(Broken, match="NUL"):
        link.table("select 1\0 as nothing")
    with pytest.raises(Broken, match="surrogates"):
        link.table("select 1 as \ud800")
    assert link.rows("select 1") == [(1,)]


def test_a_link_that_is_closed_amid_a_query_leaves_nothing_open() -> None:
    engine = Engine()
    link = engine.link()
    batches = link.batches("select * from range(1000000)", 2_048)
    assert next(batches).num_rows == 2_048
    link.close()
    engine.close()


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (0, []),
        (1, [1]),
        (4_096, [4_096]),
        (5_000, [5_000]),
        (6_144, [6_144]),
        (6_145, [4_096, 2_049]),
        (8_192, [4_096, 4_096]),
        (10_240, [4_096, 6_144]),
        (12_000, [4_096, 4_096, 3_808]),
    ],
)
def test_no_file_ends_with_a_crumb(link: Link, rows: int, sizes: list[int]) -> None:
    batches = list(link.batches(f"select range as n from range({rows})", 4_096))
    assert [one.num_rows for one in batches] == sizes
    assert [n for one in batches for n in one.column(0).to_pylist()] == list(range(rows))


def test_the_last_link_takes_the_engine_with_it() -> None:
    engine = Engine()
    one, other = engine.link(), engine.link()
    one.close()
    assert other.rows("select 1") == [(1,)]
    engine.end()
    assert other.rows("select 1") == [(1,)]
    other.close()
    other.close()
    with pytest.raises(Exception, match="not initialized"):
        engine.link()
    engine.close()


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_types_that_the_engine_is_not_asked_for_are_those_that_it_has(
    link: Link, name: str
) -> None:
    assert is_known({"n": name})
    assert known_types(link, {"n": name}) == {"n": name}


def test_batches_that_are_too_long_together_stay_apart() -> None:
    size = 3 << 29
    with mmap.mmap(-1, size) as nothing:
        ends = pa.py_buffer(size.to_bytes(8, sys.byteorder)[:4].rjust(8, b"\0"))
        words = pa.StringArray.from_buffers(1, ends, pa.py_buffer(nothing))
        batch = pa.record_batch([pa.ListArray.from_arrays([0, 1], words)], names=["words"])
        assert len(together([batch, batch])) == 2
        del words, batch
    short = pa.record_batch([[1, 2]], names=["n"])
    assert [one.num_rows for one in together([short, short])] == [4]


@pytest.mark.parametrize("missing", ["adbc_driver_manager", "adbc_driver_duckdb", "_duckdb"])
def test_what_is_not_installed_is_an_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(missing)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    driver.driver_path.cache_clear()
    with pytest.raises(MissingExtra, match="sql"):
        Engine()


def test_one_that_is_too_old_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(driver, "driver_path")
    with pytest.raises(MissingExtra, match="sql"):
        Engine()


def test_that_it_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(driver, "driver_path", lambda: str(tmp_path / "nowhere.so"))
    with pytest.raises(MisconfiguredError, match=r"DuckDB does not start: .*nowhere\.so"):
        Engine()


@pytest.mark.asyncio
async def test_a_wait_that_is_given_up_leaves_the_link_to_its_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    seen: list[object] = []

    def slow(link: Link, *_: object) -> None:
        began.set()
        go_on.wait(10)
        seen.extend(link.rows("select 1"))

    monkeypatch.setattr(sample, "schema_of_file", slow)
    (tmp_path / "a.json").write_text('{"n": 1}\n')
    source = sources.files(tmp_path, format="ndjson")
    await source.open(context())
    reading = asyncio.ensure_future(source.read(10))
    await asyncio.get_running_loop().run_in_executor(None, began.wait, 10)
    reading.cancel()
    await asyncio.wait([reading])
    closing = asyncio.ensure_future(source.close())
    await asyncio.sleep(0)
    go_on.set()
    await closing
    assert seen == [(1,)]
