"""A local scikit-learn model, run in a thread."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import cast

from .endpoint import Endpoint
from .local_model import LocalModel
from .sklearn_model import SklearnModel

__all__ = ["Sklearn", "sklearn", "sklearn_text"]

_WITH_OPTIONS = re.compile(r"(?P<path>.*\.skops)\?(?P<options>.*)\Z", re.DOTALL)
_TYPE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+\Z")


class Sklearn(LocalModel[tuple[int, ...]]):
    """See `sklearn`."""

    def __init__(
        self, path: str | os.PathLike[str], *, trusted: Iterable[str], proba: bool
    ) -> None:
        super().__init__(path, takes=("sklearn", "a .skops file"))
        if self._path.suffix in (".pkl", ".pickle", ".joblib"):
            raise ValueError(
                f"{str(self._path)!r} is a pickle, which can run any code when it is loaded: save "
                "the model with skops.io.dump(model, 'model.skops')"
            )
        if isinstance(trusted, str):
            raise TypeError(f"trusted is a list of names of types: say trusted=[{trusted!r}]")
        self._trusted = tuple(trusted)
        for name in self._trusted:
            if not isinstance(cast(object, name), str):
                raise TypeError(f"trusted holds names of types such as 'sklearn.X', not {name!r}")
        if not isinstance(cast(object, proba), bool):
            raise TypeError(f"proba is True or False, not {proba!r}")
        self._proba = proba

    def load(self) -> SklearnModel:
        return SklearnModel(self._path, trusted=self._trusted, proba=self._proba)


def sklearn(
    path: str | os.PathLike[str], *, trusted: Iterable[str] = (), proba: bool = True
) -> Endpoint:
    """A local scikit-learn model, or anything with its `predict`, from a `.skops` file.

    >>> sklearn("models/churn.skops")
    sklearn('models/churn.skops')

    `skops.io.dump(model, "churn.skops")` writes such a file. A pickle is never loaded: whoever
    can write one can run any code in the process that loads it. A `.skops` file tells its types
    before anything is made of them; those that scikit-learn is known to need are loaded, and any
    other is refused, by name, unless it stands in `trusted`: a class of your own, or the tables of
    trees, with which a file made for it could crash the process (`sklearn.tree._tree.Tree`).

    A model that was fitted on a data frame takes the fields by the names of its columns; any other
    takes them in the order of the mapping. A field without a value travels as NaN, or as None
    among texts. What takes text itself, as a vectorizer does, takes a single field. The answer
    holds `prediction`, and of a classifier `probability`: a list, in the order of its classes. The
    file tells no version of the model.

    Parameters: `path`, the file, looked for when the job starts; `trusted`, the full names of
    further types that may be loaded (none); `proba`, whether probabilities are asked for, which
    takes a second pass over the rows (True). As text it is `sklearn:churn.skops`, with
    `?trusted=NAME,NAME` behind it where further types may be loaded. Raises ValueError for an
    empty path or a pickle, TypeError for wrong types. At the start, MissingExtra without
    scikit-learn and skops, MisconfiguredError for a file that is missing, cannot be loaded or
    holds an untrusted type.
    """
    return Sklearn(path, trusted=trusted, proba=proba)


def sklearn_text(text: str) -> Endpoint:
    """The same as text says it: a path, and behind `?trusted=` the types that may be loaded.

    >>> sklearn_text("models/forest.skops?trusted=sklearn.tree._tree.Tree,my_models.Scaled")
    sklearn('models/forest.skops')

    Each type is named in full, so that a file that comes to hold another one is refused. Raises
    ValueError for anything else behind the `?`.
    """
    found = _WITH_OPTIONS.match(text)
    if found is None:
        return sklearn(text)
    option, _, listed = found["options"].partition("=")
    trusted = [name.strip() for name in listed.split(",")]
    if option != "trusted" or not all(map(_TYPE.match, trusted)):
        raise ValueError(
            "behind the '?' of a .skops file stands trusted= and the full names of types that may "
            "be loaded, with commas between them, as in model.skops?trusted=sklearn.tree._tree.Tree"
            f", not {found['options']!r}"
        )
    return sklearn(found["path"], trusted=trusted)
