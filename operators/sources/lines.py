"""`lines`: the lines of text files."""

from __future__ import annotations

from ._line_files import LineFiles, Paths

__all__ = ["TextLines", "lines"]


class TextLines(LineFiles[str]):
    """The source that `lines` makes; see there."""

    def convert(self, line: bytes) -> str:
        """The text of a line."""
        return line.removesuffix(b"\r").decode(self.encoding)

    def convert_all(self, lines: list[bytes]) -> list[str] | None:
        """The text of all lines, if nothing is wrong with any of them."""
        encoding = self.encoding
        try:
            texts = [line.decode(encoding).removesuffix("\r") for line in lines]
        except UnicodeDecodeError:
            return None
        return None if any("\0" in text for text in texts) else texts


def lines(
    paths: Paths,
    *,
    follow: bool = False,
    consecutive: bool = False,
    poll_interval: float = 0.2,
    rotation_wait: float = 1.0,
    encoding: str = "utf-8",
    max_line_bytes: int = 1_048_576,
    rate: float | None = None,
) -> TextLines:
    """The lines of text files, once or as they grow; without their line ends.

    >>> source = lines("words.txt")
    >>> log = lines("/var/log/app/*.log", follow=True)

    Parameters, and what becomes of files that are followed, are those of `ndjson_records`. An
    empty line is a record like any other.

    Raises ValueError or TypeError for an option that makes no sense. Opening raises
    `MisconfiguredError` where a file cannot be read, and going on after a restart does where it is
    another file, unless it is followed.

    - Emits when: a block of 64 KiB has been read, or what there is of it.
    - Waits when: it follows, and no file has grown.
    - Ends when: all files have been read; never when it follows.
    - Order: that of each file, which is a lane of its own; one file after the other, in turn when
      it follows. Positions are offsets of lines in bytes.
    - Lanes: the files that are left are told, so that `event_time` waits for all of them; of those
      that are followed, until each has been read once.
    - State: for each file the offset and number of the next line, its inode and a fingerprint.
    - On error: a line that is too long, does not decode or holds a NUL is rejected with file and
      line.
    """
    return TextLines(
        paths,
        follow=follow,
        consecutive=consecutive,
        poll_interval=poll_interval,
        rotation_wait=rotation_wait,
        encoding=encoding,
        max_line_bytes=max_line_bytes,
        rate=rate,
    )
