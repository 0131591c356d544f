"""Version 1 of KServe's protocol, which is TensorFlow Serving's, from the server's side."""

from __future__ import annotations

from typing import Any

import orjson

from ...runtime.errors import MisconfiguredError
from .instances import predictions, rows_of, rows_of_columns
from .served_model import ServedModel

__all__ = ["predict"]


def predict(model: ServedModel, body: bytes) -> bytes:
    """Answer one request. Raises MisconfiguredError or DataError for one that is wrong."""
    try:
        request: Any = orjson.loads(body)
        by_row, by_column = "instances" in request, "inputs" in request
        if by_row == by_column or not isinstance(request, dict):
            raise ValueError
    except (TypeError, ValueError):
        raise MisconfiguredError(
            'the body is neither {"instances": [...]} nor {"inputs": {...}}'
        ) from None
    if by_row:
        answer = model.predict(*rows_of(request["instances"], "instances"))
        return orjson.dumps({"predictions": predictions(answer)})
    answer = model.predict(*rows_of_columns(request["inputs"], "inputs"))
    columns = list(zip(*answer.rows, strict=True)) or [()] * len(answer.fields)
    # A single output stands without its name, in this form too.
    named = dict(zip(answer.fields, columns, strict=True))
    return orjson.dumps({"outputs": columns[0] if len(columns) == 1 else named})
