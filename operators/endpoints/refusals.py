"""What an HTTP status means for the records, and what the body says about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias, Union

import orjson

from ...runtime.contracts import BusyError, DataError, MisconfiguredError, UnavailableError
from .mask import Mask

__all__ = ["UnauthorizedError", "reason", "refusal", "shortened"]

Json: TypeAlias = Union[str, float, bool, "list[Json]", "dict[str, Json]", None]

_LONGEST = 200
_DATA = frozenset((400, 413, 415, 422))
_BUSY = frozenset((408, 425, 429, 503))
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
    and any other 4xx can never succeed; any other 5xx is a broken server, which may after all be
    the data's doing, since servers disagree about codes.
    """
    said = reason(body, mask)
    what = f"{request} answered {status}" + (f": {said}" if said else "")
    if status in _DATA:
        return DataError(what)
    if status in _BUSY:
        retry_after, retry_at = _patience(headers)
        return BusyError(what, retry_after=retry_after, retry_at=retry_at)
    if 300 <= status < 400:
        return MisconfiguredError(
            f"{what}: redirects are not followed; give the address that it leads to"
        )
    if status == 401:
        return UnauthorizedError(what)
    if status == 501 or 400 <= status < 500:
        return MisconfiguredError(what + (_HINTS.get(status, "") if hints else ""))
    return UnavailableError(what, answered=True)


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
        said = mask(_told(orjson.loads(body)))
    except orjson.JSONDecodeError:
        said = ""
    # Masked before it is cut: half of a secret would not be found.
    return shortened(said or mask(body.decode("utf-8", "replace"))[: 20 * _LONGEST])


def _told(said: Json) -> str:
    """The message in the error bodies of the protocols, or nothing."""
    if isinstance(said, str):
        return said
    if isinstance(said, list):
        return "; ".join(filter(None, map(_told, said)))
    if isinstance(said, dict):
        for key in ("errors", "error", "message", "detail", "msg"):
            told = _told(said.get(key))
            if told:
                return told
    return ""


def shortened(text: str) -> str:
    """The text on one line, without control characters, cut at 200 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
