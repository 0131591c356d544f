"""`mail`: records that are mails, handed to a mail server."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ...runtime.contracts import (
    Context,
    DataError,
    MisconfiguredError,
    Outcome,
    Retry,
    Sink,
    UnavailableError,
)
from ._mails import Mail
from ._serial import Serial

if TYPE_CHECKING:
    from ..endpoints.tls import Tls

__all__ = ["MailSink", "mail"]

_ADDRESS = re.compile(r"[!#-'*+/-9=?A-Z^-~.-]+@[A-Za-z0-9][A-Za-z0-9.-]*\Z")
_LARGEST = 10_000_000
_RETRY = Retry(attempts=6, first=2.0, longest=30.0, when_down="failed")


class MailSink(Sink[Mail]):
    """The sink that `mail` makes; see there."""

    repeatable = True

    def __init__(
        self,
        server: str,
        *,
        sender: str,
        to: Sequence[str],
        username: str | None,
        password: str | None,
        tls: Tls | None,
        encrypt: bool,
        largest: int,
        retry: Retry,
    ) -> None:
        from ..endpoints.secret import Secret
        from ._smtp import MailServer

        host, port, at_once = MailServer.place(server)
        addresses = [to] if isinstance(to, str) else list(to)
        for what, address in (("sender", sender), *(("to", each) for each in addresses)):
            if not isinstance(address, str) or not _ADDRESS.match(address):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(
                    f"{what} takes addresses such as 'lab@example.org', not {address!r}"
                )
        if not addresses:
            raise ValueError("to is empty: name who is to have the mails")
        if (username is None) != (password is None):
            raise ValueError("username and password belong together: give both, or neither")
        if not encrypt and (at_once or password is not None or tls is not None):
            raise ValueError(
                "encrypt=False is for a server of 'smtp://' that asks for no password: a password "
                "would be readable by others"
            )
        if largest < 0:
            raise ValueError(f"largest is a number of bytes, not {largest!r}")
        secret = None if password is None else Secret(password, "mail(password=)")
        self._server = MailServer(host, port, at_once, encrypt, username, secret, tls)
        self._sender = sender
        self._to = addresses
        self._largest = largest
        self.retry = retry

    def __repr__(self) -> str:
        return f"mail({self._server.host!r}, to={self._to!r})"

    async def open(self, context: Context) -> None:
        """Look whether the server takes our mails; one that is not there now may come."""
        self._threads = Serial(context)
        self._taken: set[str] = set()
        with suppress(UnavailableError):
            await self._threads.run(self._try)

    def _try(self) -> None:
        from ._smtp import smtp_errors

        with smtp_errors(self._server.where):
            self._server.connected().quit()

    async def write(self, records: Sequence[Mail]) -> Outcome[None] | None:
        """Hand over mails that have no key."""
        return await self.write_keyed(records, [None] * len(records))

    async def write_keyed(
        self, records: Sequence[Mail], keys: Sequence[str | None]
    ) -> Outcome[None] | None:
        """Hand over the mails, in order, each under an identity that it has after a restart too."""
        from ._message import composed
        from ._smtp import send

        rejected: dict[int, Exception] = {}
        identities: dict[int, str] = {}
        mails: list[tuple[int, Callable[[], bytes]]] = []
        for index, (record, key) in enumerate(zip(records, keys, strict=True)):
            if not isinstance(record, Mail):  # pyright: ignore[reportUnnecessaryIsInstance]
                rejected[index] = DataError(f"a mail is a Mail, not a {type(record).__name__}")
                continue
            identity = identities[index] = self._identity(record, key, index)
            if identity not in self._taken:
                compose = partial(
                    composed,
                    record,
                    sender=self._sender,
                    to=self._to,
                    identity=identity,
                    largest=self._largest,
                )
                mails.append((index, compose))
        taken = self._taken

        def sent(index: int) -> None:
            taken.add(identities[index])

        if mails:
            try:
                rejected |= await self._threads.run(
                    send, self._server, self._sender, self._to, mails, sent
                )
            except MisconfiguredError as error:
                # For each: whoever runs the graph reads why, and the machines are probed meanwhile.
                rejected |= {index: error for index, _ in mails if identities[index] not in taken}
        self._taken = set()
        return Outcome([], rejected) if rejected else None

    def _identity(self, record: Mail, key: str | None, index: int) -> str:
        from hashlib import sha256  # It takes longer to import than all else here.

        text = "\0".join((key or str(index), record.subject, record.text))
        name = sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        return f"<{name}@{self._sender.rpartition('@')[2]}>"


def mail(
    server: str,
    *,
    sender: str,
    to: Sequence[str],
    username: str | None = None,
    password: str | None = None,
    tls: Tls | None = None,
    encrypt: bool = True,
    largest: int = _LARGEST,
    retry: Retry = _RETRY,
) -> MailSink:
    """Records that are mails, handed to a mail server over TLS.

    >>> mail("smtp://mail.example.org", sender="lab@example.org", to=["admin@example.org"],
    ...      username="lab", password="env:MAIL_PASSWORD")
    mail('mail.example.org', to=['admin@example.org'])

    Parameters:

    - `server`: `smtp://host:587`, where TLS begins by STARTTLS, or `smtps://host:465`, where it
      begins at once; the ports may be left out.
    - `sender`, `to`: addresses, of who sends the mails and of those who get them.
    - `username`, `password`: for a server that asks (none); the password as `env:NAME` or
      `file:PATH`, read for each connection.
    - `tls`: whom to trust, and the certificate to show (those of the system, none).
    - `encrypt`: False for a server without TLS (True); it cannot ask for a password then.
    - `largest`: bytes that are attached to a mail at most (10,000,000). What is more, or cannot be
      read, is left out, and the mail says so.
    - `retry`: how patiently a mail is tried again (6 times within about half a minute; then it goes
      to the failed port). Keep `when_down="failed"`: to wait for a mail server holds up the graph,
      and with it what should go on.

    Records are `Mail`s, such as `fleet.alerts` and `fleet.reports` make them.

    Raises ValueError for addresses and options that make no sense, without showing a password.
    Opening raises `MisconfiguredError` where the server refuses us or is not trusted; one that is
    out of reach may come later.

    - Emits when: never; a mail is delivered when the server has taken it.
    - Waits when: the server does, 20 s for each answer, and between attempts.
    - Ends when: its input does.
    - Order: that of the input.
    - State: none. After a crash a mail may be sent again, with the same Message-ID.
    - On error: a mail that the server refuses for good, for one of its receivers too, or that
      nobody took in the end, becomes a dead letter; wire `failed` of this sink, or of the graph.
    """
    return MailSink(
        server,
        sender=sender,
        to=to,
        username=username,
        password=password,
        tls=tls,
        encrypt=encrypt,
        largest=largest,
        retry=retry,
    )
