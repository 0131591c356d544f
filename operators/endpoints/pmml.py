"""A local PMML model, run by Java beside this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...runtime.contracts import Context
from .endpoint import Answer, Endpoint
from .pmml_model import PmmlModel
from .tensors import Tensor

__all__ = ["Pmml", "pmml"]


class Pmml(Endpoint):
    """See `pmml`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        if not str(path).strip():
            raise ValueError("pmml() takes the path of a model file, and it is empty")
        self._model: PmmlModel | None = None

    def __repr__(self) -> str:
        return f"pmml({str(self._path)!r})"

    async def open(self, context: Context) -> None:
        self._context = context
        self._layout: tuple[Tensor, ...] | None = None
        self._model = await context.in_thread(PmmlModel, self._path)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        if self._model is None:
            raise RuntimeError("an endpoint is called between open and close")
        if self._layout is None:
            self._layout = self._model.arrange(fields)
        return await self._context.in_thread(self._model.predict, self._layout, rows)

    async def close(self) -> None:
        if self._model is not None:
            model, self._model = self._model, None
            await self._context.in_thread(model.close)


def pmml(path: str | os.PathLike[str]) -> Endpoint:
    """A local PMML model: trees, regressions, rule sets, scorecards, neural nets and the others.

    >>> pmml("graphs/models/iris_chaid.pmml")
    pmml('graphs/models/iris_chaid.pmml')

    The model is evaluated by Java, in a process of its own that all PMML models of this process
    share; it ends with the last of them, and with this process. A batch crosses to it as one text.
    JAVA_HOME names the Java to use, JAVA_OPTS options for it, such as `-Xmx512m`.

    Fields go to the model's inputs by their names, and each input needs one. A field without a
    value is a missing value, for which the model has its own rules. A number where the model wants
    text, a text where it wants a number, or a value that the model does not know rejects its
    record; where it has no prediction for values that are all valid, that is None.

    The answer holds `prediction`, the predicted value, `probability`, the probability of it where
    the model tells one, and all outputs that the model declares, by the names it has for them
    (those that SPSS writes begin with `$R-` and `$RC-`). The version in its header is its version.

    Parameters: `path`, the model file, looked for when the job starts. Raises ValueError for an
    empty path. At the start, MissingExtra without pypmml, MisconfiguredError for a file that is
    missing or is no model, or where there is no Java.
    """
    return Pmml(path)
