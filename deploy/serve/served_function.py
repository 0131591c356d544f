"""A Python callable as a model."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ...operators.endpoints.endpoint import Answer
from ...operators.endpoints.function import answer_of
from ...runtime.errors import MisconfiguredError
from .served_model import ServedModel

__all__ = ["ServedFunction"]


class ServedFunction(ServedModel):
    """A function of a list of dicts under a name; it tells nothing about what it takes.

    Parameters: `place`, as `module:function`; modules of the working directory can be imported.
    Raises MisconfiguredError where there is none.
    """

    platform = "python"

    def __init__(self, place: str, name: str) -> None:
        self.name = name
        self._call = _imported(place)

    def predict(self, fields: tuple[str, ...] | None, rows: Sequence[tuple[object, ...]]) -> Answer:
        if fields is None:
            raise MisconfiguredError(f"{self.name} takes rows with fields")
        results = self._call([dict(zip(fields, row, strict=True)) for row in rows])
        return answer_of(results, len(rows), self.name)


def _imported(place: str) -> Callable[..., Any]:
    module_name, _, function_name = place.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise MisconfiguredError(f"{place} cannot be loaded: {error}") from error
    if not callable(found):
        raise MisconfiguredError(f"{place} is a {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]
