"""Targets by their names, from a list and from a text file."""

from __future__ import annotations

from pathlib import Path

import pytest

from thalweg import MisconfiguredError
from thalweg.operators.fleet import Target, Targets, target_file, targets


def names(given: Targets) -> list[str]:
    return [target.name for target in given()]


def test_names_patterns_and_targets_stand_together() -> None:
    db = Target("db", host="10.0.0.9", variables={"disk": "/dev/sdb"})
    given = targets("lab[01-03]!lab02", "root@gate:2222, fe80::1", "ana@[::1]:23", db)
    assert [(one.name, one.user, one.port) for one in given()] == [
        ("lab01", None, 22), ("lab03", None, 22), ("gate", "root", 2222), ("fe80::1", None, 22),
        ("::1", "ana", 23), ("db", None, 22),
    ]  # fmt: skip
    assert given()[-1].variables == {"disk": "/dev/sdb"}


def test_a_user_and_a_port_stand_for_all_of_a_pattern() -> None:
    found = targets("root@lab[1-2].example.org:2222")()
    assert [(one.address, one.user, one.port) for one in found] == [
        ("lab1.example.org", "root", 2222), ("lab2.example.org", "root", 2222)
    ]  # fmt: skip


def test_groups_name_others_and_are_told_of_each_target() -> None:
    given = targets("@lab!lab2", "@web", groups={"lab": "lab[1-3]", "web": ["w1", "lab3"]})
    assert [(one.name, one.groups) for one in given()] == [
        ("lab1", ("lab",)), ("lab3", ("lab", "web")), ("w1", ("web",))
    ]  # fmt: skip


def test_what_begins_with_an_exclamation_mark_takes_away_from_all_before_it() -> None:
    assert names(targets("lab[1-3]", "pc[1-2]", "!lab[2-3]", "lab3")) == [
        "lab1",
        "pc1",
        "pc2",
        "lab3",
    ]


def test_a_target_named_twice_is_probed_once_and_said() -> None:
    loaded = targets("lab1", "lab[1-2]").load()
    assert [one.name for one in loaded.targets] == ["lab1", "lab2"]
    assert loaded.notes == ("the target lab1 is listed twice, and probed once",)


@pytest.mark.parametrize(
    "second",
    [Target("lab1", host="10.0.0.2"), "lab1:2222", "root@lab1", Target("lab1", jump=("g",))],
)
def test_two_machines_of_one_name_are_refused(second: Target) -> None:
    with pytest.raises(MisconfiguredError, match="lab1 stands for two machines, or for two ways"):
        targets(Target("lab1", host="10.0.0.1"), second)()
    with pytest.raises(MisconfiguredError, match="two ways"):
        targets("lab1", "root@lab1:2222")()


@pytest.mark.parametrize("word", ["lab[1-", "!", "lab!", "@", "a!@", "lab[1-1000000]"])
def test_a_pattern_that_is_none_fails_where_it_is_written(word: str) -> None:
    with pytest.raises(ValueError, match=r"names nothing|bracket|100,000 names"):
        targets(word)


@pytest.mark.parametrize("word", ["a:0", "a:65536", "a:b", "a@", "[1.2.3]:22", "-oProxy", "a/b"])
def test_a_name_that_is_none_is_refused(word: str) -> None:
    with pytest.raises((MisconfiguredError, ValueError)) as told:
        targets(word)()
    assert word.partition(":")[0].strip("[]@") in str(told.value)


def test_an_unknown_group_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no group 'printer'; did you mean 'printers'"):
        targets("@printer", groups={"printers": "p[1-2]"})
    with pytest.raises(ValueError, match="no group 'x'; there are none"):
        targets("@x")


def test_nothing_or_what_is_no_name_is_refused() -> None:
    with pytest.raises(ValueError, match="names nobody"):
        targets()
    with pytest.raises(TypeError, match="not 7"):
        targets(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_file_is_read_when_it_is_asked_for_and_afresh(tmp_path: Path) -> None:
    path = tmp_path / "lab.txt"
    given = target_file(path)
    with pytest.raises(MisconfiguredError, match=r"lab\.txt cannot be read: No such file"):
        given()
    path.write_text("# the lab\n\nlab[01-02]  # old ones\nroot@gate, pc[1,3]\r\n")
    assert names(given) == ["lab01", "lab02", "gate", "pc1", "pc3"]
    path.write_text("\ufefflab09\n")
    assert names(given) == ["lab09"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"lab1\nlab[2-\n", r"lab\.txt:2: 'lab\[2-' has a bracket too many"),
        (b"a\nb\n@group\n", r"lab\.txt:3: there is no group 'group'"),
        (b"a\n\xff\n", r"lab\.txt:2: the list of targets is no UTF-8 text here"),
        (b"a\nb\0\n", r"lab\.txt:2: the list of targets holds a NUL"),
        (b"# nobody\n", "names none"),
        (b"a\nb\na:23\n", r"lab\.txt:3: the target a stands for two machines"),
        (b"a\n$(reboot)\n", r"lab\.txt:2: '\$\(reboot\)' is no name of a machine"),
        (b"n[1-100000]\nm1\n", r"lab\.txt:2: a fleet has up to 100,000 targets"),
        (
            b"n[1-100000]\n" * 6,
            r"lab\.txt:6: up to here the patterns stand for more than 500,000 names",
        ),
        (b"#" * (4 * 1024 * 1024 + 1), "is larger than 4,194,304 bytes"),
    ],
    ids=range(10),
)
def test_a_file_that_is_wrong_is_told_with_its_line(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "lab.txt"
    path.write_bytes(content)
    with pytest.raises(MisconfiguredError, match=message):
        target_file(path)()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="is no file"):
        target_file(tmp_path)()


def test_only_chooses_by_name_and_group() -> None:
    given = targets("lab[1-4]", "@web", groups={"web": "w[1-3]"})
    assert names(given.only("lab2", "@web!w2")) == ["lab2", "w1", "w3"]
    assert names(given.only("!@web", "!lab1")) == ["lab2", "lab3", "lab4"]
    with pytest.raises(MisconfiguredError, match="there is no 'lab5'; did you mean 'lab"):
        given.only("lab5")()
    with pytest.raises(MisconfiguredError, match="no group 'wep'; did you mean 'web'"):
        given.only("@wep")()
    with pytest.raises(ValueError, match="names nobody"):
        given.only()


def test_an_argument_takes_targets_in_any_form() -> None:
    known = targets("a")
    assert Targets.of(known) is known
    assert names(Targets.of("lab[1-2]")) == ["lab1", "lab2"]
    assert names(Targets.of(Target("db"))) == ["db"]
    assert names(Targets.of(["lab[1-2]", Target("db")])) == ["lab1", "lab2", "db"]
    listed = ["x"]
    function = Targets.of(lambda: listed)
    listed.append("y[1-2]")
    assert names(function) == ["x", "y1", "y2"]
    listed.append("z[")
    with pytest.raises(MisconfiguredError, match=r"lambda> returns: 'z\[' has a bracket too many"):
        function()
    with pytest.raises(TypeError, match="names or Targets, or a list of them, not 7"):
        Targets.of(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="names nobody"):
        Targets.of([])
