"""MLflow's scoring server, from the server's side: bytes in, an answer out."""

from __future__ import annotations

from typing import Any, cast

import orjson

from ...runtime.errors import MisconfiguredError
from .instances import Rows, predictions, rows_of, rows_of_columns
from .served_model import ServedModel

__all__ = ["error_body", "invoke"]

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES = {404: "RESOURCE_DOES_NOT_EXIST", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL_ERROR"}


def invoke(model: ServedModel, body: bytes) -> bytes:
    """Answer one request. Raises MisconfiguredError or DataError for one that is wrong."""
    try:
        request: Any = orjson.loads(body)
        (form,) = [form for form in _FORMS if form in request]
        given = request[form]
    except (TypeError, ValueError):
        raise MisconfiguredError(f"the body is an object with one of {', '.join(_FORMS)}") from None
    if form == "dataframe_split":
        fields, rows = _split(given)
    else:
        fields, rows = (rows_of_columns if form == "inputs" else rows_of)(given, form)
    return orjson.dumps({"predictions": predictions(model.predict(fields, rows))})


def _split(given: Any) -> Rows:
    try:
        columns, data = given["columns"], given["data"]
    except (KeyError, TypeError):
        raise MisconfiguredError(
            'dataframe_split is {"columns": [...], "data": [[...], ...]}'
        ) from None
    _, rows = rows_of(data, "the data of dataframe_split")
    if not isinstance(columns, list) or len(cast("list[object]", columns)) != len(rows[0]):
        raise MisconfiguredError("dataframe_split has as many columns as values in each row")
    return tuple(map(str, cast("list[object]", columns))), rows


def error_body(status: int, message: str) -> dict[str, object]:
    """The body of an error."""
    return {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message}
