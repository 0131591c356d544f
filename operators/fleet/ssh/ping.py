"""Whether a machine is there at all, asked by ICMP: where the system lets us, and no port is open.

Linux gives anybody a socket for pings whose group is in `net.ipv4.ping_group_range`; a raw one asks
for root or CAP_NET_RAW. With either the answers of others may come along, so that each request
carries a secret of its own, by which its answer is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct

from ....runtime.contracts import MisconfiguredError

__all__ = ["may_ping", "ping"]

_REQUESTS = 3
"""Sent within the limit, since the network may lose one."""
_SECRET = 16
_HEADER = struct.Struct("!BBHHH")
_OF_FAMILY = {
    # The protocol, and the numbers of a request and of its answer.
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}


def may_ping() -> None:
    """Raises `MisconfiguredError` where this process may send no pings."""
    _socket(socket.AF_INET).close()


async def ping(family: int, host: str, seconds: float) -> None:
    """Return when this address has answered. Raises TimeoutError, or another OSError.

    Where the loop was late, what has come meanwhile still counts.
    """
    loop = asyncio.get_running_loop()
    _, asks, _ = _OF_FAMILY[socket.AddressFamily(family)]
    token = secrets.token_bytes(_SECRET)
    with _socket(family) as connection:
        connection.setblocking(False)
        connection.connect((host, 0))
        for number in range(_REQUESTS):
            connection.send(_request(asks, number + 1, token))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds / _REQUESTS):
                    while not _answers(family, await loop.sock_recv(connection, 2048), token):
                        pass
                return
            with contextlib.suppress(BlockingIOError):
                while not _answers(family, connection.recv(2048), token):
                    pass
                return
    raise TimeoutError


def _socket(family: int) -> socket.socket:
    protocol, _, _ = _OF_FAMILY[socket.AddressFamily(family)]
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with contextlib.suppress(PermissionError):
            return socket.socket(family, kind, protocol)
    raise MisconfiguredError(
        "this process may send no pings: leave ping_timeout out, and machines are asked for their "
        "port alone; or let net.ipv4.ping_group_range hold a group of its user"
    )


def _request(asks: int, number: int, token: bytes) -> bytes:
    identity = int.from_bytes(token[:2])
    without = _HEADER.pack(asks, 0, 0, identity, number) + token
    total = sum(struct.unpack(f"!{len(without) // 2}H", without))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return _HEADER.pack(asks, 0, checksum, identity, number) + token


def _answers(family: int, packet: bytes, token: bytes) -> bool:
    """Whether a packet is the answer to our request; a raw socket hands over all there are."""
    if family == socket.AF_INET and packet[:1] and packet[0] >> 4 == 4:
        # The header of IP comes along, and tells its own length.
        packet = packet[4 * (packet[0] & 15) :]
    _, _, answer = _OF_FAMILY[socket.AddressFamily(family)]
    return packet[:1] == bytes((answer,)) and packet[_HEADER.size :] == token
