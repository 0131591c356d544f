"""Mails, and what is attached to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...runtime.contracts import dataclass

__all__ = ["Attachment", "Mail"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a mail: its name, and what is in it, or where that stands when the mail goes out.

    >>> Attachment("usage.trace", Path("out/experiment/usage.trace")).compress
    True

    With `compress`, as it is unless said, it is sent as gzip and named so.
    """

    name: str
    content: bytes | Path
    compress: bool = True


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to those whom the sink writes to.

    >>> Mail("Two machines need a look", "m1, m2: host_key_changed").attachments
    ()
    """

    subject: str
    text: str
    attachments: Sequence[Attachment] = ()
