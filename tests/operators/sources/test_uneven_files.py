"""Files of a stream that are not as whole or as even as they should be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from thalweg import DeadLetter, Graph, JobFailed, Row
from thalweg.operators import aggregates, derive, group_by, sinks, sources
from thalweg.operators.sources import _file_pieces as file_pieces

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")


def run(path: Path, *, format: Any = "csv", **options: Any) -> tuple[list[Row], list[str]]:  # noqa: A002
    """The rows of a file, and what was rejected, without its name."""
    rows, letters, graph = list[Row](), list[DeadLetter](), Graph("uneven")
    read = graph.read("files", sources.files(path, format=format, **options))
    read.to("rows", sinks.collect(rows))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    return rows, [letter.error.message.removeprefix(str(path)) for letter in letters]


@pytest.mark.parametrize(
    "text",
    [
        b'\xef\xbb\xbfn,s\n1,"a\r\nb"\r\n2,"c\nd"\n3,\xff\n4,e,f\r\n5,g\n',
        b'n,s\r\n1,"a\r\nb"\n2,"c\nd"\r\n3,\xff\n4,e,f\r\n5,g',
        b'n,s\r\n1,"a\r\nb"\r\n2,"c\nd"\r\n3,\xff\r\n4,e,f\r\n5,g\n',
    ],
)
def test_lines_of_csv_may_end_in_different_ways(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    rows, told = run(tmp_path / "a.csv")
    assert rows == [{"n": 1, "s": "a\r\nb"}, {"n": 2, "s": "c\nd"}, {"n": 5, "s": "g"}]
    assert [one.partition(":")[0] for one in told] == [", line 6", ", line 7"]


def test_an_odd_end_far_into_a_file_repeats_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_pieces, "ROWS", 4096)
    ends = ["\n"] * 200_000
    ends[150_000] = "\r\n"
    text = "".join(f"{n},x{end}" for n, end in enumerate(ends))
    (tmp_path / "a.csv").write_bytes(("n,s\n" + text).encode())
    rows, told = run(tmp_path / "a.csv")
    assert [row["n"] for row in rows] == list(range(200_000))
    assert told == []


def test_a_file_in_utf_16_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("n,s\n1,x\n".encode("utf-16"))
    assert run(tmp_path / "a.csv") == (
        [],
        [" has a NUL in its header, as UTF-16 has: make it UTF-8"],
    )


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path: Path, form: str) -> None:
    path, count = tmp_path / "a", 500_000
    line = '1,"{}"\n' if form == "csv" else '{{"n": 1, "s": "{}"}}\n'
    path.write_text(("n,s\n" if form == "csv" else "") + line.format("x" * 100) * count)
    rows, letters, graph = [0], list[DeadLetter](), Graph("shrinks")
    read = graph.read("files", sources.files(path, format=form))  # type: ignore[arg-type]

    def shrink(_row: Row) -> None:
        rows[0] += 1
        if rows[0] == 1:
            os.truncate(path, 5 << 20)

    read.to("rows", sinks.each(shrink))
    read.failed.to("failed", sinks.collect(letters))
    graph.run()
    assert "bytes to 5,242,880 while it was read" in letters[-1].error.message


def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text('{"n": 1}\n' * 300_000)
    rows, graph = [0], Graph("removed")

    def remove(_row: Row) -> None:
        rows[0] += 1
        path.unlink(missing_ok=True)

    graph.read("files", sources.files(path, format="ndjson")).to("rows", sinks.each(remove))
    graph.run()
    assert rows[0] == 300_000


@pytest.mark.parametrize("key", ["user", "tags", "user.name"])
def test_a_key_that_is_no_plain_value_is_told_with_what_to_do(tmp_path: Path, key: str) -> None:
    (tmp_path / "a").write_text('{"user": {"name": "ann"}, "tags": ["x"]}\n')
    graph, rows = Graph("nested"), list[Row]()
    read = graph.read("files", sources.files(tmp_path / "a", format="ndjson"))
    grouped = group_by(key, measures={"n": aggregates.count()})
    read.via("groups", grouped, volatile=True).to("rows", sinks.collect(rows))
    with pytest.raises(JobFailed, match=r"above it, by derive|above, as by derive"):
        graph.run()


def test_a_part_of_an_object_is_a_key_when_it_is_taken_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"user": {"name": "ann"}}\n')
    graph, rows = Graph("nested"), list[Row]()
    read = graph.read("files", sources.files(tmp_path / "a", format="ndjson"))
    grouped = group_by("name", measures={"n": aggregates.count()})
    read.via("taken", derive(name="user.name")).via("groups", grouped, volatile=True).to(
        "rows", sinks.collect(rows)
    )
    graph.run()
    assert rows == [{"name": "ann", "n": 1}]


@pytest.mark.parametrize("measure", ["count", "max"])
def test_a_group_of_a_time_that_python_does_not_have_is_told(tmp_path: Path, measure: str) -> None:
    (tmp_path / "a").write_text('{"d": "10000-01-01"}\n')
    graph = Graph("late")
    schema = {"d": "DATE"}
    read = graph.read("files", sources.files(tmp_path / "a", format="ndjson", schema=schema))
    keys = ("d",) if measure == "count" else ()
    measures = {"x": aggregates.count() if measure == "count" else aggregates.max("d")}
    grouped = read.via("groups", group_by(*keys, measures=measures), volatile=True)
    grouped.to("rows", sinks.collect(list[Row]()))
    with pytest.raises(JobFailed, match=r"Python does not have .* leave such rows out above"):
        graph.run()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sep=;\r\na;b\r\n1;2\r\n", {"a": 1, "b": 2}),
        ("\nsep=,\n\na,b;c\n1,2\n", {"a": 1, "b;c": 2}),
        ("sep=x\n1\n", {"sep=x": 1}),
    ],
)
def test_what_excel_writes_above_the_header_is_taken_at_its_word(
    tmp_path: Path, text: str, expected: Row
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert run(tmp_path / "a.csv") == ([expected], [])


def test_lines_below_it_are_told_as_an_editor_counts_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sep=;\na;b\n1;2\n3;4;5\n")
    rows, told = run(tmp_path / "a.csv")
    assert rows == [{"a": 1, "b": 2}]
    assert [one.partition(":")[0] for one in told] == [", line 4"]
