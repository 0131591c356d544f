"""Results for people: grouped, in order, and harmless to a terminal."""

from __future__ import annotations

from thalweg.deploy.by_hand.grouped_results import grouped, summed_up
from thalweg.operators.fleet import ProbeResult, result_of


def down(target: str, outcome: str, detail: str) -> ProbeResult:
    return {**result_of("", target=target), "outcome": outcome, "detail": detail}  # type: ignore[typeddict-item]  # pyright: ignore[reportReturnType]


def test_what_is_the_same_stands_together_and_what_is_odd_at_the_end() -> None:
    results: list[ProbeResult] = [
        down("pc2", "unreachable", "pc2 does not resolve"),
        result_of("b\n", target="lab02"),
        result_of("a\n", target="lab03"),
        down("pc1", "unreachable", "pc1 does not resolve"),
        result_of("a\n", target="lab01", stderr="warned\n"),
        result_of("a\n", target="lab04"),
        result_of("c", target="lab05", outcome="exit", exit_status=3),
        {**result_of("", target="lab06", outcome="exit", exit_status=137), "signal": "KILL"},
        result_of("x", target="lab07", truncated=True),
    ]
    assert list(grouped(results)) == [
        "==> lab[03-04] (2): ok\na",
        "==> lab01: ok\na\nwarned",
        "==> lab02: ok\nb",
        "==> lab07: ok (output cut)\nx",
        "==> lab05: exit 3\nc",
        "==> lab06: exit by KILL",
        "==> pc[1-2] (2): unreachable: it does not resolve",
    ]


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    (text,) = grouped([result_of("a\x1b]0;x\x07\tb\r\nc\rd\u202ee\x9b2J", target="lab01")])
    assert text == "==> lab01: ok\na\\x1b]0;x\\x07\tb\nc\\x0dd\\x202ee\\x9b2J"


def test_outcomes_are_counted() -> None:
    results = [result_of("", target=f"n{n}") for n in range(3)]
    results.append(down("x", "refused", "its port is closed"))
    assert summed_up(results, 2.0) == "4 targets in 2.0 s: 3 ok, 1 refused"
    assert summed_up([], 0.0) == "0 targets in 0.0 s: none"
