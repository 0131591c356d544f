"""Which models a store holds, as its index file tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from typing import Any

import orjson

from ...runtime.dataclass import dataclass
from .stored_model import StoredModel

__all__ = ["StoreIndex"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class StoreIndex:
    """The versions of each name, oldest first. It never changes: a change makes another one.

    `last` remembers the highest number that each name ever had, so that a version which was
    deleted does not lend its number to another.
    """

    models: Mapping[str, tuple[StoredModel, ...]] = field(
        default_factory=dict[str, tuple[StoredModel, ...]]
    )
    last: Mapping[str, int] = field(default_factory=dict[str, int])

    def __iter__(self) -> Iterator[StoredModel]:
        return (model for name in sorted(self.models) for model in self.models[name])

    def find(self, name: str, version: int) -> StoredModel | None:
        """This version of this name."""
        versions = self.models.get(name, ())
        return next((model for model in versions if model.version == version), None)

    def with_id(self, wanted: str) -> StoredModel | None:
        """The version with this id."""
        return next((model for model in self if model.id == wanted), None)

    def next_version(self, name: str) -> int:
        """The number of the version that is stored next under this name."""
        return self.last.get(name, 0) + 1

    def plus(self, model: StoredModel) -> StoreIndex:
        """The index with one more version."""
        versions = (*self.models.get(model.name, ()), model)
        return StoreIndex(
            {**self.models, model.name: versions}, {**self.last, model.name: model.version}
        )

    def minus(self, gone: tuple[StoredModel, ...]) -> StoreIndex:
        """The index without these versions."""
        left = {
            name: tuple(model for model in versions if model not in gone)
            for name, versions in self.models.items()
        }
        return replace(self, models={name: versions for name, versions in left.items() if versions})

    def as_bytes(self) -> bytes:
        """As the index file holds it."""
        said = {
            "format": _FORMAT,
            "last": dict(self.last),
            "models": [model.as_dict() for model in self],
        }
        return orjson.dumps(said, option=orjson.OPT_INDENT_2)

    @classmethod
    def from_bytes(cls, data: bytes) -> StoreIndex:
        """What `as_bytes` made. Raises ValueError with the reason for anything else."""
        try:
            said: Any = orjson.loads(data)
            if said["format"] != _FORMAT:
                raise ValueError(f"its format is {said['format']!r}, and {_FORMAT} is known here")
            index = cls(last={str(name): int(number) for name, number in said["last"].items()})
            for one in said["models"]:
                index = index.plus(StoredModel.from_dict(one))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"it lacks what an index has: {error}") from None
        # Adding a version sets the last number of its name, and one deleted since may be higher.
        return replace(index, last={str(name): int(last) for name, last in said["last"].items()})
