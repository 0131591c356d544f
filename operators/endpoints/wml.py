"""Watson Machine Learning: the online deployments of its version 4 interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack
from urllib.parse import parse_qs

from .address import shown
from .endpoint import Answer, Endpoint
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions
from .predictions import answer_of_rows

__all__ = ["Wml", "wml"]

_EXAMPLE = "https://HOST/ml/v4/deployments/NAME/predictions?version=2020-09-01"


class Wml(HttpEndpoint):
    """See `wml`."""

    checks_values = True

    def __init__(self, url: str, **options: Unpack[HttpOptions]) -> None:
        super().__init__(url, example=_EXAMPLE, **options)
        parts = self._parts
        if not parts.path.rstrip("/").endswith("/predictions"):
            raise ValueError(
                f"{shown(url)!r} is no WML online deployment: its path ends with /predictions, "
                f"as in {_EXAMPLE}"
            )
        if "/ml/v4/" in parts.path and "version" not in parse_qs(parts.query):
            raise ValueError(f"{shown(url)!r} lacks ?version=YYYY-MM-DD, as in {_EXAMPLE}")

    def __repr__(self) -> str:
        return f"wml({shown(self._url)!r})"

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        # No fields are those of a model that takes plain arrays.
        part = {"fields": fields, "values": rows} if fields else {"values": rows}
        asked = self._post(self._url, {"input_data": [part]})
        del part, rows  # Written now, and many requests are under way at once.
        answer = await asked
        try:
            predictions = answer["predictions"]
            if len(predictions) == 1:
                return Answer(*_part(predictions[0]))
            return _joined(predictions)
        except (KeyError, TypeError, ValueError):
            raise self._garbage(
                "POST",
                self._url,
                'JSON that is not {"predictions": [{"fields", "values"}]}',
                answer,
            ) from None


def _part(prediction: Any) -> tuple[tuple[str, ...], list[list[object]]]:
    """The fields and the rows of one of the answer's objects."""
    names, values = prediction["fields"], prediction["values"]
    # Not a set of the types: this is done for every row of every answer.
    if list(map(type, values)).count(list) != len(values) or set(map(type, names)) != {str}:
        raise TypeError
    return tuple(names), values


def _joined(predictions: Sequence[Any]) -> Answer:
    """Several objects, one after the other; the fields of one may not be those of another."""
    named = [
        dict(zip(names, row, strict=True))
        for names, values in map(_part, predictions)
        for row in values
    ]
    if not named:
        raise ValueError
    return answer_of_rows(named, len(named))


def wml(url: str, **options: Unpack[HttpOptions]) -> Endpoint:
    """A Watson Machine Learning v4 online deployment.

    >>> wml("https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01")
    wml('https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01')

    Several `{fields, values}` in one answer are read one after the other; a field that only some
    of them have is None in the rows of the others.

    Parameters: `url`, the whole address of the deployment's predictions, where it has the older
    form `/v4/deployments/ID/predictions` without a version; `auth`, `tls`,
    `max_answer_bytes` and `max_request_bytes`, see `HttpOptions`. Raises ValueError where the URL
    is not that of a deployment, or would send a secret unencrypted. The protocol tells no version
    of the model.
    """
    return Wml(url, **options)
