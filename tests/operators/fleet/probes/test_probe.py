"""Probes as they are declared, and how their placeholders are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg import MisconfiguredError
from thalweg.operators import fleet


def test_a_probe_is_named_for_its_first_word_without_its_folder() -> None:
    assert fleet.probe("/usr/bin/df -P").name == "df"
    assert fleet.probe("'odd name' x").name == "_odd"
    assert fleet.probe("[ -e /tmp ]").name == "_"
    assert fleet.script("checks/disk.v2.sh").name == "disk.v2"
    assert fleet.probe("df -P", name="disks").name == "disks"


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "a/b", "x" * 64, "ü", "a\n", ".x"])
def test_a_name_that_no_file_should_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name of a probe is 1 to 63 letters"):
        fleet.probe("true", name=name)


def test_placeholders_are_found_where_a_shell_would_fill_a_variable_in() -> None:
    text = """x {a} "{b}" '{c}' $ {d} ${e} \\{f} {g,h} {} { i; } {j.k} awk '{print}' "it's {l}" """
    assert fleet.probe(text).placeholders == ["a", "b", "d", "l"]
    assert fleet.script("x.sh", args=["{a}", "{{b}}", "{{{c}}}"]).placeholders == ["a", "c"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0.5}, "timeout is from 1 second to 7 days, not 0.5"),
        ({"timeout": "8d"}, "timeout is from 1 second to 7 days, not '8d'"),
        ({"timeout": "5m"}, "timeout is a number of seconds"),
        ({"max_output": 0}, "max_output is from 1 byte to 1 GiB, not 0"),
        ({"max_output": 1e6}, "max_output is from 1 byte to 1 GiB, not 1000000.0"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fleet.probe("true", **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("command", "message"),
    [(" \n", "command is empty"), ("a\0b", "NUL"), ("x" * 70_000, r"send that with script\(\)")],
)
def test_a_command_that_no_shell_takes_is_refused(command: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fleet.probe(command)


def test_arguments_are_a_list() -> None:
    with pytest.raises(TypeError, match=r"write args=\['-v'\]"):
        fleet.script("x.sh", args="-v")
    with pytest.raises(ValueError, match="cannot hold a NUL"):
        fleet.script("x.sh", args=["a\0"])


def test_a_script_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "check.sh"
    declared = fleet.script(path)
    with pytest.raises(
        MisconfiguredError, match=r"check\.sh of the probe check cannot be read: No"
    ):
        declared.payload()
    path.write_bytes(b"")
    with pytest.raises(MisconfiguredError, match=r"check\.sh of the probe check is empty"):
        declared.payload()
    path.write_bytes(b"\x7fELF\0")
    assert declared.payload() == b"\x7fELF\0"
    assert fleet.probe("true").payload() == b""
