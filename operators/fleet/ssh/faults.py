"""What it means when a machine cannot be asked, in the words of an outcome."""

from __future__ import annotations

import errno
import socket

import asyncssh

from .allowance import OutOfTime
from .not_reached import NotReached

__all__ = ["of_connect", "of_handshake", "of_jump", "of_ping", "of_tunnel"]

_BUSY = "it takes no more sessions for now: it broke off before it said who it is"
# Why a channel is not opened (RFC 4254, 5.1), and why a connection is ended (RFC 4253, 11.1).
_PROHIBITED, _CONNECT_FAILED = 1, 2
_TOO_MANY_CONNECTIONS, _NO_MORE_METHODS = 12, 14
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def of_ping(error: OSError, seconds: float) -> NotReached:
    """It does not answer by ICMP: whatever is wrong, it is out of reach."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return NotReached("unreachable", f"no answer to a ping within {seconds:g} s")
    if error.errno in _NO_ROUTE:
        return NotReached("unreachable", "there is no way to it")
    return NotReached("unreachable", f"to ping it: {error.strerror or type(error).__name__}")


def of_connect(error: OSError, seconds: float) -> NotReached:
    """The connection could not be opened."""
    if isinstance(error, socket.gaierror):
        if error.errno == socket.EAI_AGAIN:
            return NotReached("unreachable", "no name server answers for its name")
        return NotReached("unreachable", "its name does not resolve")
    if isinstance(error, TimeoutError) and error.errno is None:
        return NotReached("unreachable", f"nothing answers within {seconds:g} s")
    if error.errno == errno.ECONNREFUSED:
        return NotReached("refused", "its port is closed")
    if error.errno in (errno.ECONNRESET, errno.ECONNABORTED):
        return NotReached("busy", _BUSY)
    if error.errno in _NO_ROUTE:
        return NotReached("unreachable", "there is no way to it")
    return NotReached("unreachable", error.strerror or type(error).__name__)


def of_tunnel(error: asyncssh.ChannelOpenError, jump: str) -> NotReached:
    """The machine before it could not, or would not, connect to it."""
    if error.code == _CONNECT_FAILED:
        if "refused" in error.reason.lower():
            return NotReached("refused", f"its port is closed, as seen from {jump}")
        return NotReached("unreachable", f"it cannot be reached from {jump}")
    if error.code == _PROHIBITED:
        return NotReached("authentication", f"{jump} does not let anybody through")
    return NotReached("busy", f"{jump} opens no more connections for now")


def of_jump(problem: NotReached, jump: str) -> NotReached:
    """A machine on the way could not be passed: for those behind it a closed port is no answer."""
    outcome = "unreachable" if problem.outcome == "refused" else problem.outcome
    return NotReached(outcome, f"{jump}, which is on the way: {problem.detail}")


def of_handshake(error: Exception, greeted: bool) -> NotReached:
    """The port opened, but it did not let us in; `greeted` says whether it said who it is."""
    if isinstance(error, NotReached):
        return error
    if isinstance(error, OutOfTime):
        said = "" if greeted else ", and said nothing"
        return NotReached("timeout", f"{error}{said}")
    if isinstance(error, asyncssh.PermissionDenied):
        return NotReached("authentication", "it lets nobody in with the keys that were offered")
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return NotReached("host_key_unknown", "its key is not accepted: it is revoked or expired")
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return NotReached("unsupported", "it has no method of encryption, or kind of key, of ours")
    if isinstance(error, asyncssh.DisconnectError):
        if error.code == _NO_MORE_METHODS:
            return NotReached("authentication", "it knows no way of logging in that we have")
        if error.code == _TOO_MANY_CONNECTIONS:
            return NotReached("busy", "it says that it has too many connections")
        if "Too many authentication failures" in error.reason:
            return NotReached("authentication", "it gave up after too many keys were offered")
        if isinstance(error, asyncssh.ProtocolNotSupported | asyncssh.ProtocolError):
            return NotReached("unsupported", "it does not speak SSH as we do")
        if isinstance(error, asyncssh.ConnectionLost) or not greeted:
            return NotReached("busy", _BUSY if not greeted else "it broke off the handshake")
        return NotReached("unsupported", "it does not speak SSH as we do")
    if isinstance(error, OSError):
        # A reset by the other side: the port was open a moment ago.
        return NotReached("busy", _BUSY if not greeted else "it broke off the handshake")
    return NotReached("unsupported", f"its handshake cannot be read ({type(error).__name__})")
