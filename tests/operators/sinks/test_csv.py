from __future__ import annotations

import copy
import csv
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import os
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg import Graph
from thalweg.operators import sinks, sources
from thalweg.operators.sinks import WriteFailed
from thalweg.runtime.contracts import (
    Cause,
    Columns,
    Context,
    DeadLetter,
    MisconfiguredError,
    Origin,
)

pytestmark = pytest.mark.asyncio

pa: Any = pytest.importorskip("pyarrow")


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter, strict=True))


async def write(
    path: Path, context: Context, *batches: Any, **options: Any
) -> list[dict[int, Exception]]:
    sink = sinks.csv(path, **options)
    await sink.open(context)
    rejected: list[dict[int, Exception]] = []
    for batch in batches:
        put = sink.write_columns if isinstance(batch, Columns) else sink.write
        outcome = await put(batch)
        assert outcome is None or outcome.rejected
        rejected.append({} if outcome is None else dict(outcome.rejected))
    await sink.on_end()
    await sink.close()
    return rejected


def letter(record: object) -> DeadLetter:
    origin = Origin("flowers", "", 7)
    return DeadLetter("graph", "node", origin, record, Cause("ValueError", "too small"))


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: object


class Pair(NamedTuple):
    x: int
    y: object


class Color(enum.Enum):
    RED = "red"


async def test_each_record_is_a_line_below_the_names(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "out" / "deep" / "a.csv"
    batches = [[{"x": 1, "y": "ä"}, Point(2, 2.5)], [], [Pair(3, None), {"y": True, "x": 4}]]
    assert await write(path, context, *batches) == [{}, {}, {}]
    assert path.read_text() == "x,y\n1,ä\n2,2.5\n3,\n4,true\n"


VALUES: list[tuple[object, str]] = [
    (None, ""),
    ("", '""'),
    ("plain text", "plain text"),
    (" a ", " a "),
    ("a,b", '"a,b"'),
    ('say "a"', '"say ""a"""'),
    ("a\nb", '"a\nb"'),
    ("a\rb", '"a\rb"'),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-(10**30), "-1" + "0" * 30),
    (1.0, "1.0"),
    (0.1, "0.1"),
    (1e300, "1e+300"),
    (math.nan, "nan"),
    (math.inf, "inf"),
    (-math.inf, "-inf"),
    (decimal.Decimal("1.50"), "1.50"),
    (dt.datetime.fromisoformat("2020-01-02 03:04:05"), "2020-01-02T03:04:05"),
    (dt.datetime(2020, 1, 2, 3, 4, 5, 6, dt.UTC), "2020-01-02T03:04:05.000006+00:00"),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.time(3, 4), "03:04:00"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Color.RED, "red"),
    ([1, None, "a"], '"[1,null,""a""]"'),
    ({}, "{}"),
    (Point(1, "b"), '"{""x"":1,""y"":""b""}"'),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=range(len(VALUES)))
async def test_a_value_has_one_text_alone_and_among_others(
    value: object, text: str, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    alone = {"a": value, "b": 1}
    batches = [[alone], [alone] * 3, [{"a": None, "b": 0}, alone], [{"a": 7, "b": 0}, alone]]
    assert await write(path, context, *batches) == [{}] * 4
    line = f"{text},1\n"
    assert path.read_text(encoding="utf-8") == path.read_bytes().decode() or "\r" in text
    assert path.read_bytes().decode() == "a,b\n" + 4 * line + ",0\n" + line + "7,0\n" + line


CANNOT: list[tuple[object, str]] = [
    (b"bytes", "does not hold a bytes"),
    (dt.timedelta(1), "does not hold a timedelta"),
    ({1, 2}, "does not hold a set"),
    (object(), "does not hold a object"),
    ("a\0b", "NUL"),
    ("\ud800", "surrogates"),
    (10**5_000, "4300 digits"),
    ([b"bytes"], "not JSON serializable"),
    ({"n": 2**70}, "64-bit"),
]


@pytest.mark.parametrize(("value", "told"), CANNOT, ids=range(len(CANNOT)))
async def test_a_record_that_makes_no_line_is_rejected_alone_and_its_column_named(
    value: object, told: str, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    bad = {"a": value, "b": 1}
    good = {"a": 1, "b": 2}
    rejected = await write(path, context, [bad], [good, bad, good], [bad, bad])
    assert [list(one) for one in rejected] == [[0], [1], [0, 1]]
    for error in rejected[1].values():
        assert str(error).startswith("column 'a': ")
        assert told in str(error)
    assert path.read_text() == "a,b\n1,2\n1,2\n"


async def test_the_first_record_that_can_be_written_says_the_columns(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    odd = [7, {}, {1: 2}, {"": 1}, {"a": b""}, {"\ud800": 1}]
    rejected = await write(path, context, odd, [*odd, {"b": 1, "a": 2}, {"a": 3, "b": 4}])
    assert [list(one) for one in rejected] == [list(range(6))] * 2
    assert path.read_text() == "b,a\n1,2\n4,3\n"


@pytest.mark.parametrize("given", [None, ["a", "b"]], ids=["seen", "named"])
async def test_a_field_too_many_or_too_few_is_named(
    given: list[str] | None, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    batch = [{"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}, Point(1, 2)]
    (rejected,) = await write(path, context, batch, columns=given)
    assert {index: str(error).split(":")[0] for index, error in rejected.items()} == {
        1: "the record has no field 'b', which the header has",
        2: "there is no column for the field 'c'",
        3: "there is no column for the field 'c'",
        4: "there is no column for the field 'x'",
    }
    assert path.read_text() == "a,b\n1,2\n"


async def test_named_columns_stand_in_their_order_also_above_nothing(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    await write(path, context, [{"a": 1, "b": 2}], columns=["b", "a"])
    assert path.read_text() == "b,a\n2,1\n"
    await write(path, context, columns=["b", "a"])
    assert path.read_text() == "b,a\n"
    await write(path, context)
    assert path.read_text() == ""


async def test_names_are_quoted_so_that_nobody_guesses_another_delimiter(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    names = ["a;b;c", 'say "a"', "two\nlines", "\ufeffmark", "plain name", "x_1", "ä", "1,5"]
    await write(path, context, [dict.fromkeys(names, 1)])
    assert cells(path) == [names, ["1"] * 8]
    assert path.read_text().endswith(',plain name,x_1,ä,"1,5"\n1,1,1,1,1,1,1,1\n')


@pytest.mark.parametrize("delimiter", ["_", " ", "/", "\t", "|"])
async def test_names_and_texts_may_hold_the_delimiter(
    delimiter: str, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    rows = [["a_b", "a b", "a/b", "a\tb", "a|b"]] * 2
    await write(path, context, [dict(zip(*rows, strict=True))], delimiter=delimiter)
    assert cells(path, delimiter) == rows


async def test_another_delimiter_and_another_null(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.csv"
    batch = [{"a": None, "b": "x;y"}, {"a": "", "b": "x,y"}, {"a": r"\N", "b": 1}]
    for form in (batch, Columns(pa.Table.from_pylist(batch[:2]))):
        (rejected,) = await write(path, context, form, delimiter=";", null=r"\N")
        if form is batch:
            (error,) = rejected.values()
            assert str(error) == (
                "column 'a': the text '\\\\N' stands for NULL here: name another by null="
            )
        assert path.read_text() == 'a;b\n\\N;"x;y"\n"";x,y\n'


async def test_with_one_column_no_line_is_blank(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.csv"
    batch = [{"a": None}, {"a": ""}, {"a": " "}]
    for form in (batch, Columns(pa.Table.from_pylist(batch))):
        await write(path, context, form)
        assert path.read_text() == 'a\n""\n""\n \n'
        await write(path, context, form, null="NULL")
        assert path.read_text() == 'a\nNULL\n""\n \n'


@pytest.mark.parametrize("form", ["records", "columns"])
async def test_files_are_not_misled_by_one_column(
    form: str, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    batch = [{"a": text} for text in ("x", "a,b", "a;b", "a\tb", "a|b", '"', " ")]
    written = batch if form == "records" else Columns(pa.Table.from_pylist(batch))
    await write(path, context, written, delimiter=";")
    for schema in (None, {"a": str}):
        assert await read_back(sources.files(path, format="csv", schema=schema)) == batch


async def test_a_dead_letter_is_written_whatever_its_record_is(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    batch = [letter({"good": 1}), letter(b"\0\xff"), letter({"a": object(), 7: "\ud800"})]
    assert await write(path, context, batch) == [{}]
    header, *lines = cells(path)
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert [row["node"] for row in rows] == ["node"] * 3
    assert json.loads(rows[0]["record"]) == {"good": 1}
    assert json.loads(rows[0]["error"])["message"] == "too small"
    assert json.loads(rows[0]["origin"])["position"] == 7


async def test_a_run_replaces_the_output_of_the_one_before(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    prototype = sinks.csv(path)
    for run, name in enumerate("ab"):
        job = copy.copy(prototype)
        await job.open(context)
        await job.write([{name: run}])
        await job.close()
    assert path.read_text() == "b\n1\n"


async def test_after_a_failure_the_file_goes_on_where_it_was_cut(
    small_disk: Path, context: Context
) -> None:
    path = small_disk / "a.csv"
    sink = sinks.csv(path)
    await sink.open(context)
    with pytest.raises(WriteFailed):
        await sink.write([{"other": "x" * 2_000_000}])
    await sink.write([{"a": "first"}])
    with pytest.raises(WriteFailed, match=r"No space left on device; 1 records \(8 bytes\)"):
        await sink.write([{"a": "x" * 2_000_000}])
    await sink.write([{"a": "second"}])
    await sink.close()
    assert path.read_text() == "a\nfirst\nsecond\n"


async def test_a_pipe_begins_with_the_header(tmp_path: Path, context: Context) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert await write(pipe, context, [{"a": 1}], [{"a": 2}]) == [{}, {}]
    assert os.read(reader, 100) == b"a\n1\n2\n"
    os.close(reader)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"path": ""}, ValueError, "path is empty"),
        ({"files": "many"}, ValueError, "files is one of"),
        ({"columns": "abc"}, TypeError, "columns takes a list of names"),
        ({"columns": []}, ValueError, "columns takes names of columns, each once"),
        ({"columns": ["a", "a"]}, ValueError, "each once"),
        ({"columns": ["\ud800"]}, ValueError, "which no file can hold"),
        *(
            ({"delimiter": bad}, ValueError, "delimiter is one ASCII character")
            for bad in ("", ",,", '"', "\n", "\r", "\0", "ä", "a", "0", "+", "-", ".", ":", 7)
        ),
        ({"null": None}, TypeError, "null is the text that stands for None, not None"),
        *(
            ({"null": bad}, ValueError, "null is ASCII text")
            for bad in ("a,b", '"', "a\n", "\r", "\0", "ä")
        ),
        *(
            ({"null": bad}, ValueError, "no number, time or bool is written as")
            for bad in ("0", "-1", ".5", "true", "NaN", "inf", "-")
        ),
    ],
)
async def test_options_that_make_no_sense_are_refused(
    options: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        sinks.csv(options.pop("path", "a.csv"), **options)


async def test_two_sinks_do_not_write_one_file(tmp_path: Path, context: Context) -> None:
    first, second = sinks.csv(tmp_path / "a.csv"), sinks.csv(tmp_path / "a.csv")
    await first.open(context)
    with pytest.raises(MisconfiguredError, match="another sink is writing it"):
        await second.open(context)
    await second.close()
    await first.close()


AT = dt.datetime.fromisoformat("2020-01-02 03:04:05.678")
COLUMNS: list[tuple[Any, list[Any], list[str]]] = [
    (pa.int8(), [1, None, -5], ["1", "", "-5"]),
    (pa.uint64(), [2**64 - 1], [str(2**64 - 1)]),
    (pa.bool_(), [True, None, False], ["true", "", "false"]),
    (
        pa.float64(),
        [0.1, 1.0, -0.0, None, 9999999999.0],
        ["0.1", "1.0", "-0.0", "", "9999999999.0"],
    ),
    (pa.float64(), [math.nan, math.inf, -math.inf], ["nan", "inf", "-inf"]),
    (pa.float32(), [0.1, 2.0, 0.5], ["0.1", "2.0", "0.5"]),
    (pa.float16(), [1.0, 0.5], ["1.0", "0.5"]),
    (
        pa.string(),
        ["", None, 'a"b', "a,b", "a\nb", "c"],
        ['""', "", '"a""b"', '"a,b"', '"a\nb"', "c"],
    ),
    (pa.large_string(), ["a", None], ["a", ""]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", "", "a"], ["a", '""', "a"]),
    (pa.string_view(), ["a", "", None], ["a", '""', ""]),
    (pa.timestamp("s"), [AT.replace(microsecond=0)], ["2020-01-02T03:04:05"]),
    (pa.timestamp("ms", "UTC"), [AT.replace(tzinfo=dt.UTC)], ["2020-01-02T03:04:05.678+00:00"]),
    (
        pa.timestamp("us", "Europe/Berlin"),
        [AT.replace(tzinfo=dt.UTC), None],
        ["2020-01-02T03:04:05.678000+00:00", ""],
    ),
    (pa.date32(), [AT.date(), None], ["2020-01-02", ""]),
    (pa.date64(), [AT.date()], ["2020-01-02"]),
    (pa.time64("us"), [AT.time()], ["03:04:05.678000"]),
    (pa.decimal128(10, 2), [decimal.Decimal("1.50"), None], ["1.50", ""]),
    (pa.null(), [None, None], ["", ""]),
    (pa.list_(pa.int64()), [[1, 2], None], ['"[1,2]"', ""]),
    (pa.struct([("a", pa.string())]), [{"a": "b"}], ['"{""a"":""b""}"']),
]


@pytest.mark.parametrize(("kind", "values", "texts"), COLUMNS, ids=lambda each: str(each)[:20])
async def test_columns_are_written_as_records_are(
    kind: Any, values: list[Any], texts: list[str], tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    table = pa.table({"a": pa.array(values, kind), "b": list(range(len(values)))})
    chunked = pa.concat_tables([table, table.slice(1), table.slice(0, 1)])
    batches = [Columns(one) for one in (table, chunked.slice(1), table.slice(0, 0))]
    assert await write(path, context, *batches, columns=["b", "a"]) == [{}] * 3
    lines = [f"{number},{text}\n" for number, text in enumerate(texts)]
    wanted = ["b,a\n", *lines, *lines[1:], *lines[1:], lines[0]]
    assert path.read_bytes().decode() == "".join(wanted)
    batch = Columns(table.to_batches()[0])
    await write(path, context, batch)
    assert path.read_bytes().decode() == "a,b\n" + "".join(
        f"{text},{number}\n" for number, text in enumerate(texts)
    )


async def test_many_rows_of_columns_are_written_in_a_thread(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    table = pa.table({"n": range(150_000), "word": ["a,b"] * 150_000})
    await write(path, context, Columns(table))
    assert cells(path)[1:] == [[str(n), "a,b"] for n in range(150_000)]


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (pa.array([None, b"x", None]), "column 'a': a cell of CSV does not hold a bytes"),
        (pa.array(["a", "b\0", "c"]), "column 'a': the text holds a NUL"),
        (pa.array([None, dt.timedelta(1), None]), "column 'a': a cell of CSV does not hold a time"),
        (pa.array(["a", "NULL", "c"]), "column 'a': the text 'NULL' stands for NULL here"),
    ],
)
async def test_of_columns_only_the_bad_rows_are_rejected(
    bad: Any, told: str, tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    columns = Columns(pa.table({"a": bad, "n": [0, 1, 2]}))
    (rejected,) = await write(path, context, columns, null="NULL")
    assert list(rejected) == [1]
    assert told in str(rejected[1])
    assert [row[1] for row in cells(path)] == ["n", "0", "2"]


async def test_columns_of_other_names_are_rejected_and_named(
    tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    good = pa.table({"a": [1], "b": [2]})
    others = [
        pa.table({"a": [1, 2]}),
        pa.table({"a": [1], "b": [2], "c": [3]}),
        pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]),
    ]
    rejected = await write(path, context, *map(Columns, [good, *others, good]))
    assert [list(one) for one in rejected] == [[], [0, 1], [0], [0], []]
    assert "no field 'b'" in str(rejected[1][0])
    assert "for the field 'c'" in str(rejected[2][0])
    assert "each once" in str(rejected[3][0])
    assert path.read_text() == "a,b\n1,2\n1,2\n"


async def test_columns_that_python_cannot_hold_are_rejected(
    tmp_path: Path, context: Context
) -> None:
    kind = pa.list_(pa.timestamp("us"))
    wide = pa.array([[2**60]], pa.list_(pa.int64())).cast(kind)
    (rejected,) = await write(tmp_path / "a.csv", context, Columns(pa.table({"a": wide})))
    assert "hold what Python does not" in str(rejected[0])


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
SPECIAL = st.text(st.sampled_from(list('",;\t\r\n\\ aN')), max_size=5)
ROWS = st.fixed_dictionaries(
    {
        "word": TEXTS | SPECIAL,
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "x": st.none() | st.floats(allow_nan=False),
        "b": st.none() | st.booleans(),
        "last": SPECIAL,
    }
)
FAST = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25
)


async def read_back(source: Any) -> list[Any]:
    graph = Graph("back")
    kept: list[Any] = []
    graph.read("rows", source).to("kept", sinks.collect(kept))
    async with graph.start() as job:
        await job.wait()
    return kept


@FAST
@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=3))
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("form", ["records", "columns"])
async def test_csv_records_reads_back_what_was_written(
    form: str, delimiter: str, batches: list[list[Any]], tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    given = batches if form == "records" else [Columns(_table(batch)) for batch in batches]
    assert await write(path, context, *given, delimiter=delimiter) == [{}] * len(batches)
    types = {"word": str, "n": int, "x": float, "b": bool, "last": str}
    source = sources.csv_records(path, columns=types, delimiter=delimiter)
    assert await read_back(source) == [row for batch in batches for row in batch]


def _table(batch: list[Any]) -> Any:
    kinds = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.string()]
    names = ["word", "n", "x", "b", "last"]
    return pa.Table.from_pylist(batch, pa.schema(list(zip(names, kinds, strict=True))))


@FAST
@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=6), min_size=1, max_size=3))
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("form", ["records", "columns"])
async def test_files_read_back_what_was_written_with_empty_text_as_null(
    form: str, delimiter: str, batches: list[list[Any]], tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    given = batches if form == "records" else [Columns(_table(batch)) for batch in batches]
    assert await write(path, context, *given, delimiter=delimiter) == [{}] * len(batches)
    types = {"word": str, "n": int, "x": float, "b": bool, "last": str}
    rows = await read_back(sources.files(path, format="csv", schema=types))
    for row in (row for batch in batches for row in batch):
        row.update({name: row[name] or None for name in ("word", "last")})
    assert rows == [row for batch in batches for row in batch]


@FAST
@given(words=st.lists(st.none() | TEXTS | SPECIAL, min_size=1, max_size=8))
async def test_with_a_null_of_its_own_none_and_empty_text_are_told_apart(
    words: list[str | None], tmp_path: Path, context: Context
) -> None:
    path = tmp_path / "a.csv"
    (rejected,) = await write(path, context, [{"word": word} for word in words], null=r"\N")
    assert [words[index] for index in rejected] == [word for word in words if word == r"\N"]

    def word_of(text: str) -> str | None:
        return None if text == r"\N" else text

    rows = await read_back(sources.csv_records(path, columns={"word": word_of}))
    assert [row["word"] for row in rows] == [word for word in words if word != r"\N"]


@FAST
@given(
    at=st.datetimes(timezones=st.just(dt.UTC)),
    day=st.dates(),
    time=st.times(),
    x=st.floats(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    n=st.integers(),
)
async def test_times_and_numbers_come_back_by_their_own_functions(
    at: dt.datetime,
    day: dt.date,
    time: dt.time,
    x: float,
    price: decimal.Decimal,
    n: int,
    tmp_path: Path,
    context: Context,
) -> None:
    path = tmp_path / "a.csv"
    at, time = at.replace(fold=0), time.replace(fold=0)  # of which ISO 8601 tells nothing
    record = {"at": at, "day": day, "time": time, "x": x, "price": price, "n": n}
    assert await write(path, context, [record]) == [{}]
    types: dict[str, Any] = {
        "at": dt.datetime.fromisoformat,
        "day": dt.date.fromisoformat,
        "time": dt.time.fromisoformat,
        "x": float,
        "price": decimal.Decimal,
        "n": int,
    }
    (row,) = await read_back(sources.csv_records(path, columns=types))
    assert repr(row) == repr(record)


async def test_files_read_times_and_numbers_of_columns(tmp_path: Path, context: Context) -> None:
    path = tmp_path / "a.csv"
    at = AT.replace(tzinfo=dt.UTC)
    rows = [{"at": at, "day": at.date(), "x": 2.0}, {"at": None, "day": None, "x": math.inf}]
    schema = pa.schema(
        [("at", pa.timestamp("us", "UTC")), ("day", pa.date32()), ("x", pa.float64())]
    )
    await write(path, context, Columns(pa.Table.from_pylist(rows, schema)))
    types = {"at": dt.datetime, "day": dt.date, "x": float}
    assert await read_back(sources.files(path, format="csv", schema=types)) == rows
    # Without a schema too: a float is a float although it is whole.
    seen = await read_back(sources.files(path, format="csv"))
    assert [type(row["x"]) for row in seen] == [float, float]


async def test_in_a_graph_what_does_not_fit_is_a_dead_letter(tmp_path: Path) -> None:
    graph = Graph("rows")
    records = [{"a": 1}, {"a": 2, "b": 3}, {"a": 4}]
    letters: list[DeadLetter] = []
    graph.read("rows", sources.records(records)).to("out", sinks.csv(tmp_path / "a.csv"))
    graph.failed.to("failed", sinks.collect(letters))
    async with graph.start() as job:
        await job.wait()
    assert (tmp_path / "a.csv").read_text() == "a\n1\n4\n"
    (one,) = letters
    assert one.record == {"a": 2, "b": 3}
    assert "'b'" in one.error.message


async def test_in_a_graph_columns_reach_it_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "in.ndjson"
    source.write_text('{"n": 1, "w": "a"}\n{"n": 2, "w": null}\n')
    graph = Graph("rows")
    read = graph.read("rows", sources.files(source, format="ndjson"))
    read.to("out", sinks.csv(tmp_path / "a.csv"))
    async with graph.start() as job:
        await job.wait()
        assert not any(node.converted for node in job.progress().nodes)
    assert (tmp_path / "a.csv").read_text() == "n,w\n1,a\n2,\n"
