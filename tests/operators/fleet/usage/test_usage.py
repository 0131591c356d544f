"""The probe `usage`: the script as it runs here, on machines made up, and what is made of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from thalweg.operators.fleet import USAGE_SCRIPT, parse_usage
from thalweg.runtime.contracts import DataError

from ....missing import found

SHELLS = ("dash", "busybox sh", "bash", "sh")


def command(shell: str) -> list[str]:
    program, *arguments = shell.split()
    return [found(program), *arguments, str(USAGE_SCRIPT)]


def run(shell: str = "sh", **environment: str) -> str:
    made = subprocess.run(
        command(shell),
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **environment},
    )
    assert (made.returncode, made.stderr) == (0, "")
    return made.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_it_tells_of_this_machine_in_any_shell(shell: str) -> None:
    usage = parse_usage(run(shell))
    facts = usage["facts"]
    assert facts["cpus"] == os.cpu_count()
    assert facts["cpu"]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts["memory"] == pytest.approx(pages, rel=0.01)
    assert 0 < usage["memory_free"] < facts["memory"]
    assert facts["os"] in Path("/etc/os-release").read_text()
    assert facts["kernel"] == os.uname().release
    assert usage["uptime"] == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=30)
    assert usage["booted"] + usage["uptime"] == pytest.approx(time.time(), abs=30)
    assert 0 < usage["idle"] <= facts["cpus"] * usage["uptime"] * 1.05
    whole = shutil.disk_usage("/")
    assert usage["disk"] >= whole.total * 0.99
    assert usage["disk_free"] >= whole.free * 0.5


def test_it_is_quick() -> None:
    # The best of many: others may be at work here.
    assert any(_seconds() < 0.1 for _ in range(50))


def _seconds() -> float:
    begun = time.perf_counter()
    run("sh")
    return time.perf_counter() - begun


MACHINE: Mapping[str, str] = {
    "proc/uptime": "90061.50 170000.25\n",
    "proc/stat": "cpu  1 2 3\ncpu0 1 2\ncpu1 1 2\nintr 1 2 3\nbtime 1081940000\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: Pentium(R) 4 CPU 2.40GHz: fast\n\n",
    "proc/meminfo": "MemTotal: 512000 kB\nMemFree: 1000 kB\nMemAvailable: 128000 kB\n"
    "SwapTotal: 1024000 kB\nSwapFree: 768000 kB\n",
    "proc/net/dev": "Inter-| Receive | Transmit\n face |bytes packets\n"
    "    lo: 7 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n"
    "  eth0:4294967297 1 0 0 0 0 0 0 123456789012 2 0 0 0 0 0 0\n"
    "docker0: 55 1 0 0 0 0 0 0 66 2 0 0 0 0 0 0\n",
    "proc/sys/kernel/random/boot_id": "one\n",
    "proc/sys/kernel/osrelease": "2.6.5\n",
    "proc/mounts": "",
    "etc/os-release": "NAME='Fedora \"Core\"'\nVERSION_ID=2\nPRETTY_NAME=\"Fedora Core 2\"\n",
    "sys/block/sda/size": "156301488\n",
    "sys/block/sda/removable": "0\n",
    "sys/block/sda/device/model": "ST380011A  \n",
    "sys/block/sr0/size": "100\n",
    "sys/block/sr0/removable": "1\n",
    "sys/block/sr0/device/model": "DVD\n",
    "sys/block/loop0/size": "100\n",
    "sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "sys/class/net/eth0/address": "00:0c:6e:00:00:01\n",
    "sys/class/net/eth0/device/vendor": "0x8086\n",
    "sys/class/net/docker0/address": "02:42:00:00:00:01\n",
    "run/systemd/sessions/4": "UID=1000\nUSER=alice\nCLASS=user\nTTY=tty2\n"
    "REALTIME=1081947000123456\n",
    "run/systemd/sessions/5": "USER=probe\nCLASS=user\nREMOTE=1\nREALTIME=1081947000123456\n",
    "run/systemd/sessions/c1": "USER=gdm\nCLASS=greeter\nTTY=tty1\n",
}  # fmt: skip


def machine(folder: Path, changes: Mapping[str, str | None] | None = None) -> str:
    """Make a machine up, and ask it."""
    for name, content in {**MACHINE, **(changes or {})}.items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return str(folder)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_figure_stands_in_its_field(shell: str, tmp_path: Path) -> None:
    usage = parse_usage(run(shell, THALWEG_USAGE_ROOT=machine(tmp_path)))
    facts = usage.pop("facts")  # type: ignore[misc]
    facts.pop("os_installed")  # type: ignore[misc]
    assert facts == {
        "cpu": "Pentium(R) 4 CPU 2.40GHz: fast",
        "cpus": 2,
        "os": "Fedora Core",
        "os_version": "2",
        "kernel": "2.6.5",
        "memory": 512_000 * 1024,
        "swap": 1_024_000 * 1024,
        "disks": [{"name": "sda", "bytes": 156301488 * 512, "model": "ST380011A"}],
        "interfaces": [{"name": "eth0", "address": "00:0c:6e:00:00:01"}],
    }
    assert usage == {
        "boot_id": "one",
        "booted": 1081940000,
        "uptime": 90061.5,
        "idle": 170000.25,
        "memory_free": 128_000 * 1024,
        "swap_free": 768_000 * 1024,
        "disk": 0,
        "disk_free": 0,
        "traffic": [{"name": "eth0", "received": 4294967297, "sent": 123456789012}],
        "sessions": [{"user": "alice", "line": "tty2", "since": 1081947000}],
        "wear": [],
    }


def test_a_machine_that_tells_little_is_still_a_sample(tmp_path: Path) -> None:
    bare = {name: None for name in MACHINE if not name.startswith(("proc/uptime", "proc/stat"))}
    usage = parse_usage(run(THALWEG_USAGE_ROOT=machine(tmp_path, bare)))
    assert usage["sessions"] is None
    assert usage["facts"]["cpu"] == os.uname().machine
    assert (usage["facts"]["memory"], usage["memory_free"], usage["traffic"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("said", "starts", "hours"),
    [
        (
            "  4 Start_Stop_Count        0x0032 100 100 020 Old_age Always - 1234\n"
            "  9 Power_On_Hours          0x0032 098 098 000 Old_age Always - 2345h+06m\n",
            1234, 2345,
        ),
        ("Power Cycles:                       1,234\nPower On Hours:                     12,345\n",
         1234, 12345),
        ("  9 Power_On_Hours          0x0032 098 098 000 Old_age Always - 7\n", None, 7),
    ],
    ids=["ATA", "NVMe", "hours only"],
)  # fmt: skip
@pytest.mark.parametrize("shell", SHELLS)
def test_disks_tell_of_their_wear(
    shell: str, said: str, starts: int | None, hours: int, tmp_path: Path
) -> None:
    root = machine(tmp_path / "root", {"dev/sda": ""})
    tool = tmp_path / "bin" / "smartctl"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\ncat <<'.'\n{said}.\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"
    usage = parse_usage(run(shell, THALWEG_USAGE_ROOT=root, PATH=path))
    assert usage["wear"] == [{"disk": "sda", "start_stops": starts, "power_on_hours": hours}]


def test_who_is_logged_in_is_asked_of_who_where_there_is_a_list(tmp_path: Path) -> None:
    root = machine(tmp_path / "root", {"run/utmp": ""})
    tool = tmp_path / "bin" / "who"
    tool.parent.mkdir()
    tool.write_text(
        '#!/bin/sh\n[ "$TZ$LC_ALL" = UTC0C ] || exit 1\n'
        "echo 'alice    pts/0        Apr 15 12:30 (10.0.0.1)'\n"
        "echo 'bob      tty1         Dec  3 07:05'\n"
    )
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"
    usage = parse_usage(run(THALWEG_USAGE_ROOT=root, PATH=path))
    # It is the 15th of April 2004: December was last year's.
    assert usage["sessions"] == [
        {"user": "alice", "line": "pts/0", "since": 1082032200},
        {"user": "bob", "line": "tty1", "since": 1070435100},
    ]


def test_what_is_no_linux_says_so(tmp_path: Path) -> None:
    made = subprocess.run(
        command("sh"), capture_output=True, text=True, env={"THALWEG_USAGE_ROOT": str(tmp_path)}
    )
    assert made.returncode == 3
    assert "no Linux" in made.stderr


GOOD = "usage=1\nuptime=90.5\nidle=100.0\nboot=1081940000\ncpus=2\nend=1\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no usage="),
        ("Welcome!\n", "no usage="),
        (GOOD.replace("end=1\n", ""), "cut off"),
        (GOOD.replace("usage=1", "usage=2"), "'2' is not known"),
        (GOOD.replace("uptime=90.5\n", ""), "no uptime="),
        (GOOD.replace("90.5", "-1"), "uptime='-1'"),
        (GOOD.replace("90.5", "nan"), "uptime='nan'"),
        (GOOD.replace("90.5", "9" * 400), "no number of seconds"),
        (GOOD.replace("cpus=2", "cpus=9999999999999999999"), "whole number"),
        (GOOD + f"memory={2**60}\n", "more than can be"),
        (GOOD + "memory=٣\n", "whole number"),
        (GOOD + "traffic=eth0 1\ninterface=eth0 virtual\n", "traffic=''"),
        (GOOD + "disk=a 1 b\n" * 1_001, "more than 1000"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_key(text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse_usage(text)


@pytest.mark.parametrize(
    "when", ["", "Foo 1 10:00", "Apr 31 10:00", "yesterday", "Apr 1 25:00", "@"]
)
def test_a_session_whose_time_cannot_be_read_is_still_one(when: str) -> None:
    usage = parse_usage(f"{GOOD}sessions=known\nsession=eve tty1 {when}\n")
    assert usage["sessions"] == [{"user": "eve", "line": "tty1", "since": None}]


def test_text_is_such_that_a_database_takes_it() -> None:
    assert parse_usage(f"{GOOD}cpu=a\0b\n")["facts"]["cpu"] == "a\ufffdb"
