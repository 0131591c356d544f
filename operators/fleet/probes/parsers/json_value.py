"""JSON."""

from __future__ import annotations

import orjson

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult
from ._output import output_of

__all__ = ["json_value"]


def json_value(result: ProbeResult) -> object:
    """The one value of JSON that was printed.

    >>> from thalweg.operators.fleet import result_of
    >>> json_value(result_of('{"jobs": [1, 2]}'))
    {'jobs': [1, 2]}

    Raises DataError, with line and column, for what is no JSON.
    """
    text = output_of(result, "json_value")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"json_value: line {error.lineno}, column {error.colno}: {error.msg}: "
            f"{text[error.pos : error.pos + 40]!r}"
        ) from None
