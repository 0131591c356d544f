"""A connection to a mail server: plain calls that block, for a thread."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...runtime.contracts import (
    DataError,
    MisconfiguredError,
    ThalwegError,
    UnavailableError,
    dataclass,
)

if TYPE_CHECKING:
    from ..endpoints.secret import Secret
    from ..endpoints.tls import Tls

__all__ = ["MailServer", "send", "smtp_errors"]

_PORTS = {"smtp": 587, "smtps": 465}
_PATIENCE = 20.0
"""Seconds for each answer of the server."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed over, how that is protected, and by whom.

    `at_once` is TLS from the first byte; else it begins with STARTTLS, unless `encrypt` is False.
    """

    host: str
    port: int
    at_once: bool
    encrypt: bool
    username: str | None
    password: Secret | None
    tls: Tls | None

    @property
    def where(self) -> str:
        """The server in words."""
        return f"the mail server {self.host}:{self.port}"

    @staticmethod
    def place(url: str) -> tuple[str, int, bool]:
        """Host, port, and whether TLS begins at once. Raises ValueError, which does not show it."""
        told = (
            "server is 'smtp://host:587' (TLS by STARTTLS) or 'smtps://host:465' (TLS at once), "
            "without user and password"
        )
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ValueError(told) from None
        rest = parts.path.strip("/") + parts.query + parts.fragment
        if not parts.hostname or rest or "@" in parts.netloc:
            # What stands there may be a password.
            raise ValueError(told)
        return parts.hostname, port, parts.scheme == "smtps"

    def connected(self) -> smtplib.SMTP:
        """A connection that is encrypted and logged in; `quit` it."""
        context = self.tls.context() if self.tls is not None else ssl.create_default_context()
        name = socket.gethostname()
        if self.at_once:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                self.host, self.port, local_hostname=name, timeout=_PATIENCE, context=context
            )
        else:
            smtp = smtplib.SMTP(self.host, self.port, local_hostname=name, timeout=_PATIENCE)
        try:
            if self.encrypt and not self.at_once:
                smtp.ehlo()
                if not smtp.has_extn("starttls"):
                    raise MisconfiguredError(
                        f"{self.where} offers no TLS, and what is sent to it could be read by "
                        "others: say encrypt=False if that is meant"
                    )
                smtp.starttls(context=context)
            if self.username is not None and self.password is not None:
                smtp.login(self.username, self.password.read())
        except BaseException:
            smtp.close()
            raise
        return smtp


@contextmanager
def smtp_errors(where: str, *, of_one_mail: bool = False) -> Generator[None]:
    """Errors of a mail server become ours, without what was sent.

    UnavailableError is for what may pass, MisconfiguredError for what holds for every mail, and
    DataError, with `of_one_mail`, for a mail that is refused for good.
    """
    try:
        yield
    except Exception as error:
        told = _told(where, error)
        if told is None:
            raise
        if isinstance(told, DataError) and not of_one_mail:
            told = UnavailableError(str(told))
        raise told from None


def _told(where: str, error: Exception) -> ThalwegError | None:
    match error:
        case smtplib.SMTPAuthenticationError():
            if error.smtp_code < 500:
                return UnavailableError(f"{where} cannot log in now ({error.smtp_code})")
            return MisconfiguredError(
                f"{where} does not accept the user and the password ({error.smtp_code})"
            )
        case smtplib.SMTPRecipientsRefused():
            codes = {code for code, _ in error.recipients.values()}
            names = ", ".join(error.recipients)
            if any(code < 500 for code in codes):
                return UnavailableError(f"{where} does not take mail for {names} now")
            return DataError(f"{where} takes no mail for {names} ({min(codes)})")
        case smtplib.SMTPNotSupportedError():
            return MisconfiguredError(f"{where} cannot do what is asked of it: {error}")
        case smtplib.SMTPResponseException():
            text = f"{where} says {error.smtp_code}: {_said(error.smtp_error)}"
            return DataError(text) if error.smtp_code >= 500 else UnavailableError(text)
        case ssl.SSLCertVerificationError():
            return MisconfiguredError(
                f"{where} is not trusted: {error.verify_message}; say whom to trust by "
                "tls=Tls(ca=…)"
            )
        case ssl.SSLError() if error.reason == "WRONG_VERSION_NUMBER":
            return MisconfiguredError(
                f"{where} does not begin with TLS: for STARTTLS the address is smtp://…"
            )
        case TimeoutError():
            return UnavailableError(f"{where} did not answer in {_PATIENCE:g} s")
        case smtplib.SMTPException() | OSError():
            why = getattr(error, "strerror", None) or error
            return UnavailableError(f"{where} cannot be reached: {why}")
        case _:
            return None


def send(
    server: MailServer,
    sender: str,
    to: Sequence[str],
    mails: Sequence[tuple[int, Callable[[], bytes]]],
    sent: Callable[[int], object],
) -> dict[int, Exception]:
    """Hand mails over, each with its index; the errors of those that were refused.

    `sent` is told the index of each that was taken. Raises UnavailableError or MisconfiguredError.
    """
    refused: dict[int, Exception] = {}
    with smtp_errors(server.where):
        smtp = server.connected()
    try:
        for index, compose in mails:
            try:
                with smtp_errors(server.where, of_one_mail=True):
                    not_for = smtp.sendmail(sender, list(to), compose())
                    if not_for:
                        raise DataError(
                            f"{server.where} took the mail, but not for {', '.join(not_for)}"
                        )
            except DataError as error:
                refused[index] = error
            sent(index)
    except BaseException:
        smtp.close()
        raise
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()  # It has taken all mails.
    return refused


def _said(answer: bytes | str) -> str:
    text = answer.decode("ascii", "replace") if isinstance(answer, bytes) else answer
    return "".join(each if each.isprintable() else " " for each in text)[:200]
