"""Streams of files: which are read, in which order and how far, and what does not fit."""

from __future__ import annotations

import ast
import asyncio
import gzip
import importlib
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from thalweg import (
    Bookmark,
    ColumnOperator,
    Columns,
    DeadLetter,
    Graph,
    JobFailed,
    Read,
    Row,
    State,
)
from thalweg.operators import aggregates, group_by, sinks, sources, windows
from thalweg.operators.sources import _file_pieces as pieces
from thalweg.operators.sources._file_log import FileLog
from thalweg.runtime.contracts import MisconfiguredError
from thalweg.testing import HeldFence, context, run_virtual

pa: Any = pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

Outcome = tuple[list[Row], list[DeadLetter]]


def write(path: Path, *rows: object, at: int = 0) -> Path:
    """NDJSON: text stands as it is; the time of the file is a second for each `at`."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))
    return path


def run(paths: Any, **options: Any) -> Outcome:
    """All rows, and the dead letters."""
    rows, letters = list[Row](), list[DeadLetter]()
    graph = Graph("reading")
    options.setdefault("format", "ndjson")
    read = graph.read("files", sources.files(paths, **options))
    read.to("rows", sinks.collect(rows))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    return rows, letters


def told(letters: list[DeadLetter]) -> list[str]:
    return [letter.error.message for letter in letters]


class Groups(ColumnOperator):
    """Tells at each trigger which numbers came since the last."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def process_columns(self, columns: Columns) -> Any:
        self.numbers = self.numbers + columns.table["n"].to_pylist()
        return ()

    def on_trigger(self, number: int) -> Any:
        yield Columns(pa.table({"trigger": [number], "numbers": [self.numbers]}))
        self.numbers = []

    def snapshot(self) -> bytes:
        return json.dumps(self.numbers).encode()

    def restore(self, data: bytes) -> None:
        self.numbers = json.loads(data)


def groups(paths: Any, **options: Any) -> list[Any]:
    rows = list[Row]()
    graph = Graph("grouping")
    read = graph.read("files", sources.files(paths, format="ndjson", **options))
    read.via("groups", Groups(), volatile=True).to("rows", sinks.collect(rows))
    graph.run()
    return [row["numbers"] for row in rows]


def test_files_are_read_in_order_of_time_and_name(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"n": 3}, at=2)
    write(tmp_path / "b.json", {"n": 1}, {"n": None}, at=1)
    write(tmp_path / "c.json", {"n": 4}, at=2)
    rows, letters = run(tmp_path / "*.json")
    assert [row["n"] for row in rows] == [1, None, 3, 4]
    assert not letters


def test_the_newest_come_first_if_so_asked(tmp_path: Path) -> None:
    for at in range(4):
        write(tmp_path / f"{at}.json", {"n": at}, at=at)
    rows, _ = run(tmp_path / "*.json", latest_first=True)
    assert [row["n"] for row in rows] == [3, 2, 1, 0]


def test_names_that_begin_with_a_dot_or_an_underscore_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "_SUCCESS", "no json")
    write(tmp_path / ".part.json", "no json")
    (tmp_path / "folder").mkdir()
    write(tmp_path / "a.json", {"n": 1})
    assert run(tmp_path) == ([{"n": 1}], [])


def test_a_name_full_of_wildcards_is_a_name(tmp_path: Path) -> None:
    write(tmp_path / "a[1]*.json", {"n": 1})
    write(tmp_path / "a1x.json", {"n": 2})
    assert run(str(tmp_path / "a[1]*.json"), schema={"n": int}) == ([{"n": 1}], [])


def test_a_trigger_stands_behind_each_group_of_files(tmp_path: Path) -> None:
    for at in range(5):
        write(tmp_path / f"{at}.json", {"n": at}, at=at)
    assert groups(tmp_path, max_files_per_trigger=2) == [[0, 1], [2, 3], [4]]
    assert groups(tmp_path) == [[0, 1, 2, 3, 4]]
    size = (tmp_path / "0.json").stat().st_size
    assert groups(tmp_path, max_bytes_per_trigger=3 * size) == [[0, 1, 2], [3, 4]]
    assert groups(tmp_path, max_bytes_per_trigger=1) == [[0], [1], [2], [3], [4]]


def test_a_row_that_does_not_fit_is_rejected_with_file_and_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.json",
        {"n": 1, "x": 0.5},
        "",
        {"n": "one", "x": 1.5},
        {"n": 2},
        '{"n": 3, "x"',
        "[4]",
        {"n": 99999999999999999999999, "x": 2.5},
        {"n": 5, "x": None},
    )
    rows, letters = run(path, schema={"n": int, "x": float})
    assert rows == [{"n": 1, "x": 0.5}, {"n": 2, "x": None}, {"n": 5, "x": None}]
    assert [text.split(": ", 1) for text in told(letters)] == [
        [f"{path}, line 3", "column 'n' is BIGINT, not 'one'"],
        [f"{path}, line 5", "no whole JSON: unexpected end of data: line 1 column 13 (char 12)"],
        [f"{path}, line 6", "an object is needed, not list"],
        [f"{path}, line 7", "column 'n' is BIGINT, not 99999999999999999999999"],
    ]
    assert [letter.origin and letter.origin.position for letter in letters] == [1, 3, 4, 5]
    assert letters[1].record == '{"n": 3, "x"'


def test_a_torn_last_line_is_rejected_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"n": 1}\n{"n": 2}\n{"n": 3')
    rows, letters = run(path, schema={"n": int})
    assert [row["n"] for row in rows] == [1, 2]
    assert told(letters)[0].startswith(f"{path}, line 3: no whole JSON")


def test_a_field_that_changes_its_type_in_a_later_file_is_not_rounded(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"n": 1}, at=0)
    path = write(tmp_path / "b.json", {"n": 2}, {"n": 2.5}, {"n": 4.0}, at=1)
    write(tmp_path / "c.json", {"n": 5}, at=2)
    rows, letters = run(tmp_path)
    assert [row["n"] for row in rows] == [1, 2, 4, 5]
    assert told(letters) == [f"{path}, line 2: column 'n' is BIGINT, not 2.5"]


def test_bad_rows_in_a_late_piece_do_not_repeat_the_early_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "ROWS", 2048)
    lines: list[object] = [{"n": n} for n in range(60_000)]
    lines[55_000] = "nonsense"
    path = write(tmp_path / "a.json", *lines)
    rows, letters = run(path, schema={"n": int})
    assert [row["n"] for row in rows] == [n for n in range(60_000) if n != 55_000]
    assert [letter.origin and letter.origin.position for letter in letters] == [55_000]


def test_whole_numbers_of_both_signs_are_plain_numbers(tmp_path: Path) -> None:
    nested = {"list": [1, -1], "HUGEINT": {"n": 1}}
    path = write(tmp_path / "1.json", {"n": 1, "o": nested}, {"n": -1, "o": {"HUGEINT": {"n": -1}}})
    rows, _ = run(path)
    assert rows == [{"n": 1, "o": nested}, {"n": -1, "o": {"list": None, "HUGEINT": {"n": -1}}}]
    assert [type(row["n"]) for row in rows] == [int, int]
    assert "Decimal" not in repr(rows)


def test_the_columns_that_are_logged_can_be_pasted_whatever_their_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = {'a"b': 1, "back\\slash\n": "x", "o": {"@type": "t", "it's-": [{"$.": 2, '"': 3}]}}
    path = write(tmp_path / "1.json", row)
    with caplog.at_level("INFO", logger="thalweg.sources"):
        rows, _ = run(path)
    logged = caplog.messages[0].partition("schema=")[2]
    again, letters = run(path, schema=ast.literal_eval(logged))
    assert (again, letters) == (rows, []) == ([row], [])


def test_the_first_file_with_rows_decides_which_columns_there_are(tmp_path: Path) -> None:
    write(tmp_path / "a.json", at=0)
    write(tmp_path / "b.json", {"n": 1, "word": "x", "at": "2024-01-02T03:04:05Z"}, at=1)
    write(tmp_path / "c.json", {"n": 2, "more": True}, {"word": "y"}, at=2)
    rows, letters = run(tmp_path)
    assert [(row["n"], row["word"]) for row in rows] == [(1, "x"), (2, None), (None, "y")]
    assert set(rows[0]) == {"n", "word", "at"}
    assert not letters


def test_empty_files_are_files_without_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.json")
    assert run(tmp_path) == ([], [])


def test_that_there_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="no file matches"):
        run(tmp_path / "*.json")


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "a.json.gz", {"n": 1}, {"n": 2}, at=0)
    stream = pa.CompressedOutputStream(str(tmp_path / "b.json.zst"), "zstd")
    stream.write(b'{"n": 3}\n')
    stream.close()
    assert [row["n"] for row in run(tmp_path)[0]] == [1, 2, 3]


def test_a_bomb_is_rejected_whole_before_it_goes_off(tmp_path: Path) -> None:
    path = tmp_path / "a.json.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(40):
            file.write(b" " * (1 << 20))
    write(tmp_path / "b.json", {"n": 1})
    rows, letters = run(tmp_path, schema={"n": int})
    assert rows == [{"n": 1}]
    (text,) = told(letters)
    assert text.startswith(f"{path} becomes more than 200 times as large")
    assert letters[0].record == str(path)


def test_a_packed_file_that_is_torn_is_rejected_whole(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"n": 1}\n' * 1000)
    (tmp_path / "a.json.gz").write_bytes(whole[: len(whole) // 2])
    rows, letters = run(tmp_path, schema={"n": int})
    assert not rows
    assert "is no whole gzip file" in told(letters)[0]


def test_a_file_that_vanishes_before_it_is_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.json", {"n": 1}, at=0)
    gone = write(tmp_path / "b.json", {"n": 2}, at=1)
    module: Any = importlib.import_module("thalweg.operators.sources._waiting_files")
    listed: Any = module.list_files

    def then_gone(*given: Any) -> Any:
        found = listed(*given)
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(module, "list_files", then_gone)
    rows, letters = run(tmp_path, schema={"n": int})
    assert rows == [{"n": 1}]
    assert told(letters) == [f"{gone} vanished before it was read"]


def test_csv_is_read_by_its_header_and_bad_lines_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('word,n\nx,1\n"y, z",2\nbad,two\nw,4\n')
    rows, letters = run(path, format="csv", schema={"n": int, "word": str})
    assert rows == [
        {"n": 1, "word": "x"},
        {"n": 2, "word": "y, z"},
        {"n": 4, "word": "w"},
    ]
    (text,) = told(letters)
    assert text.startswith(f"{path}, line 4: ")
    assert letters[0].record == "bad,two"


def test_a_header_may_write_names_in_another_case_than_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("WORD,X,N\nw,0.5,1\n")
    schema = {"word": str, "x": float, "n": int}
    rows, _ = run(path, format="csv", schema=schema)
    assert rows == [{"word": "w", "x": 0.5, "n": 1}]
    path.write_text("WORD,X,N\nw,0.5,1\nbad,0.5,two\n")
    rows, letters = run(path, format="csv", schema=schema)
    assert rows == [{"word": "w", "x": 0.5, "n": 1}]
    assert len(letters) == 1


def test_parquet_is_read_and_a_file_with_other_columns_is_rejected(tmp_path: Path) -> None:
    from pyarrow import parquet

    writing: Any = parquet
    for at, table in enumerate(
        [{"n": [1, 2], "x": [0.5, None]}, {"n": ["a"], "x": [1.0]}, {"x": [2.0], "n": [3]}]
    ):
        path = tmp_path / f"{at}.parquet"
        writing.write_table(pa.table(table), path)
        os.utime(path, (1_700_000_000 + at, 1_700_000_000 + at))
    rows, letters = run(tmp_path, format="parquet")
    assert rows == [{"n": 1, "x": 0.5}, {"n": 2, "x": None}, {"n": 3, "x": 2.0}]
    assert told(letters) == [f"{tmp_path / '1.parquet'}: column 'n' is VARCHAR, not BIGINT"]


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    seen = list[tuple[str, ...]]()

    class Asking(ColumnOperator):
        def process_columns(self, columns: Columns) -> Any:
            seen.append(columns.names)
            return ()

        def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
            return frozenset({"x"})

    write(tmp_path / "a.json", {"n": "never looked at", "x": 1.5, "y": 2})
    graph = Graph("asking")
    read = graph.read("files", sources.files(tmp_path, format="ndjson"))
    read.via("asking", Asking()).to("out", sinks.collect([]))
    graph.run()
    assert seen == [("x",)]
    assert "columns asked for: x" in graph.plan().text()


def test_late_rows_have_all_their_columns_where_somebody_reads_them(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"at": 100, "word": "a"}, {"at": 1, "word": "b"})

    def read(*, late: list[Row] | None) -> Graph:
        graph = Graph("late")
        files = graph.read("files", sources.files(tmp_path, format="ndjson"))
        measures = {"n": aggregates.count()}
        groups = files.via(
            "groups",
            group_by(measures=measures, window=windows.tumbling(10), time="at", unit="s"),
            volatile=True,
        )
        groups.to("out", sinks.collect([]))
        if late is not None:
            groups.late.to("late", sinks.collect(late))
        return graph

    assert "columns asked for: at" in read(late=None).plan().text()
    late = list[Row]()
    read(late=late).run()
    assert late == [{"at": 1, "word": "b"}]


def test_a_column_that_there_is_not_fails_the_job_with_those_there_are(tmp_path: Path) -> None:
    class Asking(ColumnOperator):
        def process_columns(self, columns: Columns) -> Any:
            return ()

        def asks_for(self, below: frozenset[str] | None) -> frozenset[str] | None:
            return frozenset({"z"})

    write(tmp_path / "a.json", {"x": 1.5, "y": 2})
    graph = Graph("asking")
    read = graph.read("files", sources.files(tmp_path, format="ndjson"))
    read.via("asking", Asking()).to("out", sinks.collect([]))
    with pytest.raises(JobFailed, match=r"asks for the columns \['z'\], and the files have"):
        graph.run()


@pytest.mark.parametrize("clean", ["archive", "delete"])
def test_files_are_put_away_when_their_rows_have_arrived(tmp_path: Path, clean: Any) -> None:
    folder, archive = tmp_path / "in", tmp_path / "read"
    folder.mkdir()
    for at in range(5):
        write(folder / f"{at}.json", *([{"n": at}] if at != 3 else []), at=at)
    option = {"archive": archive} if clean == "archive" else {}
    rows, _ = run(folder, clean=clean, **option)
    assert [row["n"] for row in rows] == [0, 1, 2, 4]
    assert not list(folder.iterdir())
    if clean == "archive":
        assert sorted(path.name for path in archive.iterdir()) == [f"{at}.json" for at in range(5)]


def test_a_folder_that_was_emptied_by_reading_it_had_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"n": 1})

    async def main() -> None:
        source = sources.files(tmp_path, format="ndjson", schema={"n": int}, clean="delete")
        await source.open(context())
        while (read := await source.read(1024)) is not None:
            if isinstance(read, Read) and read.lane:
                await source.ack(read.lane, read.positions[-1])
        assert await source.read(1024) is None
        await source.close()

    run_virtual(main)
    assert not path.exists()


@pytest.mark.parametrize("every", [100, 1])
def test_each_file_is_read_once_over_several_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    # With 1 the files that were read are told by their lanes alone, which a start has to heed.
    monkeypatch.setattr(importlib.import_module("thalweg.operators.sources.files"), "_NOTES", every)
    folder = tmp_path / "in"
    folder.mkdir()
    rows = list[Row]()

    def start() -> None:
        graph = Graph("several")
        read = graph.read("files", sources.files(folder, format="ndjson", follow=True))
        enough = asyncio.Event()

        def keep(row: Row) -> None:
            rows.append(row)
            if len(rows) == expected:
                enough.set()

        read.to("rows", sinks.each(keep))

        async def main() -> None:
            async with graph.start(state=State(tmp_path / "state")) as job:
                await enough.wait()
                await job.suspend()

        asyncio.run(main())

    expected = 2
    write(folder / "a.json", {"n": 1, "word": "x"}, at=0)
    write(folder / "b.json", {"n": 2}, at=1)
    start()
    expected = 3
    write(folder / "old.json", {"n": 3, "later": 1}, at=-100)  # Older than what was read.
    start()
    assert rows == [{"n": 1, "word": "x"}, {"n": 2, "word": None}, {"n": 3, "word": None}]


def test_a_file_goes_on_where_it_was_and_must_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "ROWS", 2048)
    path = write(tmp_path / "a.json", *({"n": n} for n in range(10_000)))

    async def part(stop: int, mark: Any) -> Any:
        source = sources.files(path, format="ndjson")
        await source.open(context(fence=HeldFence()))
        if mark:
            await source.seek(mark)
        seen: list[int] = []
        last: Any = None
        while len(seen) < stop and (read := await source.read(1024)) is not None:
            if isinstance(read, Read):
                seen += [int(str(row["n"])) for row in read.records]
                if read.lane:
                    last = read
        await source.close()
        return seen, last

    async def main() -> None:
        first, last = await part(4000, None)
        assert 4000 <= len(first) < 10_000
        mark = {last.lane: Bookmark(last.positions[-1], last.note)}
        rest, _ = await part(20_000, mark)
        assert first + rest == list(range(10_000))
        write(path, {"n": 1})
        with pytest.raises(MisconfiguredError, match="is another file now"):
            await part(20_000, mark)

    run_virtual(main)


def test_all_files_are_not_noted_anew_for_each(tmp_path: Path) -> None:
    for at in range(400):
        write(tmp_path / f"{at}.json", {"n": at})

    async def main() -> None:
        source = sources.files(tmp_path, format="ndjson", schema={"n": int})
        await source.open(context(fence=HeldFence()))
        notes, lanes = list[bytes](), set[str]()
        while (read := await source.read(1024)) is not None:
            if isinstance(read, Read):
                lanes -= {*read.forget}
                if read.lane:
                    lanes.add(read.lane)
                elif read.note:
                    notes.append(read.note)
                assert len(lanes) <= 8
        await source.close()
        assert 100 < len(notes) < 300
        assert not lanes
        log = FileLog()
        log.restore(notes[-1], "files")
        assert len(log) == 400

    run_virtual(main)


def test_a_hundred_thousand_files_are_remembered_in_a_megabyte() -> None:
    log = FileLog()
    for number in range(100_000):
        log.add(f"data/part-{number:06d}.json")
    note = log.note()
    assert len(note) < 1_200_000
    again = FileLog()
    again.restore(note, "files")
    assert "data/part-012345.json" in again
    assert "data/part-100000.json" not in again


def test_the_note_of_another_source_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="another kind of source wrote it"):
        FileLog().restore(b'{"kind":"csv","offset":3}', "files")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "format is one of"),
        ({"max_files_per_trigger": 0}, "max_files_per_trigger is 1 or more"),
        ({"max_files_per_trigger": 1, "max_bytes_per_trigger": 1}, "say only one"),
        ({"clean": "archive"}, "needs archive="),
        ({"archive": "there"}, "is for nothing else"),
        ({"clean": "burn"}, "clean is 'off', 'archive' or 'delete'"),
        ({"max_ratio": 0}, "max_ratio is 1 or more"),
        ({"schema": {"n": "BIGINT); drop"}}, "the type of column 'n' is one of"),
        ({"schema": {"n": complex}}, "the type of column 'n' is one of"),
        ({"poll_interval": 0}, "poll_interval is more than 0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: Any, message: str) -> None:
    make: Any = partial(sources.files, "data/*.json")
    with pytest.raises(ValueError, match=message):
        make(**{"format": "ndjson", **options})


def test_a_type_that_there_is_not_is_refused_when_it_opens(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="the type of column 'n'"):
        run(tmp_path, schema={"n": "NUMBERS"})


def test_a_name_that_is_no_utf_8_is_a_name(tmp_path: Path) -> None:
    try:
        write(tmp_path / os.fsdecode(b"\xff.json"), {"n": 1})
    except OSError:
        pytest.skip("there are no such names here")
    assert run(tmp_path) == ([{"n": 1}], [])
    assert run(tmp_path, schema={"n": int}) == ([{"n": 1}], [])


def test_a_column_that_cannot_be_asked_for_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a.json", {"n": 1, "a\0b": 2})
    assert run(tmp_path) == ([{"n": 1}], [])
    with pytest.raises(ValueError, match="has no NUL in it"):
        sources.files("in", format="ndjson", schema={"a\0b": int})


@pytest.mark.parametrize("paths", [3, b"a.json", None])
def test_what_is_no_path_is_refused(paths: Any) -> None:
    with pytest.raises(TypeError, match="paths is a path or several, not"):
        sources.files(paths, format="ndjson")


@pytest.mark.parametrize("ending", [".bz2", ".XZ", ".zip"])
def test_what_is_packed_in_another_way_is_rejected_as_a_whole(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "a.json", {"n": 1})
    (tmp_path / f"b.json{ending}").write_bytes(b'{"n": 2}\n{"n": 3}\n')
    rows, letters = run(tmp_path, schema={"n": int})
    assert rows == [{"n": 1}]
    (message,) = told(letters)
    assert f"packed as {ending.lower()} is not read, but .gz and .zst are" in message
