"""Names of machines and probes as names of files, whatever is in them."""

from __future__ import annotations

import string

__all__ = ["safe_name"]

_PLAIN = frozenset((string.ascii_letters + string.digits + "._-@+=:,").encode())
_LONGEST = 160
"""Bytes: leaves room for an ending, where file systems end at 255."""


def safe_name(name: str) -> str:
    """One part of a path: no other folder, no hidden file, and another one for each name.

    >>> safe_name("lab01.example"), safe_name("../etc/passwd"), safe_name(".")
    ('lab01.example', '%2E.%2Fetc%2Fpasswd', '%2E')

    What is not plain becomes `%` and two digits; what is too long is cut, and told apart by a
    checksum of the whole.
    """
    data = name.encode("utf-8", "surrogatepass")
    made = "".join(
        chr(byte) if byte in _PLAIN and not (at == 0 and byte == 0x2E) else f"%{byte:02X}"
        for at, byte in enumerate(data)
    )
    if not made:
        return "%"
    if len(made) <= _LONGEST:
        return made
    from hashlib import sha256  # It takes longer to import than all else here.

    return f"{made[: _LONGEST - 33]}~{sha256(data).hexdigest()[:32]}"
