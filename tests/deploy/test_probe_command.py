"""`thalweg probe`: what it takes, what it prints, how it exits; with real servers where it asks."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thalweg.deploy.cli import main
from thalweg.deploy.fleet_farm import Farm


@pytest.fixture(scope="module")
def farm(sshd: None) -> Iterator[Farm]:
    with Farm(4, refusing=1, silent=0) as farm:
        yield farm


@pytest.fixture
def hosts(farm: Farm, tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    lines = [
        f"{target.name} ansible_host={target.address} ansible_port={target.port} "
        f"ansible_user={target.user} half={number % 2}"
        for number, target in enumerate(sorted(farm.targets, key=lambda target: target.name))
    ]
    good = [name.split()[0] for name in lines[:4]]
    path.write_text("\n".join(["[all]", *lines, "[good]", *good]) + "\n")
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = main(["probe", *words])
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capsys.readouterr()
    return status, out, err


def known(farm: Farm) -> list[str]:
    return ["--identity", farm.identity, "--known-hosts", farm.known_hosts]


@pytest.mark.service
def test_what_machines_say_is_grouped(
    capsys: pytest.CaptureFixture[str], farm: Farm, hosts: Path
) -> None:
    status, out, err = run(
        capsys, "--hosts", str(hosts), *known(farm), "--", "echo", "half", "{half}"
    )
    assert status == 1
    first, second, third = out.split("==> ")[1:]
    assert first == "m[0001,0003] (2): ok\nhalf 0\n"
    assert second == "m[0002,0004] (2): ok\nhalf 1\n"
    assert third.startswith("m0005: refused: ")
    assert err.startswith("5 targets in ")
    assert err.endswith(" s: 4 ok, 1 refused\n")


@pytest.mark.service
def test_all_that_is_well_exits_with_0(
    capsys: pytest.CaptureFixture[str], farm: Farm, hosts: Path, tmp_path: Path
) -> None:
    script = tmp_path / "show.sh"
    script.write_text('#!/bin/sh\necho "$1"\n')
    status, out, _ = run(
        capsys, "--hosts", str(hosts), "--only", "@good", *known(farm), "--script", str(script),
        "--", "it's {half}",
    )  # fmt: skip
    assert status == 0
    assert out.splitlines() == [
        "==> m[0001,0003] (2): ok", "it's 0", "==> m[0002,0004] (2): ok", "it's 1"
    ]  # fmt: skip


@pytest.mark.service
def test_results_come_as_json(capsys: pytest.CaptureFixture[str], farm: Farm, hosts: Path) -> None:
    status, out, _ = run(
        capsys, "--hosts", str(hosts), "--only", "m0001", *known(farm), "--json", "--", "exit 3"
    )
    result = json.loads(out)
    assert status == 1
    assert (result["target"], result["outcome"], result["exit_status"]) == ("m0001", "exit", 3)


@pytest.mark.service
def test_a_variable_that_a_machine_lacks_is_told(
    capsys: pytest.CaptureFixture[str], farm: Farm, hosts: Path
) -> None:
    status, out, err = run(
        capsys, "--hosts", str(hosts), "--only", "m0001", *known(farm), "--", "echo {hlaf}"
    )
    assert status in (1, 2)
    assert "did you mean {half}?" in out + err


def started(*words: str) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "thalweg.deploy.cli", "probe", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for what happens in other processes: nobody tells."""
    late = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < late, "it has not happened"
        time.sleep(0.02)


def _waits(pid: int) -> bool:
    """Whether a process has nothing to do."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _ended(pid: int, seconds: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.mark.service
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_it_ends_what_runs_on_the_machines(
    farm: Farm, hosts: Path, tmp_path: Path, number: signal.Signals
) -> None:
    told = tmp_path / "pids"
    os.mkfifo(told)
    command = f"echo {{target}} $$ >{told}; [ {{target}} = m0001 ] || exec sleep 86397.5; echo done"
    pids: dict[str, int] = {}
    with (
        started(
            "--hosts", str(hosts), "--only", "m[0001-0002]", *known(farm), "--", command
        ) as process,
        open(os.open(told, os.O_RDWR), encoding="ascii") as pipe,
    ):
        while len(pids) < 2:
            name, pid = pipe.readline().split()
            pids[name] = int(pid)
        # One has answered when its connection is closed, and all that follows is done at once.
        until(lambda: not farm.machine("m0001").sessions() and _waits(process.pid), 20.0)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert _ended(pids["m0002"], 5.0)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert out == "==> m0001: ok\ndone\n"
        assert err.startswith("1 target in ")
        assert err.endswith("thalweg: broken off, without an answer of m0002\n")


@pytest.mark.service
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "text"])
def test_a_reader_that_goes_away_is_no_error(farm: Farm, hosts: Path, form: list[str]) -> None:
    command = "yes | head -c 1000000"
    with started(
        "--hosts", str(hosts), "--only", "@good", *known(farm), *form, "--", command
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(30) == 0
    assert "thalweg" not in err
    assert "Traceback" not in err


def test_a_name_that_is_given_twice_is_told_of_once_and_probed_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    names = "nobody.invalid nobody.invalid"
    assert main(["probe", "--targets", names, "--json", "--", "true"]) == 1
    out, err = capfd.readouterr()
    assert json.loads(out)["detail"] == "its name does not resolve"
    assert err.count("listed twice") == 1


def test_a_passphrase_is_not_taken_from_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = run(capsys, "--targets", "a", "--passphrase", "open sesame", "--", "x")
    assert (status, out) == (2, "")
    assert "passphrase takes a secret as 'env:NAME'" in err
    assert "sesame" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--hosts", "none.txt", "--", "x"],
            "the list of targets none.txt cannot be read: No such",
        ),
        (["--hosts", "none.yml", "--", "x"], "the inventory none.yml cannot be read: No such"),
        (["--hosts", "bad.ini", "--", "x"], "bad.ini:2: a section is not closed"),
        (["--targets", "lab[1-", "--", "x"], "'lab[1-' has a bracket too many"),
        (
            ["--targets", "lab[1-2]", "--only", "lab3", "--", "x"],
            "there is no 'lab3'; did you mean",
        ),
        (["--targets", "a"], "no command: write it behind --"),
        (["--targets", "a", "--timeout", "0", "--", "x"], "timeout is from 1 second to 7 days"),
        (["--targets", "a", "--connect-timeout", "0", "--", "x"], "connect_timeout is more than 0"),
        (["--targets", "a", "--script", "none.sh"], "the script none.sh of the probe none cannot"),
        (["--targets", "a", "--hosts", "b", "--", "x"], "not allowed with argument --targets"),
        (["--", "x"], "one of the arguments --hosts --targets --ssh-config is required"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.ini").write_text("a\n[b\n")
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
