"""What a simulation has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ...dataclass import dataclass
from .faults import Happened

__all__ = ["Report"]


@dataclass(frozen=True, slots=True)
class Report:
    """What one seed did to a graph, and whether it came through: see `simulate`, which returns it.

    `faults` are those that were injected, `differences` what is wrong in words, by sink or by `*`
    for the graph as a whole. Of a seed that finds something, `left_out` more were not needed.
    `not_compared` names sinks, each with the reason, that hold something else in each run, also
    without faults. `starts`, `epochs`, `records` (in all targets, without faults) and `seconds` of
    virtual time say how much was tried.
    """

    seed: int
    faults: tuple[Happened, ...] = ()
    differences: Mapping[str, str] = field(default_factory=dict[str, str])
    not_compared: Mapping[str, str] = field(default_factory=dict[str, str])
    left_out: int = 0
    starts: int = 0
    epochs: int = 0
    records: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.differences

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, ready for JSON."""
        return {
            "seed": self.seed,
            "ok": self.ok,
            "faults": [{"at": one.at, "what": one.what} for one in self.faults],
            "differences": dict(self.differences),
            "not_compared": dict(self.not_compared),
            "left_out": self.left_out,
            "starts": self.starts,
            "epochs": self.epochs,
            "records": self.records,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {'as without faults' if self.ok else 'not as without faults'}, "
            f"after {self.starts} starts and {self.epochs} epochs"
        ]
        lines += [f"  {fault}" for fault in self.faults]
        if self.left_out:
            lines.append(f"  (the same without {self.left_out} more of its faults)")
        for name, what in self.differences.items():
            lines.append(f"  {what}" if name == "*" else f"  {name}: {what}")
        lines += [f"  {name} is not compared: {why}" for name, why in self.not_compared.items()]
        return "\n".join(lines)
