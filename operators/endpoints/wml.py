"""Watson Machine Learning: the online deployments of its version 4 interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack
from urllib.parse import parse_qs

from .address import shown
from .endpoint import Answer, Endpoint
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions

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
            (prediction,) = answer["predictions"]
            names, values = prediction["fields"], prediction["values"]
            # Not a set of the types: this is done for every row of every answer.
            if list(map(type, values)).count(list) != len(values) or set(map(type, names)) != {str}:
                raise TypeError
        except (KeyError, TypeError, ValueError):
            raise self._garbage(
                "POST", self._url, 'JSON that is not {"predictions": [{"fields", "values"}]}'
            ) from None
        return Answer(tuple(names), values)


def wml(url: str, **options: Unpack[HttpOptions]) -> Endpoint:
    """A Watson Machine Learning v4 online deployment.

    >>> wml("https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01")
    wml('https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01')

    Parameters: `url`, the whole address of the deployment's predictions; `auth`, `tls`,
    `max_answer_bytes` and `max_request_bytes`, see `HttpOptions`. Raises ValueError where the URL
    is not that of a deployment, or would send a secret unencrypted. The protocol tells no version
    of the model.
    """
    return Wml(url, **options)
