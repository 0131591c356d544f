"""A scikit-learn model in this process: plain calls that block, for a thread."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

from ...runtime.contracts import DataError, MisconfiguredError, MissingExtra, did_you_mean
from .endpoint import Answer
from .tensors import Tensor

__all__ = ["SklearnModel"]

# The element types of predictions, by the kinds of numpy arrays that hold them.
_DATATYPES = {"b": "BOOL", "i": "INT64", "u": "UINT64", "f": "FP64"}


class SklearnModel:
    """A loaded model. Loading and calling take a thread's time, not the loop's.

    Parameters: `path`, the `.skops` file; `trusted`, names of further types that may be loaded
    from it (none); `proba`, whether a classifier also tells probabilities (True). Raises
    MissingExtra without scikit-learn and skops, MisconfiguredError where the file is missing or
    broken, holds a type that is not trusted, or is no model that predicts.
    """

    version: str | None = None
    """A `.skops` file tells none."""

    def __init__(
        self, path: str | Path, *, trusted: Sequence[str] = (), proba: bool = True
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MisconfiguredError(f"there is no model file {self.path.absolute()}")
        try:
            import numpy
            import skops.io
            from sklearn.utils import validation
        except ModuleNotFoundError as error:
            raise MissingExtra("a scikit-learn model", "sklearn") from error
        self._array = numpy.array
        # skops and scikit-learn carry no types.
        storage = cast(Any, skops.io)
        self._model = model = self._load(storage, trusted)
        if not hasattr(model, "predict"):
            raise MisconfiguredError(
                f"{self.path.absolute()} holds a {type(model).__name__}, which has no predict: "
                "save the whole pipeline, with what predicts at its end"
            )
        try:
            cast(Any, validation).check_is_fitted(model)
        except Exception as error:
            raise MisconfiguredError(f"{self.path.absolute()}: {error}") from None
        self._frame: Any = None
        names = getattr(model, "feature_names_in_", None)
        self._names: tuple[str, ...] | None = None if names is None else tuple(map(str, names))
        if self._names is not None:
            # A model that was fitted on a data frame may look for its columns by name.
            try:
                import pandas
            except ModuleNotFoundError as error:
                raise MissingExtra("a scikit-learn model with names", "sklearn") from error
            self._frame = cast(Any, pandas).DataFrame
        width = getattr(model, "n_features_in_", None)
        self._width: int | None = None if width is None else int(width)
        self._proba = proba and hasattr(model, "predict_proba")
        self.inputs: tuple[Tensor, ...] = self._inputs()
        self.outputs: tuple[Tensor, ...] = self._outputs()
        self._outputs_named = tuple(tensor.name for tensor in self.outputs)

    def _load(self, storage: Any, trusted: Sequence[str]) -> Any:
        try:
            found = storage.get_untrusted_types(file=self.path)
            unknown = sorted(set(map(str, found)) - set(trusted))
            if not unknown:
                return storage.load(self.path, trusted=list(trusted))
        except Exception as error:
            raise MisconfiguredError(
                f"{self.path.absolute()} is no .skops file that can be loaded "
                f"({type(error).__name__}: {error}): it is written by skops.io.dump(model, path)"
            ) from None
        raise MisconfiguredError(
            f"{self.path.absolute()} holds types that are not known to be harmless: "
            f"{', '.join(unknown)}. If you trust who wrote the file, say trusted={unknown!r}, "
            f"or in the text of an endpoint sklearn:{self.path.name}?trusted={','.join(unknown)}"
        )

    def _inputs(self) -> tuple[Tensor, ...]:
        if self._names is not None:
            return tuple(Tensor(name, "FP64", (-1, 1)) for name in self._names)
        if self._width is None:
            return (Tensor("input", "BYTES", (-1,)),)
        return (Tensor("input", "FP64", (-1, self._width)),)

    def _outputs(self) -> tuple[Tensor, ...]:
        classes = getattr(self._model, "classes_", None)
        kind = getattr(getattr(classes, "dtype", None), "kind", "f")
        prediction = Tensor("prediction", _DATATYPES.get(kind, "BYTES"), (-1, 1))
        if not self._proba:
            return (prediction,)
        count = -1 if classes is None or isinstance(classes, list) else len(classes)
        return (prediction, Tensor("probability", "FP64", (-1, count)))

    def arrange(self, fields: tuple[str, ...]) -> tuple[int, ...]:
        """Where the model's features stand among the fields; MisconfiguredError where they do not.

        A model that was fitted on a data frame knows its features by name; any other takes the
        fields in their order.
        """
        model = f"the model {self.path.name}"
        names = self._names
        if names is None:
            if self._width is not None and self._width != len(fields):
                raise MisconfiguredError(
                    f"{len(fields)} fields are mapped, and {model} takes {self._width}"
                )
            return tuple(range(len(fields)))
        unknown = [name for name in fields if name not in names]
        if unknown:
            meant = did_you_mean(unknown[0], names)
            raise MisconfiguredError(
                f"{model} has no feature {unknown[0]!r}{meant}: it takes {', '.join(names)}"
            )
        left = [name for name in names if name not in fields]
        if left:
            raise MisconfiguredError(
                f"{model} also needs {', '.join(map(repr, left))}: map a field to it"
            )
        return tuple(map(fields.index, names))

    def predict(self, layout: tuple[int, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows. Raises DataError where the model refuses them."""
        try:
            data = self._data(layout, rows)
            told = self._model.predict(data)
            if getattr(told, "ndim", 0) == 2 and told.shape[1] == 1:
                told = told[:, 0]
            columns = [_values(told, len(rows))]
            if self._proba:
                columns.append(_probabilities(self._model.predict_proba(data), len(rows)))
        except (MisconfiguredError, MemoryError):
            raise
        except Exception as error:
            raise DataError(
                f"the model {self.path.name} refused the rows: {type(error).__name__}: {error}"
            ) from None
        return Answer(self._outputs_named, list(zip(*columns, strict=True)), self.version)

    def _data(self, layout: tuple[int, ...], rows: Sequence[tuple[object, ...]]) -> Any:
        if self._names is not None:
            columns = list(zip(*rows, strict=True))
            named = zip(self._names, layout, strict=True)
            return self._frame({name: columns[place] for name, place in named})
        if self._width is None and len(layout) == 1:
            # What takes text, as a vectorizer does, takes it in one dimension.
            return [row[0] for row in rows]
        if str in set(map(type, chain.from_iterable(rows))):
            return self._array(rows, dtype=object)
        return self._array(rows, dtype="float64")  # None becomes NaN


def _values(array: Any, count: int) -> list[object]:
    values = cast("list[object]", array.tolist() if hasattr(array, "tolist") else list(array))
    if len(values) != count:
        raise MisconfiguredError(f"the model predicted {len(values)} values for {count} rows")
    return values


def _probabilities(told: Any, count: int) -> list[object]:
    """One list for each row, in the order of the classes; of several outputs, a list of these."""
    if isinstance(told, list):
        outputs = [_values(output, count) for output in cast("Sequence[Any]", told)]
        return [list(row) for row in zip(*outputs, strict=True)]
    return _values(told, count)
