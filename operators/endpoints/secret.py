"""Where a secret comes from: the environment or a file, never the graph."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast

from ...runtime.contracts import MisconfiguredError

__all__ = ["Secret"]

_LONGEST = 64 * 1024
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class Secret:
    """A secret by the place where it stands; what stands there is read by `read` and not kept.

    >>> Secret("env:SCORING_TOKEN", "bearer()")
    'env:SCORING_TOKEN'

    Parameters: `text`, `env:NAME` for an environment variable or `file:PATH` for a file; `what`,
    what takes it, for messages. Raises ValueError for any other text, which is not shown, since it
    may be the secret itself; TypeError for what is no text.
    """

    __slots__ = ("_path", "_text", "_variable")

    def __init__(self, text: str, what: str) -> None:
        if not isinstance(cast(object, text), str):
            raise TypeError(
                f"{what} takes a secret as 'env:NAME' or 'file:PATH', not a {type(text).__name__}"
            )
        kind, _, place = text.partition(":")
        good = (kind == "env" and _NAME.match(place)) or (kind == "file" and place.strip())
        if not good or "\0" in place:
            raise ValueError(
                f"{what} takes a secret as 'env:NAME' (an environment variable) or 'file:PATH' "
                "(a file), and this is neither: a secret itself does not belong into a graph file"
            )
        self._text = text
        self._variable = place if kind == "env" else None
        self._path = Path(place) if kind == "file" else None

    def __repr__(self) -> str:
        return repr(self._text)

    @property
    def can_change(self) -> bool:
        """Whether reading it again may find another secret, as in a file."""
        return self._path is not None

    def read(self) -> str:
        """What stands there now, without the white space around it; this may wait for a disk.

        Raises MisconfiguredError where there is nothing, or what is no secret, naming the place.
        """
        if self._path is not None:
            where = f"the secret file {self._path}"
            try:
                with self._path.open("rb") as file:
                    held = file.read(_LONGEST + 1)
                if len(held) > _LONGEST:
                    raise MisconfiguredError(f"{where} holds more than {_LONGEST} bytes")
                text = held.decode().strip()
            except UnicodeDecodeError:
                raise MisconfiguredError(f"{where} holds what is not UTF-8 text") from None
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise MisconfiguredError(f"{where} cannot be read: {why}") from None
        else:
            where = f"the environment variable {self._variable}"
            text = os.environ.get(self._variable or "", "").strip()
        if not text:
            raise MisconfiguredError(f"{where} holds no secret: set it before the job starts")
        if not text.isprintable():
            # A line break in a header would begin another one.
            raise MisconfiguredError(f"{where} holds more than one line, or control characters")
        return text
