"""What a server answered over HTTP, as far as it was read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from ...runtime.contracts import dataclass

__all__ = ["Headers", "Response"]


class Headers(Mapping[str, str]):
    """The headers of an answer, by names in any case; several of one name are joined by commas.

    >>> headers = Headers([(b"Retry-After", b"3"), (b"VIA", b"a"), (b"Via", b"b")])
    >>> headers["retry-after"], headers["Via"], headers.get("Date", "")
    ('3', 'a, b', '')
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode("latin-1", "replace")
        found = [value for each, value in self._pairs if each.lower() == wanted]
        if not found:
            raise KeyError(name)
        return b", ".join(found).decode("latin-1")

    def __contains__(self, name: object) -> bool:
        # Asked of each answer: no exception is made for a header that is not there.
        wanted = str(name).lower().encode("latin-1", "replace")
        for each, _ in self._pairs:  # noqa: SIM110
            if each.lower() == wanted:
                return True
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower().decode("latin-1") for name, _ in self._pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._pairs})


@dataclass(frozen=True, slots=True)
class Response:
    """A status, headers and a body; `whole` is False where the body is larger than was wanted, or
    broke off behind the start of an error.
    """

    status: int
    headers: Headers
    body: bytes
    whole: bool = True

    @property
    def succeeded(self) -> bool:
        """Whether the status is that of a success."""
        return 200 <= self.status < 300

    def unpacked(self, limit: int) -> Response:
        """The same with its body as it was before it was compressed, of `limit` bytes at most.

        Nothing compressed is asked for, but some servers do it anyhow. Raises ConnectionError for a
        body that is not what its headers say, or is compressed in a way that is not known here.
        """
        coding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if coding in ("", "identity") or not self.body:
            return self
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ConnectionError(f"what came is compressed as {coding[:40]!r}")
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            body = unpacking.decompress(self.body, limit + 1)
        except zlib.error as error:
            raise ConnectionError(f"what came is not {coding}: {error}") from None
        if len(body) > limit:
            return Response(self.status, self.headers, body[:limit], whole=False)
        return Response(self.status, self.headers, body, self.whole)
