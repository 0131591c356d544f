"""Every bench runs, small, and says what it has to say; what it measures is not judged here."""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def run(tmp_path: Path, bench: str, *options: str) -> dict[str, Any]:
    """What a bench writes as JSON when it is run with these options."""
    written = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, str(BENCH / bench), *options, "--json", str(written)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(written.read_text())
    for line in (result["title"], result["machine"], result["python"], result["date"]):
        assert line in done.stdout
    for figure in result["figures"]:
        assert f"{figure['text']}: {figure['measured']}" in done.stdout
    return result


def texts(result: dict[str, Any]) -> list[str]:
    """What the figures of a result say."""
    return [figure["text"] for figure in result["figures"]]


def names(result: dict[str, Any], table: int = 0) -> list[str]:
    """The first column of a table."""
    return [row[0] for row in result["tables"][table]["rows"]]


@pytest.fixture
def benches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a module of `bench/`, which is no package, and forgets it again."""
    monkeypatch.setattr(sys, "path", [str(BENCH), *sys.path])
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        # What the benches loaded of others, others hold too.
        if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{BENCH}/"):
            del sys.modules[name]


def test_records_compares_with_a_loop_and_with_queues(tmp_path: Path) -> None:
    result = run(
        tmp_path, "records.py", "--records=3000", "--single=300", "--rounds=2", "--peers=none"
    )
    assert names(result) == [
        "bare loop", "thalweg", "asyncio.Queue by 64", "asyncio.Queue by 64, fused by hand",
    ]  # fmt: skip
    assert names(result, 1) == ["asyncio.Queue(16)", "thalweg"]
    assert len(result["numbers"]["batched"]["thalweg"]["shares"]) == 2
    assert texts(result)[0] == "share of the bare loop, at least 0.90"
    assert texts(result)[-1] == "one record a batch, share of asyncio.Queue(16), at least 1"


def test_latency_tells_median_and_tail(tmp_path: Path) -> None:
    result = run(tmp_path, "latency.py", "--records=60", "--rounds=2", "--warm=5")
    assert names(result)[:2] == ["thalweg", "asyncio.Queue"]
    latency = result["numbers"]["microseconds"]["thalweg"]
    assert 0 < latency["median"] <= latency["p99"] <= latency["worst"]
    assert texts(result) == ["median under 100 µs", "p99 under 1 ms"]


def test_memory_fills_its_channels_and_looks_at_them(tmp_path: Path) -> None:
    result = run(tmp_path, "memory.py", "--seconds=120", "--rate=1000")
    assert names(result), "no channel was seen"
    assert len(result["numbers"]["resident MiB by second"]) == 120
    bounds, flat = result["figures"]
    assert bounds["reached"], bounds
    assert flat["measured"].endswith(" s"), "the channels never filled"


def test_start_looks_at_what_is_loaded(tmp_path: Path) -> None:
    result = run(tmp_path, "start.py", "--rounds=1")
    assert names(result)[0] == "bare interpreter"
    loaded = [figure for figure in result["figures"] if "loads none of" in figure["text"]]
    assert len(loaded) == 2
    assert all(figure["reached"] for figure in loaded), loaded


def test_scoring_compares_with_a_loop(tmp_path: Path) -> None:
    result = run(
        tmp_path, "scoring.py", "--records=1280", "--rounds=1", "--delays", "0", "--peers=none"
    )
    assert {"bare loop", "thalweg"} <= set(names(result))
    assert any("share of the bare loop, at least 0.85" in text for text in texts(result))


def test_wire_sends_the_same_bodies_as_score_does(tmp_path: Path) -> None:
    result = run(
        tmp_path, "wire.py", "--records=1280", "--few=640", "--rounds=1", "--seconds=1"
    )  # fmt: skip
    for table in range(3):
        loops = ["bare loop, bodies beforehand", "bare loop", "thalweg"]
        assert names(result, table)[-3:] == loops
    if shutil.which("wrk"):
        assert [name for name in texts(result) if "share of wrk's rate, at least 0.60" in name]
    else:
        assert any("there is no wrk" in note for note in result["notes"])


def test_memory_stays_flat_while_a_server_hangs(tmp_path: Path) -> None:
    result = run(tmp_path, "hanging.py", "--seconds=4", "--calm=1", "--timeout=1")
    assert len(names(result)) == 3
    for figure in result["figures"]:
        assert figure["reached"], figure


def test_bundles_are_scored_in_order(tmp_path: Path) -> None:
    result = run(tmp_path, "bundles.py", "--seconds=1.5", "--rounds=1", "--peers=none")
    assert names(result) == ["thalweg, tuning itself"]
    (in_order,) = result["figures"]
    assert in_order["reached"], in_order
    assert result["numbers"]["records a second"]["thalweg, tuning itself"][0] > 0


def test_tuning_compares_with_a_grid(tmp_path: Path) -> None:
    result = run(
        tmp_path, "tuning.py", "--rounds=1", "--given=1.5", "--each=0.5", "--sizes", "64", "256",
        "--calls=8",
    )  # fmt: skip
    assert names(result) == ["8 in flight, batches of 64", "8 in flight, batches of 256"]
    assert len(names(result, 1)) == 1
    assert result["numbers"]["from the start"]["shares"][0] > 0
    assert len(texts(result)) == 4


def test_checkpoints_tells_what_an_epoch_costs(tmp_path: Path) -> None:
    result = run(
        tmp_path, "checkpoints.py", "--keys=500", "--more-keys=2000", "--seconds=1.5", "--warm=0.5",
        "--interval=0.2", "--rounds=1", "--pausing=1", "--peers=none", "--postgres=none",
        f"--folder={tmp_path}",
    )  # fmt: skip
    assert names(result) == ["no store", "local store"]
    local = result["numbers"]["cost"]["local store"][0]
    assert local["epochs"] >= 2
    assert result["numbers"]["cost"]["no store"][0]["epochs"] == 0
    pauses = result["numbers"]["pauses"]["pauses"][0]
    assert pauses["epochs"] >= 2
    assert 0 < pauses["within"]["wall"] < 1000
    assert "at least 0.95 of that without" in texts(result)[0]


def test_restart_kills_and_starts_again(tmp_path: Path) -> None:
    result = run(
        tmp_path, "restart.py", "--keys=2000", "--rounds=1", "--run=0.5", "--postgres=none",
        f"--folder={tmp_path}",
    )  # fmt: skip
    assert names(result) == ["local store"]
    seconds = result["numbers"]["seconds"]["local store"]
    assert 0 < seconds["first"][0] <= seconds["new"][0]
    assert len(texts(result)) == 1


def test_a_day_of_ticks_is_virtual(tmp_path: Path) -> None:
    result = run(tmp_path, "virtual_day.py", "--seconds=600", "--rounds=1")
    assert len(names(result)) == 3
    assert all(len(times) == 1 for times in result["numbers"]["real seconds"].values())
    assert "under 10 s" in texts(result)[0]


def test_activity_files_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "activity"
    result = run(tmp_path, "activity.py", str(folder), "--files=2", "--rows=700", "--markers")
    assert result["numbers"]["rows"] == 1_400
    assert names(result, 1) == ["stand", "sit", "walk", "null", "stairsup", "stairsdown", "bike"]
    assert len(list(folder.glob("*.json"))) == 2
    assert texts(result) == ["written in under 120 s"]


@pytest.mark.parametrize(("check", "status"), [(True, 1), (False, 0)])
def test_a_missed_figure_is_an_error_only_when_asked(
    check: bool,
    status: int,
    benches: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = benches("measure").Report("a title")
    report.figure("fast enough", "3 s", reached=True)
    assert report.finish(argparse.Namespace(json=None, check=check)) == 0
    report.figure("small enough", "2 MiB", reached=False)
    assert report.finish(argparse.Namespace(json=None, check=check)) == status
    assert "MISSED   small enough: 2 MiB" in capsys.readouterr().out


def test_rounds_alternate_their_order(benches: Callable[[str], Any]) -> None:
    order: list[str] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = benches("measure").interleaved(
        {"a": lambda: contender("a"), "b": lambda: contender("b")}, 2, "test"
    )
    assert order == ["a", "b", "b", "a"]
    assert measured == {"a": [1.0, 4.0], "b": [2.0, 3.0]}


def test_a_peer_that_dies_is_named(benches: Callable[[str], Any]) -> None:
    environments = benches("environments")
    with pytest.raises(environments.PeerMissing, match=r"^nobody failed: .*No module named"):
        environments.Worker("nobody", sys.executable, "no_such_peer", [])


@pytest.mark.service
@pytest.mark.usefixtures("sshd")
def test_probing_sweeps_machines_anew_and_over_kept_connections(tmp_path: Path) -> None:
    result = run(
        tmp_path, "probing.py", "--rounds=1", "--peers=none", "--sizes=4", "--machines=12",
        "--parts", "kept", "large",
    )  # fmt: skip
    assert [table["title"].split(":")[0] for table in result["tables"]] == [
        "12 good machines over kept connections",
        "one sweep, nothing connected",
    ]
    assert result["numbers"]["kept"]["false outcomes"] == [0] * 7
    assert result["numbers"]["4 machines"]["wrong"] == 0


@pytest.mark.service
@pytest.mark.usefixtures("sshd")
def test_probing_kills_the_prober_and_lives_through_a_month(tmp_path: Path) -> None:
    result = run(
        tmp_path, "probing.py", "--rounds=1", "--peers=none", "--month=8", "--machines=12",
        "--parts", "killed", "month",
    )  # fmt: skip
    assert [table["title"].split(":")[0] for table in result["tables"]] == [
        "kill -9 in the middle of a sweep of 12 machines, 10 at once",
        "0.1 days of 169 machines in virtual time",
    ]
    assert result["numbers"]["killed"]["left"] == 0 < result["numbers"]["killed"]["running"]
    assert result["numbers"]["month"]["attempts"] == 8 * 169
    agree = [figure for figure in result["figures"] if "agree" in figure["text"]]
    assert agree[0]["reached"], agree


def test_analytics_time_compares_windows_and_joins_with_bytewax(tmp_path: Path) -> None:
    options = ("--events", "20000", "--pairs", "2000", "--rounds", "1")
    result = run(tmp_path, "analytics_time.py", *options)
    if len(result["figures"]) == 1:
        pytest.skip(result["figures"][0]["measured"])
    assert names(result) == ["bytewax: windows", "thalweg: windows, records",
                             "thalweg: windows, columns"]  # fmt: skip
    assert names(result, 1) == ["bytewax: join", "thalweg: join, records", "thalweg: join, columns"]
    same = [figure for figure in result["figures"] if "same result" in figure["text"]]
    assert len(same) == 4
    assert all(figure["reached"] for figure in same), same


def test_analytics_compares_with_duckdb(tmp_path: Path) -> None:
    options = ("--files", "3", "16", "--rows=300", "--rounds=1", "--peers=none")
    result = run(tmp_path, "analytics.py", *options)
    assert names(result) == names(result, 1) == ["DuckDB, at rest", "thalweg"]
    assert texts(result)[0] == "3 files: at most 1.5 times DuckDB's time at rest"
    equal = [figure for figure in result["figures"] if "all answers equal" in figure["text"]]
    assert len(equal) == 2
    assert all(figure["reached"] for figure in equal), equal
    assert set(result["numbers"]["seconds a file"]) == {"2", "16"}


def test_analytics_modes_compares_with_what_spark_told(tmp_path: Path) -> None:
    told = Path(__file__).with_name("as_spark.json")
    result = run(tmp_path, "analytics_modes.py", f"--against={told}")
    assert len(names(result)) == len(result["figures"]) == 9
    assert all(figure["reached"] for figure in result["figures"]), result["figures"]


def test_analytics_sql_asks_while_files_are_read(tmp_path: Path) -> None:
    options = ("--files=6", "--rows=3000", "--rounds=1", "--every=0.01")
    result = run(tmp_path, "analytics_sql.py", *options)
    assert names(result) == ["unasked", "asked"]
    assert result["numbers"]["milliseconds"], "nothing was answered while files were read"
    assert [text.split(" ")[0] for text in texts(result)] == ["p99", "the"]
