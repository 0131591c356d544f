"""What becomes of a test whose program or service this machine lacks."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["found", "missing"]


def missing(reason: str) -> NoReturn:
    """Skip the test; with CI set, fail it: there everything must be."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def found(program: str, folders: str | None = None) -> str:
    """The path of a program that the test needs."""
    path = shutil.which(program, path=folders)
    if path is None:
        missing(f"{program} is not installed: run `make services`")
    return path
