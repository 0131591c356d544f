"""`thalweg look`: what is in files at rest, and what it says of those it cannot read."""

from __future__ import annotations

import gzip
import io
import json
import os
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest

from thalweg import Graph, ThalwegError
from thalweg.deploy import cli
from thalweg.deploy.looking.limits import Limits, Watched
from thalweg.deploy.looking.looking import look
from thalweg.graphs.data.activity import activity_lines, write_activity
from thalweg.operators import sinks, sources


@pytest.fixture(autouse=True)
def _in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str | bytes) -> str:
    """A file of this name, in the folder that is at hand."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def lines(*rows: object) -> str:
    """Rows as NDJSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command prints when all goes well."""
    assert cli.main(["look", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command says when it is a mistake: one line, and no traceback."""
    assert cli.main(["look", *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert printed.err.startswith("thalweg: ")
    assert printed.err.count("\n") == 1
    return printed.err


def test_activity_files_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    write_activity("data", files=3, rows=700, markers=True)
    rows: list[dict[str, Any]] = [
        json.loads(line) for number in range(3) for line in activity_lines(number, rows=700)
    ]
    found = json.loads(said(capsys, "data/*", "--by", "device,GT", "--by", "user", "--json"))
    assert (found["files"], found["passed_over"], found["format"]) == (3, 3, "ndjson")
    assert found["bytes"] == sum(path.stat().st_size for path in Path("data").glob("*.json"))
    assert (found["rows"], found["duplicates"], found["unread"]) == (2100, 0, 0)
    assert found["sample"] == rows[:5]
    assert list(found["schema"]) == list(rows[0])
    columns = {one["name"]: one for one in found["columns"]}
    xs = [row["x"] for row in rows]
    x = columns["x"]
    assert (x["type"], x["count"], x["nulls"]) == ("DOUBLE", 2100, 0)
    assert x["mean"] == pytest.approx(statistics.fmean(xs), abs=1e-12)
    assert x["stddev"] == pytest.approx(statistics.stdev(xs), abs=1e-12)
    assert (x["min"], x["max"], x["distinct"]) == (min(xs), max(xs), len(set(xs)))
    gt = columns["gt"]
    assert (gt["mean"], gt["min"], gt["max"], gt["distinct"]) == (None, "bike", "walk", 7)
    assert gt["nulls"] == 0, "the text null is no NULL"
    by_both, by_user = found["counts"]
    assert by_both["columns"] == ["Device", "gt"]
    assert {(one["Device"], one["gt"]): one["count"] for one in by_both["rows"]} == Counter(
        (row["Device"], row["gt"]) for row in rows
    )
    assert by_user["groups"] == len(by_user["rows"]) == 9


def test_the_text_has_a_section_for_each_and_a_declaration_that_is_python(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_activity("data", files=1, rows=300, markers=True)
    text = said(capsys, "data", "--by", "gt", "--rows", "2")
    assert text.startswith("1 file of ndjson, ")
    assert "3 passed over: their names begin with _ or .\n300 rows, no duplicates\n" in text
    sections = text.split("\n\n")
    assert len(sections[1].splitlines()) == 3
    assert sections[2].splitlines()[0].split() == [
        "column", "type", "count", "nulls", "distinct", "mean", "stddev", "min", "max",
    ]  # fmt: skip
    assert sections[3].splitlines()[0].split() == ["gt", "count"]
    declared = text.partition("In a graph:\n\n")[2]
    compile(declared, "declaration", "exec")
    assert '"data/*",' in declared
    assert '"Creation_Time": "BIGINT",' in declared


def test_what_holds_both_signs_takes_no_more_room_than_it_needs() -> None:
    written("small.json", lines({"n": 1, "o": {"n": [1]}}, {"n": -1, "o": {"n": [-1]}}))
    assert look(["small.json"]).schema == {"n": "BIGINT", "o": "STRUCT(n BIGINT[])"}
    written("large.json", lines({"n": 2**63, "o": 1}, {"n": -1, "o": -1}))
    assert look(["large.json"]).schema == {"n": "HUGEINT", "o": "BIGINT"}


@pytest.mark.parametrize("paths", [["data"], ["data/*.json"], ["data/a.json", "data/b.json"]])
def test_the_declaration_reads_these_files_in_a_graph(paths: list[str]) -> None:
    rows = [
        {"n": n, "name": f"n{n}", "share": n / 4, "day": "2026-01-02", "inner": {"a": [n]}}
        for n in range(40)
    ]
    written("data/a.json", lines(*rows[:25]))
    written("data/b.json", lines(*rows[25:]))
    written("data/_SUCCESS", "")
    found = look(paths)
    graph, out = Graph("declared"), list[dict[str, object]]()
    names: dict[str, Any] = {"graph": graph, "sources": sources}
    exec(found.declaration, names)
    names["rows"].to("out", sinks.collect(out))
    graph.run()
    assert len(out) == found.rows == 40
    assert [(row["n"], row["name"], row["share"]) for row in out] == [
        (row["n"], row["name"], row["share"]) for row in rows
    ]
    assert out[3]["inner"] == {"a": [3]}


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet", "ndjson.gz", "csv.gz", "ndjson.zst"])
def test_every_format_tells_the_same(form: str) -> None:
    plain = written("plain.ndjson", lines(*({"n": n, "word": f"w{n % 3}"} for n in range(200))))
    name = f"data.{form}"
    if form == "csv":
        duckdb.sql(f"copy (from '{plain}') to '{name}' (format csv, header)")
    elif form == "parquet":
        duckdb.sql(f"copy (from '{plain}') to '{name}'")
    elif form == "csv.gz":
        duckdb.sql(f"copy (from '{plain}') to '{name}' (format csv, header, compression gzip)")
    elif form.endswith("gz"):
        written(name, gzip.compress(Path(plain).read_bytes()))
    elif form.endswith("zst"):
        arrow: Any = pyarrow
        with arrow.CompressedOutputStream(name, "zstd") as out:
            out.write(Path(plain).read_bytes())
    else:
        os.rename(plain, name)
    found = look([name], by=[["word"]])
    assert found.rows == 200
    assert found.schema == {"n": "BIGINT", "word": "VARCHAR"}
    assert [count for _, count in found.counts[0].rows] == [67, 67, 66]
    n, word = found.columns
    assert (n.mean, n.min, n.max, word.distinct) == (99.5, 0, 199, 3)


def test_duplicates_nulls_and_what_is_not_finite_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = written("a.json", '{"n":1.5,"s":"NULL"}\n' * 3 + '{"n":NaN}\n{"n":2.5,"s":null}\n')
    found = look([name], by=[["s"]])
    assert found.duplicates == 2
    n, s = found.columns
    assert (n.not_finite, n.mean, n.max, s.nulls) == (1, 1.75, 2.5, 2)
    text = said(capsys, name, "--by", "s")
    assert "2 duplicates (a row that repeats another in all columns)" in text
    assert "n holds 1 NaN or infinite" in text
    counted = text.split("\n\n")[3].splitlines()
    assert [line.split() for line in counted] == [["s", "count"], ['"NULL"', "3"], ["NULL", "2"]]
    again = json.loads(said(capsys, name, "--json"), parse_constant=pytest.fail)
    assert again["sample"][3] == {"n": "NaN", "s": None}


def test_nested_values_huge_numbers_and_dates_have_a_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {"big": 2**70, "list": [1, 2], "inner": {"a": 1}, "day": "2026-01-02", "yes": True}
    name = written("a.json", lines(row, {**row, "day": "2026-02-03"}))
    found = json.loads(said(capsys, name, "--by", "day", "--by", "inner", "--json"))
    columns = {one["name"]: one for one in found["columns"]}
    assert columns["day"]["min"] == "2026-01-02"
    assert columns["list"]["min"] is None
    assert columns["list"]["distinct"] == 1
    assert found["counts"][0]["groups"] == 2
    assert said(capsys, name)


def test_columns_that_only_some_files_have_are_all_there() -> None:
    written("a.json", lines({"n": 1}))
    written("b.json", lines({"n": 2, "word": "x"}))
    assert look(["*.json"]).schema == {"n": "BIGINT", "word": "VARCHAR"}


def test_names_are_no_patterns_and_may_hold_what_they_like() -> None:
    name = written("it's [a] * file.json", lines({"n": 1}))
    written("it's a * file.json", lines({"n": 2}, {"n": 3}))
    assert look([name]).rows == 1


def test_what_could_command_a_terminal_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    name = written("a.json", lines({"n\x1b[31m": "\x1b[2J", "w": "x" * 500}))
    text = said(capsys, name, "--by", "w").partition("In a graph")
    assert "\x1b" not in "".join(text)
    assert "x" * 40 not in text[0]


def test_empty_files_are_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.json", "")
    assert said(capsys, "a.json") == (
        "1 file of ndjson, 0 bytes\n1 of them empty\n0 rows, no duplicates\n"
    )
    written("b.json", lines({"n": 1}))
    assert look(["*.json"]).rows == 1
    assert look(["*.json"]).empty == 1


def test_of_many_groups_the_largest_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.json", lines(*({"n": n} for n in range(80)), {"n": 7}))
    text = said(capsys, "a.json", "--by", "n")
    assert "… and 30 more" in text
    assert text.split("\n\n")[3].splitlines()[1].split() == ["7", "2"]


def test_more_than_a_million_rows_are_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.deploy.looking.looking._EXACT", 1_000)
    written("a.json", lines(*({"n": n} for n in range(2_000))))
    found = look(["a.json"])
    assert found.estimated
    assert found.columns[0].distinct == pytest.approx(2_000, rel=0.2)


def test_a_torn_line_is_told_with_file_and_number_and_may_be_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written("a.json", lines({"n": 1}, {"n": 2}))
    name = written("b.json", lines({"n": 3}) + '\n{"n": 4}\n{"n"')
    assert "b.json, line 4 is no JSON object" in refused(capsys, "*.json")
    found = look(["a.json", name], skip_bad=True)
    assert (found.rows, found.unread) == (4, 1)
    assert "1 row passed over as unreadable" in said(capsys, "*.json", "--skip-bad")
    written("c.json.gz", gzip.compress(b'{"n": 1}\n[1\n'))
    assert "c.json.gz, line 2 is no JSON object ([1)" in refused(capsys, "c.json.gz")


def test_a_type_that_changes_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    many = [{"n": n} for n in range(30_000)]
    written("a.json", lines(*many, {"n": "two"}))
    error = refused(capsys, "a.json")
    assert "a.json, line 30001 has another type than the lines before it" in error
    assert "--skip-bad" in error
    found = look(["a.json"], skip_bad=True)
    assert found.rows + found.unread == 30_001
    written("a.csv", "n,m\n" + "1,2\n" * 30_000 + "x,3\n")
    assert "a.csv, line 30002 does not fit" in refused(capsys, "a.csv")
    found = look(["a.csv"], skip_bad=True)
    assert (found.rows, found.unread) == (30_000, 1)


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_single_fraction_far_into_a_file_makes_a_column_of_fractions(form: str) -> None:
    if form == "json":
        written("a.json", lines(*({"n": n} for n in range(30_000)), {"n": 2.5}))
    else:
        written("a.csv", "n\n" + "".join(f"{n}\n" for n in range(30_000)) + "2.5\n")
    for skip_bad in (False, True):
        found = look([f"a.{form}"], skip_bad=skip_bad)
        assert found.schema == {"n": "DOUBLE"}
        assert (found.rows, found.duplicates, found.columns[0].distinct) == (30_001, 0, 30_001)
    assert '"n": "DOUBLE"' in found.declaration


def test_what_is_of_several_types_is_text() -> None:
    written("a.json", lines({"v": "a", "w": {"k": 1}}, {"v": 5, "w": {"k": "x"}}, {"v": [1]}))
    found = look(["a.json"])
    assert found.schema == {"v": "VARCHAR", "w": "STRUCT(k VARCHAR)"}
    assert [row[0] for row in found.sample] == ["a", "5", "[1]"]
    assert found.columns[0].max == "a"


def test_many_columns_of_one_type_are_columns() -> None:
    row = {f"c{at}": at for at in range(300)}
    written("a.json", lines(row))
    assert look(["a.json"]).schema == dict.fromkeys(row, "BIGINT")


def test_a_line_that_is_nested_too_deep_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.json", lines({"n": 1}) + '{"n": 2, "more": ' + "[" * 500 + "]" * 500 + "}\n")
    assert "a.json, line 2 does not fit" in refused(capsys, "a.json")


def test_a_value_among_the_objects_is_told_with_file_and_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written("a.json", lines({"json": 1, "n": 1}))
    assert list(look(["a.json"]).schema) == ["json", "n"]
    written("b.json", lines({"n": 1}) + "17\n" + lines({"n": 2}))
    assert "b.json, line 2 is no JSON object (17): put it right" in refused(capsys, "b.json")
    assert "b.json, line 2 is no JSON object (17): put it right" in refused(capsys, "*.json")
    many = lines(*({"n": 1} for _ in range(30_000))) + "17\n" + lines({"n": 2.5})
    written("c.json", many)
    found = look(["c.json"], skip_bad=True)
    assert (found.schema, found.rows, found.unread) == ({"n": "DOUBLE"}, 30_001, 1)


def test_a_torn_row_of_csv_is_told_and_makes_no_other_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written("a.csv", 'n,s\n1,"a\nb"\n3,e\n4,"torn')
    assert 'a.csv, line 5 does not fit (4,"torn)' in refused(capsys, "a.csv")


def test_text_that_is_no_utf_8_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.json", b'{"s":"x"}\n{"s":"\xff\xfe"}\n')
    assert "a.json, line 2 is no JSON object" in refused(capsys, "a.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[1,\n2]\n", "no JSON object"),
        ("a.json", b"1\n2\n", "a.json holds no JSON objects, one a line"),
        ("a.parquet", b"PAR1junk", "the files cannot be read as parquet"),
        ("a.json.gz", b"no gzip", "a.json.gz is no whole gzip file"),
        (
            "a.json.gz",
            gzip.compress(b'{"n":1}\n' * 9, mtime=0)[:-9],
            "a.json.gz is no whole gzip file",
        ),
        ("a.json.zst", b"no zstd at all", "a.json.zst is no whole zstd file"),
        ("a.txt", b"x", "the name of a.txt does not tell its format: say --format ndjson|csv"),
    ],
)
def test_what_is_no_such_file_is_told(
    name: str, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    written(name, content)
    assert message in refused(capsys, name)


def test_files_that_are_not_there_are_told_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written("data/readings.json", lines({"n": 1}))
    written("marks/_SUCCESS", "")
    assert "no file data/raedings.json. Did you mean 'readings.json'?" in refused(
        capsys, "data/raedings.json"
    )
    assert "There is no folder nowhere either." in refused(capsys, "nowhere/*.json")
    assert "only 1 whose names begin with _ or ." in refused(capsys, "marks")


def test_columns_that_are_not_there_are_told_with_the_nearest_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = written("a.json", lines({"device": "x", "gt": "y"}))
    error = refused(capsys, name, "--by", "gt,devcie")
    assert "no column 'devcie'; there is device, gt. Did you mean 'device'?" in error


def test_several_formats_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    written("a.json", lines({"n": 1}))
    written("b.csv", "n\n1\n")
    assert "a.json (ndjson) and b.csv (csv): look at one at once" in refused(capsys, "*.*")
    written("c.dat", lines({"n": 1}))
    assert look(["c.dat"], format="ndjson").rows == 1


def test_a_gzip_bomb_is_read_no_further_than_its_limit(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written("bomb.json.gz", gzip.compress(b'{"n":1}\n' * 8_000_000))
    error = refused(capsys, "bomb.json.gz")
    assert "bomb.json.gz becomes more than 100 times as large" in error
    assert "--max-ratio" in error
    with pytest.raises(ThalwegError, match="more than 2 times as large"):
        look(["bomb.json.gz"], limits=Limits(max_ratio=2))


def test_a_look_ends_when_its_time_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    write_activity("data", files=4)
    error = refused(capsys, "data", "--timeout", "0.05")
    assert "took more than 0.05 s and was stopped while " in error
    written("a.json.gz", gzip.compress(b'{"n":1}\n' * 1_000_000))
    with pytest.raises(ThalwegError, match="stopped while unpacking"):
        look(["a.json.gz"], limits=Limits(seconds=0.001, max_ratio=1e6))


def test_memory_is_bounded_and_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    write_activity("data", rows=20_000)
    assert "needs more memory than it may have" in refused(capsys, "data", "--memory", "2MB")
    assert "an amount such as 500MB" in refused(capsys, "data", "--memory", "much")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "a,"], "names of columns"),
        (["--rows", "-1"], "from 0 to 1000"),
        (["--rows", "1001"], "from 0 to 1000"),
        (["--timeout", "0"], "above 0"),
        (["--timeout", "nan"], "above 0"),
        (["--max-ratio", "1"], "above 1"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_a_wrong_option_is_told(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["look", "a.json", *words])
    assert message in capsys.readouterr().err


class Terminal(io.StringIO):
    """A terminal that keeps what it was told."""

    def isatty(self) -> bool:
        return True


def test_a_long_look_says_on_a_terminal_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thalweg.deploy.looking.limits._QUIET", 0.0)
    terminal, stopped = Terminal(), list[str]()
    watched = Watched(60.0, lambda: stopped.append("stopped"), terminal)
    watched.step("reading 3 files")
    with watched.running():
        while "reading 3 files … 0 s" not in terminal.getvalue():
            pass
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert stopped == []
    quiet = io.StringIO()
    with Watched(60.0, lambda: None, quiet).running():
        pass
    assert quiet.getvalue() == ""


def test_whole_numbers_beyond_64_bits_are_told_with_all_digits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    huge = 123456789012345678901234
    path = written(
        "a.json",
        lines({"id": huge, "x": 0.5, "y": huge, "z": 2**127, "w": 1e30}, {"id": None, "y": 2.5}),
    )
    findings = look([path])
    assert findings.schema == {
        "id": "HUGEINT",
        "x": "DOUBLE",
        "y": "DOUBLE",
        "z": "DOUBLE",
        "w": "DOUBLE",
    }
    assert findings.sample[0][0] == findings.columns[0].max == huge
    assert str(huge) in said(capsys, path, "--by", "id")
    assert json.loads(said(capsys, path, "--json"))["sample"][0]["id"] == huge


def test_bad_rows_at_the_top_of_csv_are_no_reason_to_begin_below_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written("a.csv", "\na,b\n1,x\n2\n3,y,z\n")
    assert refused(capsys, path).startswith("thalweg: a.csv, line 4 does not fit")
    findings = look([path], skip_bad=True)
    assert (list(findings.schema), findings.rows, findings.unread) == (["a", "b"], 1, 2)


@pytest.mark.parametrize("name", ["a.json", "a.json.gz", "a.json.zst"])
def test_names_that_differ_only_in_case_are_told(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = lines({"A": 1, "b_1": 2}, {"a": 2}).encode()
    if name.endswith(".gz"):
        text = gzip.compress(text)
    elif name.endswith(".zst"):
        arrow: Any = pyarrow
        text = arrow.compress(text, codec="zstd", asbytes=True)
    told = refused(capsys, written(name, text))
    assert told.startswith(f"thalweg: {name} has 'a', and there is 'A' too: names of columns")


def test_a_number_behind_a_name_is_part_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(look([written("a.json", lines({"a": 1, "A_1": 2, "a_2": 3}))]).schema) == [
        "a",
        "A_1",
        "a_2",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'n,s\n1,"a\nb"\r\n2,x\n', "has lines that end in CRLF, and others that do not"),
        ("n,s\n1,x\n".encode("utf-16"), "has a NUL in its header, as UTF-16 has: make it UTF-8"),
    ],
)
def test_what_is_odd_about_a_whole_csv_file_is_told(
    capsys: pytest.CaptureFixture[str], text: bytes, message: str
) -> None:
    assert message in refused(capsys, written("a.csv", text))
