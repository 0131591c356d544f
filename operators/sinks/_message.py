"""A mail as it goes over the wire."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._mails import Attachment, Mail

__all__ = ["composed", "one_line"]

_SUBJECT = 200
_TEXT = 1_000_000


def one_line(text: str) -> str:
    """Text that can stand in a line, whatever it was: in a header a line break begins another."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return shown.encode("utf-8", "backslashreplace").decode()


def composed(mail: Mail, *, sender: str, to: Sequence[str], identity: str, largest: int) -> bytes:
    """The mail as bytes; this reads what is attached. `largest` bytes are attached in all."""
    made = EmailMessage(policy=SMTP)
    made["Subject"] = one_line(mail.subject)[:_SUBJECT]
    made["From"] = sender
    made["To"] = ", ".join(to)
    made["Date"] = formatdate()
    made["Message-ID"] = identity
    # So that nothing that answers mails by itself answers this one.
    made["Auto-Submitted"] = "auto-generated"
    files: list[tuple[str, bytes]] = []
    missing: list[str] = []
    left = largest
    for each in mail.attachments:
        name = one_line(each.name)
        try:
            data = _content(each)
        except OSError as error:
            missing.append(f"{name} is not attached: {error.strerror or error}")
            continue
        if len(data) > left:
            missing.append(f"{name} is not attached: {len(data)} bytes are more than may be sent")
            continue
        left -= len(data)
        files.append((f"{name}.gz" if each.compress else name, data))
    text = mail.text[:_TEXT].encode("utf-8", "backslashreplace").decode()
    if missing:
        text = "\n".join([text.rstrip("\n"), "", *missing])
    made.set_content(text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n")
    for name, data in files:
        kind = "gzip" if name.endswith(".gz") else "octet-stream"
        made.add_attachment(data, maintype="application", subtype=kind, filename=name)
    return made.as_bytes()


def _content(attachment: Attachment) -> bytes:
    content = attachment.content
    data = content if isinstance(content, bytes) else content.read_bytes()
    # Without the time: the same content is the same bytes.
    return gzip.compress(data, mtime=0) if attachment.compress else data
