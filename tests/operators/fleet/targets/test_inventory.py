"""Targets from an Ansible inventory, in both of its forms, and what is refused."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from thalweg import MisconfiguredError
from thalweg.operators.fleet import LoadedTargets, Target, inventory

INI = """\
# The labs.
gate ansible_host=10.0.0.1 ansible_port=2222 ansible_user=root

[lab]
lab[01:03] disk=/dev/sda   # three of them
lab02 disk="/dev/disk/by id"
[web]
w1.example.org:2200
[web:vars]
ansible_user = www
disk = /dev/web
[all:vars]
disk=/dev/all
owner='the labs'
ansible_password=hunter2
[site:children]
lab
web
[site:vars]
ansible_ssh_common_args='-o ProxyJump=ana@gate:22,inner'
ansible_ssh_private_key_file=~/.ssh/site
disk = /dev/site
"""
YAML = """\
all:
  hosts:
    gate: {ansible_host: 10.0.0.1, ansible_port: 2222, ansible_user: root}
  vars: &shared
    disk: /dev/all
    owner: the labs
    ansible_password: hunter2
  children:
    site:
      vars:
        ansible_ssh_common_args: -o ProxyJump=ana@gate:22,inner
        ansible_ssh_private_key_file: ~/.ssh/site
        disk: /dev/site
      children:
        lab:
          hosts:
            lab[01:03]: {disk: /dev/sda}
            lab02:
              disk: /dev/disk/by id
        web:
          hosts:
            w1.example.org: {ansible_port: 2200}
          vars:
            <<: *shared
            ansible_user: www
            disk: /dev/web
"""


def loaded(text: str | bytes, folder: Path, name: str = "hosts") -> LoadedTargets:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return inventory(path).load()


@pytest.mark.parametrize(("text", "name"), [(INI, "hosts"), (YAML, "hosts.yml"), (YAML, "hosts")])
def test_hosts_groups_and_variables_follow_as_in_ansible(
    text: str, name: str, tmp_path: Path
) -> None:
    found = {target.name: target for target in loaded(text, tmp_path, name).targets}
    assert set(found) == {"gate", "lab01", "lab02", "lab03", "w1.example.org"}
    gate = found["gate"]
    assert (gate.address, gate.port, gate.user) == ("10.0.0.1", 2222, "root")
    assert gate.variables == {"disk": "/dev/all", "owner": "the labs"}
    assert found["lab01"].variables == {"disk": "/dev/sda", "owner": "the labs"}
    assert found["lab02"].variables["disk"] == "/dev/disk/by id"
    web = found["w1.example.org"]
    assert web == Target(
        "w1.example.org",
        port=2200,
        user="www",
        identities=("~/.ssh/site",),
        jump=("ana@gate:22", "inner"),
        variables={"disk": "/dev/web", "owner": "the labs"},
        groups=("site", "web"),
    )


def test_a_host_in_several_groups_is_no_repeat(tmp_path: Path) -> None:
    found = loaded("[a]\nx v=1\n[b]\nx\n", tmp_path)
    assert found.notes == ()
    assert found.targets == (Target("x", variables={"v": "1"}, groups=("a", "b")),)


def test_groups_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(INI)
    assert [one.name for one in inventory(path).only("@site!@web", "!lab03")()] == [
        "lab01",
        "lab02",
    ]


def test_it_is_read_afresh(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    given = inventory(path)
    with pytest.raises(MisconfiguredError, match="hosts cannot be read: No such file"):
        given()
    for name in ("a", "b"):
        path.write_text(f"{name}\n")
        assert [target.name for target in given()] == [name]


def test_what_ssh_does_not_reach_is_left_out_and_said(tmp_path: Path) -> None:
    found = loaded("a\nb ansible_connection=winrm\nc v='{{ x }}' w=1\n", tmp_path)
    assert [target.name for target in found.targets] == ["a", "c"]
    assert found.targets[1].variables == {"w": "1"}
    assert [note.partition("/hosts:")[2] for note in found.notes] == [
        "2: b is left out, since it is reached by 'winrm' and not over SSH",
        "3: c has no v: templates are not evaluated",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n[web\n", "hosts:2: a section is not closed: '[web'"),
        ("a\n[web:hosts:x]\n", "hosts:2: "),
        ("[web:var]\n", "hosts:1: [web:var] is no section: there are [web], [web:vars] and"),
        ("a\nb ansible_host\n", "hosts:2: NAME=VALUE is meant behind the host 'b', not 'ansible"),
        ("a x='b\n", "hosts:1: No closing quotation, in \"a x='b\""),
        ("[a:vars]\nx y\n", "hosts:2: NAME=VALUE is meant, not 'x y'"),
        ("[a]\nx\n[b:children]\naa\n", "hosts:4: the group 'b' has a child 'aa' that is no group; "
         "did you mean 'a'?"),
        ("[a:children]\nb\n[b:children]\nc\n[c:children]\na\n", "the groups go in a circle: "),
        ("[a:children]\na\n", "the groups go in a circle: a → a"),
        ("[a:children]\nb c\n[b]\nx\n", "hosts:2: one group a line is meant, not 'b c'"),
        ("a ansible_port=ssh\n", "hosts:1: ansible_port of a is no port: 'ssh'"),
        ("a ansible_port=70000\n", "hosts:1: ansible_port of a is no port"),
        ("a ansible_host={{x}}\n", "hosts:1: ansible_host of a is a template"),
        ("a ansible_ssh_common_args='-o ProxyCommand=\"nc %h\"'\n", "hosts:1: ansible_ssh_common_"
         "args of a holds '-oProxyCommand=nc %h', of which only -J and -o ProxyJump=… are under"),
        ("x[1:3\n", "hosts:1: 'x[1:3' has a bracket too many"),
        ("x[1:1000000]\n", "hosts:1: 'x[1:1000000]' stands for more than 100,000 names"),
        ("$(reboot)\n", "hosts:1: '$(reboot)' is no name of a machine"),
        ("[a]\n", "names no host that SSH reaches"),
        ("", "names no host that SSH reaches"),
        (b"a\nb \xe9\n", "hosts:2: the inventory is no UTF-8 text here"),
        (b"a" * (4 * 1024 * 1024 + 1), "is larger than 4,194,304 bytes, and is not read"),
    ],
    ids=range(21),
)  # fmt: skip
def test_a_wrong_line_is_told(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError) as told:
        loaded(text, tmp_path)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("all:\n  hosts:\n    a: [\n", "hosts.yml:4: this is no YAML: "),
        ("all:\n\thosts:\n", "hosts.yml:2: this is no YAML: "),
        ("all:\n  hosts: [a, b]\n", "hosts.yml:2: hosts of 'all' is a mapping of names, such as "
         "'lab01:', not a list"),
        ("all:\n  hosts: a\n", "hosts.yml:2: hosts of 'all' is a mapping of names, such as 'lab01:'"
         ", not a single value"),
        ("- a\n", "hosts.yml:1: an inventory is a mapping of names"),
        ("all:\n  host: {a: }\n", "hosts.yml:2: the group 'all' has 'host'; a group has hosts"),
        ("all:\n  hosts: {a: , a: }\n", "hosts.yml:2: hosts of 'all' has 'a' twice"),
        ("all:\n  hosts: {? [x] : }\n", "hosts.yml:2: hosts of 'all' has a name that is no text"),
        ("a: {children: {b: {children: {a: }}}}\n", "the groups go in a circle: a → b → a"),
        ("all: {hosts: {a: }}\n---\nall: {}\n", "hosts.yml:2: an inventory is one document"),
        ("all: {hosts: *x}\n", "hosts.yml:1: *x stands for nothing that is complete before it"),
        ("all: &x {hosts: *x}\n", "hosts.yml:1: *x stands for nothing that is complete before it"),
        ("", "is empty"),
        ("a:\n  hosts:\n    x: {v: !vault abc}\n", "hosts.yml:3: the tag !vault is refused"),
        ("a: {hosts: {x: {v: " + "[" * 100 + "]" * 100 + "}}}", "an inventory is 60 deep at most"),
        (b"a: \xff\n", "hosts.yml:1: the inventory is no UTF-8 text here"),
    ],
    ids=range(16),
)  # fmt: skip
def test_what_is_wrong_in_yaml_is_told(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError) as told:
        loaded(text, tmp_path, "hosts.yml")
    assert message in str(told.value)


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/object/new:os.system",
     "!!python/module:os", "!<tag:yaml.org,2002:python/object/apply:os.system>", "!anything"],
)  # fmt: skip
def test_a_tag_that_makes_an_object_is_refused_and_makes_none(tag: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(MisconfiguredError, match=r"hosts\.yml:3: the tag .* is refused"):
        loaded(f"all:\n  hosts:\n    a: {{x: {tag} ['touch {made}']}}\n", tmp_path, "hosts.yml")
    assert not made.exists()


def bomb(merge: bool) -> str:
    lines = ["a0: &a0 {x: lol, y: lol}"]
    for number in range(1, 30):
        inner = ", ".join([f"*a{number - 1}"] * 9)
        value = f"{{<<: [{inner}]}}" if merge else f"[{inner}]"
        lines.append(f"a{number}: &a{number} {value}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("merge", [False, True])
def test_an_alias_bomb_is_refused_before_it_goes_off(merge: bool, tmp_path: Path) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(MisconfiguredError, match="has more than 500,000 entries, and is refused"):
        loaded(bomb(merge), tmp_path, "hosts.yml")
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize("name", ["hosts.yml", "hosts"])
def test_fifty_megabytes_are_not_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"all:\n  hosts:\n")
        file.truncate(50 * 1024 * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MisconfiguredError, match="is larger than 4,194,304 bytes"):
        inventory(path).load()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
