"""The launcher's garbage collector: calmer while a job runs, as it was afterwards."""

from __future__ import annotations

import gc

from thalweg.deploy.collector import calm_collector


def test_the_collector_is_calmer_inside_and_as_before_outside() -> None:
    before = gc.get_threshold()
    with calm_collector():
        assert gc.get_threshold()[0] > 10 * before[0]
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
