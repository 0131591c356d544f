"""JSON over HTTP in a form of the server's own, which two functions of the user know."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, Unpack, cast

from ...runtime.contracts import (
    BusyError,
    DataError,
    MisconfiguredError,
    MissingExtra,
    UnavailableError,
)
from .address import shown
from .endpoint import Answer
from .function import answer_of
from .http import encoded
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions

__all__ = ["HttpJsonForm", "http_json"]

_EXAMPLE = "http://HOST/predict"
_METHODS = ("POST", "PUT", "PATCH")
_TYPED = (BusyError, DataError, MisconfiguredError, MissingExtra, UnavailableError)

MakeRequest: TypeAlias = Callable[[tuple[str, ...], Sequence[tuple[object, ...]]], Any]
ReadAnswer: TypeAlias = Callable[[Any, int], Sequence[Any]]


class HttpJsonForm(HttpEndpoint):
    """See `http_json`."""

    reads_not_finite = True

    def __init__(
        self,
        url: str,
        *,
        request: MakeRequest,
        answer: ReadAnswer,
        method: str,
        **options: Unpack[HttpOptions],
    ) -> None:
        super().__init__(url, example=_EXAMPLE, **options)
        for option, call in (("request", request), ("answer", answer)):
            if not callable(cast(object, call)) or inspect.iscoroutinefunction(call):
                raise TypeError(f"{option} is a plain function, not {call!r}")
        if method not in _METHODS:
            raise ValueError(f"method is one of {_METHODS}, not {method!r}")
        self._request = request
        self._answer = answer
        self._method = method

    def __repr__(self) -> str:
        return f"http_json({shown(self._url)!r})"

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        count = len(rows)
        try:
            body: Any = self._request(fields, rows)
        except _TYPED:
            raise
        except Exception as error:
            refused = DataError(f"{_named(self._request)} raised {type(error).__name__}: {error}")
            # The line of the user's function, not one of this file, is where it happened.
            raise refused.with_traceback(error.__traceback__) from error
        asked = self._http.request(self._method, self._url, encoded(body))
        del rows, body  # Written now, and many requests are under way at once.
        decoded = await asked
        reader = _named(self._answer)
        try:
            predictions: Any = self._answer(decoded, count)
        except _TYPED:
            raise
        except Exception as error:
            unusable = self._unusable(f"{reader} raised {type(error).__name__}: {error}", decoded)
            raise unusable.with_traceback(error.__traceback__) from error
        try:
            return answer_of(predictions, count, reader)
        except DataError as error:
            # It is the answer that cannot be used: rows are not to blame for it at once.
            raise self._unusable(str(error), decoded) from None

    def _unusable(self, why: str, decoded: Any) -> UnavailableError:
        return self._garbage(self._method, self._url, f"what cannot be used: {why}", decoded)


def _named(call: Callable[..., Any]) -> str:
    """The function with its file and line, where it has them."""
    name = str(getattr(call, "__qualname__", type(call).__qualname__))
    code = getattr(call, "__code__", None)
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def http_json(
    url: str,
    *,
    request: MakeRequest,
    answer: ReadAnswer,
    method: str = "POST",
    **options: Unpack[HttpOptions],
) -> HttpJsonForm:
    """A model behind JSON of its own form, which two functions write and read.

    >>> def request(fields, rows):  # BentoML: an object of the parameters of its function
    ...     return {"flowers": [list(row) for row in rows]}
    >>> def answer(decoded, count):  # ... and what that returned
    ...     return decoded
    >>> http_json("http://127.0.0.1:3000/classify", request=request, answer=answer)
    http_json('http://127.0.0.1:3000/classify')

    `request` gets the model's field names and the rows, and returns what is written as JSON.
    `answer` gets what was read and the number of rows, and returns one prediction for each row, in
    their order: a dict of answer fields, or a value, which becomes the field `prediction`. For
    LitServe they are those of its `decode_request` and `encode_response`. Both run on the loop, so
    neither may wait. NaN and Infinity in an answer are read as the floats that they are; in a
    request they travel as null.

    What `request` raises blames the data: the batch is halved until the bad record stands alone.
    What `answer` raises, or another number of predictions than rows, is an answer that cannot be
    used: it is asked for again, and only then, if others pass, the batch is halved. Either may
    raise DataError, BusyError, UnavailableError or MisconfiguredError itself, to say which it is.

    Parameters: `url`, the whole address; `request` and `answer`, plain functions; `method`, one of
    POST, PUT and PATCH (POST); `options`, see `HttpOptions`. Raises ValueError for a URL that is
    none or another method, TypeError for what is no plain function.
    """
    return HttpJsonForm(url, request=request, answer=answer, method=method, **options)
