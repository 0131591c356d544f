"""Loading graph files: every mistake of the author is one line with file and line."""
# ruff: noqa: E501 (messages are given in full)

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg import GraphError, SettingError
from thalweg.deploy.loading import LoadError, load, shipped

Write = Callable[[str], str]

STREAM = """\
from thalweg import Graph, Source
class Numbers(Source[int]):
    async def read(self, limit):
        return None
graph = Graph("g")
numbers = graph.read("numbers", Numbers())
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a graph file into the current folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def written(text: str) -> str:
        (tmp_path / "flow.py").write_text(text, encoding="utf-8")
        return "flow.py"

    return written


def message(target: str, **given: str) -> str:
    with pytest.raises(GraphError) as caught:
        load(target, given)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_that_holds_a_graph(write: Write) -> None:
    loaded = load(write("from thalweg import Graph\ngraph = Graph('flow')\n"))
    assert loaded.graph.name == "flow"
    assert loaded.file == Path.cwd() / "flow.py"
    assert loaded.settings == ()


def test_a_function_that_returns_a_graph(write: Write) -> None:
    text = """\
from thalweg import Graph, setting
def graph() -> Graph:
    return Graph(setting("name", "flow"))
def other(x=1):
    return Graph("other")
"""
    assert load(write(text), {"name": "mine"}).graph.name == "mine"
    assert load("flow.py:other").graph.name == "other"


def test_each_load_executes_the_file_anew(write: Write) -> None:
    name = write("from thalweg import Graph\ngraph = Graph('flow')\n")
    before = set(sys.path)
    assert load(name).graph is not load(name).graph
    assert "flow" not in sys.modules
    assert set(sys.path) == before


def test_data_classes_and_lazy_annotations_work(write: Write) -> None:
    text = """\
from __future__ import annotations
from dataclasses import dataclass, field
from thalweg import Graph
@dataclass
class Flower:
    n: int
    tags: list[str] = field(default_factory=list)
graph = Graph(f"flow{Flower(3).n}")
"""
    assert load(write(text)).graph.name == "flow3"


def test_the_main_block_of_a_file_is_not_run(write: Write) -> None:
    text = "from thalweg import Graph\ngraph = Graph('flow')\nif __name__ == '__main__': 1 / 0\n"
    assert load(write(text)).graph.name == "flow"


def test_modules_beside_the_file_can_be_imported(write: Write, tmp_path: Path) -> None:
    (tmp_path / "beside_flow.py").write_text("name = 'beside'\n")
    text = "from thalweg import Graph\nimport beside_flow\ngraph = Graph(beside_flow.name)\n"
    name = write(text)
    (tmp_path / "below").mkdir()
    assert load(str(tmp_path / name)).graph.name == "beside"


def test_a_module_by_its_dotted_name(write: Write, tmp_path: Path) -> None:
    package = tmp_path / "flows_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "names.py").write_text("name = 'dotted'\n")
    text = "from thalweg import Graph\nfrom .names import name\ngraph = wet = Graph(name)\n"
    (package / "wet.py").write_text(text)
    write("")
    assert load("flows_of_mine.wet").graph.name == "dotted"
    assert load("flows_of_mine.wet:wet").graph.name == "dotted"
    assert message("flows_of_mine.wett").startswith("there is no graph 'flows_of_mine.wett': ")
    assert message("flows_of_mine") == (
        "flows_of_mine/__init__.py: there is no 'graph' in it. It has neither a Graph nor a "
        "function"
    )
    (package / "wet.py").write_text("from .names import nam\n")
    assert message("flows_of_mine.wet") == (
        "flows_of_mine/wet.py:1: cannot import name 'nam' from 'flows_of_mine.names'. "
        "Did you mean 'name'?"
    )


def test_a_package_that_does_not_import(write: Write, tmp_path: Path) -> None:
    (tmp_path / "dry_flows").mkdir()
    (tmp_path / "dry_flows" / "__init__.py").write_text("1 / 0\n")
    write("")
    assert message("dry_flows.one") == (
        "the package of 'dry_flows.one' does not import: ZeroDivisionError: division by zero"
    )


def test_a_module_without_a_file_to_execute(write: Write) -> None:
    write("")
    assert message("sys:graph") == "the module 'sys' has no Python file to execute"


def test_a_graph_that_ships_by_its_name() -> None:
    assert "iris_scoring" in shipped()


def test_a_name_that_is_nothing(write: Write) -> None:
    write("")
    assert message("iris_scorin") == (
        "there is no graph 'iris_scorin': neither a file, nor a module, nor one that ships. "
        f"Did you mean 'iris_scoring'? Those that ship are: {', '.join(shipped())}"
    )
    assert message("no such") == (
        "there is no graph 'no such': neither a file, nor a module, nor one that ships. "
        f"Those that ship are: {', '.join(shipped())}"
    )


def test_a_file_that_is_not_there(write: Write, tmp_path: Path) -> None:
    write("")
    assert message("flwo.py") == "flwo.py: there is no such file. Did you mean 'flow.py'?"
    assert message("nowhere/flow.py") == "nowhere/flow.py: there is no folder 'nowhere'"
    assert message(str(tmp_path)) == f"{tmp_path} is a folder: name a Python file"


def test_a_file_that_is_too_large(write: Write) -> None:
    name = write("#" * (1024 * 1024 + 1))
    assert message(name) == "flow.py has 1,048,577 bytes: a graph file has 1,048,576 at most"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\ngraph = (\n", "flow.py:2: '(' was never closed: graph = ("),
        (
            "if True:\nx = 1\n",
            "flow.py:2: expected an indented block after 'if' statement on line 1: x = 1",
        ),
        ("x = 1\n1 / 0\n", "flow.py:2: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError\nf()\n", "flow.py:2: KeyError"),
        ("raise ValueError('one\\ntwo')", "flow.py:1: ValueError: one two"),
        ("import sys\nsys.exit(4)\n", "flow.py:2: the file ended the program: sys.exit(4)"),
        ("import no_such_module_here\n", "flow.py:1: No module named 'no_such_module_here'"),
        (
            "from thalweg import Grahp\n",
            "flow.py:1: cannot import name 'Grahp' from 'thalweg'. Did you mean 'Graph'?",
        ),
        (
            "import thalweg\nthalweg.Grahp('x')\n",
            "flow.py:2: module 'thalweg' has no attribute 'Grahp'. Did you mean 'Graph'?",
        ),
        (
            "flowers = 1\nflower + 1\n",
            "flow.py:2: name 'flower' is not defined. Did you mean 'flowers'?",
        ),
        (
            "from thalweg import Graph\nGraph('a b')\n",
            "flow.py:2: 'a b' is no name for a node: use letters, digits, '_', '-' and '.', beginning with a letter",
        ),
        (
            "from thalweg import Retry\nRetry(attempts=0)\n",
            "flow.py:2: attempts must be 1 or more, not 0",
        ),
        ("x = 1\n", "flow.py: there is no 'graph' in it. It has neither a Graph nor a function"),
        (
            "from thalweg import Graph\ng = Graph('g')\n",
            "flow.py: there is no 'graph' in it. It has the graphs g. Name one 'graph', or load flow.py:g",
        ),
        (
            "def make(): ...\n",
            "flow.py: there is no 'graph' in it. It has the functions make. Name one 'graph', or load flow.py:make",
        ),
        ("def graph(): ...\n", "flow.py:1: graph() returned nothing, and a Graph is asked for"),
        (
            "\nasync def graph(): ...\n",
            "flow.py:2: graph() is async: a plain function is asked for",
        ),
        (
            "def graph(path): ...\n",
            "flow.py:1: graph() is called without arguments, but 'path' has no default: use thalweg.setting for what a user may choose",
        ),
        (
            "graph = 5\n",
            "flow.py: 'graph' is of type int: a Graph is asked for, or a function that returns one. It has neither a Graph nor a function",
        ),
        (
            STREAM + "numbers.batch(8, lingr=1)\n",
            "flow.py:7: Stream.batch() got an unexpected keyword argument 'lingr'. Did you mean 'linger'? The options are: max_batch_size, max_batch_bytes, linger, name",
        ),
        (STREAM + "numbers.batch(0)\n", "flow.py:7: max_batch_size is 1 or more, not 0"),
        (STREAM + "numbers.batch('9')\n", "flow.py:7: max_batch_size is 1 or more, not '9'"),
        (
            STREAM + "numbers.map(str, timeout=5)\n",
            "flow.py:7: timeout is for async functions: a plain one is never waited for",
        ),
        (
            "def f(one): ...\nf(onn=1)\n",
            "flow.py:2: f() got an unexpected keyword argument 'onn'. Did you mean 'one'? The options are: one",
        ),
        (
            "def f(one): ...\nraise TypeError(\"f() got an unexpected keyword argument 'onn'. Did you mean 'one'?\")\n",
            "flow.py:2: f() got an unexpected keyword argument 'onn'. Did you mean 'one'? The options are: one",
        ),
        ("import json\njson.loads('{')\n", None),
    ],
)
def test_a_mistake_in_the_file_is_one_line(write: Write, text: str, expected: str | None) -> None:
    found = message(write(text))
    if expected is None:
        assert found.startswith("flow.py:2: JSONDecodeError: Expecting property name")
        assert " (raised at " in found
    else:
        assert found == expected


def test_a_file_that_is_no_text(write: Write, tmp_path: Path) -> None:
    name = write("")
    (tmp_path / name).write_bytes(b"x = '\xff'\n")
    assert message(name).startswith("flow.py:1: (unicode error) 'utf-8' codec can't decode")
    (tmp_path / name).write_bytes(b"\0\0\0")
    assert message(name) == "flow.py: source code string cannot contain null bytes"


def test_a_file_nested_too_deeply_is_refused(write: Write) -> None:
    assert message(write("x = " + "(" * 100_000)).startswith("flow.py")
    assert message(write("x = " + "-" * 900_000 + "1")).startswith("flow.py")


def test_settings_are_listed_with_what_was_given(write: Write) -> None:
    text = "from thalweg import Graph, setting\nn = setting('n', 1)\ngraph = Graph('flow')\n"
    loaded = load(write(text), {"n": "2"})
    assert [(found.name, found.value, found.where) for found in loaded.settings] == [
        ("n", 2, "flow.py:2")
    ]


def test_wrong_settings_name_file_and_line(write: Write) -> None:
    name = write("from thalweg import Graph, setting\nn = setting('n', 1)\ngraph = Graph('f')\n")
    assert message(name, n="x") == (
        "flow.py:2: the setting 'n' is a whole number, not 'x' (from --set n=x)."
    )
    with pytest.raises(SettingError, match=r"flow.py: there is no setting 'm' \(from --set m=…\)"):
        load(name, {"m": "1"})


def test_a_missing_graph_goes_before_a_wrong_setting(write: Write) -> None:
    assert message(write("x = 1\n"), m="1").startswith("flow.py: there is no 'graph'")


def test_an_interrupt_is_left_alone(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load(write("raise KeyboardInterrupt\n"))


def test_a_load_error_is_a_graph_error() -> None:
    assert issubclass(LoadError, GraphError)
