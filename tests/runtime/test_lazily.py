"""`offer_lazily`: a package loads what it offers when it is first asked for."""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import pytest

PACKAGE = '''
"""Water."""

from thalweg.runtime.contracts import offer_lazily

__all__ = ["Trout", "banks", "pond"]

offer_lazily(__name__, __all__, {"Trout": ".pond", "banks": "."})
'''
POND = """
def pond():
    return VERSION

class Trout: pass

VERSION = 1
"""


@pytest.fixture
def brook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package with a file that is named like the function in it."""
    folder = tmp_path / "brook"
    (folder / "banks").mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "pond.py").write_text(POND)
    (folder / "banks" / "__init__.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    yield importlib.import_module("brook")
    for name in [name for name in sys.modules if name.partition(".")[0] == "brook"]:
        del sys.modules[name]


def test_a_name_is_loaded_when_it_is_asked_for(brook: ModuleType) -> None:
    assert "brook.pond" not in sys.modules
    assert brook.pond() == 1
    assert brook.Trout is sys.modules["brook.pond"].Trout
    assert vars(brook)["pond"] is brook.pond


def test_a_folder_is_offered_as_a_module(brook: ModuleType) -> None:
    assert "brook.banks" not in sys.modules
    assert brook.banks is sys.modules["brook.banks"]


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_file_takes_not_the_place_of_its_function(brook: ModuleType, asked_before: bool) -> None:
    before = brook.pond if asked_before else None
    sys.modules.pop("brook.pond", None)
    module = importlib.import_module("brook.pond")
    assert isinstance(module, ModuleType)
    assert brook.pond is (before or module.pond)


def test_what_is_not_offered_is_an_ordinary_error(brook: ModuleType) -> None:
    with pytest.raises(AttributeError, match="module 'brook' has no attribute 'sea'"):
        _ = brook.sea
    with pytest.raises(ImportError, match="cannot import name 'sea' from 'brook'"):
        exec("from brook import sea", {})


def test_dir_and_a_star_know_what_is_not_loaded_yet(brook: ModuleType) -> None:
    assert {"Trout", "banks", "pond", "__all__"} <= set(dir(brook))
    assert "brook.pond" not in sys.modules
    found: dict[str, object] = {}
    exec("from brook import *", found)
    assert found["pond"] is brook.pond
    assert {"Trout", "banks"} <= found.keys()


def test_a_package_that_is_loaded_anew_offers_what_its_files_have_now(brook: ModuleType) -> None:
    old = brook.pond
    importlib.reload(sys.modules["brook.pond"])
    assert brook.pond is old
    assert importlib.reload(brook) is brook
    assert brook.pond is sys.modules["brook.pond"].pond
    assert brook.pond is not old


def test_another_value_may_be_set_and_taken_back(
    brook: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("brook.pond", len)
        assert brook.pond is len
    assert brook.pond is sys.modules["brook.pond"].pond
    delattr(brook, "pond")
    assert brook.pond is sys.modules["brook.pond"].pond


def test_threads_that_ask_at_once_get_the_same(brook: ModuleType) -> None:
    count = 8
    barrier = Barrier(count)

    def ask(_: int) -> object:
        barrier.wait(10)
        return brook.pond

    with ThreadPoolExecutor(count) as threads:
        assert set(threads.map(ask, range(count))) == {brook.pond}


def test_what_was_loaded_lazily_is_pickled_by_name(brook: ModuleType) -> None:
    assert pickle.loads(pickle.dumps(brook.pond)) is brook.pond


@pytest.mark.parametrize("asked", ["Trout", "pond", "banks"])
def test_an_error_in_a_file_is_told_as_it_is(brook: ModuleType, asked: str) -> None:
    place = Path(brook.__path__[0]) / ("banks/__init__.py" if asked == "banks" else "pond.py")
    place.write_text("import math\nmath.nowhere\n")
    importlib.invalidate_caches()
    for code in (f"from brook import {asked}", f"import brook; brook.{asked}"):
        with pytest.raises(ImportError, match="'math' has no attribute 'nowhere'") as caught:
            exec(code, {})
        assert isinstance(caught.value.__cause__, AttributeError)
