"""`POST /sql` and `thalweg sql`: a query from another process, and its answer."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from thalweg import Columns, Graph
from thalweg.deploy.address import Address
from thalweg.deploy.answering import asker
from thalweg.deploy.cli import main
from thalweg.deploy.http import HttpServer, Pages
from thalweg.operators import sinks, sources
from thalweg.runtime.contracts import Change
from thalweg.runtime.job import Job
from thalweg.runtime.metrics import new_registry
from thalweg.runtime.plan import Plan
from thalweg.runtime.tables.asking import Asking
from thalweg.runtime.tables.tables import Tables

pa: Any = pytest.importorskip("pyarrow")
parquet: Any = pytest.importorskip("pyarrow.parquet")

TABLES = Tables()
TABLES.declare("words").show(
    [Change("append", [Columns(pa.table({"word": ["a", None, "\x1b[1m,"], "n": [1, 2, 3]}))])]
)


@pytest.fixture
def server() -> Generator[HttpServer]:
    def answer(query: str) -> Any:
        return TABLES.answer(Asking(query, seconds=0.5, rows=1000, size=1 << 20))

    def nothing() -> Any:
        raise AssertionError

    pages = Pages(new_registry(), nothing, dict, lambda: None, sql=answer)
    made = HttpServer(Address("127.0.0.1", 0), pages)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def post(
    server: HttpServer, body: bytes, *, kind: str = "application/json", method: str = "POST"
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, "/sql", body, {"Content-Type": kind})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_a_query_is_answered_as_json(server: HttpServer) -> None:
    status, answer = post(server, b'{"sql": "select word, n from words order by n"}')
    assert status == 200
    assert answer == {
        "version": 1,
        "columns": [{"name": "word", "type": "string"}, {"name": "n", "type": "int64"}],
        "rows": [["a", 1], [None, 2], ["\x1b[1m,", 3]],
    }


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "the body is no JSON"),
        (b"[1]", 400, "send an object with a query"),
        (b'{"sql": 7}', 400, "send an object with a query"),
        (b'{"sql": "select 1", "more": 1}', 400, "send an object with a query"),
        (b'{"sql": "drop table words"}', 400, "a SELECT is asked for, not DROP"),
        (b'{"sql": "from nope"}', 400, "There is words"),
        (b'{"sql": "from range(100000)"}', 400, "more than 1,000 rows"),
        (b'{"sql": "select count(*) from range(1000000000000)"}', 408, "was stopped"),
        (b'{"sql": "' + b" " * 70_000 + b'"}', 413, "a query has at most 65,536 bytes"),
    ],
)
def test_a_wrong_request_is_told_in_json(
    server: HttpServer, body: bytes, status: int, text: str
) -> None:
    found, answer = post(server, body)
    assert found == status
    assert text in answer["error"]


def test_a_form_of_another_site_is_refused(server: HttpServer) -> None:
    found, answer = post(server, b'{"sql": "from words"}', kind="text/plain")
    assert (found, answer) == (415, {"error": "send application/json"})


def test_there_is_a_page_only_where_there_is_a_table() -> None:
    def job(sink: Any) -> Job:
        graph = Graph("asked")
        graph.read("numbers", sources.records([{"n": 1}])).to("out", sink)
        return Job(Plan.of(graph))

    assert asker(job(sinks.collect([]))) is None
    assert asker(job(sinks.table("numbers"))) is not None


def test_the_command_prints_the_rows(
    server: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", str(server.address), "select word, n from words order by n"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "word   n",
        "-----  -",
        "a      1",
        "NULL   2",
        " [1m,  3",
        "3 rows, version 1",
    ]
    assert main(["sql", f"http://{server.address}/", "select 1 as x", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"version": 1, "columns": [{"name": "x", "type": "int32"}], "rows": [[1]]}
    assert main(["sql", str(server.address), "from words where n > 5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 rows, version 1"


@pytest.mark.parametrize("suffix", ["parquet", "csv", "ndjson"])
def test_the_command_writes_files(
    suffix: str, server: HttpServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"words.{suffix}"
    query = "select n, word, [n] as l from words order by n"
    assert main(["sql", str(server.address), query, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"3 rows of version 1 are in {out}\n"
    if suffix == "parquet":
        assert parquet.read_table(out).to_pydict()["l"] == [[1], [2], [3]]
    else:
        expected = {
            "csv": 'n,word,l\r\n1,a,[1]\r\n2,,[2]\r\n3,"\x1b[1m,",[3]\r\n',
            "ndjson": '{"n":1,"word":"a","l":[1]}\n{"n":2,"word":null,"l":[2]}\n'
            '{"n":3,"word":"\\u001b[1m,","l":[3]}\n',
        }
        assert out.read_bytes().decode() == expected[suffix]
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_has_numbers_with_all_digits(server: HttpServer, tmp_path: Path) -> None:
    out = tmp_path / "words.ndjson"
    query = f"select {2**100}::hugeint as n, 1.50 as d, 18446744073709551615::ubigint as u"
    assert main(["sql", str(server.address), query, "--out", str(out)]) == 0
    assert out.read_text() == f'{{"n":{2**100},"d":1.50,"u":{2**64 - 1}}}\n'


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["{job}", "drop table words"], "a SELECT is asked for, not DROP"),
        (["{job}", "from words", "--out", "words.xlsx"], "--out is a file that ends in .parquet"),
        (["{job}", "from words", "--out", "/nowhere/x.csv"], "cannot write '/nowhere/x.csv'"),
        (["127.0.0.1:1", "from words"], "nobody answers at http://127.0.0.1:1/sql"),
        (["my:job", "from words"], "a job is asked by its name, or at the address"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(
    words: list[str], text: str, server: HttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", *(word.format(job=server.address) for word in words)]) == 2
    said = capsys.readouterr().err
    assert text in said
    assert len(said.splitlines()) == 1


def test_a_job_without_tables_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pages = Pages(new_registry(), lambda: None, dict, lambda: None)  # type: ignore[arg-type, return-value]
    made = HttpServer(Address("127.0.0.1", 0), pages)
    made.start()
    try:
        assert main(["sql", str(made.address), "select 1"]) == 2
    finally:
        made.stop()
    assert "has no tables" in capsys.readouterr().err
