"""What an HTTP status means for the records, and what the body says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias, Union

import orjson

from ...runtime.contracts import BusyError, DataError, MisconfiguredError, UnavailableError
from .mask import Mask

__all__ = ["Json", "UnauthorizedError", "reason", "refusal", "shortened", "told"]

Json: TypeAlias = Union[str, float, bool, "list[Json]", "dict[str, Json]", None]

_LONGEST = 200
_DATA = frozenset((400, 413, 415, 422))
_BUSY = frozenset((408, 425, 429, 503))
_MESSAGES = ("errors", "error", "OriginalMessage", "message", "Message", "detail", "msg")
_LONG = 60.0
"""Seconds until what is busy is asked again, if it says that this will not help and not when."""

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?\Z")
_HINTS = {
    403: ": who asks, as auth= says, has no permission for it",
    404: ": no such model is served there",
}


class UnauthorizedError(MisconfiguredError):
    """401: the server does not know who asks."""


def refusal(
    request: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    mask: Mask,
    hints: bool = True,
) -> BusyError | DataError | MisconfiguredError | UnavailableError:
    """The error for an answer that is not a success; `request` names the request in it, and what
    `mask` hides is not in it. With `hints` it says what a status means for a model.

    400, 413, 415 and 422 blame the data; 408, 425, 429 and 503 ask for patience; 501, redirects
    and any other 4xx can never succeed; 409 (a conflict with another request) and any other 5xx
    is a broken server, which may after all be the data's doing, since servers disagree about
    codes. 424 is what a gateway says of a model
    that failed behind it: the status that its body names counts. `x-should-retry: true` makes one
    that would not be repeated a broken server. With `false`, what is broken is broken for these
    rows; and what is busy will be so for long (a used up quota, say), so it is waited for and asked
    each minute where it does not say when: a stream has more patience than a caller, and neither
    its records nor its job are to blame.
    """
    said = reason(body, mask)
    behind = _status_behind(body) if status == 424 else None
    what = f"{request} answered {status}" + (f" (the model: {behind})" if behind else "")
    what += f": {said}" if said else ""
    if status == 424:
        # Of what the model itself calls a wrong request, the rows are the cause: nothing else in
        # it comes from here.
        refused = behind is not None and 400 <= behind < 500
        status = (429 if behind in _BUSY else 400) if refused else 500
    again = headers.get("x-should-retry", "").strip().lower()
    if status in _BUSY:
        retry_after, retry_at = _patience(headers)
        if again == "false":
            what += "; and that to ask again soon will not help"
            if retry_after is None and retry_at is None:
                retry_after = _LONG
        return BusyError(what, retry_after=retry_after, retry_at=retry_at)
    if 300 <= status < 400:
        return MisconfiguredError(
            f"{what}: redirects are not followed; give the address that it leads to"
        )
    if status == 401:
        return UnauthorizedError(what)
    if (again == "true" and status != 403) or (status == 409 and again != "false"):
        return UnavailableError(what, answered=True)
    if status in _DATA or (again == "false" and status >= 500 and status != 501):
        return DataError(what)
    if status == 501 or 400 <= status < 500:
        return MisconfiguredError(what + (_HINTS.get(status, "") if hints else ""))
    return UnavailableError(what, answered=True)


def _status_behind(body: bytes) -> int | None:
    """What a model answered to the gateway that tells of it, as SageMaker does."""
    try:
        said: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    status = said.get("OriginalStatusCode") if isinstance(said, dict) else None
    return status if isinstance(status, int) else None


def _patience(headers: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Seconds to wait, or the time to wait for in seconds since 1970, as the headers say."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.match(milliseconds):
        return float(milliseconds) / 1000.0, None
    text = headers.get("retry-after", "").strip()
    if _NUMBER.match(text):
        return float(text), None
    if not text:
        return None, None
    from email.utils import parsedate_to_datetime

    try:
        return None, parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None, None


def reason(body: bytes, mask: Mask) -> str:
    """What the body of an error says, masked, on one line of at most 200 characters."""
    try:
        said = mask(told(orjson.loads(body)))
    except orjson.JSONDecodeError:
        said = ""
    # Masked before it is cut: half of a secret would not be found.
    return shortened(said or mask(body.decode("utf-8", "replace"))[: 20 * _LONGEST])


def told(said: Json) -> str:
    """The message in the error bodies of the protocols, or nothing.

    >>> told({"error": {"code": 400, "message": "no such field", "status": "INVALID_ARGUMENT"}})
    'no such field'
    """
    try:
        return _told(said)
    except RecursionError:  # lists in lists in lists
        return ""


def _told(said: Json) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return "; ".join(filter(None, map(_told, said)))
    if isinstance(said, dict):
        for key in _MESSAGES:
            found = _told(said.get(key))
            if found:
                raised = _raised(said.get("stack_trace"))
                found = _without_data(found)
                return f"{raised} ({found})" if raised else found
    return ""


def _without_data(message: str) -> str:
    """A message of MLflow without the data frame that stands in it, before the reason."""
    start = "Failed to predict data"
    why = message.rpartition("Error: ")[2] if message.startswith(f"{start} '") else ""
    return f"{start}: {why}" if why and why != message else message


def _raised(trace: Json) -> str:
    """What the model raised, by the traceback that MLflow tells beside a message for all cases."""
    if not isinstance(trace, str):
        return ""
    lines = trace.rstrip().split("\n")
    frames = [at for at, line in enumerate(lines) if line.startswith("  File ")]
    # Behind the last frame and its lines of code stands the exception, in one line or several.
    rest = lines[frames[-1] + 1 :] if frames else lines[-1:]
    while rest and rest[0].startswith("  "):
        del rest[0]
    return " ".join(rest).strip()


def shortened(text: str) -> str:
    """The text on one line, without control characters, cut at 200 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
