"""Watson Machine Learning's online scoring, from the server's side: bytes in, an answer out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from ...runtime.errors import MisconfiguredError
from .served_model import ServedModel

__all__ = ["check_version", "error_body", "score"]

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_CODES = {
    404: "deployment_not_found",
    413: "request_too_large",
    429: "too_many_requests",
    500: "internal_error",
}


def check_version(query: Mapping[str, str]) -> None:
    """Raise MisconfiguredError where the request does not say which interface it means."""
    if not _VERSION.match(query.get("version", "")):
        raise MisconfiguredError("the query parameter version=YYYY-MM-DD is missing or wrong")


def score(model: ServedModel, body: bytes) -> bytes:
    """Answer one request. Raises MisconfiguredError or DataError for one that is wrong."""
    try:
        request: Any = orjson.loads(body)
        parts = [(part.get("fields"), part["values"]) for part in request["input_data"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MisconfiguredError(
            'the body is not {"input_data": [{"fields": [...], "values": [[...]]}]}'
        ) from None
    if not parts:
        raise MisconfiguredError("input_data is empty")
    return orjson.dumps({"predictions": [_predicted(model, *part) for part in parts]})


def _predicted(model: ServedModel, fields: Any, values: Any) -> dict[str, object]:
    names = None if fields is None else tuple(_list(fields, "fields"))
    if names is not None and not all(isinstance(name, str) for name in names):
        raise MisconfiguredError("fields is a list of names")
    rows = [tuple(_list(row, "each row of values")) for row in _list(values, "values")]
    width = len(rows[0] if names is None else names)
    if any(len(row) != width for row in rows):
        raise MisconfiguredError(f"each row of values holds {width} values, one for each field")
    answer = model.predict(cast("tuple[str, ...] | None", names), rows)
    return {"fields": answer.fields, "values": answer.rows}


def _list(said: Any, what: str) -> list[object]:
    if not isinstance(said, list) or not said:
        raise MisconfiguredError(f"{what} is a list that is not empty")
    return cast("list[object]", said)


def error_body(status: int, message: str) -> dict[str, object]:
    """The body of an error."""
    code = _CODES.get(status, "invalid_request")
    errors = [{"code": code, "message": message}]
    return {"trace": "", "errors": errors, "status_code": status}
