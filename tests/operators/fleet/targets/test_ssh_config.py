"""Targets from the configuration of OpenSSH's client."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg import MisconfiguredError
from thalweg.operators.fleet import Target, ssh_config


def test_every_host_that_names_one_machine_is_a_target(tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.write_text("Host inner\n  Port 2200\n")
    path = tmp_path / "config"
    path.write_text(
        f"Include {more}\n"
        "Host gate\n  HostName 10.0.0.1\n  User root\n"
        'Host lab1 "lab2" *.example.org !no\n  HostName %h.labs.example.org\n'
        "  ProxyJump ana@gate:23,x\n"
        "Match originalhost lab2\n  Port=2022\n"
        "Host *\n  User probe\n  IdentityFile ~/.ssh/labs\n"
    )
    keys = ("~/.ssh/labs",)
    through = ("ana@gate:23", "x")
    found = ssh_config(path)()
    assert [one.name for one in found] == ["inner", "gate", "lab1", "lab2"]
    expanded = tuple(str(Path(key).expanduser()) for key in keys)
    by_name = {one.name: one for one in found}
    assert by_name["gate"].identities in (keys, expanded)
    kept = by_name["gate"].identities
    assert by_name["gate"] == Target("gate", host="10.0.0.1", user="root", identities=kept)
    assert by_name["lab2"] == Target(
        "lab2", host="lab2.labs.example.org", port=2022, user="probe", identities=kept, jump=through
    )
    assert (by_name["inner"].port, by_name["inner"].user) == (2200, "probe")
    assert [one.name for one in ssh_config(path).only("lab[1-2]")()] == ["lab1", "lab2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Host a\n  Port many\n", "line 2: Invalid Port integer value: many"),
        ("Host 'a\n", "config:1: No closing quotation"),
        ("Host *\n  User x\n", "names no machine"),
        ("Host a\nMatch exec 'touch MADE'\n  User x\n", "config:2: Match exec would run a command"),
        ("Host a\nmatch host a !EXEC='touch MADE'\n", "config:2: Match exec would"),
        ("Host a\n\x0c'Match' \"exec\" 'touch MADE'\n", "config:2: Match exec would"),
        ("Host a\rMatch=exec 'touch MADE'\n", "config:2: Match exec would"),
        ("Host a\n  ProxyCommand nc %h %p\n", "config:1: a has a ProxyCommand"),
        ("Host a/b\n", "config:1: 'a/b' is no name of a machine"),
        ("Host a\nInclude SELF\n", "includes more than 200 files: does one include itself?"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_run(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text.replace("SELF", str(path)).replace("MADE", str(tmp_path / "made")))
    with pytest.raises(MisconfiguredError) as told:
        ssh_config(path)()
    assert message in str(told.value)
    assert not (tmp_path / "made").exists()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="none cannot be read: No such file"):
        ssh_config(tmp_path / "none")()
