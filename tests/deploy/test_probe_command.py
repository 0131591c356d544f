"""`thalweg probe`: what it takes, what it prints, how it exits; with real servers where it asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
