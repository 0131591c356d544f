"""Watson Machine Learning: the online deployments of its version 4 interface."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs

from ...runtime.contracts import Context
from .endpoint import Answer, Endpoint
from .http import MAX_ANSWER_BYTES, HttpJson, checked_url, encoded, shown

__all__ = ["Wml", "wml"]

_EXAMPLE = "https://HOST/ml/v4/deployments/NAME/predictions?version=2020-09-01"


class Wml(Endpoint):
    """See `wml`."""

    checks_values = True

    def __init__(self, url: str, *, token_from: str | None, max_answer_bytes: int) -> None:
        parts = checked_url(url, example=_EXAMPLE, token_from=token_from)
        if not parts.path.rstrip("/").endswith("/predictions"):
            raise ValueError(
                f"{shown(url)!r} is no WML online deployment: its path ends with /predictions, "
                f"as in {_EXAMPLE}"
            )
        if "/ml/v4/" in parts.path and "version" not in parse_qs(parts.query):
            raise ValueError(f"{shown(url)!r} lacks ?version=YYYY-MM-DD, as in {_EXAMPLE}")
        self._url = url
        self._http = HttpJson(token_from=token_from, max_answer_bytes=max_answer_bytes)
        self._options = (token_from, max_answer_bytes)

    def __repr__(self) -> str:
        return f"wml({shown(self._url)!r})"

    async def open(self, context: Context) -> None:
        token_from, max_answer_bytes = self._options
        self._http = HttpJson(token_from=token_from, max_answer_bytes=max_answer_bytes)
        await self._http.open(self.max_in_flight)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        # No fields are those of a model that takes plain arrays.
        part = {"fields": fields, "values": rows} if fields else {"values": rows}
        asked = self._http.request("POST", self._url, encoded({"input_data": [part]}))
        del part, rows  # Written now, and many requests are under way at once.
        answer = await asked
        try:
            (prediction,) = answer["predictions"]
            names, values = prediction["fields"], prediction["values"]
            # Not a set of the types: this is done for every row of every answer.
            if list(map(type, values)).count(list) != len(values) or set(map(type, names)) != {str}:
                raise TypeError
        except (KeyError, TypeError, ValueError):
            raise self._http.garbage(
                "POST", self._url, 'JSON that is not {"predictions": [{"fields", "values"}]}'
            ) from None
        return Answer(tuple(names), values)

    async def close(self) -> None:
        await self._http.close()


def wml(
    url: str, *, token_from: str | None = None, max_answer_bytes: int = MAX_ANSWER_BYTES
) -> Endpoint:
    """A Watson Machine Learning v4 online deployment.

    >>> wml("https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01")
    wml('https://example.org/ml/v4/deployments/iris/predictions?version=2020-09-01')

    Parameters: `url`, the whole address of the deployment's predictions; `token_from`, the name of
    the environment variable that holds a bearer token, read when the job starts (none);
    `max_answer_bytes`, the largest answer that is read (64 MiB). Raises ValueError where the URL
    is not that of a deployment, or would send the token unencrypted. The protocol tells no
    version of the model.
    """
    return Wml(url, token_from=token_from, max_answer_bytes=max_answer_bytes)
