"""Keys as words of 64 bits: like keys have like words, and hardly any others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...runtime.contracts import MissingExtra, arrow

__all__ = ["arrays", "key_words"]

_FIRST, _FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
"""Odd numbers without a pattern, by which a word is spread over all its bits."""


def arrays() -> Any:
    """The module numpy. Raises MissingExtra without it.

    Its extra is one of its own: where it is installed, Arrow loads it at every start of everything
    on columns, which takes longer than some files.
    """
    try:
        import numpy
    except ImportError:
        raise MissingExtra("a join of columns", "join") from None
    return numpy


def key_words(columns: Sequence[Any]) -> Any:
    """A word for each row of some columns of one length, which have no chunks.

    Whole numbers and fractions of the same value have the same word, as they are equal. What keys
    have in common besides is no concern: who finds words that are alike compares the keys.
    """
    np = arrays()
    words = np.full(len(columns[0]), _FIRST, np.uint64)
    for column in columns:
        words = _mixed(words, _words_of(column))
    return words


def _mixed(words: Any, more: Any) -> Any:
    np = arrays()
    words = (words ^ more) * np.uint64(_FACTOR)
    return words ^ (words >> np.uint64(29))


def _words_of(column: Any) -> Any:
    pa, np = arrow(), arrays()
    kind, types = column.type, arrow().types
    if types.is_dictionary(kind):
        return _words_of(column.cast(kind.value_type))
    if types.is_string(kind) or types.is_binary(kind):
        return _words_of_text(column, np.int32)
    if types.is_large_string(kind) or types.is_large_binary(kind):
        return _words_of_text(column, np.int64)
    if types.is_integer(kind):
        return _plain(column, pa.uint64() if types.is_unsigned_integer(kind) else pa.int64())
    if types.is_floating(kind):
        numbers = _plain(column, pa.float64(), np.float64)
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < 2.0**63)
        bits = numbers.view(np.uint64)
        return np.where(whole, np.where(whole, numbers, 0).astype(np.int64).view(np.uint64), bits)
    if types.is_timestamp(kind):
        return _plain(column.cast(pa.timestamp("us", kind.tz), safe=False), pa.int64())
    return np.array([hash(value) & (2**64 - 1) for value in column.to_pylist()], np.uint64)


def _plain(column: Any, kind: Any, read_as: Any = None) -> Any:
    """The numbers of a column as they stand in memory; whatever stands there for NULL."""
    np = arrays()
    cast = column.cast(kind)
    values = np.frombuffer(cast.buffers()[1], np.uint64 if read_as is None else read_as)
    return values[cast.offset : cast.offset + len(cast)]


def _words_of_text(column: Any, width: Any) -> Any:
    """Of texts, or of bytes: eight of their bytes at a time, for all of them at once."""
    np, count = arrays(), len(column)
    words = np.zeros(count, np.uint64)
    _, places, data = column.buffers()
    if not count or data is None:
        return words
    ends = np.frombuffer(places, width)[column.offset : column.offset + count + 1].astype(np.int64)
    low, high = int(ends[0]), int(ends[-1])
    # Eight more, so that there are eight to read wherever one begins.
    padded = np.zeros(high - low + 8, np.uint8)
    padded[: high - low] = np.frombuffer(data, np.uint8)[low:high]
    eight: Any = np.ndarray((high - low + 1,), "<u8", padded, strides=(1,))
    start, length = ends[:-1] - low, np.diff(ends)
    words = length.astype(np.uint64)
    masks = np.array([(1 << 8 * some) - 1 for some in range(9)], np.uint64)
    for at in range(0, int(length.max()), 8):
        left = length - at
        if left.min() > 0:
            words = _mixed(words, eight[start + at] & masks[np.minimum(left, 8)])
        else:
            # How long others are must make no difference: those that are over stay as they are.
            on = np.flatnonzero(left > 0)
            found = eight[start[on] + at] & masks[np.minimum(left[on], 8)]
            words[on] = _mixed(words[on], found)
    return words
