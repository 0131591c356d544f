"""A local PMML model, run by Java beside this process."""

from __future__ import annotations

import os

from .endpoint import Endpoint
from .local_model import LocalModel
from .pmml_model import PmmlModel
from .tensors import Tensor

__all__ = ["Pmml", "pmml"]


class Pmml(LocalModel[tuple[Tensor, ...]]):
    """See `pmml`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, takes=("pmml", "a model file"))
        self._loaded: PmmlModel | None = None

    def load(self) -> PmmlModel:
        self._loaded = PmmlModel(self._path)
        return self._loaded

    async def close(self) -> None:
        await super().close()
        loaded, self._loaded = self._loaded, None
        if loaded is not None:
            await self._context.in_thread(loaded.close)


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
