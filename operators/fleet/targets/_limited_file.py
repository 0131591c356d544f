"""Small text files from outside, read with a limit on their size."""

from __future__ import annotations

from pathlib import Path

from ....runtime.contracts import MisconfiguredError

__all__ = ["limited_text"]


def limited_text(path: Path, what: str, most: int = 4 * 1024 * 1024) -> str:
    """The text of a file of up to `most` bytes; `what` names it in messages.

    Raises MisconfiguredError for a file that is missing, too large, or no UTF-8 text, with the
    line in which it ceases to be.
    """
    try:
        if not path.is_file() and path.exists():
            raise MisconfiguredError(f"{what} {path} is no file")
        with path.open("rb") as file:
            held = file.read(most + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MisconfiguredError(f"{what} {path} cannot be read: {why}") from None
    if len(held) > most:
        raise MisconfiguredError(
            f"{what} {path} is larger than {most:,} bytes, and is not read: is it the right file?"
        )
    try:
        text = held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = held.count(b"\n", 0, error.start) + 1
        raise MisconfiguredError(f"{path}:{line}: {what} is no UTF-8 text here") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MisconfiguredError(f"{path}:{line}: {what} holds a NUL, and so is no text")
    return text
