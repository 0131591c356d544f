"""The models of a store as a server offers them: it follows the store while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from time import monotonic

from ...runtime.errors import ThalwegError
from .model_store import Mark, ModelStore, ModelStoreError
from .served_model import ServedModel
from .store_index import StoreIndex
from .stored_model import StoredModel

__all__ = ["Shelf"]

_log = logging.getLogger("thalweg.serve")

_MOST_OLDER = 16
"""How many versions that are not the newest stay loaded."""


class Shelf:
    """Offers the newest version of each model in the store, and any other one that is asked for.

    Whether the store has changed is looked at with a request, at most each `check_every` seconds,
    or at once for a model that is not here. A new version is loaded beside the requests, which go
    on with the one before; where it does not load, that one stays, and the log says so. What was
    deleted is gone with the look that finds it so.

    Parameters: `store`; `check_every`, in seconds.
    """

    def __init__(self, store: ModelStore, *, check_every: float) -> None:
        self._store = store
        self._check_every = check_every
        self._looked_at = float("-inf")
        self._mark: Mark = None
        self._index = StoreIndex()
        self._newest: dict[str, ServedModel] = {}
        self._older: OrderedDict[str, asyncio.Task[ServedModel]] = OrderedDict()
        self._broken: dict[str, str] = {}
        self._following: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Load the newest version of each model. Raises ModelStoreError for a damaged store."""
        self._mark, self._index = self._store.mark(), self._store.index()
        self._looked_at = monotonic()
        await self._follow()

    async def close(self) -> None:
        """Stop loading, and let go of the models."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        for loading in self._older.values():
            loading.cancel()
        loaded = await asyncio.gather(*self._older.values(), return_exceptions=True)
        older = [model for model in loaded if isinstance(model, ServedModel)]
        for model in (*older, *self._newest.values()):
            await asyncio.to_thread(model.close)

    @property
    def models(self) -> list[ServedModel]:
        """The newest version of each model."""
        return [self._newest[name] for name in sorted(self._newest)]

    def versions(self, name: str) -> list[str]:
        """The numbers of all versions of a model, as text, oldest first."""
        return [str(model.version) for model in self._index.models.get(name, ())]

    async def find(self, name: str, version: str | None) -> ServedModel | None:
        """The model that a name, or an id, means. Raises ModelStoreError for one that is broken."""
        self._look(at_once=False)
        if name not in self._index.models and self._index.with_id(name) is None:
            self._look(at_once=True)
        if name in self._index.models:
            if version is None:
                return await self._found_newest(name)
            stored = self._index.find(name, int(version)) if version.isdecimal() else None
        else:
            stored = self._index.with_id(name)
            if stored is not None and version not in (None, str(stored.version)):
                stored = None
        return None if stored is None else await self._found(stored)

    async def _found_newest(self, name: str) -> ServedModel | None:
        if name not in self._newest and self._following is not None:
            await asyncio.shield(self._following)
        if name not in self._newest and name in self._index.models:
            newest = self._index.models[name][-1]
            raise ModelStoreError(f"no version of {name} loads: {self._broken.get(newest.id)}")
        return self._newest.get(name)

    async def _found(self, stored: StoredModel) -> ServedModel:
        newest = self._newest.get(stored.name)
        if newest is not None and newest.version == str(stored.version):
            return newest
        loading = self._older.get(stored.id)
        if loading is None or (loading.done() and loading.exception() is not None):
            loading = asyncio.create_task(asyncio.to_thread(self._store.load, stored))
            self._older[stored.id] = loading
        self._older.move_to_end(stored.id)
        while len(self._older) > _MOST_OLDER:
            self._older.popitem(last=False)
        # Who asked may go away; the others who wait for it still want it.
        try:
            return await asyncio.shield(loading)
        except ThalwegError as error:
            raise ModelStoreError(f"{stored.id} does not load: {error}") from error

    def _look(self, *, at_once: bool) -> None:
        """See whether the store has changed, unless that was done just now."""
        now = monotonic()
        if not at_once and now - self._looked_at < self._check_every:
            return
        self._looked_at = now
        try:
            # Before the index is read: of a change in between the next look will tell.
            mark = self._store.mark()
            if mark == self._mark:
                return
            self._mark, self._index = mark, self._store.index()
        except ModelStoreError as error:
            _log.warning("%s; the models that were there before are served on", error)
            return
        for name, model in list(self._newest.items()):
            if self._index.find(name, int(model.version or 0)) is None:
                del self._newest[name]
                left = "" if name in self._index.models else ": it is served no more"
                _log.info("%s version %s was deleted%s", name, model.version, left)
        for gone in [one for one in self._older if self._index.with_id(one) is None]:
            del self._older[gone]
        if self._following is None:
            self._following = asyncio.create_task(self._follow())
            self._following.add_done_callback(self._followed)

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._following = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the store of models is not followed: %s", error)

    async def _follow(self) -> None:
        """Load what is newest, until nothing newer is there."""
        while (stored := self._wanted()) is not None:
            try:
                model = await asyncio.to_thread(self._store.load, stored)
            except ThalwegError as error:
                self._broken[stored.id] = str(error)
                kept = self._newest.get(stored.name)
                goes_on = f": version {kept.version} goes on" if kept is not None else ""
                _log.warning(
                    "%s version %s does not load%s: %s", stored.name, stored.version, goes_on, error
                )
                continue
            if self._index.find(stored.name, stored.version) is not None:
                self._newest[stored.name] = model
                _log.info("%s version %s is served", stored.name, stored.version)

    def _wanted(self) -> StoredModel | None:
        """A version that should be served and is not: the newest of its name that may load."""
        for versions in self._index.models.values():
            for stored in reversed(versions):
                if stored.id in self._broken:
                    continue
                served = self._newest.get(stored.name)
                if served is None or served.version != str(stored.version):
                    return stored
                break
        return None
