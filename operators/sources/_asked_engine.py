"""The engine of one job, which is asked in threads while the job goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ...runtime.contracts import Context
from ._file_schema import Format, Schema, is_known, known_types

if TYPE_CHECKING:
    from ._coming_engine import ComingEngine
    from ._engine import Engine, Link

__all__ = ["AskedEngine"]

P = ParamSpec("P")
T = TypeVar("T")


class AskedEngine:
    """Asks the engine in threads: a wait may be cancelled, and `close` waits for what goes on."""

    def __init__(self, coming: ComingEngine, context: Context) -> None:
        self._coming = coming
        self._context = context
        self._engine: Engine | None = None
        self._under_way: asyncio.Future[Any] | None = None

    async def load(self) -> None:
        """Have the engine. Raises as `Engine` does."""
        await self._in_thread(self._load)

    async def known_types(self, schema: Schema) -> Schema:
        """The schema with types as the engine calls them. Raises as `known_types` does."""
        return schema if is_known(schema) else await self._in_thread(self._known, schema)

    async def schema_of(self, path: str, kind: Format, max_ratio: float) -> Schema | None:
        """The columns of a file, by its first rows; None where it has none."""
        return await self._in_thread(self._sampled, path, kind, max_ratio)

    def link(self) -> Link:
        """A link of its own, for one thread at a time; it is closed before `close`."""
        assert self._engine is not None  # It is loaded before anybody asks.
        return self._engine.link()

    def end(self) -> None:
        """No link will be asked for any more."""
        assert self._engine is not None
        self._engine.end()

    async def idle(self) -> None:
        """Return when nothing is asked here any more."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])
            if not self._under_way.cancelled():
                self._under_way.exception()

    def close(self) -> None:
        """Let the engine go. Nothing is asked any more, and the links are closed."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        under_way = asyncio.ensure_future(self._context.in_thread(work, *args, **named))
        self._under_way = under_way
        return await asyncio.shield(under_way)

    def _load(self) -> None:
        self._engine = self._coming.take()

    def _known(self, schema: Schema) -> Schema:
        with closing(self.link()) as link:
            return known_types(link, schema)

    def _sampled(self, path: str, kind: Format, max_ratio: float) -> Schema | None:
        from ._file_sample import schema_of_file

        with closing(self.link()) as link:
            return schema_of_file(link, path, kind, max_ratio)
