"""`ndjson_records`: records from files with one JSON object in each line."""

from __future__ import annotations

from typing import Any, cast

import orjson

from ...runtime.contracts import DataError
from ._line_files import LineFiles, Paths

__all__ = ["NdjsonRecords", "ndjson_records"]

_BLANK = b" \t\r"
_DICTS = frozenset({dict})
_KINDS: dict[type[object], str] = {
    list: "an array",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


class NdjsonRecords(LineFiles[dict[str, Any]]):
    """The source that `ndjson_records` makes; see there."""

    def convert(self, line: bytes) -> dict[str, Any] | None:
        """The object in a line; None for a blank line."""
        if not line.strip(_BLANK):
            return None
        text = line.decode(self.encoding)
        try:
            value: object = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise DataError(f"not valid JSON at character {error.colno}: {error.msg}") from None
        if not isinstance(value, dict):
            raise DataError(f"{_KINDS[type(value)]}, and no JSON object")
        return cast("dict[str, Any]", value)

    def convert_all(self, lines: list[bytes]) -> list[dict[str, Any]] | None:
        """The objects in all lines, if each holds one."""
        try:
            if self.encoding == "utf-8":
                values = list(map(orjson.loads, lines))
            else:
                values = [orjson.loads(line.decode(self.encoding)) for line in lines]
        except (orjson.JSONDecodeError, UnicodeDecodeError):
            return None
        return values if _DICTS.issuperset(map(type, values)) else None


def ndjson_records(
    paths: Paths,
    *,
    follow: bool = False,
    consecutive: bool = False,
    poll_interval: float = 0.2,
    rotation_wait: float = 1.0,
    encoding: str = "utf-8",
    max_line_bytes: int = 1_048_576,
    rate: float | None = None,
) -> NdjsonRecords:
    """Records, as dicts, from files with one JSON object in each line; once or as they grow.

    >>> source = ndjson_records("orders/*.ndjson")
    >>> log = ndjson_records("/var/log/app/events.log", follow=True)

    Parameters:

    - `paths`: a path, a pattern with `*`, `?` or `[…]` (`**` for all folders below), or several of
      them. Regular files on a local disk.
    - `follow`: when a file has been read, wait for it to grow (False). A last line without a line
      end is then waited for, too. New files that match a pattern are read as they come, but for
      `app.log.1` beside `app.log`. Each file that is followed stays open.
    - `consecutive`: the files are in order of time, as daily ones are by their names (False). Then
      windows close as one file follows the other, and not when the last one begins.
    - `poll_interval`: how often, in seconds, files are looked at that have not grown (0.2).
    - `rotation_wait`: how long, in seconds, a file must have been quiet before it is left for the
      one that has taken its name (1.0). Whoever writes must have changed over by then.
    - `encoding`: any that writes ASCII as ASCII (utf-8). A byte order mark is passed over.
    - `max_line_bytes`: the longest line (1 MiB). Memory stays within a few times this.
    - `rate`: records a second at most (no limit); kept by the runtime.

    A file that is followed may be rotated: renamed to `app.log.1`, `app.log-20261121` or
    `app-20261121.log` in its folder, while a new one takes its name. It is read to its end, then
    the next one, also when that happened, even several times, while the job was down. Its lane
    and positions go on. A file that was copied and then truncated is finished in its copy, where at
    least 4 KiB of it had been read. Where a file was truncated, written over, moved to another
    folder, compressed or deleted before it was read, the rest of it is lost: a warning in the log
    `thalweg.sources` says so, the counter `followed_file_events` counts it under
    `event="truncated"` or `"lost"`, and what is there now is read from its start.

    Raises ValueError or TypeError for an option that makes no sense. Opening raises
    `MisconfiguredError` where a file cannot be read, and going on after a restart does where it is
    another file, unless it is followed.

    - Emits when: a block of 64 KiB has been read, or what there is of it.
    - Waits when: it follows, and no file has grown.
    - Ends when: all files have been read; never when it follows.
    - Order: that of each file, which is a lane of its own; one file after the other, in turn when
      it follows. Positions are offsets of lines in bytes, counted on where a file was rotated.
    - Lanes: the files that are left are told, so that `event_time` waits for all of them; of those
      that are followed, until each has been read once.
    - State: for each file the offset and number of the next line, its inode and a fingerprint.
    - On error: a line that is too long, does not decode, holds a NUL, is not valid JSON (NaN is
      not), is nested more than 1,024 deep or holds no object is rejected with file and line; a
      blank line makes no record. Whole numbers beyond 64 bits become floats.
    """
    return NdjsonRecords(
        paths,
        follow=follow,
        consecutive=consecutive,
        poll_interval=poll_interval,
        rotation_wait=rotation_wait,
        encoding=encoding,
        max_line_bytes=max_line_bytes,
        rate=rate,
    )
