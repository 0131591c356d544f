"""Why a target could not be asked."""

from __future__ import annotations

from ..probes.probe_result import ProbeOutcome

__all__ = ["NotReached"]


class NotReached(Exception):
    """A target could not be asked: the outcome for all its probes, and the reason in words.

    The reason is made of our own words, not of what the library says, which may quote keys.
    """

    def __init__(self, outcome: ProbeOutcome, detail: str) -> None:
        super().__init__(outcome, detail)
        self.outcome: ProbeOutcome = outcome
        self.detail = detail

    @property
    def passes(self) -> bool:
        """Whether it may be otherwise in a moment."""
        return self.outcome == "busy"
