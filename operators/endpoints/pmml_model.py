"""A PMML model: plain calls that block, for a thread. The work is done in a Java process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, cast

import orjson

from ...runtime.contracts import DataError, MisconfiguredError, UnavailableError, did_you_mean
from .endpoint import Answer
from .java_machine import JavaMachine
from .pmml_outputs import PmmlOutput, PmmlOutputs
from .tensors import Tensor, fitting

__all__ = ["PmmlModel"]

_DATATYPES = {"double": "FP64", "float": "FP32", "integer": "INT64", "boolean": "BOOL"}
_NO_INTEGER = -(2**63)
"""What the Java side answers for an integer that is not there: it has no null among integers."""

_MOST_TOLD = 10


class PmmlModel:
    """A loaded model. Loading, calling and closing take a thread's time, not the loop's.

    Parameters: `path`, the file. Raises MissingExtra without pypmml, MisconfiguredError where the
    file is missing or is no PMML, or where there is no Java. `close` lets go of the Java process.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MisconfiguredError(f"there is no model file {self.path.absolute()}")
        self._lock = Lock()
        self._closed = False
        self._machine = JavaMachine.held()
        try:
            self._model = model = self._loaded()
            self.inputs: tuple[Tensor, ...] = tuple(map(_tensor, model.inputFields()))
            self._arranged = PmmlOutputs(
                [
                    PmmlOutput(_tensor(field), field.feature().toString(), _option(field.value()))
                    for field in model.outputFields()
                ]
            )
            self.outputs: tuple[Tensor, ...] = self._arranged.tensors
            own = self.outputs[-len(model.outputFields()) :]
            self._integers = [at for at, tensor in enumerate(own) if tensor.datatype == "INT64"]
            self.version: str | None = _option(model.header().modelVersion())
            """The model's version that stands in the header of the file, or None."""
        except BaseException:
            self.close()
            raise

    def _loaded(self) -> Any:
        try:
            model = self._machine.models.fromFile(str(self.path.absolute()))
        except Exception as error:
            raise MisconfiguredError(
                f"{self.path.absolute()} is no PMML model that can be loaded: {_reason(error)}"
            ) from None
        features = [field.feature().toString() for field in model.outputFields()]
        if "predictedValue" not in features:
            # Else an output section that leaves the prediction out would have none answered.
            model.setSupplementOutput(True)
        return model

    def arrange(self, fields: tuple[str, ...]) -> tuple[Tensor, ...]:
        """The model's input for each of these fields; MisconfiguredError where it has none."""
        inputs = {tensor.name: tensor for tensor in self.inputs}
        takes = f"it takes {', '.join(inputs)}"
        for name in fields:
            if name not in inputs:
                meant = did_you_mean(name, inputs)
                raise MisconfiguredError(
                    f"the model {self.path.name} has no field {name!r}{meant}: {takes}"
                )
        left = [name for name in inputs if name not in fields]
        if left:
            raise MisconfiguredError(
                f"the model {self.path.name} also needs {', '.join(map(repr, left))}: map a field "
                "to it, with mandatory=False where it may be missing"
            )
        return tuple(inputs[name] for name in fields)

    def predict(self, layout: tuple[Tensor, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows; None is a missing value, for which the model has its own rules.

        Raises DataError where the model refuses them, UnavailableError where Java has gone; the
        next call starts it anew.
        """
        columns = [
            _fitted(column, tensor)
            for column, tensor in zip(zip(*rows, strict=True), layout, strict=True)
        ]
        asked = orjson.dumps(
            {
                "columns": [tensor.name for tensor in layout],
                "data": list(zip(*columns, strict=True)),
            }
        ).decode()
        model = self._ready()
        try:
            told = model.predict(asked)
        except Exception as error:
            raise self._failed(error) from None
        answered = cast("list[list[object]]", orjson.loads(told)["data"])
        if len(answered) != len(rows):
            raise UnavailableError(
                f"the model {self.path.name} answered {len(answered)} rows for {len(rows)}",
                answered=True,
            )
        for at in self._integers:
            for answer in answered:
                if answer[at] == _NO_INTEGER:
                    answer[at] = None
        place = self._arranged.predicted
        if place is not None:
            for row, answer in zip(rows, answered, strict=True):
                if answer[place] is None:
                    self._judge(model, layout, row)
        return Answer(self._arranged.names, self._arranged.rows(answered), self.version)

    def _ready(self) -> Any:
        with self._lock:
            if self._closed:
                raise RuntimeError("a PMML model is called before it is closed")
            if not self._machine.runs:
                self._machine.release()
                self._closed = True  # until another machine is held
                self._machine = JavaMachine.held()
                self._closed = False
                self._model = self._loaded()
            return self._model

    def _judge(self, model: Any, layout: tuple[Tensor, ...], row: tuple[object, ...]) -> None:
        """Raise DataError where a value is why there is no prediction: none of the known ones.

        A model may also have none for values that are all valid; that is its answer.
        """
        values = {tensor.name: value for tensor, value in zip(layout, row, strict=True)}
        try:
            for field in model.inputFields():
                name = str(field.name())
                value = values[name]
                if value is None:
                    continue
                known = [valid.toVal() for valid in field.validValues()]
                ranges = () if isinstance(value, str) else tuple(field.intervals())
                number = cast(float, value)
                inside = any(found.contains(float(number)) for found in ranges)
                if value in known or inside or not (known or ranges):
                    continue
                told = list(map(str, known)) or [str(found.toString()) for found in ranges]
                more = ", ..." if len(told) > _MOST_TOLD else ""
                raise DataError(
                    f"field {name!r} holds {str(value)[:80]!r}, for which the model "
                    f"{self.path.name} has no prediction: it knows "
                    f"{', '.join(told[:_MOST_TOLD])}{more}"
                )
        except DataError:
            raise
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> Exception:
        if hasattr(error, "java_exception") and self._machine.runs:
            return DataError(f"the model {self.path.name} refused the rows: {_reason(error)}")
        return UnavailableError(
            f"the Java process of the model {self.path.name} has gone ({type(error).__name__}): "
            "another one is started",
            answered=True,  # a row may be why it has gone
        )

    def close(self) -> None:
        """Let go of the Java process, which ends with the last model."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._machine.release()


def _tensor(field: Any) -> Tensor:
    said = _DATATYPES.get(str(field.dataType().toString()), "BYTES")
    return Tensor(str(field.name()), said, (-1, 1))


def _option(value: Any) -> str | None:
    """What an optional value of Scala holds, as text."""
    if not value.isDefined():
        return None
    held = value.get()
    return str(held.toString() if hasattr(held, "toString") else held)


def _fitted(column: Sequence[object], tensor: Tensor) -> Sequence[object]:
    if None not in column:
        return fitting(column, tensor)
    there = [value for value in column if value is not None]
    fitted = iter(fitting(there, tensor) if there else there)
    return [None if value is None else next(fitted) for value in column]


def _reason(error: Exception) -> str:
    raised = getattr(error, "java_exception", None)
    try:
        said = str(error if raised is None else raised.toString())
    except Exception:  # Java has gone meanwhile
        said = type(error).__name__
    return said.strip().partition("\n")[0][:500]
