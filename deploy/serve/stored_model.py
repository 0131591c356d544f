"""What a store tells about one version of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...runtime.dataclass import dataclass

__all__ = ["StoredModel"]

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_KIND = re.compile(r"[a-z]{1,20}\Z")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One version: its name, its number from 1 on, and which bytes it is.

    >>> model = StoredModel("iris", 2, "onnx", 9, "ab" * 32, "2026-11-26T12:00:00+00:00")
    >>> model.id, model.file
    ('iris-2-abababababab', 'abababababababababababababababababababababababababababababababab.onnx')

    `size` is in bytes, `stored_at` a time in UTC.
    """

    name: str
    version: int
    kind: str
    size: int
    sha256: str
    stored_at: str

    @property
    def id(self) -> str:
        """What names this version and no other one, as a deployment's id does."""
        return f"{self.name}-{self.version}-{self.sha256[:12]}"

    @property
    def file(self) -> str:
        """The file in the store that holds it; versions of the same bytes share one."""
        return f"{self.sha256}.{self.kind}"

    def as_dict(self) -> dict[str, object]:
        """As JSON tells it."""
        return {**asdict(self), "id": self.id}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> StoredModel:
        """What `as_dict` made. Raises KeyError, TypeError or ValueError for anything else."""
        model = cls(
            name=str(said["name"]),
            version=int(said["version"]),
            kind=str(said["kind"]),
            size=int(said["size"]),
            sha256=str(said["sha256"]),
            stored_at=str(said["stored_at"]),
        )
        # Both become the name of a file.
        if not _SHA256.match(model.sha256) or not _KIND.match(model.kind) or model.version < 1:
            raise ValueError(f"{model.name} version {model.version}")
        return model
