"""What does not fit in a stream of files: nothing is rounded, lost or guessed in silence."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Row
from thalweg.operators import aggregates, group_by, sinks, sources
from thalweg.runtime.job import Job

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")


def run(folder: Path, texts: dict[str, str | bytes], **options: Any) -> tuple[list[Row], list[str]]:
    """The rows of files with these texts, and what was rejected, without the folder."""
    folder.mkdir(exist_ok=True)
    for at, (name, text) in enumerate(texts.items()):
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(data)
        os.utime(folder / name, (1_700_000_000 + at, 1_700_000_000 + at))
    options.setdefault("format", "csv" if "a.csv" in texts else "ndjson")
    rows, letters = list[Row](), list[DeadLetter]()
    graph = Graph("unfit")
    read = graph.read("files", sources.files(folder, **options))
    read.to("rows", sinks.collect(rows))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    return rows, [letter.error.message.replace(f"{folder}/", "") for letter in letters]


@pytest.mark.parametrize("form", ["ndjson", "csv"])
@pytest.mark.parametrize("schema", [None, {"n": int}, {"n": "int"}, {"n": "utinyint"}])
def test_a_single_fraction_far_into_a_file_is_no_whole_number(
    tmp_path: Path, form: str, schema: Any
) -> None:
    numbers = [str(n % 200) for n in range(20_000)]
    numbers[12_345] = "2.5"
    if form == "ndjson":
        texts: dict[str, str | bytes] = {
            "a.json": "".join(f'{{"n": {n}, "more": "{"x" * 50}"}}\n' for n in numbers)
        }
    else:
        texts = {"a.csv": "n,more\n" + "".join(f"{n},x\n" for n in numbers)}
    rows, told = run(tmp_path / "in", texts, schema=schema)
    assert [row["n"] for row in rows] == [int(n) for n in numbers if n != "2.5"]
    line, kind = (12_346, "2.5") if form == "ndjson" else (12_347, "'2.5'")
    (text,) = told
    assert text.startswith(
        f"a.{'json' if form == 'ndjson' else 'csv'}, line {line}: column 'n' is "
    )
    assert text.endswith(f", not {kind}")


def test_numbers_that_are_whole_in_another_form_are_whole(tmp_path: Path) -> None:
    text = '{"n": 4.0}\n{"n": 1e3}\n{"n": "3"}\n{"n": " 7 "}\n{"n": "2.5"}\n{"n": true}\n'
    rows, told = run(tmp_path / "in", {"a.json": text}, schema={"n": int})
    assert [row["n"] for row in rows] == [4, 1000, 3, 7]
    assert told == [
        "a.json, line 5: column 'n' is BIGINT, not '2.5'",
        "a.json, line 6: column 'n' is BIGINT, not True",
    ]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("STRUCT(a BIGINT)", [{"a": 1}, {"a": None}], [{"a": 2.5}, {"a": "x"}, [1]]),
        ("BIGINT[]", [[1, 2], [None], []], [[2.5], ["x"], 3]),
        ("MAP(VARCHAR, INTEGER)", [[("k", 1)]], [{"k": 1.5}, {"k": "x"}]),
        ("STRUCT(a DOUBLE[])", [{"a": [1.5]}], [{"a": ["x"]}, {"a": 1}]),
    ],
)
def test_what_does_not_fit_deep_inside_is_rejected_too(
    tmp_path: Path, kind: str, good: list[Any], bad: list[Any]
) -> None:
    values = [dict(one) if kind.startswith("MAP") else one for one in good] + bad
    text = "".join(json.dumps({"v": value}) + "\n" for value in values)
    rows, told = run(tmp_path / "in", {"a.json": text}, schema={"v": kind})
    assert [row["v"] for row in rows] == good
    assert told == [
        f"a.json, line {len(good) + at}: column 'v' is {kind}, not {value!r}"
        for at, value in enumerate(bad, 1)
    ]


def test_nan_and_huge_numbers_are_told_as_they_stand(tmp_path: Path) -> None:
    text = (
        '{"x": 1, "n": 1}\n{"x": NaN, "n": null}\n{"x": -Infinity}\n{"n": -9223372036854775809}\n'
        '{"n": 123456789012345678901234567890}\n{"n": 1e400}\ntorn\n'
    )
    rows, told = run(tmp_path / "in", {"a.json": text}, schema={"x": float, "n": int})
    assert [str(row["x"]) for row in rows] == ["1.0", "nan", "-inf"]
    assert [one.partition(": ")[2] for one in told[:2]] == [
        "column 'n' is BIGINT, not -9223372036854775809",
        "column 'n' is BIGINT, not 123456789012345678901234567890",
    ]
    assert told[2].startswith("a.json, line 6: no whole JSON: number is infinity")
    assert told[3].startswith("a.json, line 7: no whole JSON: ")
    assert len(told) == 4


@pytest.mark.parametrize("bad", ["torn", '{"n": 1', "[1]", "7", "\x00", '{"": 4}', "[" * 300])
def test_a_bad_line_in_the_sample_says_nothing_about_the_columns(tmp_path: Path, bad: str) -> None:
    text = f'{bad}\n{{"n": 1, "word": "a"}}\n{{"n": 2, "word": "b"}}\n'
    rows, told = run(tmp_path / "in", {"a.json": text})
    good = [{"n": 1, "word": "a"}, {"n": 2, "word": "b"}]
    assert rows == (good if bad != '{"": 4}' else [{"n": None, "word": None}, *good])
    assert len(told) == (bad != '{"": 4}')


def test_what_is_of_several_types_in_the_sample_is_text(tmp_path: Path) -> None:
    text = '{"v": "a", "w": {"k": 1}}\n{"v": 5, "w": {"k": "x"}}\n{"v": {"x": 1}}\n'
    rows, told = run(tmp_path / "in", {"a.json": text})
    assert [row["v"] for row in rows] == ["a", "5", '{"x":1}']
    assert [row["w"] for row in rows] == [{"k": "1"}, {"k": "x"}, None]
    assert not told


@pytest.mark.parametrize(
    ("name", "bare", "full"),
    [
        ("json", "", '{"n": 1}\n'),
        ("json", "\n", '{"n": 1}\n'),
        ("json", '{"n"', '{"n": 1}\n'),
        ("csv", "", "n\n1\n"),
        ("csv", "n\n", "n\n1\n"),
        ("csv", "n,m\n", "n\n1\n"),
    ],
)
@pytest.mark.parametrize("stops", [False, True])
def test_files_without_rows_leave_the_columns_to_one_that_comes_later(
    tmp_path: Path, name: str, bare: str, full: str, stops: bool
) -> None:
    folder, rows = tmp_path / "in", list[Row]()
    folder.mkdir()

    def made() -> Graph:
        graph = Graph("later")
        form: Any = "csv" if name == "csv" else "ndjson"
        files = sources.files(folder, format=form, follow=True, poll_interval=0.01)
        read = graph.read("files", files)
        read.to("rows", sinks.collect(rows))
        read.failed.to("failed", sinks.collect([]))
        return graph

    async def main() -> None:
        state = tmp_path / "state"
        for number in (1, 2):
            (folder / f"{number}.{name}").write_text(bare)
        async with made().start(state=state) as job:
            await job.process_all_available()
            if not stops:
                await add(job)
        if stops:
            async with made().start(state=state) as job:
                await add(job)

    async def add(job: Job) -> None:
        (folder / ".new").write_text(full)
        (folder / ".new").rename(folder / f"3.{name}")
        await job.process_all_available()

    asyncio.run(main())
    assert rows == [{"n": 1}]


def test_a_header_alone_tells_no_types(tmp_path: Path) -> None:
    rows, told = run(tmp_path / "in", {"a.csv": "n,m\n", "b.csv": "n,m\n1,2.5\n"})
    assert (rows, told) == ([{"n": 1, "m": 2.5}], [])
    assert run(tmp_path / "alone", {"a.csv": "n,m\n"}) == ([], [])


def test_many_columns_of_one_type_are_columns(tmp_path: Path) -> None:
    row = {f"c{at}": at for at in range(300)}
    assert run(tmp_path / "in", {"a.json": json.dumps(row) + "\n"}) == ([row], [])


def test_names_that_differ_only_in_case_are_told(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"has 'n' and 'N', and names of columns that differ only"):
        run(tmp_path / "in", {"a.json": '{"n": 1, "N": 2}\n'})
    rows, _ = run(tmp_path / "in", {"a.json": '{"n": 1, "N": 2}\n'}, schema={"N": int})
    assert rows == [{"N": 2}]
    with pytest.raises(ValueError, match="the columns 'n' and 'N' differ only in case"):
        sources.files("in", format="ndjson", schema={"n": int, "N": int})


def test_a_line_that_the_reader_gives_up_a_file_for_costs_only_itself(tmp_path: Path) -> None:
    deep, long = "[" * 5000 + "]" * 5000, "x" * (33 << 20)
    lines = [
        f'{{"n": 1, "more": "{"[" * 200}"}}',
        f'{{"n": {deep}}}',
        f'{{"n": 2, "more": "{long}"}}',
    ]
    text = "\n".join([*lines, '{"n": 3}', '{"n": "x"}\n'])
    rows, told = run(tmp_path / "in", {"a.json": text}, schema={"n": int})
    assert [row["n"] for row in rows] == [1, 3]
    assert told == [
        "a.json, line 2: lists and objects stand more than 100 deep in one another",
        f"a.json, line 3: it takes {len(lines[2]):,} bytes, and a row may take 4,194,304",
        "a.json, line 5: column 'n' is BIGINT, not 'x'",
    ]


def test_what_is_nested_deep_costs_only_who_asks_for_it(tmp_path: Path) -> None:
    deep = "[" * 5000 + "]" * 5000
    texts: dict[str, str | bytes] = {"a.json": f'{{"n": {deep}}}\n{{"n": 2, "more": {deep}}}\n'}
    rows, told = run(tmp_path / "in", texts, schema={"n": int})
    assert rows == [{"n": 2}]
    assert told == ["a.json, line 1: lists and objects stand more than 100 deep in one another"]


def test_a_line_that_is_no_object_is_not_counted_either(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"n": 1}\n17\n{"n": 2}\n')
    counted, letters = list[Row](), list[DeadLetter]()
    graph = Graph("counted")
    read = graph.read("files", sources.files(path, format="ndjson"))
    count = group_by(measures={"n": aggregates.count()})
    read.via("count", count, volatile=True).to("counted", sinks.collect(counted))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert counted == [{"n": 2}]
    assert len(letters) == 1


@pytest.mark.parametrize("stray", ["17", '"word"', "[1]", "true", '{"a": "z"} 5'])
@pytest.mark.parametrize("schema", [None, {"a": str}])
def test_a_line_that_is_no_object_costs_only_itself(
    tmp_path: Path, stray: str, schema: Any
) -> None:
    texts: dict[str, str | bytes] = {"a.json": f'{{"a": "x"}}\n{stray}\n{{"a": "y"}}\n'}
    rows, told = run(tmp_path / "in", texts, schema=schema)
    assert rows == [{"a": "x"}, {"a": "y"}]
    assert [text.partition(": ")[0] for text in told] == ["a.json, line 2"]


@pytest.mark.parametrize("end", ["", "torn"])
def test_a_line_that_is_null_is_a_row_without_values(tmp_path: Path, end: str) -> None:
    texts: dict[str, str | bytes] = {"a.json": f'{{"a": 1}}\nnull\n{{"a": 2}}\n{end}'}
    rows, told = run(tmp_path / "in", texts)
    assert rows == [{"a": 1}, {"a": None}, {"a": 2}]
    assert len(told) == bool(end)


def test_a_line_of_mere_space_is_none_whatever_follows(tmp_path: Path) -> None:
    texts: dict[str, str | bytes] = {"a.json": '{"a": 1}\n\f\n\v \n{"a": 2}\n{"a"\n{"a": 3}\n'}
    rows, told = run(tmp_path / "in", texts)
    assert rows == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [text.partition(": ")[0] for text in told] == ["a.json, line 5"]


def test_the_lines_of_csv_are_told_as_an_editor_counts_them(tmp_path: Path) -> None:
    text = 'n,s\n1,"a\n\nb"\n\n2.5,x\n"3",c\n4\n5,"d ""e"""\n6,7" pipe\nx,f\n7,g,h\n8,"torn'
    rows, told = run(tmp_path / "in", {"a.csv": text}, schema={"n": int, "s": str})
    assert [(row["n"], row["s"]) for row in rows] == [
        (1, "a\n\nb"), (3, "c"), (5, 'd "e"'), (6, '7" pipe'),
    ]  # fmt: skip
    assert [one.partition(": ")[0] for one in told] == [
        f"a.csv, line {line}" for line in (6, 8, 11, 12, 13)
    ]
    assert "not '2.5'" in told[0]
    assert "unterminated quote" in told[-1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_of_csv_says_nothing_about_the_file(tmp_path: Path, end: str) -> None:
    lines = ["", "n;s", "torn", "1;a,b", '2;"c', '";x', "3;d"]
    rows, told = run(tmp_path / "in", {"a.csv": end.join(lines) + end})
    assert [(row["n"], row["s"]) for row in rows] == [(1, "a,b"), (3, "d")]
    assert [one.partition(":")[0] for one in told] == ["a.csv, line 3", "a.csv, line 5"]


def test_columns_of_csv_may_stand_elsewhere_and_have_odd_names(tmp_path: Path) -> None:
    texts: dict[str, str | bytes] = {
        "a.csv": "n,N,\n1,x,true\n",
        "b.csv": "x,n,N,\n9,2,y,false\n",
        "c.csv": "n\n3\n",
    }
    rows, told = run(tmp_path / "in", texts)
    assert rows == [{"n": 1, "N_1": "x", "column2": True}]
    assert told == [
        "b.csv has no column 'column2': it has ['x', 'n', 'N_1', 'column3']",
        "c.csv has no column 'N_1': it has ['n']",
    ]


def test_times_in_a_form_of_their_own_are_text(tmp_path: Path) -> None:
    texts: dict[str, str | bytes] = {"a.csv": "t,d\n31/12/2024,2024-12-31\n"}
    rows, told = run(tmp_path / "in", texts)
    assert rows[0]["t"] == "31/12/2024"
    assert rows[0]["d"] == "2024-12-31"
    assert not told


def test_a_row_of_many_bytes_is_told_in_few(tmp_path: Path) -> None:
    text = f"n,s\n1,{'x' * 5_000_000}\n2,b\n"
    rows, told = run(tmp_path / "in", {"a.csv": text}, schema={"n": int, "s": str})
    assert rows == [{"n": 2, "s": "b"}]
    assert told[0].startswith("a.csv, line 2: Maximum line size")
    assert len(told[0]) < 400


def test_that_there_is_no_room_to_unpack_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> object:
        return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    with pytest.raises(JobFailed, match="no room to unpack"):
        run(
            tmp_path / "in",
            {"a.json.gz": gzip.compress(b'{"n": 1}\n')},
            schema={"n": int},
            format="ndjson",
        )


def test_narrower_numbers_of_parquet_are_taken(tmp_path: Path) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    pa: Any = arrow
    writing: Any = parquet
    folder = tmp_path / "in"
    folder.mkdir()
    table = pa.table({"x": pa.array([1.5], pa.float32()), "n": pa.array([1], pa.int16())})
    writing.write_table(table, folder / "a.parquet")
    rows, told = run(
        folder,
        {"_not_read": b""},
        format="parquet",
        schema={"x": float, "n": int},
    )
    assert (rows, told) == ([{"x": 1.5, "n": 1}], [])
