"""How rows become the tensors that a model takes, and its tensors become values of rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from typing import Any, cast

from ...runtime.contracts import DataError, MisconfiguredError, dataclass, did_you_mean

__all__ = ["Layout", "Tensor", "arrange", "columns_of", "datatype_of", "described", "fitting"]

# What each datatype of the Open Inference Protocol that holds numbers can carry.
_FLOATS = {
    "FP16": 65504.0,
    "BF16": 3.3895e38,
    "FP32": 3.4028235677973366e38,
    "FP64": sys.float_info.max,
}
_INTEGERS = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
_FLOAT_KINDS = frozenset((float, int))


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named input or output of a model; -1 in `shape` stands for any length."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.datatype}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which tensors carry the rows: one for each field, or a single one that takes them all."""

    tensors: tuple[Tensor, ...]
    stacked: bool

    def fill(
        self, rows: Sequence[tuple[object, ...]]
    ) -> Iterator[tuple[Tensor, Sequence[object], list[int]]]:
        """Each tensor with its values, flat and row by row, and its shape.

        Raises DataError for a value that the tensor's datatype cannot carry.
        """
        if self.stacked:
            tensor = self.tensors[0]
            values = fitting(list(chain.from_iterable(rows)), tensor)
            yield tensor, values, [len(rows), len(rows[0])]
            return
        for tensor, column in zip(self.tensors, zip(*rows, strict=True), strict=True):
            ones = [1] * (len(tensor.shape) - 1)
            yield tensor, fitting(column, tensor), [len(rows), *ones]


def arrange(fields: tuple[str, ...], inputs: Sequence[Tensor], model: str) -> Layout:
    """Find out how `inputs` take the fields; `model` names the model in errors.

    Inputs that are named like the fields take one each; a single input of another name takes all
    of them, in their order. Raises MisconfiguredError where neither fits.
    """
    by_name = {tensor.name: tensor for tensor in inputs}
    takes = f"it takes {', '.join(map(str, inputs))}"
    unknown = [name for name in fields if name not in by_name]
    if not unknown:
        left = [name for name in by_name if name not in fields]
        if left:
            raise MisconfiguredError(f"{model} also needs {_listed(left)}: map a field to it")
        tensors = tuple(by_name[name] for name in fields)
        for tensor in tensors:
            if any(length not in (-1, 1) for length in tensor.shape[1:]):
                raise MisconfiguredError(f"{model} takes more than one value a row in {tensor}")
        return Layout(tensors, stacked=False)
    if len(inputs) == 1:
        width = inputs[0].shape[-1] if len(inputs[0].shape) == 2 else -1
        if len(inputs[0].shape) > 2 or width not in (-1, len(fields)):
            raise MisconfiguredError(
                f"{len(fields)} fields are mapped, and that does not fit {model}: {takes}"
            )
        return Layout(tuple(inputs), stacked=True)
    meant = did_you_mean(unknown[0], by_name)
    raise MisconfiguredError(f"{model} has no input {_listed(unknown)}{meant}: {takes}")


def described(inputs: Sequence[Tensor]) -> dict[str, str]:
    """The datatype of each input, as `Endpoint.fields` tells it.

    >>> described([Tensor("row", "FP64", (-1, 4))])
    {'row': 'FP64[4]'}
    """
    told: dict[str, str] = {}
    for tensor in inputs:
        width = prod(tensor.shape[1:])
        if len(tensor.shape) > 1 and width < 0:
            # One of several inputs takes the one field of its name; a single one takes them all.
            told[tensor.name] = tensor.datatype + ("[?]" if len(inputs) == 1 else "")
        else:
            told[tensor.name] = tensor.datatype + (f"[{width}]" if width != 1 else "")
    return told


def fitting(values: Sequence[object], tensor: Tensor) -> Sequence[object]:
    """The values as the tensor's datatype carries them, or DataError for one that it cannot."""
    kinds = set(map(type, values))
    datatype = tensor.datatype
    if datatype in _FLOATS:
        if kinds <= _FLOAT_KINDS:
            numbers, limit = cast("Sequence[float]", values), _FLOATS[datatype]
            if -limit <= min(numbers) and max(numbers) <= limit:
                return numbers
    elif datatype in _INTEGERS:
        if kinds <= _FLOAT_KINDS:
            numbers = cast("Sequence[float]", values)
            whole = [int(number) for number in numbers if number == int(number)]
            low, high = _INTEGERS[datatype]
            if len(whole) == len(values) and low <= min(whole) and max(whole) <= high:
                return whole
    elif datatype == "BYTES":
        if kinds == {str}:
            return values
    elif datatype == "BOOL":
        if kinds == {bool}:
            return values
    else:
        raise MisconfiguredError(f"input {tensor.name!r} has the unknown datatype {datatype!r}")
    raise DataError(_misfit(values, tensor))


def _misfit(values: Sequence[object], tensor: Tensor) -> str:
    for value in values:
        try:
            if len(values) > 1:
                fitting((value,), tensor)
        except DataError as error:
            return str(error)
    value = values[0]
    what = f"input {tensor.name!r} of the model takes {tensor.datatype}"
    if value is None:
        return f"{what}, and there is no value: give Field(..., default=...) one"
    return f"{what}, which cannot carry the {type(value).__name__} {str(value)[:80]!r}"


def datatype_of(values: Sequence[object]) -> str | None:
    """The datatype that carries these values, or None where there is none."""
    kinds = set(map(type, values))
    if kinds == {str}:
        return "BYTES"
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds and kinds <= _FLOAT_KINDS else None


def columns_of(data: Sequence[Any], shape: Sequence[int], count: int) -> Sequence[object]:
    """What a tensor holds for each of `count` rows: a value, or a list where there are several.

    `data` is flat or nested, in row-major order. Raises ValueError where it does not fit `shape`,
    or `shape` not the number of rows.
    """
    if not shape or shape[0] != count or min(shape) < 1:
        raise ValueError(f"shape {list(shape)}")
    if not isinstance(cast(object, data), list):  # A text or an object has a length, too.
        kind = type(cast(object, data)).__name__
        raise ValueError(f"a {kind} for the shape {list(shape)}, not a list of values")
    inner = shape[1:]
    width = prod(inner)
    if len(data) == count and isinstance(data[0], list):
        data = list(_flat(data, shape))
    if len(data) != count * width:
        raise ValueError(f"{len(data)} values for the shape {list(shape)}")
    if width == 1:
        return data
    for length in reversed(inner):
        data = [data[start : start + length] for start in range(0, len(data), length)]
    return data


def _flat(data: Sequence[Any], shape: Sequence[int]) -> Iterator[object]:
    # Part by part: where one is too long and the next too short, the sum would still be right.
    if len(data) != shape[0]:
        raise ValueError(f"{len(data)} values or parts where the shape says {shape[0]}")
    if len(shape) == 1:
        yield from data
        return
    for part in data:
        yield from _flat(part, shape[1:])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
