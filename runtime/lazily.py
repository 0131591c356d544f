"""Packages that load what they offer when it is first asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from types import ModuleType

__all__ = ["offer_lazily"]


class _LazyPackage(ModuleType):
    """A package that `offer_lazily` was called for.

    A file here may be named like the function in it, and Python sets each module that is imported,
    by whatever path, as an attribute of its package. There the function has the name.
    """

    _places: Mapping[str, str]

    def __getattr__(self, name: str) -> object:
        """Load what is asked for, once."""
        place = self._places.get(name)
        if place is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        try:
            if place == ".":
                found: object = importlib.import_module(f".{name}", self.__name__)
            else:
                found = getattr(importlib.import_module(place, self.__name__), name)
        except AttributeError as error:
            # Else it would be taken for an answer: that there is no such name here.
            raise ImportError(f"{self.__name__}.{name} cannot be loaded: {error}") from error
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """Set anything but a module in the place of what has its name."""
        itself = isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}"
        if not itself or self._places.get(name, ".") == ".":
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        """Also what is not loaded yet."""
        return sorted({*super().__dir__(), *self._places})


def offer_lazily(package: str, names: Iterable[str], places: Mapping[str, str]) -> None:
    """Have `package` load each of `names` when it is first asked for.

    `places` says from where, as in `from .place import name`; "." for a folder in the package.
    What it does not say is in the file of its own name.

    A package calls it at its end, with its `__name__` and `__all__`, and imports the same names
    where `TYPE_CHECKING` for those who read it without running it.
    """
    module = sys.modules[package]
    of_each = {name: places.get(name, f".{name}") for name in names}
    for name in of_each:
        vars(module).pop(name, None)  # When the package is loaded anew, so is what it offers.
    vars(module)["_places"] = of_each
    module.__class__ = _LazyPackage
