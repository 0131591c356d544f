"""How a probe is run on a target: with the shells that are found there, and without SSH."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from thalweg import DataError
from thalweg.operators.fleet.probes.probe import Probe, probe, script
from thalweg.operators.fleet.ssh.remote_run import RemoteRun, remote_run
from thalweg.operators.fleet.targets.target import Target

from ....missing import found
from .target_shell import SHELLS, Session, ended, shell_named, start

TARGET = Target("lab01", host="10.0.3.1", variables={"disk": "/dev/sda"})
TOOLS = "cat chmod date dd env grep head ionice mkdir nice rm setsid sleep true wc"
HOSTILE = [
    "plain",
    "two words",
    "'",
    "it's; reboot",
    "$(reboot)`reboot`",
    '"; reboot; "',
    "${HOME}",
    "a\nb",
    "\\",
    "*",
    "-n",
    "{disk}",
    "ключ",
    "",
    "!!",
    "a\tb  c",
]


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return shell_named(request.param, tmp_path)


def begun(what: Probe, shell: str = "/bin/sh", target: Target = TARGET) -> Session:
    return start(remote_run(what, target, what.payload()), shell)


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    """A pipe into which a probe writes the ids of its processes."""
    path = tmp_path / "pids"
    os.mkfifo(path)
    return path


def test_outputs_status_and_time_come_back_apart(shell: str) -> None:
    ending = begun(probe("echo out; echo err >&2; exit 3"), shell).ending()
    assert (ending.kind, ending.exit_status, ending.signal) == ("ran", 3, None)
    assert (ending.stdout, ending.stderr) == (b"out\n", b"err\n")
    assert ending.size == 8
    assert not ending.truncated
    assert not ending.held
    assert ending.elapsed is not None
    assert ending.elapsed < 5


def test_a_signal_has_its_name(shell: str) -> None:
    ending = begun(probe("kill -s TERM $$"), shell).ending()
    assert (ending.kind, ending.exit_status, ending.signal) == ("ran", 143, "TERM")


def test_bytes_that_are_no_text_and_have_no_line_end_come_as_they_are(shell: str) -> None:
    ending = begun(probe(r"printf '\303'; printf '\000\377\r' >&2"), shell).ending()
    assert ending.stdout == b"\xc3"
    assert ending.stderr == b"\x00\xff\r"


def test_a_probe_that_reads_finds_nothing_to_read(shell: str) -> None:
    ending = begun(probe("cat; echo read", timeout=20), shell).ending()
    assert (ending.kind, ending.stdout) == ("ran", b"read\n")


def test_a_command_of_several_lines_runs_as_it_is(shell: str) -> None:
    text = "cat <<END\n  it's $((1 + 1))\n\tend\nEND\n# a note\nexit 0"
    assert begun(probe(text, name="several"), shell).ending().stdout == b"  it's 2\n\tend\n"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_variable_is_one_word_whatever_it_holds(value: str, shell: str) -> None:
    target = Target("lab01", variables={"disk": value})
    what = probe("""printf '<%s>' {disk} "{disk}" a{disk}b '{disk}'""")
    ending = begun(what, shell, target).ending()
    given = value.encode()
    assert ending.stdout == b"<%s><%s><a%sb><{disk}>" % (given, given, given)


@pytest.mark.parametrize("value", HOSTILE)
def test_an_argument_of_a_script_is_one_word_whatever_it_holds(
    value: str, shell: str, tmp_path: Path
) -> None:
    file = tmp_path / "show.sh"
    file.write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
    target = Target("lab01", variables={"disk": value})
    what = script(
        file, args=["{disk}", "{{x}} {disk}", value.replace("{", "{{").replace("}", "}}")]
    )
    assert what.name == "show"
    ending = begun(what, shell, target).ending()
    given = value.encode()
    assert ending.stdout == b"<%s><{x} %s><%s>" % (given, given, given)


def test_a_script_is_sent_run_and_removed(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "where.sh"
    file.write_text('#!/bin/sh\necho "$0"; ls -ld "${0%/*}"; umask; exit 4\n')
    ending = begun(script(file), shell).ending()
    assert ending.exit_status == 4
    path, folder, umask = ending.stdout.decode().splitlines()
    assert Path(path).name == "where.sh"
    assert folder.startswith("drwx------")
    assert int(umask, 8) == _umask()
    assert not Path(path).parent.exists()


def _umask() -> int:
    current = os.umask(0o022)
    os.umask(current)
    return current


def test_a_binary_is_sent_byte_for_byte(shell: str, tmp_path: Path) -> None:
    found = shutil.which("true")
    assert found is not None
    file = tmp_path / "binary"
    file.write_bytes(Path(found).read_bytes())
    ending = begun(script(file), shell).ending()
    assert (ending.kind, ending.exit_status) == ("ran", 0)


def test_a_folder_in_which_nothing_may_run_is_passed_over(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "check.sh"
    file.write_text("#!/bin/sh\necho $0\n")
    what = script(file)
    run = remote_run(what, TARGET, what.payload())
    ending = start(run, shell, environment={**os.environ, "TMPDIR": "/proc"}).ending()
    assert ending.stdout.startswith(b"/tmp/")


def test_a_script_that_does_not_arrive_as_a_whole_is_not_run(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "check.sh"
    file.write_text("#!/bin/sh\necho ran\n")
    what = script(file)
    run = remote_run(what, TARGET, what.payload())
    session = start(RemoteRun(run.command, run.sent[:-3], b"", run.limit, run.marker), shell)
    session.close_input()
    ending = session.ending()
    assert (ending.kind, ending.stdout) == ("failed", b"")
    assert ending.detail == "the script did not arrive as a whole"


def test_a_probe_that_ignores_being_asked_is_ended_by_its_limit_with_all_it_started(
    shell: str, pids: Path
) -> None:
    text = f"trap '' TERM HUP INT; sleep 97 & echo part; echo $$ $! >{pids}; sleep 98; sleep 99"
    # Long enough for it to have begun on a machine that is busy.
    session = begun(probe(text, name="stubborn", timeout=3), shell)
    processes = [int(word) for word in pids.read_text().split()]
    ending = session.ending()
    assert (ending.kind, ending.stdout) == ("late", b"part\n")
    assert ending.elapsed is not None
    assert 2.9 <= ending.elapsed < 8
    assert all(ended(pid) for pid in processes)


def test_all_is_ended_when_nobody_waits_for_it_any_more(
    shell: str, pids: Path, tmp_path: Path
) -> None:
    file = tmp_path / "long.sh"
    file.write_text(
        f"#!/bin/sh\ntrap '' TERM HUP INT PIPE\nsleep 97 &\necho $$ $! $0 >{pids}\nsleep 98\n"
    )
    session = begun(script(file), shell)
    *processes, path = pids.read_text().split()
    session.close_input()
    assert all(ended(int(pid)) for pid in processes)
    assert session.ending().kind == "cut_off"
    assert not Path(path).parent.exists()


def test_a_session_that_is_let_go_before_the_probe_has_begun_leaves_nothing(shell: str) -> None:
    for _ in range(20):
        session = begun(probe("sleep 96", name="long"), shell)
        session.close_input()
        assert session.ending().kind == "cut_off"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux tells")
def test_what_has_made_a_session_of_its_own_is_ended_too(shell: str, pids: Path) -> None:
    # It holds no output open, so that nothing but its environment tells whose it is.
    text = f"setsid sh -c 'echo $$ >{pids}; sleep 95; :' >/dev/null 2>&1 & sleep 94"
    session = begun(probe(text, name="daemon", timeout=3), shell)
    daemon = int(pids.read_text())
    assert session.ending().kind == "late"
    assert ended(daemon)


def test_what_holds_the_output_open_is_not_waited_for(shell: str, pids: Path) -> None:
    # Without its environment nothing tells whose it is.
    ready = f"{pids}.ready"
    os.mkfifo(ready)
    daemon_text = f"env -i setsid /bin/sh -c 'echo $$ >{ready}; exec /bin/sleep 93'"
    text = f"{daemon_text} & read -r id <{ready}; echo $id >{pids}; exit 0"
    session = begun(probe(text, name="daemon", timeout=20), shell)
    daemon = int(pids.read_text())
    try:
        ending = session.ending()
        assert (ending.kind, ending.exit_status, ending.held) == ("ran", 0, True)
    finally:
        os.kill(daemon, 9)


def test_a_child_that_is_left_behind_is_ended_with_the_probe(shell: str, pids: Path) -> None:
    session = begun(probe(f"sleep 92 & echo $! >{pids}; echo done", name="child"), shell)
    child = int(pids.read_text())
    ending = session.ending()
    assert (ending.kind, ending.stdout, ending.held) == ("ran", b"done\n", False)
    assert ended(child)


def test_a_gigabyte_is_counted_there_and_not_sent(shell: str) -> None:
    what = probe("head -c 1G /dev/zero; echo done >&2", max_output=1000, timeout=50, name="large")
    ending = begun(what, shell).ending()
    assert (ending.kind, ending.exit_status, ending.truncated) == ("ran", 0, True)
    assert ending.stdout == bytes(1000)
    assert ending.stderr == b"done\n"
    assert ending.size == 2**30 + 5


@pytest.mark.parametrize("size", [999, 1000, 1001, 5000])
def test_output_is_cut_at_its_limit_to_the_byte(size: int, shell: str) -> None:
    ending = begun(probe(f"head -c {size} /dev/zero", max_output=1000), shell).ending()
    assert len(ending.stdout) == min(size, 1000)
    assert ending.size == size
    assert ending.truncated == (size > 1000)


def test_exclusive_looks_who_is_logged_in(tmp_path: Path, shell: str) -> None:
    who = tmp_path / "who"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    what = probe("echo ran", exclusive=True)
    for said, kind in (("", "ran"), ("ana pts/0\nbo tty1\nana pts/1", "exclusive")):
        who.write_text(f"#!/bin/sh\nprintf '%s' '{said}'\n")
        who.chmod(0o755)
        ending = start(remote_run(what, TARGET), shell, environment=environment).ending()
        assert ending.kind == kind
    assert (ending.stdout, ending.detail) == (b"", "logged in there: ana, bo")
    who.write_text("#!/bin/sh\nexit 127\n")
    ending = start(remote_run(what, TARGET), shell, environment=environment).ending()
    assert ending.kind == "exclusive"
    assert "cannot be told" in ending.detail


def test_a_probe_is_modest_unless_told_otherwise(shell: str) -> None:
    ours = os.nice(0)
    assert begun(probe("nice"), shell).ending().stdout == b"%d\n" % min(19, ours + 19)
    assert begun(probe("nice", modest=False), shell).ending().stdout == b"%d\n" % ours


@pytest.mark.parametrize("missing", ["setsid", "ionice", "nice"])
def test_it_runs_where_a_program_is_missing(missing: str, shell: str, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS.split():
        found = shutil.which(name)
        if found is not None and name != missing:
            (tools / name).symlink_to(found)
    run = remote_run(probe("sleep 91 & echo yes; sleep 90", timeout=1, name="tools"), TARGET)
    # Not even those in the folders that are added for such as smartctl.
    bare = run.sent.replace(b"PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin\n", b"")
    run = RemoteRun(run.command, bare, b"", run.limit, run.marker)
    ending = start(run, shell, environment={"PATH": str(tools)}).ending()
    assert (ending.kind, ending.stdout) == ("late", b"yes\n")


def test_one_perl_takes_runs_one_after_another_and_ends_with_its_input(tmp_path: Path) -> None:
    file = tmp_path / "say.sh"
    file.write_text("#!/bin/sh\necho $1\n")
    runs = [
        (probe("echo 0; exit 3"), "ran", b"0\n"),
        (script(file, args=["1"]), "ran", b"1\n"),
        (probe("echo 2; sleep 89", timeout=1, name="late"), "late", b"2\n"),
        (probe("head -c 9999 /dev/zero", max_output=10), "ran", bytes(10)),
        (script(file, args=["4"], modest=False), "ran", b"4\n"),
        (probe("kill -9 $$; echo 5", name="killed"), "ran", b""),
    ]
    session = begun(probe("echo first"), "perl")
    assert session.told().stdout == b"first\n"
    for what, kind, stdout in runs:
        session.send(remote_run(what, TARGET, what.payload()))
        ending = session.told()
        assert (ending.kind, ending.stdout) == (kind, stdout)
    session.close_input()
    session.ending()
    assert session.process.returncode == 0


def test_what_runs_there_ends_with_the_perl_that_is_asked_to_end(pids: Path) -> None:
    session = begun(probe(f"sleep 88 & echo $PPID $! >{pids}; sleep 87", name="long"), "perl")
    supervisor, child = map(int, pids.read_text().split())
    os.kill(supervisor, signal.SIGTERM)
    assert ended(child)
    assert ended(supervisor)
    assert session.ending().kind == "cut_off"


def test_a_limit_holds_where_nobody_takes_the_output(shell: str, pids: Path) -> None:
    text = f"echo $$ >{pids}; head -c 9000000 /dev/zero; sleep 86"
    what = probe(text, timeout=2, max_output=8_000_000, name="full")
    session = begun(what, shell)
    assert ended(int(pids.read_text()), 20.0)
    assert session.ending().kind == "late"


def test_a_server_that_makes_no_group_is_made_up_for(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "say.sh"
    file.write_text("#!/bin/sh\necho yes\n")
    for what in (probe("echo yes"), script(file)):
        run = remote_run(what, TARGET, what.payload())
        ending = start(run, shell, leads=False).ending()
        assert (ending.kind, ending.stdout) == ("ran", b"yes\n")


@pytest.mark.parametrize("login", ["bash", "fish", "tcsh", "zsh", "mksh"])
@pytest.mark.parametrize("by", ["/bin/sh", "perl"])
def test_the_login_shell_may_be_another(login: str, by: str) -> None:
    run = remote_run(probe("echo 'a  !b' \"$0\"; exit 7"), TARGET)
    ending = start(run, by, login=found(login)).ending()
    assert (ending.kind, ending.exit_status) == ("ran", 7)
    assert ending.stdout.startswith(b"a  !b")


def test_what_a_login_shell_prints_is_no_output_of_the_probe(tmp_path: Path) -> None:
    login = tmp_path / "login"
    login.write_text('#!/bin/sh\necho "Welcome!"; echo "No mail." >&2\nexec /bin/sh "$@"\n')
    login.chmod(0o755)
    ending = start(remote_run(probe("echo yes"), TARGET), login=str(login)).ending()
    assert (ending.stdout, ending.stderr) == (b"yes\n", b"")


@pytest.mark.parametrize("late", [False, True])
def test_what_does_not_understand_is_no_posix_system(tmp_path: Path, late: bool) -> None:
    login = tmp_path / "login"
    login.write_text("#!/bin/sh\necho \"'exec' is not recognized\" >&2; exit 1\n")
    login.chmod(0o755)
    ending = start(remote_run(probe("uptime"), TARGET), login=str(login), late=late).ending()
    assert ending.kind == "unsupported"
    assert "it said: 'exec' is not recognized" in ending.detail


def test_a_marker_that_the_probe_prints_ends_nothing() -> None:
    run = remote_run(probe("x"), TARGET)
    out = f"{run.marker} begin\na {run.marker} end ran 9\nb{run.marker} end ran 0 - 1 2.5 - - 0\n"
    ending = run.ending(out.encode(), b"")
    assert (ending.exit_status, ending.elapsed) == (0, 1.5)
    assert ending.stdout == f"a {run.marker} end ran 9\nb".encode()


@pytest.mark.parametrize(
    "trailer",
    ["", " ", "ran", "ran 0 - 1 2 - - 0", "ran x y z\n", "ran 9999999999999999999999 - - - - - -\n",
     "odd 0 - 1 2 - - 0\n", "ran 0 - nan inf - - 0\n", "ran 0 \x1b[2J - - - - 0\n", "\xff" * 99],
)  # fmt: skip
def test_a_trailer_that_is_none_raises_nothing(trailer: str) -> None:
    run = remote_run(probe("x"), TARGET)
    out = f"{run.marker} begin\nyes{run.marker} end {trailer}".encode("latin-1")
    ending = run.ending(out, b"")
    assert ending.stdout == b"yes"
    assert ending.signal is None
    assert ending.elapsed is None or ending.elapsed >= 0


def test_a_variable_that_a_target_lacks_is_named_with_the_nearest() -> None:
    with pytest.raises(DataError) as told:
        remote_run(probe("df {dsik}"), TARGET)
    assert str(told.value) == (
        "{dsik} stands for a variable that target lab01 does not have (did you mean {disk}?); "
        "it has disk, host, port, target, user"
    )


def test_two_runs_share_no_marker() -> None:
    assert remote_run(probe("x"), TARGET).marker != remote_run(probe("x"), TARGET).marker
