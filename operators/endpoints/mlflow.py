"""MLflow's scoring server, and what else answers at `/invocations` as it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, cast
from urllib.parse import urlunsplit

from .address import shown
from .endpoint import Answer, UnwritableError
from .http import encoded
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions
from .predictions import answer_of_columns, answer_of_rows

__all__ = ["Mlflow", "mlflow"]

_EXAMPLE = "http://HOST/invocations"


class Mlflow(HttpEndpoint):
    """See `mlflow`."""

    checks_values = True
    reads_not_finite = True

    def __init__(
        self, url: str, *, params: Mapping[str, object] | None, **options: Unpack[HttpOptions]
    ) -> None:
        super().__init__(url, example=_EXAMPLE, **options)
        path = self._parts.path.rstrip("/") or "/invocations"
        if not path.endswith("/invocations"):
            raise ValueError(
                f"{shown(url)!r} is no scoring server of MLflow: its path ends with /invocations, "
                f"as in {_EXAMPLE}"
            )
        if params is not None and not isinstance(cast(object, params), Mapping):
            raise TypeError(f"params is a mapping of names to values, not {params!r}")
        self._params = dict(params) if params is not None else None
        try:
            encoded(self._params)
        except UnwritableError as error:
            raise ValueError(f"params cannot be written as JSON: {error.__cause__}") from None
        self._url = urlunsplit(self._parts._replace(path=path, fragment=""))

    def __repr__(self) -> str:
        return f"mlflow({shown(self._url)!r})"

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        count = len(rows)
        # Not `instances` or `inputs`: those are made into columns anew, and may get other types.
        request: dict[str, object] = {"dataframe_split": {"columns": fields, "data": rows}}
        if self._params is not None:
            request["params"] = self._params
        asked = self._post(self._url, request)
        del rows, request  # Written now, and many requests are under way at once.
        said: Any = await asked
        try:
            predictions = said["predictions"]
            if isinstance(predictions, dict):
                return answer_of_columns(predictions, count)
            return answer_of_rows(predictions, count)
        except (KeyError, TypeError, ValueError) as error:
            raise self._garbage(
                "POST", self._url, f"without usable predictions for {count} rows ({error})", said
            ) from None


def mlflow(
    url: str, *, params: Mapping[str, object] | None = None, **options: Unpack[HttpOptions]
) -> Mlflow:
    """A model behind MLflow's scoring server, or what is deployed with its protocol.

    >>> mlflow("http://127.0.0.1:5000/invocations")
    mlflow('http://127.0.0.1:5000/invocations')

    Rows travel as `dataframe_split`, so that the model sees a data frame whose columns are the
    model fields. Each prediction that is a record gives its names to the answer; any other, a
    value or a list, is the field `prediction`; an object of columns is read as well. NaN and
    Infinity, which the server writes though JSON has none, are read as the floats that they are.
    The protocol tells no version of the model.

    The server answers 400 for whatever a model raises, so that a model that is broken looks like
    bad records: the job fails when a record that passed before is refused too, or none ever passed.

    Parameters: `url`, the address of the server, with or without `/invocations`, or any that ends
    with it; `params`, what the model takes beside the rows, the same for all of them (nothing);
    `options`, see `HttpOptions`. Raises ValueError where the URL is another, or `params` is
    nothing that JSON can carry; TypeError where it is no mapping.
    """
    return Mlflow(url, params=params, **options)
