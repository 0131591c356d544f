"""The docstrings: their examples run, and everything public has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest

import thalweg

PUBLIC = (
    "thalweg",
    "thalweg.operators",
    "thalweg.operators.aggregates",
    "thalweg.operators.endpoints",
    "thalweg.operators.fleet",
    "thalweg.operators.fleet.probes.parsers",
    "thalweg.operators.sinks",
    "thalweg.operators.sources",
    "thalweg.operators.windows",
    "thalweg.testing",
)
# Trains the model from scikit-learn: a script, run by who changes the model.
SCRIPTS = ("thalweg.graphs.models.train_iris",)
LINES = ("Emits when", "Waits when", "Ends when", "Order", "State", "On error")


def modules() -> list[str]:
    names = [found.name for found in pkgutil.walk_packages(thalweg.__path__, "thalweg.")]
    return sorted({*names, "thalweg"} - set(SCRIPTS))


def with_examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = (test for name in modules() for test in finder.find(importlib.import_module(name)))
    return [test for test in found if test.examples]


def public() -> list[tuple[str, object]]:
    """Everything of the public face that is a class or a function, each under its first name."""
    found: dict[int, tuple[str, object]] = {}
    for name in PUBLIC:
        module: ModuleType = importlib.import_module(name)
        for attribute in module.__all__:
            value = getattr(module, attribute)
            if inspect.isclass(value) or inspect.isfunction(value):
                found.setdefault(id(value), (f"{name}.{attribute}", value))
    return list(found.values())


def test_there_are_modules_and_examples() -> None:
    assert "thalweg.operators.transforms.score" in modules()
    assert "thalweg.Graph" in dict(public())
    assert len(with_examples()) > 20


@pytest.mark.parametrize("example", with_examples(), ids=lambda test: test.name)
def test_an_example_does_what_it_shows(example: doctest.DocTest) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST)
    result = runner.run(example, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted == len(example.examples)
    skipped = [one.source for one in example.examples if doctest.SKIP in one.options]
    assert not skipped


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_everything_public_shows_an_example(name: str, value: object) -> None:
    text = inspect.getdoc(value) or ""
    assert getattr(value, "__doc__", None), f"{name} has no docstring of its own"
    if inspect.isclass(value) and issubclass(value, BaseException):
        return
    elsewhere = re.search(r"(that `(\w+)` makes; see there|[Ss]ee `(\w+)`)", text)
    if elsewhere is not None and not text.count(">>>"):
        other = elsewhere[2] or elsewhere[3]
        names = {one.rpartition(".")[2]: one_value for one, one_value in public()}
        text = inspect.getdoc(names[other]) or ""
    assert ">>>" in text, f"{name} shows no example"


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in public()
        if inspect.isfunction(value)
        and re.match(r"thalweg\.operators\.(s|score|fold$|aggregate$|window$)", name)
    ],
)
def test_an_operator_tells_when_it_emits_waits_and_ends(name: str) -> None:
    text = inspect.getdoc(dict(public())[name]) or ""
    missing = [line for line in LINES if not re.search(rf"^(- )?{line}:", text, re.MULTILINE)]
    assert not missing
