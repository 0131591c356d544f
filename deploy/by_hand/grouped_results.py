"""Results of one sweep for people: machines that said the same stand together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ...operators.fleet import OUTCOMES, ProbeOutcome, ProbeResult, folded

__all__ = ["grouped", "summed_up"]

# A machine may print what a terminal obeys; here it is shown, and not obeyed. Also what hides in
# text: marks that turn the direction of writing.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_Group = tuple[ProbeOutcome, int | None, str | None, str, str, str, bool]


def grouped(results: Sequence[ProbeResult]) -> Iterator[str]:
    """A text for each set of machines of which all came to the same, best outcome first.

    >>> from thalweg.operators.fleet import result_of
    >>> same = [result_of("up 3 days\\n", target=f"lab0{n}") for n in (1, 2, 3)]
    >>> print(*grouped([*same, result_of("", target="lab07", outcome="refused")]), sep="\\n")
    ==> lab[01-03] (3): ok
    up 3 days
    ==> lab07: refused
    """
    groups: dict[_Group, list[str]] = {}
    for result in results:
        key = (
            result["outcome"],
            result["exit_status"],
            result["signal"],
            _detail(result),
            result["stdout"],
            result["stderr"],
            result["truncated"],
        )
        groups.setdefault(key, []).append(result["target"])
    # What most say comes first, and what is odd last: just above the prompt.
    ranks = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
    for key in sorted(groups, key=lambda key: (ranks[key[0]], -len(groups[key]), min(groups[key]))):
        yield "\n".join(_lines(key, groups[key]))


def summed_up(results: Sequence[ProbeResult], seconds: float) -> str:
    """The outcomes in a line.

    >>> from thalweg.operators.fleet import result_of
    >>> summed_up([result_of("x"), result_of("", outcome="busy", target="lab02")], 1.25)
    '2 targets in 1.2 s: 1 ok, 1 busy'
    """
    counts = Counter(result["outcome"] for result in results)
    told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    number = len({result["target"] for result in results})
    return f"{number} target{'s' if number != 1 else ''} in {seconds:.1f} s: {told or 'none'}"


def _detail(result: ProbeResult) -> str:
    """The words for what went wrong, with the name of the machine taken out, to let them group."""
    if result["outcome"] in ("ok", "exit"):
        return ""
    return re.sub(rf"\b{re.escape(result['target'])}\b", "it", result["detail"])


def _lines(key: _Group, names: Sequence[str]) -> Iterator[str]:
    outcome, status, signal, detail, stdout, stderr, truncated = key
    many = f" ({len(names)})" if len(names) > 1 else ""
    how = f" {status}" if outcome == "exit" and status is not None and not signal else ""
    how += f" by {signal}" if signal else ""
    how += f": {_shown(detail)}" if detail else ""
    how += " (output cut)" if truncated else ""
    yield f"==> {folded(names)}{many}: {outcome}{how}"
    for text in (stdout, stderr):
        if text.strip():
            yield _shown(text.rstrip("\n"))


def _shown(text: str) -> str:
    return _OBEYED.sub(lambda match: f"\\x{ord(match[0]):02x}", text.replace("\r\n", "\n"))
