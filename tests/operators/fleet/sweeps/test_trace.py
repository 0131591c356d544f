"""Lines of a trace: written, read, and whatever a name holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.operators.fleet import SweepSummary, read_trace, trace_line

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=3)


def summary(**given: Any) -> SweepSummary:
    made: Any = {
        "sweep": 7,
        "probe": "usage",
        "seconds": 1.5,
        "ok": [],
        "failed": [],
        "unavailable": [],
    }
    made.update(given)
    return cast("SweepSummary", made)


def test_a_line_is_as_ddc_had_it(tmp_path: Path) -> None:
    up = [f"m{number:03}" for number in range(120)]
    down = [f"m{number:03}" for number in range(120, 169)]
    line = trace_line(summary(sweep=1081948390, seconds=381.92, ok=up, unavailable=down))
    assert line.startswith("1081948390|120|0|49|71.0|381.9|m000,m001,")
    assert line.endswith("m119,| |" + "".join(f"{name}," for name in down) + "|")


@given(ok=NAMES, failed=NAMES, unavailable=NAMES)
def test_any_name_is_read_as_it_was(
    ok: list[str],
    failed: list[str],
    unavailable: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("trace") / "usage.trace"
    written = summary(ok=ok, failed=failed, unavailable=unavailable)
    path.write_text(trace_line(written) + "\n", newline="\n", encoding="utf-8")
    assert list(read_trace(path)) == [written]
    assert path.read_bytes().count(b"\n") == 1


def test_half_a_character_in_a_name_does_not_stop_the_trace() -> None:
    assert "m\\ud800," in trace_line(summary(ok=["m\ud800"]))


def test_a_trace_without_the_comma_behind_the_last_name_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "p.trace"
    path.write_text("7|2|1|0|66.7|1.0|a,b|c| |\n")
    (read,) = read_trace(path, probe="other")
    assert (read["probe"], read["ok"], read["failed"]) == ("other", ["a", "b"], ["c"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("7|0|0|0|0.0|1.0| | |", "9 fields"),
        ("7|0|0|0|0.0|1.0| | | |", "9 fields"),
        ("7|2|0|0|0.0|1.0|a,| | |\n", "not as many"),
        ("seven|0|0|0|0.0|1.0| | | |\n", "seven"),
        ("\n", "no sweep"),
    ],
)
def test_what_is_no_line_is_told_with_its_number(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "p.trace"
    path.write_text(trace_line(summary()) + "\n" + line)
    with pytest.raises(ValueError, match=f"line 2: .*{told}"):
        list(read_trace(path))
