"""The encodings in which a line end is one byte that means nothing else."""

from __future__ import annotations

import codecs
import contextlib

__all__ = ["BOM", "checked_encoding", "undecodable"]

BOM = b"\xef\xbb\xbf"
"""What some programs write at the beginning of a file in UTF-8."""


def checked_encoding(encoding: str) -> str:
    """The encoding's own name, or a ValueError unless it writes ASCII as ASCII."""
    alike = False
    with contextlib.suppress(LookupError, UnicodeError):
        alike = bytes(range(128)).decode(encoding) == bytes(range(128)).decode("ascii")
    if not alike:
        raise ValueError(
            f"encoding is one that writes ASCII as ASCII, such as utf-8, latin-1 or cp1252,"
            f" not {encoding!r}"
        )
    name = codecs.lookup(encoding).name
    return "utf-8" if name == "utf-8-sig" else name


def undecodable(line: bytes, encoding: str, error: UnicodeDecodeError) -> str:
    """What is said of a line that does not decode."""
    return f"byte 0x{line[error.start]:02x} at byte {error.start + 1} is not {encoding}"
