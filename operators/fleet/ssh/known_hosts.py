"""The keys of machines: which we know, and how one that is new is written down."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from ....runtime.contracts import MisconfiguredError, dataclass

__all__ = ["Expected", "KnownHosts"]

_SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class Expected:
    """What a machine is expected to show.

    `keys` are those that are its own, those that may sign for it, and those that are revoked.
    """

    keys: tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]]
    algorithms: list[str]


class KnownHosts:
    """A file of known_hosts, as OpenSSH writes it: read when it changes, appended to under a lock.

    With `trust_new` a machine of which no key is known is believed at the first contact, and its
    key is written down; without it, such a machine is refused. One whose key is another than the
    one written down is refused in any case.
    """

    def __init__(self, path: str, *, trust_new: bool) -> None:
        self._path = Path(path).expanduser()
        self.trust_new = trust_new
        self._stamp: tuple[int, int, int] | None = None
        self._hosts: asyncssh.SSHKnownHosts | None = None

    def load(self) -> asyncssh.SSHKnownHosts:
        """What the file holds now. One that is not there holds nothing.

        Raises `MisconfiguredError` where it cannot be read.
        """
        try:
            stamp = _stamp(self._path.stat())
            if self._hosts is None or stamp != self._stamp:
                self._hosts = asyncssh.import_known_hosts(self._path.read_text())
                self._stamp = stamp
        except FileNotFoundError:
            self._hosts, self._stamp = asyncssh.import_known_hosts(""), None
        except (OSError, ValueError) as error:
            raise MisconfiguredError(
                f"known_hosts cannot be read from {self._path}: {error}"
            ) from None
        return self._hosts

    def accepts(self, host: str, address: str, port: int, key: asyncssh.SSHKey) -> bool | None:
        """Whether a key is that of this machine; None where nothing is known of it."""
        trusted, authorities, revoked, *_ = self.load().match(host, address, _told(port))
        if not trusted and not authorities:
            return None
        return key in trusted and key not in revoked

    def expected(self, host: str, address: str, port: int) -> Expected:
        """What is known of this machine, and the kinds of keys to ask it for.

        First those that are known of it, then all others: asked only for what is known, one that
        was set up anew with a key of another kind would find nothing in common with us, and not be
        told from one that is busy. Certificates are asked for where it is known who may sign them.
        """
        trusted, authorities, revoked, *_ = self.load().match(host, address, _told(port))
        known = [algorithm for key in trusted for algorithm in key.sig_algorithms]
        signed = get_default_certificate_algs() if authorities else []
        algorithms = [*signed, *known, *get_default_public_key_algs()]
        return Expected(
            (trusted, authorities, revoked),
            [one.decode("ascii") for one in dict.fromkeys(algorithms)],
        )

    def record(self, host: str, address: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Write down the key of a new machine; return whether it is the one that is now known.

        Of several processes that meet it at once the first one writes, and the others compare.
        """
        line = key.export_public_key("openssh").decode("ascii").split()[:2]
        place = host if port == _SSH_PORT else f"[{host}]:{port}"
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            hosts = self.load()
            trusted, authorities, *_ = hosts.match(host, address, _told(port))
            if trusted or authorities:
                return key in trusted
            size = os.fstat(descriptor).st_size
            # Whoever wrote the last line may not have ended it.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            text = f"{chr(10) if torn else ''}{place} {' '.join(line)}\n"
            os.write(descriptor, text.encode("ascii"))
            # So that the next of a thousand new ones does not have to read them all again.
            hosts.load(text)
            self._stamp = _stamp(os.fstat(descriptor))
        finally:
            os.close(descriptor)
        return True


def _told(port: int) -> int | None:
    """How known_hosts is asked for a port: the usual one is not named in it."""
    return None if port == _SSH_PORT else port


def _stamp(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
