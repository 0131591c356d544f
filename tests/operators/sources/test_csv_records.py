from __future__ import annotations

import asyncio
import codecs
import csv
import io
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.operators import sources
from thalweg.operators.sources import _csv_file
from thalweg.runtime.contracts import Context, MisconfiguredError, Rejected

pytestmark = pytest.mark.asyncio

Record = dict[str, Any]
CELL_ONE: dict[type[object], object] = {int: 1, float: 1.0, bool: True}
# What a test sees of a source: its records and its rejected input, by position.
Seen = tuple[dict[int, Record], dict[int, Rejected]]


async def drain(source: sources.CsvRecords, context: Context, limit: int = 100) -> Seen:
    records: dict[int, Record] = {}
    rejected: dict[int, Rejected] = {}
    try:
        await source.open(context)
        while (read := await source.read(limit)) is not None:
            assert 1 <= len(read.records) + len(read.rejected) <= limit
            assert len(read.records) == len(read.positions)
            before = len(records) + len(rejected)
            records.update(zip(read.positions, read.records, strict=True))
            rejected.update((bad.position, bad) for bad in read.rejected)
            assert len(records) + len(rejected) == before + len(read.records) + len(read.rejected)
    finally:
        await source.close()
    assert sorted([*records, *rejected]) == list(range(len(records) + len(rejected)))
    return records, rejected


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(content: str | bytes) -> Path:
        path = tmp_path / "data.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


File = Callable[[str | bytes], Path]


async def test_typed_columns_come_in_the_order_asked_for(file: File, context: Context) -> None:
    path = file("a,b,c,d\n1,2.5,yes,x\n-3,nan,FALSE,y\n")
    source = sources.csv_records(path, columns={"d": str, "a": int, "b": float, "c": bool})
    records, rejected = await drain(source, context)
    assert not rejected
    assert list(records[0].items()) == [("d", "x"), ("a", 1), ("b", 2.5), ("c", True)]
    assert records[1]["c"] is False
    assert records[1]["b"] != records[1]["b"]


async def test_without_columns_all_come_as_text(file: File, context: Context) -> None:
    records, _ = await drain(sources.csv_records(file("a,b\n1,\n")), context)
    assert records == {0: {"a": "1", "b": ""}}


async def test_columns_that_are_not_named_are_left_out(file: File, context: Context) -> None:
    records, _ = await drain(sources.csv_records(file("a,b\n1,2\n"), columns={"b": int}), context)
    assert records == {0: {"b": 2}}


async def test_without_a_header_columns_name_the_cells(file: File, context: Context) -> None:
    source = sources.csv_records(
        file("1;x\n"), columns={"a": int, "b": str}, header=False, delimiter=";"
    )
    assert (await drain(source, context))[0] == {0: {"a": 1, "b": "x"}}


async def test_a_function_makes_the_value_and_gets_empty_cells_too(
    file: File, context: Context
) -> None:
    source = sources.csv_records(file("a,b\nx,1\n,2\n"), columns={"a": lambda text: text + "!"})
    assert [r["a"] for r in (await drain(source, context))[0].values()] == ["x!", "!"]


@pytest.mark.parametrize("kind", [int, float, bool])
async def test_an_empty_cell_of_a_typed_column_is_none(
    kind: type[object], file: File, context: Context
) -> None:
    # The bad row makes the second file go line by line.
    for content, count in (("a,b\n1,x\n,y\n", 2), ("a,b\n1,x\n,y\nbad\n", 3)):
        records, rejected = await drain(
            sources.csv_records(file(content), columns={"a": kind}), context
        )
        assert [record["a"] for record in records.values()] == [CELL_ONE[kind], None]
        assert len(records) + len(rejected) == count


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b", "\n\n", "\ufeff", "a,b\n\n\r\n"])
@pytest.mark.parametrize("repeat", [0, 1, 3])
async def test_an_empty_file_ends_at_once(
    content: str, repeat: int, file: File, context: Context
) -> None:
    source = sources.csv_records(
        file(content), columns={"a": int} if "a" in content else None, repeat=repeat
    )
    assert await drain(source, context) == ({}, {})


async def test_an_empty_file_needs_no_header(file: File, context: Context) -> None:
    assert await drain(sources.csv_records(file(""), columns={"a": int}), context) == ({}, {})


async def test_a_last_line_without_a_line_end_counts(file: File, context: Context) -> None:
    assert (await drain(sources.csv_records(file("a\n1\n2")), context))[0] == {
        0: {"a": "1"},
        1: {"a": "2"},
    }


async def test_crlf_and_a_byte_order_mark_leave_no_trace(file: File, context: Context) -> None:
    path = file(codecs.BOM_UTF8 + b"a,b\r\n1,x\r\n2,y\r\n")
    for encoding in ("utf-8", "utf-8-sig"):
        records, rejected = await drain(sources.csv_records(path, encoding=encoding), context)
        assert records == {0: {"a": "1", "b": "x"}, 1: {"a": "2", "b": "y"}}
        assert not rejected


async def test_another_encoding_is_read(file: File, context: Context) -> None:
    path = file("ä,b\nö,1\n".encode("cp1252"))
    records, _ = await drain(sources.csv_records(path, encoding="cp1252"), context)
    assert records == {0: {"ä": "ö", "b": "1"}}


async def test_only_lf_and_crlf_end_a_line(file: File, context: Context) -> None:
    path = file('a,b\nx\u2028y\x0b,\x1c\x85\n"q\r\nq","r\rr"\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert not rejected
    assert list(records.values()) == [
        {"a": "x\u2028y\x0b", "b": "\x1c\x85"},
        {"a": "q\r\nq", "b": "r\rr"},
    ]


async def rejected_line(
    file: File, context: Context, line: bytes, *, columns: Any = None, **options: Any
) -> tuple[str, object]:
    """Puts a bad line between two good ones, in two places; its error and what was kept of it."""
    told: list[tuple[str, object]] = []
    for before in (1, 5_000):
        content = b"a,b\n" + b"1,x\n" * before + line + b"\n" + b"1,y\n" * 5_000
        records, rejected = await drain(
            sources.csv_records(file(content), columns=columns, **options), context
        )
        assert list(rejected) == [before]
        assert [record["b"] for record in records.values()] == ["x"] * before + ["y"] * 5_000
        error = str(rejected[before].error)
        assert f"data.csv, line {before + 2}: " in error
        told.append((error.partition(f", line {before + 2}: ")[2], rejected[before].record))
    assert told[0] == told[1]
    return told[0]


async def test_bytes_that_do_not_decode_are_rejected(file: File, context: Context) -> None:
    error, raw = await rejected_line(file, context, b"1,\xff\xfe")
    assert error == "byte 0xff at byte 3 is not utf-8"
    assert raw == "1,\\xff\\xfe"


async def test_a_nul_is_rejected(file: File, context: Context) -> None:
    error, raw = await rejected_line(file, context, b"1,\0")
    assert error == "a NUL at character 3"
    assert raw == "1,\0"


@pytest.mark.parametrize(("line", "count"), [(b"1", 1), (b"1,2,3", 3), (b"1,2,", 3)])
async def test_a_wrong_number_of_fields_is_rejected(
    line: bytes, count: int, file: File, context: Context
) -> None:
    error, raw = await rejected_line(file, context, line)
    assert error == f"{count} fields where 2 are expected"
    assert raw == line.decode()


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (int, "1.5", "column 'a': '1.5' is not an int"),
        (float, "much", "column 'a': 'much' is not a float"),
        (float, " ", "column 'a': ' ' is not a float"),
        (bool, "si", "column 'a': 'si' is not a bool"),
        (int, "9" * 200, f"column 'a': '{'9' * 80}…' is not an int"),
    ],
)
async def test_a_value_that_does_not_convert_is_rejected(
    kind: type[object], text: str, told: str, file: File, context: Context
) -> None:
    line = (text if len(text) < 100 else text + "x").encode() + b",z"
    error, raw = await rejected_line(file, context, line, columns={"a": kind, "b": str})
    assert error == told
    assert raw == line.decode()


async def test_a_function_that_refuses_is_named_with_its_error(
    file: File, context: Context
) -> None:
    def grade(text: str) -> int:
        if text == "bad":
            raise LookupError("no such grade")
        return 1

    error, _ = await rejected_line(file, context, b"bad,z", columns={"a": grade, "b": str})
    assert error.endswith("grade refused 'bad': LookupError: no such grade")
    assert "column 'a'" in error


@pytest.mark.parametrize("first", [True, False])
async def test_a_function_that_raises_stop_iteration_loses_no_record(
    first: bool, file: File, context: Context
) -> None:
    def stops(text: str) -> str:
        if text == "stop":
            raise StopIteration
        return text

    rows = ["stop", "1", "2"] if first else ["1", "2", "stop"]
    source = sources.csv_records(file("a\n" + "\n".join(rows) + "\n"), columns={"a": stops})
    records, rejected = await drain(source, context)
    assert [record["a"] for record in records.values()] == ["1", "2"]
    assert list(rejected) == [0 if first else 2]


async def test_an_int_beyond_64_bits_is_read_as_it_is(file: File, context: Context) -> None:
    records, _ = await drain(
        sources.csv_records(file(f"a\n{2**70}\n"), columns={"a": int}), context
    )
    assert records[0]["a"] == 2**70


@pytest.mark.parametrize("length", [11, 5_000, 200_000, 3_000_000])
async def test_a_line_that_is_too_long_is_rejected_and_the_limit_named(
    length: int, file: File, context: Context
) -> None:
    line = b"1," + b"z" * (length - 2)
    error, raw = await rejected_line(file, context, line, max_line_bytes=10)
    assert error == f"the line is {length:,} bytes long, more than max_line_bytes=10"
    assert raw == line[:1_000].decode() + " ..."


@pytest.mark.parametrize("limit", [10, 4_000, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
async def test_a_line_of_exactly_the_limit_passes(
    limit: int, end: bytes, file: File, context: Context
) -> None:
    fits = b"1," + b"z" * (limit - 2)
    content = b"a,b" + end + b"1,x" + end + fits + end + fits + b"z" + end + b"2,y" + end
    source = sources.csv_records(file(content), max_line_bytes=limit)
    records, rejected = await drain(source, context)
    assert list(rejected) == [2]
    assert [len(record["b"]) for record in records.values()] == [1, limit - 2, 1]


async def test_a_very_long_line_is_not_held_in_memory(file: File, context: Context) -> None:
    path = file("a,b\n1,x\n")
    with path.open("ab") as out:
        out.truncate(1 << 28)
        out.seek(0, os.SEEK_END)
        out.write(b"\n2,y\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    records, rejected = await drain(sources.csv_records(path), context)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert [record["b"] for record in records.values()] == ["x", "y"]
    assert f"{(1 << 28) - 8:,} bytes" in str(rejected[1].error)


async def test_a_last_line_that_is_too_long_is_rejected(file: File, context: Context) -> None:
    source = sources.csv_records(file("a\n1\n" + "z" * 300_000), max_line_bytes=100)
    records, rejected = await drain(source, context)
    assert list(records) == [0]
    assert "300,000 bytes" in str(rejected[1].error)


async def test_while_it_passes_over_a_long_line_others_get_their_turn(
    file: File, context: Context
) -> None:
    source = sources.csv_records(file("a\n" + "z" * 3_000_000 + "\n1\n"), max_line_bytes=100)
    await source.open(context)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    read = await source.read(10)
    task.cancel()
    await source.close()
    assert read is not None
    assert len(read.rejected) == 1
    assert turns > 10


async def test_quoted_fields_keep_line_ends_quotes_and_delimiters(
    file: File, context: Context
) -> None:
    path = file('a,b\n"x\ny","he said ""hi"", and left"\n1,"2"\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert not rejected
    assert list(records.values()) == [
        {"a": "x\ny", "b": 'he said "hi", and left'},
        {"a": "1", "b": "2"},
    ]


async def test_lines_are_counted_through_quoted_line_ends(file: File, context: Context) -> None:
    path = file('a,b\n"x\n\ny",1\n\nbad\n"z\n",2\nworse\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert len(records) == 2
    assert [str(bad.error).split(": ")[0] for bad in rejected.values()] == [
        f"{path}, line 6",
        f"{path}, line 9",
    ]


@pytest.mark.parametrize("rows", [3, 50_000])
async def test_a_quote_that_is_never_closed_costs_its_line_alone(
    rows: int, file: File, context: Context
) -> None:
    path = file('a,b\n0,x\n1,"open\n' + "2,y\n" * rows)
    records, rejected = await drain(sources.csv_records(path), context)
    assert [record["b"] for record in records.values()] == ["x"] + ["y"] * rows
    assert list(rejected) == [1]
    error = str(rejected[1].error)
    assert f"{path}, line 3: a quoted field that begins here is not closed" in error
    assert "before the end of the file" in error
    assert rejected[1].record == '1,"open'


async def test_a_quote_that_is_not_closed_within_the_limit_costs_its_line_alone(
    file: File, context: Context
) -> None:
    path = file('a,b\n0,x\n1,"open\n' + "2,y\n" * 100_000)
    source = sources.csv_records(path, max_line_bytes=100_000)
    records, rejected = await drain(source, context)
    assert len(records) == 100_001
    assert "not closed within max_line_bytes=100000" in str(rejected[1].error)


async def test_a_quote_closed_by_a_later_one_in_the_wrong_place_costs_its_line_alone(
    file: File, context: Context
) -> None:
    path = file('a,b\n1,"open\n2,y\n3,"fine"\n4,z\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert [record["b"] for record in records.values()] == ["y", "fine", "z"]
    assert "not closed properly: line 4: " in str(rejected[0].error)


async def test_a_record_over_several_lines_that_follows_an_open_quote_is_intact(
    file: File, context: Context
) -> None:
    path = file('a,b\n1,"open\n2,y\n3,"two\nlines"\n4,z\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert [record["b"] for record in records.values()] == ["y", "two\nlines", "z"]
    assert list(rejected) == [0]


async def test_text_behind_a_closing_quote_is_rejected(file: File, context: Context) -> None:
    error, raw = await rejected_line(file, context, b'"1"x,y')
    assert error.startswith("not valid CSV: ")
    assert raw == '"1"x,y'


async def test_a_record_over_several_lines_is_rejected_as_a_whole(
    file: File, context: Context
) -> None:
    path = file(b'a,b\n"x\n\xff\n",1\n2,y\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert records == {1: {"a": "2", "b": "y"}}
    assert str(rejected[0].error) == f"{path}, line 2: byte 0xff at byte 1 is not utf-8, 1 lines on"
    assert rejected[0].record == '"x\n\\xff\n",1'


async def test_a_quoted_field_as_long_as_the_limit_is_read(file: File, context: Context) -> None:
    long = "line\n" * 180_000
    path = file(f'a,b\n1,x\n2,"{long}"\n3,y\n')
    records, rejected = await drain(sources.csv_records(path), context)
    assert not rejected
    assert [record["b"] for record in records.values()] == ["x", long, "y"]


async def test_lines_that_each_open_a_quote_take_time_in_proportion(
    file: File, context: Context
) -> None:
    # Each line leaves a quoted field open, whether it begins inside one or not: were each tried
    # to the end of the file, this would take minutes.
    path = file("a,b\n" + 'b",x"c,"a\n' * 50_000)
    records, rejected = await drain(sources.csv_records(path), context)
    assert not records
    assert len(rejected) == 50_000


async def test_number_is_the_first_field_and_counts_rejected_lines_and_repeats(
    file: File, context: Context
) -> None:
    path = file("a\n1\nbad\n3\n")
    source = sources.csv_records(path, columns={"a": int}, number="n", repeat=3)
    records, rejected = await drain(source, context, limit=4)
    assert list(rejected) == [1, 4, 7]
    assert list(records) == [0, 2, 3, 5, 6, 8]
    assert all(record["n"] == at for at, record in records.items())
    assert list(records[8]) == ["n", "a"]
    assert all("line 3: " in str(bad.error) for bad in rejected.values())


@pytest.mark.parametrize("limit", [1, 7, 150, 151, 1_000])
@pytest.mark.parametrize("plain", [True, False])
async def test_a_repeated_file_gives_the_same_records_again(
    limit: int, plain: bool, file: File, context: Context
) -> None:
    path = file("a\n" + "".join(f"{n}\n" for n in range(150)))
    kind: Callable[[str], int] = int if plain else lambda text: int(text)
    source = sources.csv_records(path, columns={"a": kind}, repeat=3)
    records, _ = await drain(source, context, limit=limit)
    assert [record["a"] for record in records.values()] == list(range(150)) * 3


async def test_a_repeated_large_file_gives_the_same_records_again(
    file: File, context: Context
) -> None:
    path = file('a\n"two\nlines"\n"open\n' + "".join(f"{n}\n" for n in range(30_000)))
    source = sources.csv_records(path, repeat=2, number="n")
    records, rejected = await drain(source, context, limit=1_000)
    once = ["two\nlines", *map(str, range(30_000))]
    assert [record["a"] for record in records.values()] == once * 2
    assert [str(bad.error) for bad in rejected.values()] == [str(rejected[1].error)] * 2
    assert all(record["n"] == at for at, record in records.items())


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "a,b\n1,2\nbad\n"])
async def test_each_repeat_has_dicts_of_its_own(content: str, file: File, context: Context) -> None:
    source = sources.csv_records(file(content), repeat=5)
    await source.open(context)
    seen: list[Record] = []
    while (read := await source.read(2)) is not None:
        for record in read.records:
            assert record == {"a": "1", "b": "2"}
            record["a"] = "changed"
            seen.append(record)
    assert len({id(record) for record in seen}) == 5
    await source.close()


async def test_endless_repeats_do_not_end(file: File, context: Context) -> None:
    source = sources.csv_records(file("a\n1\n2\n"), repeat=0)
    await source.open(context)
    count = 0
    while count < 100_000:
        read = await source.read(512)
        assert read is not None
        count += len(read.records)
    await source.close()


async def test_a_missing_column_is_named_with_the_nearest_and_the_header(
    file: File, context: Context
) -> None:
    path = file("sepal_length,species\n1,x\n")
    source = sources.csv_records(path, columns={"sepal_lenght": float, "colour": str})
    with pytest.raises(MisconfiguredError) as caught:
        await source.open(context)
    await source.close()
    text = str(caught.value)
    assert str(path) in text
    assert "'sepal_lenght' (did you mean 'sepal_length'?), 'colour'" in text
    assert "['sepal_length', 'species']" in text


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (b"a,a\n1,2\n", {}, "names ['a'] more than once"),
        (b"a,n\n1,2\n", {"number": "n"}, "number='n' is also the name of a column"),
        (b"a,\xff\n1,2\n", {}, "line 1: no header: byte 0xff at byte 3 is not utf-8"),
        (b'"a,b\n1,2\n', {}, "line 1: no header: a quoted field that begins here is not closed"),
        (b"\n" + b"a" * 300_000, {"max_line_bytes": 100_000}, "line 2: no header: the line is"),
        (b"a" * 50_000 + b"\n", {"max_line_bytes": 100}, "line 1: no header: the line is"),
    ],
)
async def test_a_header_that_cannot_be_used_is_told_at_the_start(
    content: bytes, options: dict[str, Any], told: str, file: File, context: Context
) -> None:
    source = sources.csv_records(file(content), **options)
    with pytest.raises(MisconfiguredError) as caught:
        await source.open(context)
    await source.close()
    assert told in str(caught.value)
    assert "data.csv" in str(caught.value)


async def test_a_header_longer_than_a_block_is_read(file: File, context: Context) -> None:
    names = [f"column_{n}" for n in range(20_000)]
    path = file(",".join(names) + "\n" + ",".join("1" * 20_000) + "\n")
    records, _ = await drain(sources.csv_records(path), context)
    assert list(records[0]) == names


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, context: Context) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, told in (
        (tmp_path / "none.csv", "No such file"),
        (tmp_path, "not a regular file"),
        (pipe, "not a regular file"),
    ):
        source = sources.csv_records(path)
        with pytest.raises(MisconfiguredError, match=told) as caught:
            await source.open(context)
        assert str(path) in str(caught.value)
        await source.close()


async def test_two_jobs_of_one_graph_read_it_each_for_itself(file: File, context: Context) -> None:
    source = sources.csv_records(file("a\n1\n2\n"), repeat=2)
    first = await drain(source, context)
    assert await drain(source, context) == first
    assert len(first[0]) == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"columns": {}}, "columns names no column"),
        ({"columns": {"a": "int"}}, "columns\\['a'\\] is str, int, float"),
        ({"columns": {"n": int}, "number": "n"}, "number='n' is also"),
        ({"header": False}, "header=False needs columns"),
        ({"delimiter": ""}, "delimiter is one"),
        ({"delimiter": '"'}, "delimiter is one"),
        ({"delimiter": "::"}, "delimiter is one"),
        ({"encoding": "utf-16"}, "not 'utf-16'"),
        ({"encoding": "klingon"}, "not 'klingon'"),
        ({"repeat": -1}, "repeat is 1 or more, or 0 for endless, not -1"),
        ({"rate": 0}, "rate is in records a second"),
        ({"rate": float("inf")}, "rate is in records a second"),
        ({"max_line_bytes": 0}, "max_line_bytes is 1 or more, not 0"),
        ({"repeat": "3"}, "repeat is 1 or more, or 0 for endless, not '3'"),
        ({"rate": "5"}, "rate is in records a second, .*, not '5'"),
    ],
)
async def test_a_wrong_option_is_refused_when_it_is_given(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=told):
        sources.csv_records("x.csv", **options)


async def test_the_rate_is_left_to_the_runtime() -> None:
    assert sources.csv_records("x.csv", rate=5).rate == 5
    assert sources.csv_records("x.csv").rate is None


CELLS = st.text(
    st.one_of(
        st.sampled_from('",\n\r;ä\u2028'), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=12,
)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=30)
BAD = (
    b"\xff,1,2",
    b"1,2",
    b"1,2,3,4",
    b'"1"x,2,3',
    b"1,\0,3",
    b"1,2," + b"z" * 500,
)


def written(rows: list[tuple[str, str, str]], end: str, quoting: Any) -> str:
    text = io.StringIO()
    if quoting == csv.QUOTE_MINIMAL:
        # The writer of Python 3.11 does not quote a lone carriage return, which its reader refuses.
        rows = [(a.replace("\r", ""), b.replace("\r", ""), c.replace("\r", "")) for a, b, c in rows]
    csv.writer(text, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    block=st.integers(1, 200),
    limit=st.integers(1, 40),
    torn=st.booleans(),
)
async def test_rows_come_as_csv_reader_gives_them_on_the_whole_text(
    rows: list[tuple[str, str, str]],
    end: str,
    quoting: Any,
    block: int,
    limit: int,
    torn: bool,
    tmp_path: Path,
    context: Context,
) -> None:
    text = written(rows, end, quoting)
    if torn:
        text = text.removesuffix(end)
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b,c\n" + text.encode())
    expected = [row for row in csv.reader(io.StringIO(text, newline="\n")) if row]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv_file, "_BLOCK", block)
        records, rejected = await drain(sources.csv_records(path), context, limit=limit)
    assert not rejected
    assert [list(record.values()) for record in records.values()] == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(st.one_of(st.tuples(CELLS, CELLS, CELLS), st.sampled_from(BAD)), max_size=20),
    block=st.sampled_from([1, 50, 200, 65_536]),
    limit=st.integers(1, 40),
)
async def test_records_beside_bad_lines_are_intact(
    parts: list[tuple[str, str, str] | bytes],
    block: int,
    limit: int,
    tmp_path: Path,
    context: Context,
) -> None:
    content = b"".join(
        part + b"\n" if isinstance(part, bytes) else written([part], "\n", csv.QUOTE_ALL).encode()
        for part in parts
    )
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b,c\n" + content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_csv_file, "_BLOCK", block)
        source = sources.csv_records(path, max_line_bytes=400)
        records, rejected = await drain(source, context, limit=limit)
    for at, part in enumerate(parts):
        if isinstance(part, bytes):
            assert at in rejected
        else:
            assert tuple(records[at].values()) == part
