"""`reports`: what the sweeps have found, from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from thalweg.operators.fleet import SweepSummary, reports
from thalweg.operators.sinks import Attachment, Mail
from thalweg.testing import OPERATOR_CHECKS, At, OperatorCase, Wake, feed

Check = Callable[[OperatorCase[Any, Any]], Coroutine[Any, Any, None]]
DAY = 86_400.0


def sweep(number: int, probe: str = "usage", **given: Any) -> At[SweepSummary]:
    at = 1_081_900_800 + 900 * number
    made: Any = {
        "sweep": at,
        "probe": probe,
        "seconds": 10.0 + number,
        "ok": ["m1", "m2"],
        "failed": ["m3"],
        "unavailable": ["m4"],
        **given,
    }
    return At(made, float(at))


def mails(values: Sequence[object], *, end: bool = False, **options: Any) -> list[Mail]:
    fed = asyncio.run(feed(reports("lab", **options), values, end=end))
    assert not fed.dead_letters
    return fed.records


TEXT = """\
usage: 2 sweeps, from 2004-04-14 00:00 to 2004-04-14 00:15
  8 attempts: 4 ok, 2 failed, 2 unavailable
  a sweep took 10.5 s, 11.0 s at most
  failed most often: m3 (2)
  never there: m4"""


@pytest.mark.parametrize("check", OPERATOR_CHECKS, ids=lambda check: check.__name__)
def test_it_keeps_the_contract(check: Check) -> None:
    case: OperatorCase[Any, Any] = OperatorCase(
        reports,
        records=[sweep(0), sweep(1), Wake(sweep(0).at + DAY), sweep(100, ok=[], failed=[])],
        expected=[
            Mail("fleet: 2 sweeps, 50.0 % ok", TEXT),
            Mail(
                "fleet: 1 sweep, 0.0 % ok",
                "usage: 1 sweep, from 2004-04-15 01:00 to 2004-04-15 01:00\n"
                "  1 attempts: 0 ok, 0 failed, 1 unavailable\n"
                "  a sweep took 110.0 s, 110.0 s at most\n"
                "  never there: m4",
            ),
        ],
        bad=[At({"sweep": 1}, 1.0), At({**sweep(0).record, "ok": None}, 1.0)],
    )
    asyncio.run(check(case))


def test_the_trace_of_each_probe_is_attached(tmp_path: Path) -> None:
    values = [sweep(0), sweep(0, probe="a/b")]
    (mail,) = mails(values, end=True, traces=tmp_path)
    assert mail.attachments == (
        Attachment("a%2Fb.trace", tmp_path / "a%2Fb.trace"),
        Attachment("usage.trace", tmp_path / "usage.trace"),
    )


def test_that_no_sweep_ended_is_told_too() -> None:
    values = [sweep(0), Wake(sweep(0).at + DAY), Wake(sweep(0).at + 2 * DAY)]
    first, second = mails(values)
    assert first.subject == "lab: 1 sweep, 50.0 % ok"
    assert second.subject == "lab: no sweep has ended"


def test_reports_that_were_missed_are_one_and_do_not_move_the_next() -> None:
    start = sweep(0).at
    values = [sweep(0), Wake(start + 1.5 * DAY)]
    assert len(mails(values)) == 1
    late = asyncio.run(_woken_late(start))
    assert late == start + 6 * DAY


async def _woken_late(start: float) -> float | None:
    from thalweg.testing import context

    operator = reports(every="1d")
    await operator.open(context())
    assert list(operator.process_at(sweep(0).record, start)) == []
    assert len(list(operator.on_wake(start + 5.5 * DAY))) == 1
    return operator.wake_at()


def test_many_machines_are_named_in_part_and_in_one_line() -> None:
    names = [f"m{number:03}\n" for number in range(50)]
    (mail,) = mails([sweep(0, failed=names, unavailable=[])], end=True)
    assert "  failed most often: m000  (1), m001  (1)," in mail.text
    assert "m019  (1) and 30 more" in mail.text


@pytest.mark.parametrize("every", [0, "1m", -5])
def test_a_time_that_makes_no_sense_is_refused(every: Any) -> None:
    with pytest.raises(ValueError, match="every"):
        reports(every=every)
