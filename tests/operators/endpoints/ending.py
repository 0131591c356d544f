"""The end of a process that is nobody's child here, waited for without looking again and again."""

from __future__ import annotations

import os
import select
from pathlib import Path


def is_gone(process: int) -> bool:
    """Whether there is no such process, or only what its parent has not asked for yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def gone_within(process: int, seconds: float) -> bool:
    """Whether the process ends in that time."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
