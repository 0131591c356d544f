"""Where to listen: `HOST:PORT` read and bound, with errors for people."""

from __future__ import annotations

import ipaddress
import re
import socket

from ..runtime.dataclass import dataclass
from ..runtime.errors import ThalwegError

__all__ = ["Address", "AddressError", "listen", "parse_address"]

_FORM = re.compile(
    r"(?:(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:\[\]\s]*)):)?(?P<port>[0-9]{1,5})\Z"
)


class AddressError(ThalwegError):
    """An address that makes no sense, or that cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    @property
    def near(self) -> Address:
        """Where this machine reaches it: of one that listens everywhere, the loopback's."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        return Address(everywhere.get(self.host, self.host), self.port)


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; without a host it is the loopback's.

    >>> str(parse_address(":9464"))
    '127.0.0.1:9464'

    Raises AddressError.
    """
    found = _FORM.match(text)
    if found is None or int(found["port"]) > 65535:
        raise AddressError(f"HOST:PORT is asked for, such as 127.0.0.1:9464, not {text[:100]!r}")
    return Address(found["six"] or found["host"] or "127.0.0.1", int(found["port"]))


def listen(address: Address) -> tuple[socket.socket, Address]:
    """A listening socket, and the address with the port it really has. Raises AddressError."""
    try:
        family, _, _, _, name = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(name[:2], family=family)
    except OSError as error:
        # create_server adds the address to the text; the address is said here in one form.
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise AddressError(
            f"cannot listen on {address}: {reason}. Choose another port, or port 0 for a free one"
        ) from error
    return listening, Address(address.host, listening.getsockname()[1])
