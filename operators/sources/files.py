"""`files`: streams of files, read in columns."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ...runtime.contracts import (
    Bookmark,
    Context,
    Duration,
    MisconfiguredError,
    Read,
    Row,
    Source,
    Trigger,
    arrow,
    in_seconds,
)
from ._asked_engine import AskedEngine
from ._coming_engine import ComingEngine
from ._file_clean import Clean, Cleaner
from ._file_groups import FileGroups
from ._file_listing import Found
from ._file_log import FileLog, file_note, is_same
from ._file_pieces import pieces_of
from ._file_schema import FORMATS, Format, Schema, checked_schema, lacking, schema_text
from ._note import FORGET
from ._opened_file import OpenedFile
from ._waiting_files import WaitingFiles

if TYPE_CHECKING:
    from ._file_digest import FileDigest

__all__ = ["Files", "files"]

_log = logging.getLogger("thalweg.sources")

_AHEAD = 3
"""Files that are open at once: a thread that is done with one need not wait to be given another."""

_NOTES = 100
"""All files are noted anew when one more in so many has been read: the note grows with them."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Files(Source[Row]):
    """The source that `files` makes; see there."""

    gives_columns = True
    gives_triggers = True
    makes_digests = True

    def __init__(
        self,
        paths: Paths,
        *,
        format: Format,  # noqa: A002
        schema: Mapping[str, str | type] | None,
        max_files_per_trigger: int | None,
        max_bytes_per_trigger: int | None,
        latest_first: bool,
        follow: bool,
        poll_interval: Duration,
        clean: Clean,
        archive: str | os.PathLike[str] | None,
        max_ratio: float,
    ) -> None:
        given = [paths] if isinstance(paths, str | os.PathLike) else paths
        if not isinstance(cast("object", given), Iterable) or isinstance(given, bytes):
            raise TypeError(f"paths is a path or several, not {paths!r}")
        self._patterns = [os.fspath(path) for path in given]
        if not self._patterns or not all(self._patterns):
            raise ValueError("paths names no file, or has an empty name among others")
        if format not in FORMATS:
            raise ValueError(f"format is one of {FORMATS}, not {format!r}")
        if not max_ratio >= 1:
            raise ValueError(f"max_ratio is 1 or more, not {max_ratio!r}")
        self._format: Format = format
        self._given = checked_schema(schema)
        self._groups = FileGroups(max_files_per_trigger, max_bytes_per_trigger)
        self._latest_first = latest_first
        self._follow = follow
        self._poll_interval = in_seconds(poll_interval, "poll_interval")
        if not self._poll_interval:
            raise ValueError("poll_interval is more than 0 seconds")
        self._cleaner = Cleaner(clean, archive, self._patterns)
        self._max_ratio = max_ratio
        self._coming = ComingEngine()
        self._engine: AskedEngine | None = None

    def __repr__(self) -> str:
        follows = ", follows" if self._follow else ""
        paths = ", ".join(self._patterns)
        return f"{self._format} in {paths}, a trigger behind {self._groups}{follows}"

    def load_ahead(self) -> None:
        """Load the engine, which takes as long as some files."""
        self._coming.begin()

    async def open(self, context: Context) -> None:
        """Have a reader; which files there are is seen when the first is read."""
        self._context = context
        self._log = FileLog()
        self._engine = engine = AskedEngine(self._coming, context)
        # One of them lets the other go on while it is loaded.
        await asyncio.gather(engine.load(), context.in_thread(arrow))
        if self._given is not None:
            self._given = await engine.known_types(self._given)
            self._log.schema = self._given
        self._cleaner = self._cleaner.fresh(context)
        self._started: dict[str, Bookmark] = {}
        self._waiting = WaitingFiles(
            self._patterns,
            self._log,
            context,
            latest_first=self._latest_first,
            poll_interval=self._poll_interval if self._follow else None,
        )
        self._opened: deque[OpenedFile] = deque()
        self._group = 0
        self._unnoted: list[str] = []
        self._schema_seen = False
        self._bare: set[str] = set()  # Those that wait, and have no columns to be seen.
        self._trigger_due = False
        self._digest: FileDigest | None = None
        self.looked = -math.inf if self._follow else None

    async def seek(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on: which files were read, and how far those are that were being read."""
        for lane, mark in bookmarks.items():
            if lane:
                self._started[lane] = mark
            elif mark.note:
                self._log.restore(mark.note, self._context.node)
        if self._given is not None:
            self._log.schema = self._given
        await self._cleaner.go_on(self._log)

    async def read(self, limit: int) -> Read[Row] | Trigger | None:
        """The next rows of the file whose turn it is; a trigger when a group of files is done."""
        while True:
            if self._trigger_due:
                self._trigger_due = False
                self._log.triggers += 1
                return Trigger(self._log.triggers - 1)
            if not self._group and not await self._begin_group():
                return self._noted([]) if self._unnoted else None
            await self._open_ahead()
            if self._schema_seen:
                # It is held from here on, also by a start that comes before the first file is read.
                self._schema_seen = False
                return Read[Row]([], [], note=self._log.note())
            opened = self._opened[0]
            piece = await opened.next()
            if piece is None:
                return await self._finish(opened)
            if len(piece.columns) or piece.rejected:
                opened.last = max(
                    [*piece.positions[-1:], *(one.position for one in piece.rejected)]
                )
                file, kept = opened.file, self._context.fence is not None
                return Read(
                    piece.columns,
                    piece.positions,
                    file.path,
                    piece.rejected,
                    note=file_note(file.size, file.modified) if kept else b"",
                    forget=self._cleaner.take_done(),
                )

    async def ack(self, lane: str, position: int) -> None:
        """All up to here has arrived: a file that is complete may be put away."""
        gone = await self._cleaner.arrived(lane, position)
        if gone:
            self._log.drop(lane)
        elif gone is False:
            self._unnoted.append(lane)

    async def close(self) -> None:
        """Wait for the threads that read, and let the reader go."""
        if self._engine is not None:
            await self._engine.idle()
            for opened in getattr(self, "_opened", ()):
                await opened.close()
            self._engine.close()

    async def _begin_group(self) -> bool:
        """Say which files come next, up to a trigger; False where there will be no more."""
        while True:
            await self._waiting.look()
            if self._opened or self._waiting:
                break
            if not self._follow:
                if self._waiting.found_none:
                    raise MisconfiguredError(f"no file matches {', '.join(self._patterns)}")
                return False
            self.looked = self._waiting.looked
            await asyncio.sleep(self._poll_interval)
        coming = [*(opened.file for opened in self._opened), *self._waiting]
        count = self._groups.first(file.size for file in coming)
        # After a restart, what is left of the group that was going on.
        self._group = min(count, self._log.left) if self._log.left else count
        self._log.left = self._group
        return True

    async def _open_ahead(self) -> None:
        """Have the next files read, in threads."""
        while len(self._opened) < _AHEAD and self._waiting:
            if self._log.schema is None and next(iter(self._waiting)).path not in self._bare:
                await self._see_schema()
            self._opened.append(await self._start(self._waiting.next()))
        if not (self._follow or self._waiting):
            assert self._engine is not None
            self._engine.end()

    async def _start(self, file: Found) -> OpenedFile:
        assert self._engine is not None
        schema = self._log.schema or {}
        self._bare.discard(file.path)
        start = 0
        mark = self._started.pop(file.path, None)
        if mark is not None and mark.note:
            if not is_same(mark.note, file.size, file.modified):
                raise MisconfiguredError(
                    f"{file.path} was read in part, and is another file now: {FORGET}"
                )
            start = mark.last + 1
            # It may be that all of it has arrived, and the job was killed before it was put away.
            await self._cleaner.arrived(file.path, mark.last)
        wanted = [name for name in schema if self.wanted is None or name in self.wanted]
        link = self._engine.link()
        pieces = pieces_of(
            link,
            file,
            self._format,
            schema,
            wanted=wanted,
            max_ratio=self._max_ratio,
            start=start,
            digest=self._digest_of({name: schema[name] for name in wanted}),
        )
        return OpenedFile(file, pieces, link, self._context, start)

    def _digest_of(self, wanted: Schema) -> FileDigest | None:
        """What finds the groups that all who read want, where they want no more."""
        if self.digest is not None and wanted and self._digest is None:
            from ._file_digest import FileDigest

            self._digest = FileDigest.of(self.digest, wanted)
            if self._digest is None:
                self.digest = None
        return self._digest

    async def _see_schema(self) -> None:
        """The columns of the first file that has any; from now on they are held."""
        assert self._engine is not None
        for file in self._waiting:
            if file.path in self._bare:
                continue
            schema = await self._engine.schema_of(file.path, self._format, self._max_ratio)
            if schema:
                self._log.schema = schema
                break
            self._bare.add(file.path)
        else:
            return  # They have none, and one that comes later may.
        self._schema_seen = self._context.fence is not None
        _log.info("%s: the columns are held as\n%s", self._context.node, schema_text(schema))
        told = lacking(self.wanted or frozenset(), schema)
        if told:
            raise MisconfiguredError(told)

    async def _finish(self, opened: OpenedFile) -> Read[Row]:
        """The file is read to its end: it is noted as such, and its lane is forgotten."""
        path = opened.file.path
        self._opened.popleft()
        self._group -= 1
        self._log.left = self._group
        self._trigger_due = not self._group
        self._log.add(path)
        self._waiting.done(path)
        put_away = self._cleaner.take_done()
        gone = await self._cleaner.finished(opened.file, opened.last)
        if gone:
            self._log.drop(path)  # What comes under its name is another file.
        if gone is not None:
            self._unnoted.append(path)
        if self._context.fence is not None and len(self._unnoted) <= len(self._log) // _NOTES:
            # Its lane tells until then that it was read to its end.
            return Read([], [], forget=put_away)
        return self._noted(put_away)

    def _noted(self, put_away: list[str]) -> Read[Row]:
        """The word that stands for the lanes of all files that have been read to their end."""
        forget, self._unnoted = [*put_away, *self._unnoted], []
        note = b"" if self._context.fence is None else self._log.note()
        return Read([], [], note=note, forget=forget)


def files(
    paths: Paths,
    *,
    format: Format,  # noqa: A002
    schema: Mapping[str, str | type] | None = None,
    max_files_per_trigger: int | None = None,
    max_bytes_per_trigger: int | None = None,
    latest_first: bool = False,
    follow: bool = False,
    poll_interval: Duration = 1.0,
    clean: Clean = "off",
    archive: str | os.PathLike[str] | None = None,
    max_ratio: float = 200.0,
) -> Files:
    """The rows of many files, in columns: of those that are there, or of each that comes.

    >>> source = files("data/*.json", format="ndjson", max_files_per_trigger=1)
    >>> typed = files("in/*.csv.gz", format="csv", schema={"n": int, "word": str}, follow=True)

    Each file is read once and whole, in the order of the time of its last change and of its name;
    so it has to appear whole, as by a rename. Names that begin with `_` or `.` are passed over.
    `.gz` and `.zst` are unpacked. Only the columns that the graph asks for are read. With each
    group of files goes a trigger, at which aggregations tell their results.

    Parameters:

    - `paths`: a path, a pattern with `*`, `?` or `[`, a folder, or several of them.
    - `format`: "ndjson", "csv" or "parquet". The header of CSV tells whether `,`, `;`, `|` or a tab
      separates the cells; `"` quotes them.
    - `schema`: the types of the columns by name: of Python, such as int, or as DuckDB calls them,
      such as "DOUBLE[]". Without it, the first file with rows decides, by its first 5,000
      rows (what is of several types there, or null in all, is text); then it is held, also after a
      restart, and logged in a form to paste.
    - `max_files_per_trigger`, `max_bytes_per_trigger` (None: all that are there): how many files,
      or bytes of them, make a group. Say only one of both.
    - `latest_first` (False): the newest files first.
    - `follow` (False): go on looking for new files, each `poll_interval` seconds (1).
    - `clean` ("off"): what becomes of a file when all of its rows have arrived: "archive" moves it
      to the folder `archive`, under another name where its own is taken, "delete" deletes it.
    - `max_ratio` (200): a packed file that becomes more times larger than that is rejected, unless
      it stays below 16 MiB.

    Raises ValueError or TypeError for options that make no sense. Opening raises `MissingExtra`
    without DuckDB and pyarrow (the extra `sql`) and `MisconfiguredError` for a type that there is
    not; reading does where there is no file and none is waited for, where the graph asks for a
    column that there is not, and where a file that was read in part is another after a restart.

    - Emits when: a file, or 65,536 rows of one, has been read; what is left of it comes with the
      last ones, up to half as many more. Three files are open at once.
    - Waits when: it follows, and there is no new file.
    - Ends when: all files have been read; never when it follows.
    - Order: that of the files, and in each that of its rows. Each file is a lane of its own;
      positions are rows, of which blank lines are none.
    - State: eight bytes for each file that was read, the schema, and where the files stand that are
      being read. A file that is changed after it was read is not read again.
    - On error: a row that is torn or does not fit the schema is rejected, with file and line, while
      the rest of its file is read; so is a file that has vanished, cannot be unpacked or, as CSV or
      Parquet, lacks a column. What nobody asks for is not looked at. Nothing is rounded to a whole
      number; text that reads as a number is one. What NDJSON lacks is null.
    """
    return Files(
        paths,
        format=format,
        schema=schema,
        max_files_per_trigger=max_files_per_trigger,
        max_bytes_per_trigger=max_bytes_per_trigger,
        latest_first=latest_first,
        follow=follow,
        poll_interval=poll_interval,
        clean=clean,
        archive=archive,
        max_ratio=max_ratio,
    )
