"""Keyed memory that the runtime owns, so that an author cannot forget to save it."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from io import BytesIO
from typing import Generic, TypeVar, overload

from .errors import StateMismatch

__all__ = ["KeyedState"]

K = TypeVar("K")
"""The key."""
V = TypeVar("V")
"""What is remembered for a key. Never None."""
D = TypeVar("D")
"""What stands for a key that is not there."""

_SLICE = 1024
"""Keys that are encoded in one go: some hundred microseconds to a few milliseconds."""

_ROUND = 256
"""So many keys that did not change are at least saved beside those that did."""


class KeyedState(MutableMapping[K, V], Generic[K, V]):
    """What an operator remembers per key; declared in `__init__`, saved by the runtime.

    It is a mapping that notes which keys changed. The runtime finds it among the operator's
    attributes, gives each job an empty copy, saves at each barrier what has changed, and fills it
    after `open` where a job goes on. Change a value by assigning it, not in place: only an
    assignment is noted.

    >>> counts: KeyedState[str, int] = KeyedState()
    >>> counts["setosa"] = counts.get("setosa", 0) + 1
    >>> sorted(counts.items()), sorted(counts.changed())
    ([('setosa', 1)], ['setosa'])

    Parameters: `version`, of the form of the values (1), and `upgrade(version, key, value)`, which
    returns today's form of a value that was saved with an older version; without it, a state of
    another version is refused. `ttl`, the seconds after which a key is forgotten unless it was
    assigned anew (None: never), by the clock of the job.

    Keys and values are whatever pickle takes.
    """

    __slots__ = (
        "_at",
        "_began",
        "_changed",
        "_gone",
        "_notes",
        "_now",
        "_round",
        "_since",
        "_stamps",
        "_ttl",
        "_upgrade",
        "_values",
        "saved_changed",
        "saved_removed",
        "version",
    )

    def __init__(
        self,
        *,
        version: int = 1,
        upgrade: Callable[[int, K, V], V] | None = None,
        ttl: float | None = None,
    ) -> None:
        if ttl is not None and not ttl > 0:
            raise ValueError(f"ttl is a number of seconds above 0, or None, not {ttl!r}")
        if version < 1:
            raise ValueError(f"version is 1 or more, not {version!r}")
        self.version = version
        self._upgrade = upgrade
        self._ttl = ttl
        self._now: Callable[[], float] = time.time
        self._notes = True
        """Whether it is noted which keys change."""
        self._values: dict[K, V] = {}
        self._changed: set[K] = set()
        """The keys that were assigned and not yet saved; all of them are in `_values`."""
        self._gone: set[K] = set()
        """The keys that were deleted meanwhile; some may have come back."""
        self._stamps: dict[K, float] = {}
        """When each key was assigned, the oldest first; kept only with a `ttl`."""
        self._since: int | None = None
        """The epoch from which on the segments hold all of it; None: none does."""
        self._round: list[K] = []
        """The keys of the round that is under way, of which `_at` have had their turn."""
        self._at = 0
        self._began = 0
        self.saved_changed = 0
        """The keys that had been assigned when it was last saved."""
        self.saved_removed = 0
        """The keys that had been deleted when it was last saved, and had not come back."""

    @property
    def size(self) -> int:
        """The keys it holds, with those whose time is over. Safe from any thread."""
        return len(self._values)

    @property
    def ages(self) -> bool:
        """Whether its keys have a time to live."""
        return self._ttl is not None

    @property
    def upgrades(self) -> bool:
        """Whether values of an older version can be followed."""
        return self._upgrade is not None

    def fresh(
        self, now: Callable[[], float] | None = None, *, saved: bool = True
    ) -> KeyedState[K, V]:
        """An empty one with the same options, whose clock is `now`: the runtime's, for a job.

        With `saved=False` nobody is going to save it, and what changes is not noted: the notes
        would grow for as long as the job runs.
        """
        made: KeyedState[K, V] = KeyedState(
            version=self.version, upgrade=self._upgrade, ttl=self._ttl
        )
        made._now = self._now if now is None else now
        made._notes = saved
        return made

    def __getitem__(self, key: K) -> V:
        if self._ttl is not None:
            self.expire()
        return self._values[key]

    @overload
    def get(self, key: K, /) -> V | None: ...
    @overload
    def get(self, key: K, default: V | D, /) -> V | D: ...
    def get(self, key: K, default: object = None, /) -> object:
        """The value of a key, or `default`."""
        if self._ttl is not None:
            self.expire()
        return self._values.get(key, default)

    def __setitem__(self, key: K, value: V) -> None:
        self._values[key] = value
        if self._notes:
            self._changed.add(key)
        if self._ttl is not None:
            self._stamps.pop(key, None)
            self._stamps[key] = self._now()

    @property
    def lookup(self) -> Callable[[K, D], V | D]:
        """`get`, for a loop over many keys: what is quickest just now. Ask for it before each."""
        return self._values.get if self._ttl is None else self.get

    def assign(self, values: Mapping[K, V]) -> None:
        """Assign several keys at once, which is cheaper than one by one."""
        if self._ttl is not None:
            self.update(values)
            return
        known, changed = self._values, self._changed
        count = len(known)
        known.update(values)
        # Where every key has changed already, only a new one could be missing among them.
        if self._notes and (len(changed) < count or len(known) > count):
            changed.update(values)

    def __delitem__(self, key: K) -> None:
        del self._values[key]
        if self._notes:
            self._changed.discard(key)
            self._gone.add(key)
        self._stamps.pop(key, None)

    def forget(self, keys: Collection[K]) -> None:
        """Delete several keys at once, which is cheaper than one by one; some may not be there."""
        for key in keys:
            self._values.pop(key, None)
        if self._notes:
            self._changed.difference_update(keys)
            self._gone.update(keys)
        if self._ttl is not None:
            for key in keys:
                self._stamps.pop(key, None)

    def __contains__(self, key: object) -> bool:
        if self._ttl is not None:
            self.expire()
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        self.expire()
        return iter(self._values)

    def __len__(self) -> int:
        self.expire()
        return len(self._values)

    def __repr__(self) -> str:
        return f"<KeyedState of {len(self._values)} keys>"

    def changed(self) -> frozenset[K]:
        """The keys that were assigned or deleted since they were last saved or restored.

        None in a job without a store.
        """
        return frozenset(self._changed | self._gone)

    def expire(self) -> None:
        """Forget the keys whose time is over. The runtime does so; nobody else needs to."""
        ttl, stamps = self._ttl, self._stamps
        if ttl is None or not stamps:
            return
        over = self._now() - ttl
        old: list[K] = []
        for key, at in stamps.items():
            if at > over:
                break
            old.append(key)
        for key in old:
            del self[key]

    def save(self, epoch: int) -> tuple[int, Iterator[bytes]]:
        """What an epoch must keep: from which epoch on it is all there, and the data, in slices.

        Saved is what changed and, beside it, as many of the other keys, going round: when a round
        is complete, what was saved before it began is not needed any more. So no epoch saves more
        than twice what changed, and none stops to save everything. Take all slices before anything
        is assigned.
        """
        self.expire()
        changed, self._changed = self._changed, set()
        removed, self._gone = self._gone, set()
        self.saved_changed, self.saved_removed = len(changed), len(removed - changed)
        values, since = self._values, self._since
        count = len(changed) + len(removed)
        if since is None or (count and 2 * count >= len(values)):
            self._since = epoch
            self._begin_round(epoch + 1)
            return epoch, self._slices(list(values), ())
        if not count:
            return since, iter(())
        keys = list(changed)
        gone = [key for key in removed if key not in values]
        turn = self._round[self._at : self._at + max(_ROUND, count)]
        self._at += len(turn)
        keys += [key for key in turn if key in values and key not in changed]
        if self._at >= len(self._round):
            self._since = since = self._began
            self._begin_round(epoch + 1)
        return since, self._slices(keys, gone)

    def _begin_round(self, epoch: int) -> None:
        self._round, self._at, self._began = list(self._values), 0, epoch

    def _slices(self, keys: list[K], gone: Iterable[K]) -> Iterator[bytes]:
        values, stamps = self._values, self._stamps
        deleted = list(gone)
        for start in range(0, len(keys), _SLICE):
            part = keys[start : start + _SLICE]
            pairs = [(key, values[key]) for key in part]
            times = [stamps[key] for key in part] if self._ttl is not None else None
            yield pickle.dumps((self.version, pairs, times, deleted), 5)
            deleted = []
        if deleted:
            yield pickle.dumps((self.version, [], None, deleted), 5)

    def snapshot(self) -> bytes:
        """All of it, as bytes; what changed counts from here."""
        self._since = None
        _, slices = self.save(0)
        data = b"".join(slices)
        self._since = None
        return data

    def restore(self, segments: Iterable[bytes]) -> None:
        """Become what was saved, from the oldest segment that is needed on.

        Raises StateMismatch for another version that nothing upgrades.
        """
        self._values, self._stamps = {}, {}
        now = self._now()
        for segment in segments:
            stream, end = BytesIO(segment), len(segment)
            while stream.tell() < end:
                version, pairs, times, deleted = pickle.load(stream)
                for key in deleted:
                    self._values.pop(key, None)
                    self._stamps.pop(key, None)
                self._values.update(self._upgraded(version, pairs))
                if self._ttl is not None:
                    stamps = [now] * len(pairs) if times is None else times
                    # None is younger than now, though the clock may have been set back meanwhile.
                    self._stamps.update(
                        (key, min(at, now)) for (key, _), at in zip(pairs, stamps, strict=True)
                    )
        if self._ttl is not None:
            self._stamps = dict(sorted(self._stamps.items(), key=lambda item: item[1]))
        self._changed.clear()
        self._gone.clear()
        self._since = None  # The next epoch saves all of it once, in a form of today.

    def _upgraded(self, version: int, pairs: list[tuple[K, V]]) -> list[tuple[K, V]]:
        if version == self.version:
            return pairs
        upgrade = self._upgrade
        if upgrade is None or version > self.version:
            raise StateMismatch(
                f"it was saved with version {version} of its values and has version {self.version}"
                + ("" if upgrade else ": give KeyedState an upgrade function, or forget it")
            )
        return [(key, upgrade(version, key, value)) for key, value in pairs]
