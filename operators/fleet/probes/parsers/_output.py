"""The output that parsers read, and how they tell what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

from .....runtime.contracts import DataError
from ..probe_result import ProbeResult

__all__ = ["lines_of", "output_of", "wrong"]


def output_of(result: ProbeResult, what: str) -> str:
    """What the probe printed, all of it. Raises DataError where there is nothing, or a part."""
    if result["truncated"]:
        raise DataError(
            f"{what}: the output was cut at its limit of {len(result['stdout'])} characters; raise "
            "max_output of the probe"
        )
    text = result["stdout"]
    if not text.strip():
        said = result["stderr"].strip()[:200]
        raise DataError(
            f"{what}: nothing was printed" + (f", but on stderr: {said}" if said else "")
        )
    return text


def lines_of(result: ProbeResult, what: str) -> Iterator[tuple[int, str]]:
    """The lines that hold something, numbered from 1, without their ends."""
    for number, line in enumerate(output_of(result, what).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def wrong(what: str, number: int, why: str, line: str) -> DataError:
    """The error that names a line and shows it."""
    return DataError(f"{what}: line {number}: {why}: {line[:120]!r}")
