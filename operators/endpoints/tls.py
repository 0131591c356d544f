"""Whom a connection trusts, and the certificate that it shows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.contracts import MisconfiguredError
from .secret import Secret

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Tls", "alert_of"]

PathLike = str | os.PathLike[str]

_NOT_ACCEPTED = "it does not accept the client's certificate"
_ALERTS = {
    "CERTIFICATE_REQUIRED": "it asks for a client's certificate: give tls=Tls(certificate=…)",
    "HANDSHAKE_FAILURE": "the two sides find no TLS in common, or it asks for a client's "
    "certificate: give tls=Tls(certificate=…)",
    "UNKNOWN_CA": "it does not know who signed the client's certificate",
    "CERTIFICATE_EXPIRED": "the client's certificate has expired",
    "CERTIFICATE_REVOKED": "the client's certificate is revoked",
    "CERTIFICATE_UNKNOWN": _NOT_ACCEPTED,
    "BAD_CERTIFICATE": _NOT_ACCEPTED,
    "UNSUPPORTED_CERTIFICATE": _NOT_ACCEPTED,
    "ACCESS_DENIED": _NOT_ACCEPTED,
}


class Tls:
    """Whom connections to an endpoint trust, and the certificate that they show to it.

    >>> Tls(ca="pki/ca.pem", certificate="pki/scorer.pem", key="pki/scorer.key")
    Tls(ca='pki/ca.pem', certificate='pki/scorer.pem', key='pki/scorer.key')

    The server's certificate and name are always verified. All files are PEM and are read when the
    job opens.

    Parameters: `ca`, the certificates to trust, instead of those of the system (those of the
    system; a file that holds both trusts both); `certificate`, what is shown to a server that asks
    for a client's certificate, with those between it and its authority behind it (none); `key`,
    its private key (in the same file); `key_password`, what opens the key, as `env:NAME` or
    `file:PATH` (none). Raises ValueError for an empty path, and for a key without a certificate.
    At the start, MisconfiguredError for a file that is missing or wrong, by its name.
    """

    __slots__ = ("_ca", "_certificate", "_key", "_password")

    def __init__(
        self,
        *,
        ca: PathLike | None = None,
        certificate: PathLike | None = None,
        key: PathLike | None = None,
        key_password: str | None = None,
    ) -> None:
        self._ca = _path("ca", ca)
        self._certificate = _path("certificate", certificate)
        self._key = _path("key", key)
        self._password = None if key_password is None else Secret(key_password, "key_password")
        if ca is None and certificate is None and key is None and key_password is None:
            raise ValueError("Tls() says nothing: give ca=, or certificate= (with key=), or both")
        for name, given in (("key", key), ("key_password", key_password)):
            if given is not None and certificate is None:
                raise ValueError(f"{name} belongs to a certificate: give certificate= as well")

    def __repr__(self) -> str:
        paths = {"ca": self._ca, "certificate": self._certificate, "key": self._key}
        said = [f"{name}={str(path)!r}" for name, path in paths.items() if path is not None]
        if self._password is not None:
            said.append(f"key_password={self._password}")
        return f"Tls({', '.join(said)})"

    def context(self) -> SSLContext:
        """What the files make; this reads them, so it belongs into a thread."""
        import ssl

        for path in (self._ca, self._certificate, self._key):
            if path is not None:
                _readable(path)
        try:
            made = ssl.create_default_context(cafile=self._ca)
        except ssl.SSLError:
            raise MisconfiguredError(f"the file {self._ca} holds no certificate in PEM") from None
        if self._certificate is None:
            return made
        key = self._key or self._certificate
        asked: list[bool] = []
        password = None if self._password is None else self._password.read()

        def opening() -> str:
            # Without this, OpenSSL would ask on the terminal.
            asked.append(True)
            return password or ""

        try:
            made.load_cert_chain(self._certificate, key, opening)
        except (ssl.SSLError, ValueError) as error:
            if asked and password is None:
                what = f"the key in {key} needs a password: give key_password="
            elif asked:
                what = f"key_password={self._password} does not open the key in {key}"
            elif getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
                what = f"the key in {key} is not that of the certificate in {self._certificate}"
            else:
                what = (
                    f"the files {self._certificate} and {key} do not hold a certificate and its "
                    "private key in PEM"
                    if self._key is not None
                    else f"the file {key} does not hold a certificate and its private key in PEM"
                )
            raise MisconfiguredError(what) from None
        return made


def _path(name: str, given: PathLike | None) -> Path | None:
    if given is None:
        return None
    if not str(os.fspath(given)).strip():
        raise ValueError(f"{name} is the path of a file, and it is empty")
    return Path(given)


def _readable(path: Path) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MisconfiguredError(f"the file {path} cannot be read: {why}") from None


def alert_of(error: BaseException) -> str | None:
    """What the server says against the client's certificate, if that is what ended a connection.

    `error` is whatever was raised; what caused it is looked at as well.
    """
    for raised in (error, error.__cause__, error.__context__):
        # Not by its type: clients have errors that are an SSLError by name only.
        _, alert, name = str(getattr(raised, "reason", "")).partition("_ALERT_")
        if alert:
            return _ALERTS.get(name)
    return None
