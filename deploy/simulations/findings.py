"""What has been found over many seeds, counted and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import cast

from .forks import Result

__all__ = ["Findings", "came_through", "told"]


class Findings:
    """Takes in the results of seeds, one after the other."""

    def __init__(self) -> None:
        self.seeds = 0
        self.failed: list[Result] = []
        self.not_compared: dict[str, str] = {}
        self._sums: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        """Take in one."""
        self.seeds += 1
        if not came_through(result):
            self.failed.append(result)
        self.not_compared |= cast("Mapping[str, str]", result.get("not_compared", {}))
        self._sums["faults"] += len(cast("list[object]", result.get("faults", [])))
        for name in ("starts", "epochs", "records"):
            self._sums[name] += cast("int", result.get(name, 0))

    def text(self, graph: str, seconds: float, *, asked: int) -> str:
        """The sum of it, for a person; `asked` is the number of seeds that were to be tried."""
        sums, failed = self._sums, len(self.failed)
        what = "all came through" if not failed else f"{failed:,} did not come through"
        if asked == 1:
            what = "it came through" if not failed else "it did not come through"
        seeds = "1 seed" if self.seeds == 1 else f"{self.seeds:,} seeds"
        if self.seeds < asked:
            seeds += f" of {asked:,}"
        lines = [
            f"{graph}: {seeds}, {what} ({seconds:.1f} s)",
            f"  {sums['faults']:,} faults, {sums['starts']:,} starts, {sums['epochs']:,} epochs, "
            f"{sums['records']:,} records in sinks",
        ]
        lines += [f"  {name} is not compared: {why}" for name, why in self.not_compared.items()]
        return "\n".join(lines)

    def as_dict(self, graph: str, seconds: float) -> dict[str, object]:
        """The sum of it as plain data, ready for JSON."""
        failed = [{k: v for k, v in one.items() if k != "text"} for one in self.failed]
        return {
            "graph": graph,
            "seeds": self.seeds,
            "failed": failed,
            "not_compared": self.not_compared,
            **{name: self._sums[name] for name in ("faults", "starts", "epochs", "records")},
            "seconds": round(seconds, 3),
        }


def came_through(result: Result) -> bool:
    """Whether a seed did as without faults."""
    return result.get("ok") is True


def told(result: Result) -> str:
    """What became of one seed, for a person."""
    seed = result["seed"]
    if "died" in result:
        return f"seed {seed}: {result['died']}"
    if "without_faults" in result:
        return f"seed {seed}: the graph fails without any fault: {result['without_faults']}"
    return str(result["text"])
