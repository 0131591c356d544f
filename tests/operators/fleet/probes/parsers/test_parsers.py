"""Parsers of what probes print: what machines really say, and what is wrong."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from thalweg import DataError
from thalweg.operators.fleet import ProbeResult, parsers, result_of

DF = """\
Filesystem              1024-blocks     Used Available Capacity Mounted on
devtmpfs                   12334492        0  12334492       0% /dev
/dev/vda                  264212084 27617868  78773044      26% /
//nas/my files                 1000      100       900      10% /mnt/my files
none                              -        -         -        - /proc/sys
/dev/sdb                       1000     1010       -10     101% /full
"""
BUSYBOX_DF = """\
Filesystem           1024-blocks    Used Available Capacity Mounted on
/dev/vda             264212084  27617868  78773044  26% /
"""
MAC_DF = """\
Filesystem    512-blocks      Used Available Capacity  Mounted on
/dev/disk1s1   976490568 300000000 600000000    34%    /
"""
MEMINFO = """\
MemTotal:       24684092 kB
MemFree:        17868116 kB
MemAvailable:   22954308 kB
Buffers:          328112 kB
Cached:          4757748 kB
Active(anon):     800000 kB
SwapTotal:       2097148 kB
SwapFree:        1048574 kB
HugePages_Total:       0
"""
STAT = """\
cpu  161897 256450 70472 435201 1133 0 1984 755 0 0
cpu0 76770 127812 35459 221894 572 0 934 376 0 0
cpu1 85127 128638 35013 213306 561 0 1049 379 0 0
intr 4466841 0 0 0 0 1 1 7
ctxt 9123
btime 1795709929
softirq 4452926 0 407444 4
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo
    lo: 6924623115 1825048    0    0    0     0          0         0 6924623115 1825048 0 0 0 0 0 0
eth0.5:528748658   15697    1    2    0     0          0         0 1066871   11726    3    4 0 0 0 0
eth0:1: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
"""
DISK = {
    "json_format_version": [1, 0],
    "smartctl": {"version": [7, 3], "argv": ["smartctl", "-j"], "exit_status": 64},
    "device": {"name": "/dev/sda", "info_name": "/dev/sda [SAT]", "type": "sat", "protocol": "ATA"},
    "model_name": "EXAMPLE 1000",
    "serial_number": "E-1",
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "revision": 10,
        "table": [
            {"id": 4, "name": "Start_Stop_Count", "value": 100, "raw": {"value": 279}},
            {"id": 12, "name": "Power_Cycle_Count", "value": 100, "raw": {"value": 280}},
        ],
    },
    "power_on_time": {"hours": 36055},
    "temperature": {"current": 36},
}


def test_df_lists_file_systems_in_bytes() -> None:
    found = parsers.df(result_of(DF))
    assert [(one["filesystem"], one["mount"]) for one in found] == [
        ("devtmpfs", "/dev"), ("/dev/vda", "/"), ("//nas/my files", "/mnt/my files"),
        ("none", "/proc/sys"), ("/dev/sdb", "/full"),
    ]  # fmt: skip
    root = found[1]
    assert (root["size"], root["used"], root["free"]) == (
        264212084 * 1024, 27617868 * 1024, 78773044 * 1024
    )  # fmt: skip
    assert (found[3]["size"], found[4]["free"]) == (0, -10240)
    assert parsers.df(result_of(BUSYBOX_DF))[0] == root
    assert parsers.df(result_of(MAC_DF))[0]["size"] == 976490568 * 512


def test_meminfo_tells_loads() -> None:
    found = parsers.meminfo(result_of(MEMINFO))
    assert found["total"] == 24684092 * 1024
    assert found["load"] == pytest.approx(7.008, abs=0.001)
    assert found["swap_load"] == 50.0
    old = MEMINFO.replace("MemAvailable", "Other")
    available = parsers.meminfo(result_of(old))["available"]
    assert available == (17868116 + 328112 + 4757748) * 1024


def test_stat_tells_how_idle_the_processors_were() -> None:
    found = parsers.stat(result_of(STAT))
    total = 161897 + 256450 + 70472 + 435201 + 1133 + 1984 + 755
    assert (found["cpus"], found["total"], found["booted"]) == (2, total, 1795709929)
    assert found["idle_percent"] == pytest.approx(100 * (435201 + 1133) / total, abs=0.001)


def test_net_dev_lists_interfaces() -> None:
    lo, vlan, alias = parsers.net_dev(result_of(NET_DEV))
    assert (lo["interface"], lo["received_bytes"]) == ("lo", 6924623115)
    assert vlan == {
        "interface": "eth0.5", "received_bytes": 528748658, "received_packets": 15697,
        "received_errors": 1, "received_dropped": 2, "sent_bytes": 1066871, "sent_packets": 11726,
        "sent_errors": 3, "sent_dropped": 4,
    }  # fmt: skip
    assert (alias["interface"], alias["sent_bytes"]) == ("eth0:1", 6)


@pytest.mark.parametrize(
    ("said", "seconds", "users", "load"),
    [
        (" 17:36:14 up  1:17,  0 user,  load average: 5.73, 15.11, 16.18", 4620, 0, 5.73),
        (" 17:36:14 up  1:17,  0 users,  load average: 5.73, 15.10, 16.17\n", 4620, 0, 5.73),
        (" 16:47:50 up 29 min,  1 user,  load average: 0.08, 0.21, 0.33", 1740, 1, 0.08),
        ("10:00:00 up 1 day, 22 min,  3 users,  load average: 0,08, 0,21, 0,33", 87720, 3, 0.08),
        ("10:00  up 45 secs, 2 users, load averages: 1.50 1.25 1.00", 45, 2, 1.5),
        ("10:00  up 100 days, 23:59, 1 user, load averages: 1.50 1.25 1.00", 8726340, 1, 1.5),
        (" 10:00:00 up 2 min, load average: 0.00, 0.00, 0.00", 120, None, 0.0),
    ],
)
def test_uptime_is_understood_in_its_forms(
    said: str, seconds: float, users: int | None, load: float
) -> None:
    found = parsers.uptime(result_of(said))
    assert (found["seconds"], found["users"], found["load"][0]) == (seconds, users, load)
    assert len(found["load"]) == 3


def test_proc_uptime_is_exact() -> None:
    found = parsers.uptime(result_of("4645.50 4352.01\n"))
    assert found == {"seconds": 4645.5, "users": None, "load": []}


def test_smartctl_tells_what_the_disk_tells() -> None:
    found = parsers.smartctl(result_of(json.dumps(DISK)))
    assert found == {
        "device": "/dev/sda", "model": "EXAMPLE 1000", "serial": "E-1", "healthy": True,
        "power_on_hours": 36055, "power_cycles": 280, "start_stops": 279, "temperature": 36,
    }  # fmt: skip
    bare = parsers.smartctl(
        result_of('{"smartctl": {"exit_status": 4}, "device": {"name": "/dev/nvme0"}, '
                  '"power_cycle_count": 7, "temperature": [], "serial_number": 5}')
    )  # fmt: skip
    assert (bare["power_cycles"], bare["temperature"], bare["serial"]) == (7, None, None)


def test_smartctl_that_could_not_open_its_device_says_why() -> None:
    told = {"exit_status": 2, "messages": [{"string": "Permission denied", "severity": "error"}]}
    with pytest.raises(DataError, match="could not be asked: Permission denied"):
        parsers.smartctl(result_of(json.dumps({"smartctl": told})))


def test_key_values_json_and_csv() -> None:
    text = "# a note\nID = debian\nNAME='a b'\nEMPTY=\nURL=x=y\r\n"
    assert parsers.key_values(result_of(text)) == {
        "ID": "debian", "NAME": "a b", "EMPTY": "", "URL": "x=y"
    }  # fmt: skip
    assert parsers.json_value(result_of('[1, {"a": null}]\n')) == [1, {"a": None}]
    text = 'a;b\r\n"x;\n1";2\r\n\r\n3;""\r\n'
    semicolons = partial(parsers.csv_rows, delimiter=";")
    assert semicolons(result_of(text)) == [{"a": "x;\n1", "b": "2"}, {"a": "3", "b": ""}]


WRONG: list[tuple[Callable[[ProbeResult], object], str, str]] = [
    (parsers.df, "Dateisystem 1K-blocks\n", "df: line 1: this is no header of df -P: 'Dateis"),
    (parsers.df, DF + "/dev/x 1 2\n", "df: line 7: a file system, three numbers, % and a mount"),
    (parsers.meminfo, "MemTotal: much kB\n", "meminfo: line 1: a name, a number and kB are meant"),
    (parsers.meminfo, "MemTotal: 1 kB\n", "meminfo: there is no MemAvailable"),
    (parsers.stat, "cpu 1 2 x 4\n", "stat: line 1: numbers are meant: 'cpu 1 2 x 4'"),
    (parsers.stat, "cpu 1 2\n", "stat: line 1: four numbers or more are meant"),
    (parsers.stat, "cpu 1 2 3 4\n", "stat: there is no line btime"),
    (parsers.stat, "btime 4\n", "stat: there is no line cpu"),
    (parsers.net_dev, NET_DEV + "eth1: 1 2 3\n", "net_dev: line 6: an interface and 16 numbers"),
    (parsers.net_dev, "|\n", "net_dev: the two lines of titles are missing"),
    (parsers.uptime, "sh: uptime: not found\n", "uptime: line 1: this is not what uptime says"),
    (parsers.uptime, "x up often, load average: 0.1, 0.2, 0.3", "uptime: line 1: this is not what"),
    (parsers.uptime, "x up 3 min, load average: 0.1", "uptime: line 1: three load averages"),
    (parsers.smartctl, "[]", "smartctl: this is no answer of smartctl --json"),
    (parsers.smartctl, '{"smartctl": {"exit_status": 1}}', "smartctl: the device could not be as"),
    (parsers.smartctl, "{", "json_value: line 1, column "),
    (parsers.json_value, '{"a": 1}\n{"b": 2}', "json_value: line 2, column 1: "),
    (parsers.json_value, "[" * 5000 + "]" * 5000, "json_value: line 1, column "),
    (parsers.key_values, "a=1\nb\n", "key_values: line 2: key=value is meant: 'b'"),
    (parsers.key_values, "=1\n", "key_values: line 1: key=value is meant"),
    (parsers.key_values, "a=1\na=2\n", "key_values: line 2: 'a' comes twice"),
    (parsers.csv_rows, "a,b\n1\n", "csv_rows: line 2: 1 cells where the header names 2: ['1']"),
    (parsers.csv_rows, "a,a\n", "csv_rows: line 1: a column is named twice"),
    (parsers.csv_rows, 'a\n"b', "csv_rows: line 2: unexpected end of data"),
]


@pytest.mark.parametrize(("parser", "text", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_line(
    parser: Callable[[ProbeResult], object], text: str, message: str
) -> None:
    with pytest.raises(DataError) as told:
        parser(result_of(text))
    assert str(told.value).startswith(message)
    assert len(str(told.value)) < 400


ALL = [getattr(parsers, name) for name in parsers.__all__ if name[0].islower()]


@pytest.mark.parametrize("parser", ALL)
def test_nothing_and_a_part_are_no_output(parser: Callable[[ProbeResult], object]) -> None:
    with pytest.raises(DataError, match=r"nothing was printed, but on stderr: not found"):
        parser(result_of(" \n", stderr="not found\n"))
    with pytest.raises(DataError, match="cut at its limit of 3 characters; raise max_output"):
        parser(result_of("a=1", truncated=True))


@pytest.mark.parametrize("parser", ALL)
@pytest.mark.parametrize(
    "text", ["\x00", "�", "a: :\n| |\n: |", "-1 -1 -1 -1", "cpu", "[1]", "=", "1 \u0661", ","]
)
def test_odd_output_raises_only_a_data_error(
    parser: Callable[[ProbeResult], object], text: str
) -> None:
    with contextlib.suppress(DataError):
        parser(result_of(text))


@pytest.mark.skipif(not Path("/proc/net/dev").exists(), reason="this machine is no Linux")
@pytest.mark.parametrize(
    ("parser", "command"),
    [
        (parsers.df, ["df", "-P"]),
        (parsers.uptime, ["uptime"]),
        (parsers.uptime, ["cat", "/proc/uptime"]),
        (parsers.meminfo, ["cat", "/proc/meminfo"]),
        (parsers.stat, ["cat", "/proc/stat"]),
        (parsers.net_dev, ["cat", "/proc/net/dev"]),
        (parsers.key_values, ["cat", "/etc/os-release"]),
    ],
)
def test_what_this_machine_says_is_understood(
    parser: Callable[[ProbeResult], object], command: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run(command, capture_output=True, text=True, env={"LC_ALL": "C"}, timeout=20)
    assert parser(result_of(done.stdout))
