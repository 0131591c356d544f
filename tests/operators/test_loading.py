"""What is loaded: what was asked for, under its right name, and little else."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from importlib.util import resolve_name
from pathlib import Path

import pytest

OPERATORS = "thalweg.operators"
PACKAGES = (
    OPERATORS,
    *(
        f"{OPERATORS}.{folder}"
        for folder in ("aggregates", "endpoints", "sinks", "sources", "windows")
    ),
)

LOADED = """
import sys
before = set(sys.modules)
{code}
print([name for name in {unwanted} if name in set(sys.modules) - before])
"""

WRONG = """
import importlib, json, pkgutil, sys
name, first, pairs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
package = importlib.import_module(name)
if first == "files":
    for found in pkgutil.iter_modules(package.__path__, f"{name}."):
        importlib.import_module(found.name)
wrong = []
for offered, place in pairs:
    asked = getattr(package, offered)
    module = importlib.import_module(place)
    meant = importlib.import_module(f"{name}.{offered}") if module is package else None
    if asked is not (meant or getattr(module, offered)):
        wrong.append(offered)
print(wrong)
"""


def said(code: str, *arguments: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert not done.stderr
    return done.stdout.strip()


def declared(package: str) -> list[tuple[str, str]]:
    """The names that a package imports where it is only read, and the modules that they are in."""
    file = importlib.import_module(package).__file__
    assert file is not None
    (block,) = (
        node
        for node in ast.parse(Path(file).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    return [
        (alias.name, resolve_name("." * node.level + (node.module or ""), package))
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_offered_is_what_who_only_reads_it_sees(package: str) -> None:
    names = sorted(name for name, _ in declared(package))
    assert names == sorted(importlib.import_module(package).__all__)


@pytest.mark.parametrize("first", ["names", "files"])
@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_is_that_of_the_right_object_whatever_was_imported_first(
    package: str, first: str
) -> None:
    assert said(WRONG, package, first, json.dumps(declared(package))) == "[]"


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param(
            """
from thalweg.operators import aggregates, cube, group_by, sources
schema = {"k": str, "n": int}
rows = sources.files("in/*.json", format="ndjson", schema=schema, max_files_per_trigger=1)
measures = {"n": aggregates.count(), "mean": aggregates.mean("n")}
group_by("k", measures=measures), cube("k", "l", measures=measures)
""",
            [
                "csv",
                "gzip",
                "sqlite3",
                "tempfile",
                "thalweg.operators.aggregates.fold",
                "thalweg.operators.aggregates.quantiles",
                "thalweg.operators.endpoints",
                "thalweg.operators.fleet",
                "thalweg.operators.sinks",
                "thalweg.operators.sources._csv_header",
                "thalweg.operators.sources._csv_rows",
                "thalweg.operators.sources._file_sample",
                "thalweg.operators.sources._tailed_file",
                "thalweg.operators.sources._tame_lines",
                "thalweg.operators.sources._unfit_csv",
                "thalweg.operators.sources._unfit_lines",
                "thalweg.operators.sources.csv_records",
                "thalweg.operators.sources.generate",
                "thalweg.operators.sources.sqlite_table",
                "thalweg.operators.transforms.join",
                "thalweg.operators.windows",
            ],
            id="an aggregation over files",
        ),
        pytest.param(
            """
from thalweg.operators import aggregates, group_by, windows
group_by("k", measures={"n": aggregates.count()}, window=windows.hopping(60, 20), time="at")
""",
            [
                "thalweg.operators.windows._open_windows",
                "thalweg.operators.windows.session",
                "thalweg.operators.windows.window",
            ],
            id="windows of columns",
        ),
        pytest.param(
            "from thalweg.operators import sources; sources.ndjson_records('in/*.ndjson')",
            ["csv", "thalweg.operators.sources._csv_rows", "thalweg.operators.sources.files"],
            id="lines of NDJSON",
        ),
        pytest.param(
            "from thalweg.operators import sinks; sinks.csv('out.csv', columns=['n'])",
            [
                "csv",
                "pyarrow",
                "thalweg.operators.sinks._appended_file",
                "thalweg.operators.sinks._column_lines",
                "thalweg.operators.sinks._csv_lines",
                "thalweg.operators.sinks.ndjson",
                "thalweg.operators.sources",
            ],
            id="lines of CSV",
        ),
        pytest.param(
            """
from thalweg.operators import sources
sources.sql_query("postgresql://reader@127.0.0.1/shop", "SELECT * FROM orders", key="id")
""",
            ["sqlite3", "thalweg.operators.sources._sqlite_pages"],
            id="PostgreSQL",
        ),
        pytest.param(
            """
from thalweg.operators import score
score("oip+http://127.0.0.1:8501/v2/models/iris", fields={"x": "x"})
""",
            [
                "secrets",
                "thalweg.operators.endpoints.onnx",
                "thalweg.operators.endpoints.pmml",
                "thalweg.operators.endpoints.several",
                "thalweg.operators.endpoints.wml",
            ],
            id="scores of one server",
        ),
    ],
)
def test_a_graph_loads_nothing_that_it_does_not_use(code: str, unwanted: list[str]) -> None:
    assert said(LOADED.format(code=code, unwanted=unwanted)) == "[]"
