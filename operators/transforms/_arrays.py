"""Arrays of Arrow from values of Python, without the libraries that Arrow would look for.

`pyarrow.array` imports pandas where it is installed, only to ask whether a list is one of its
kinds, and `pyarrow.acero` imports readers of files that are never used: together more memory than
a stream of files takes otherwise, and as much time as some files.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Any

from ...runtime.contracts import arrow

__all__ = ["aggregated", "array_of", "as_table", "exact_array_of"]

_EXACT = Context(prec=100)


def array_of(values: Sequence[Any], kind: Any) -> Any:
    """The values as an array of this type; None for that of the values.

    Raises OverflowError or what Arrow raises where one does not fit.

    >>> array_of([1, None, 3], arrow().int64()).to_pylist()
    [1, None, 3]
    >>> array_of(["a", None], arrow().string()).to_pylist()
    ['a', None]
    """
    pa = arrow()
    if kind is not None and kind.equals(pa.string()):
        builder = pa.lib.StringBuilder()
        builder.append_values(values)
        return builder.finish()
    code = None
    if kind is not None:
        code = "q" if kind.equals(pa.int64()) else "d" if kind.equals(pa.float64()) else None
    if code is None:
        return pa.array(values, type=kind)
    valid = None
    try:
        plain = array(code, values)
    except TypeError:
        # Of None, or of what raises once more.
        plain = array(code, [0 if value is None else value for value in values])
        bits = bytearray((len(values) + 7) // 8)
        for at, value in enumerate(values):
            if value is not None:
                bits[at >> 3] |= 1 << (at & 7)
        valid = pa.py_buffer(bytes(bits))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(plain)])


def exact_array_of(values: list[Any], kind: Any) -> Any:
    """As `array_of`; whole numbers that are too large for their type keep all digits."""
    pa = arrow()
    try:
        return array_of(values, kind)
    except (OverflowError, TypeError, pa.ArrowInvalid):
        if kind is not None and pa.types.is_int64(kind):
            return exact_array_of(values, pa.decimal128(38, 0))
        if kind is not None and pa.types.is_decimal128(kind):
            return _decimals(values, kind)
        if kind is not None and pa.types.is_list(kind) and pa.types.is_decimal128(kind.value_type):
            return _lists_of_decimals(values, kind.value_type)
        return pa.array(values)


def _decimals(values: list[Any], kind: Any) -> Any:
    """Decimals of which some have more than 38 digits: 128 bits hold some numbers of 39."""
    pa = arrow()
    exact = [None if value is None else Decimal(value) for value in values]
    wide = pa.array(exact, type=pa.decimal256(76, kind.scale))
    whole = [0 if value is None else int(_EXACT.scaleb(value, kind.scale)) for value in exact]
    try:
        data = b"".join(value.to_bytes(16, sys.byteorder, signed=True) for value in whole)
    except OverflowError:
        return wide
    valid = wide.is_valid()
    return pa.Array.from_buffers(kind, len(values), [valid.buffers()[1], pa.py_buffer(data)])


def _lists_of_decimals(values: list[list[Any] | None], kind: Any) -> Any:
    offsets: list[int | None] = []
    flat: list[Any] = []
    for one in values:
        offsets.append(None if one is None else len(flat))
        flat += one or ()
    return arrow().ListArray.from_arrays([*offsets, len(flat)], _decimals(flat, kind))


def as_table(table: Any) -> Any:
    """A table of what is one, or a record batch."""
    pa = arrow()
    return pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table


def aggregated(table: Any, keys: Sequence[str], functions: Sequence[tuple[Any, ...]]) -> Any:
    """The groups of a table: its keys, then what each function says of a column.

    A function is a column, or an empty list for none, its name and its options.
    """
    try:
        import pyarrow._acero as engine
    except ImportError:
        # A pyarrow that keeps it elsewhere: the same, by the long way.
        import pyarrow.acero as engine
    acero: Any = engine
    specs = [
        (column, f"hash_{name}", options, f"result_{at}")
        for at, (column, name, options) in enumerate(functions)
    ]
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
            acero.Declaration("aggregate", acero.AggregateNodeOptions(specs, keys=list(keys))),
        ]
    )
    return plan.to_table(use_threads=False)
