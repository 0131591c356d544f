"""Hidden files: what a sink has written for an epoch, and nobody is to see yet."""

from __future__ import annotations

import os
import re

from ...runtime.contracts import Fence

__all__ = ["HiddenParts"]


class HiddenParts:
    """The names of the hidden files of one sink in a folder.

    A file is first *written*, under a name that tells the state and the start of the job, so that
    an older copy writes files of its own; when it is *prepared*, it is renamed to tell the epoch.
    """

    def __init__(self, folder: str, name: str, fence: Fence | None) -> None:
        from hashlib import sha256  # It takes longer to import than all else here.

        lineage, token = ("", 0) if fence is None else (fence.lineage, fence.token)
        self._folder = folder
        self._state = sha256(lineage.encode("utf-8", "backslashreplace")).hexdigest()[:8]
        self._own = f".{name}.{self._state}-{token}"
        self._pattern = re.compile(
            re.escape(f".{name}.") + r"([0-9a-f]{8})-\d+\.(?:(\d{12,})\.)?\d+\.part\Z"
        )

    def written(self, number: int = 0) -> str:
        """The path of a file that is being written."""
        return os.path.join(self._folder, f"{self._own}.{number}.part")

    def prepared(self, epoch: int, number: int = 0) -> str:
        """The name of a file that is prepared for an epoch."""
        return f"{self._own}.{epoch:012}.{number}.part"

    def sweep(self, epoch: int) -> None:
        """Remove all but what this state has prepared for `epoch`."""
        for name in os.listdir(self._folder or "."):
            found = self._pattern.match(name)
            if found is None:
                continue
            if found[1] != self._state or found[2] is None or int(found[2]) != epoch:
                os.unlink(os.path.join(self._folder, name))
