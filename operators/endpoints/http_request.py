"""Where a request goes, and what is written before its body."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from ...runtime.contracts import MisconfiguredError
from .http_pool import Place

__all__ = ["Target"]


class Target:
    """A method and a URL, taken apart once and not for each request.

    >>> target = Target("POST", "http://127.0.0.1:8080/score", {"Accept": "application/json"})
    >>> target.place
    Place(host='127.0.0.1', port=8080, tls=False)
    >>> for line in target.head(2, {"X-Key": "k"}).split(b"\\r\\n"):
    ...     print(line.decode())
    POST /score HTTP/1.1
    Host: 127.0.0.1:8080
    Accept: application/json
    X-Key: k
    Content-Length: 2
    <BLANKLINE>
    <BLANKLINE>

    A user and a password in the URL travel as basic authentication. Parameters: `method`; `url`;
    `usual`, the headers of every request.
    """

    __slots__ = ("_given", "_kept", "_plain", "_start", "_usual", "place")

    def __init__(self, method: str, url: str, usual: Mapping[str, str]) -> None:
        from yarl import URL

        parsed = URL(url)
        host = parsed.raw_host or ""
        tls = parsed.scheme == "https"
        port = parsed.port or (443 if tls else 80)
        self.place = Place(host, port, tls)
        named = f"[{host}]" if ":" in host else host
        if port != (443 if tls else 80):
            named += f":{port}"
        self._start = f"{method} {parsed.raw_path_qs} HTTP/1.1\r\nHost: {named}\r\n".encode()
        self._usual = dict(usual)
        if parsed.user is not None or parsed.password is not None:
            pair = f"{parsed.user or ''}:{parsed.password or ''}".encode()
            self._usual["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._plain = self._start + _lines(self._usual)
        self._given: Mapping[str, str] | None = None
        self._kept = b""

    def head(self, length: int | None, given: Mapping[str, str] | None = None) -> bytes:
        """What is written before a body of `length` bytes (None: there is none).

        Headers in `given` stand beside the usual ones, or in their place. Raises MisconfiguredError
        for one that cannot be written as a header.
        """
        if given is None:
            start = self._plain
        elif given is self._given:
            start = self._kept
        else:
            names = {name.lower() for name in given}
            usual = {
                name: value for name, value in self._usual.items() if name.lower() not in names
            }
            start = self._kept = self._start + _lines({**usual, **given})
            self._given = given
        if length is None:
            return start + b"\r\n"
        return b"%sContent-Length: %d\r\n\r\n" % (start, length)


def _lines(headers: Mapping[str, str]) -> bytes:
    written: list[bytes] = []
    for name, value in headers.items():
        if not name.isascii() or any(sign in name + value for sign in "\r\n\0"):
            # The value is not shown: it may be a secret.
            raise MisconfiguredError(
                f"the header {name!r} cannot be sent: it holds a line break or a NUL"
            )
        written.append(f"{name}: {value}\r\n".encode())
    return b"".join(written)
