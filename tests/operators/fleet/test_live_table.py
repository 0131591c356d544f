"""The table on the terminal."""

from __future__ import annotations

import io

import pytest

from thalweg.operators.fleet import ProbeResult, UsageSample, live_table, wants_colour

from .results import SWEEP, result
from .usage.test_samples import answers, printed, samples


def fleet(*results: ProbeResult) -> dict[str, ProbeResult]:
    return {each["target"]: each for each in results}


def measured(sweep: int = SWEEP) -> dict[str, UsageSample]:
    (sample,) = samples(answers(printed(1000, 1500, more="session=eve tty1 @1\n")))
    return {"m1": {**sample, "sweep": sweep}}


def test_those_that_failed_stand_first_and_those_that_are_off_last() -> None:
    lines = live_table(
        fleet(
            result("m3", "unreachable", detail="no answer in 1 s"),
            result("m1"),
            result("m2", "timeout", detail="of the handshake"),
        ),
        measured(),
    )
    assert lines == [
        f"sweep {SWEEP}: 1 ok, 1 failed, 1 unavailable",
        "machine                  outcome               s  idle   mem users",
        "m2                       timeout            0.25  of the handshake",
        "m1                       ok                 0.25   75%   75%     1",
        "m3                       unreachable        0.25  no answer in 1 s",
    ]


def test_a_sample_of_another_sweep_is_not_shown() -> None:
    lines = live_table(fleet(result("m1")), measured(SWEEP - 900))
    assert "%" not in lines[-1]


def test_colours_are_there_only_if_they_are_wanted_and_end_with_the_line() -> None:
    latest = fleet(result("m1"), result("m2", "timeout"), result("m3", "refused"))
    plain, coloured = live_table(latest), live_table(latest, colour=True)
    assert "\x1b" not in "".join(plain)
    assert coloured[2] == f"\x1b[31m{plain[2]}\x1b[0m"
    assert coloured[3].startswith("\x1b[32m")
    assert all(line.count("\x1b") in (0, 2) for line in coloured)


def test_no_name_and_no_word_of_a_machine_steers_the_terminal() -> None:
    evil = "m1\x1b]0;owned\x07\n\r\x9b31m\u202e"
    (*_, line) = live_table(
        fleet(
            result(evil, "exit", detail=evil),
        )
    )
    assert line.isprintable()
    assert line.startswith("m1\ufffd]0;owned")


@pytest.mark.parametrize("name", ["x" * 500, "機" * 500, "a機" * 20])
def test_lines_are_no_wider_and_no_more_than_there_is_room_for(name: str) -> None:
    from unicodedata import east_asian_width

    latest = fleet(*(result(f"{name}{n}", "timeout", detail="y" * 500) for n in range(100)))
    lines = live_table(latest, width=70, height=10)
    assert len(lines) == 10
    assert lines[-1] == "and 93 more"
    for line in lines:
        assert sum(2 if east_asian_width(each) in "WF" else 1 for each in line) <= 70


def test_all_are_shown_where_they_just_fit() -> None:
    latest = fleet(*(result(f"m{n}") for n in range(8)))
    assert len(live_table(latest, height=10)) == 10
    assert live_table(latest, height=10)[-1].startswith("m7")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_colours_unless_somebody_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_colour(Terminal())
    assert not wants_colour(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Terminal())
