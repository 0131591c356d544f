"""Faults as text and as JSON: read with their units, and refused with what there is."""

from __future__ import annotations

import json

import pytest

from thalweg.deploy.serve import Faults, FaultsError


def test_a_text_says_all_of_them() -> None:
    text = (
        "latency=20ms, jitter=5ms,per_row=20us,workers=8,queue=4,rate=100,busy=0.05,"
        "retry_after=1,reset=0.001,hang=0.002,error=0.01,status=503,html=0.03,truncated=0.04,"
        "cut=0.06,short_rows=0.07,long_rows=0.08,seed=7"
    )
    faults = Faults.parsed(text)
    assert faults == Faults(
        latency=0.02,
        jitter=0.005,
        per_row=0.00002,
        workers=8,
        queue=4,
        rate=100,
        busy=0.05,
        retry_after=1,
        reset=0.001,
        hang=0.002,
        error=0.01,
        status=503,
        html=0.03,
        truncated=0.04,
        cut=0.06,
        short_rows=0.07,
        long_rows=0.08,
        seed=7,
    )
    assert set(faults.as_dict()) == {part.partition("=")[0].strip() for part in text.split(",")}
    assert Faults().changed(json.loads(json.dumps(faults.as_dict()))) == faults


def test_json_says_times_in_seconds_or_with_a_unit_and_leaves_the_others_as_they_were() -> None:
    faults = Faults(workers=8, latency=0.005)
    assert faults.changed({"latency": "10ms"}) == Faults(workers=8, latency=0.01)
    assert faults.changed({"latency": 0.01}) == Faults(workers=8, latency=0.01)
    assert Faults.parsed("retry_after=250ms").retry_after == 0.25
    assert Faults.parsed("latency=0") == Faults()


def test_what_is_as_always_is_not_told() -> None:
    assert repr(Faults(latency=0.02, error=0.5)) == "Faults(latency=0.02, error=0.5)"
    assert repr(Faults()) == "Faults()"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "latncy=20ms",
            r"no fault 'latncy' \(did you mean 'latency'\?\); there are latency, jitter",
        ),
        ("zzz=1", r"no fault 'zzz'; there are latency, .*long_rows, seed"),
        ("latency", "faults are NAME=VALUE,…, such as latency=20ms, not 'latency'"),
        ("latency=", "faults are NAME=VALUE"),
        ("", "faults are NAME=VALUE"),
        ("error=0.1,error=0.2", "the fault error is said twice"),
        ("latency=20", "latency is a time with its unit such as 20ms or 50us, .*, not '20'"),
        ("latency=20m", "latency is a time with its unit"),
        ("latency=-20ms", "latency is a time with its unit"),
        ("retry_after=soon", "retry_after is a time such as 200ms, or a number of seconds"),
        ("error=2", "error is a chance from 0 to 1, not 2"),
        ("error=-0.1", "error is a chance from 0 to 1, not -0.1"),
        ("error=often", "error is a chance from 0 to 1, not 'often'"),
        ("error=nan", "error is a chance from 0 to 1, not nan"),
        ("status=200", "status is an HTTP status from 400 to 599, not 200"),
        ("workers=1.5", r"workers is a whole number, 0 or more .*, not 1.5"),
        ("workers=-1", "workers is a whole number, 0 or more"),
        ("rate=-1", "rate is a number of requests a second"),
        ("seed=x", "seed is a whole number, not 'x'"),
        ("error=0.6,busy=0.5", r"one fault at most .*, but busy 0.5, error 0.6 are above 1"),
        ("queue=5", "queue goes with workers"),
        ("queue=-2,workers=1", "queue is a whole number"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(FaultsError, match=told):
        Faults.parsed(text)


@pytest.mark.parametrize(
    "said", [{"error": True}, {"workers": None}, {"latency": [1]}, {"latency": float("inf")}]
)
def test_json_of_the_wrong_type_is_refused(said: dict[str, object]) -> None:
    (name,) = said
    with pytest.raises(FaultsError, match=f"{name} is a"):
        Faults().changed(said)
