"""A callable by the name under which another process can import it."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from ...runtime.contracts import dataclass

__all__ = ["Reference", "refer"]


@dataclass(frozen=True, slots=True)
class Reference:
    """What another process needs to have the same callable: names, not code."""

    name: str
    pickled: bytes
    folders: tuple[str, ...]

    def resolve(self) -> Callable[..., Any]:
        """The callable, imported. Raises whatever its module raises."""
        # At the end: what this process finds by itself comes first, as it does in the other.
        sys.path.extend(folder for folder in self.folders if folder not in sys.path)
        return pickle.loads(self.pickled)  # type: ignore[no-any-return]


class _Pickler(pickle.Pickler):
    """Notes the modules that functions and classes are referred to by."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType):
            self.modules.add(str(obj.__module__))
        return NotImplemented


def refer(call: Callable[..., Any], name: str) -> Reference:
    """The reference to a callable. Raises TypeError where no other process could import it."""
    if "<lambda>" in name or "<locals>" in name:
        raise TypeError(
            f"{name} has no name that another process could import it by: define it with def, at "
            "the top of a module"
        )
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    try:
        pickler.dump(call)
    except Exception as error:
        raise TypeError(
            f"{name} cannot be handed to another process ({error}): use a function at the top of a "
            "module, or an object that pickle takes"
        ) from None
    folders = {_folder(module, name) for module in sorted(pickler.modules)}
    return Reference(name, buffer.getvalue(), tuple(sorted(folders - {None, ""}, key=str)))  # type: ignore[arg-type]


def _folder(module: str, name: str) -> str | None:
    """The folder that the module is imported from, where it has one."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__":
        if file is None:
            raise TypeError(
                f"{name} is defined where no other process can import it from (in a notebook, or "
                "at a prompt): write it into a file, and import that"
            )
        return None  # a new process of multiprocessing executes it again
    top = module.partition(".")[0]
    if top in sys.builtin_module_names:
        return None
    for finder in sys.meta_path:
        spec = finder.find_spec(top, None)
        if spec is not None:
            places = spec.submodule_search_locations
            where = next(iter(places), None) if places is not None else spec.origin
            return None if where is None else str(Path(where).parent)
    raise TypeError(
        f"{name} is defined in {file or module}, which is executed under the name {module!r}, so "
        "that no other process can import it: move it into a module beside that file, and import "
        "it from there"
    )
