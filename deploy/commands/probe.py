"""`thalweg probe`: a command on many machines, once, and what they say grouped."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ...runtime.errors import MisconfiguredError, MissingExtra, ThalwegError
from ..event_loop import loop_factory
from ..exit_status import ExitStatus, UsageError
from .arguments import seconds

if TYPE_CHECKING:
    from ...operators.fleet import Probe, ProbeLimits, ProbeResult, SshAccess, Targets

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg probe --targets 'lab[01-20]!lab05' -- uptime
  thalweg probe --hosts hosts.yml --only @web -- 'df -P / | tail -n 1'
  thalweg probe --hosts lab.txt --script checks/disk.sh -- --device {disk}

Words of COMMAND are joined by spaces, as ssh does it, and read by sh on each machine; {disk} there
stands for a variable of the machine, quoted safely. With --script, they are its arguments. What
machines say is printed together where it is the same; with --json each result is printed as it
comes, as a line of JSON. Host keys are checked against known_hosts, always.

When it is broken off (^C), what has come by then is printed, and what still runs on the machines
is ended.

exit status:
  0  ok on all machines     1  not on all     2  wrong usage, or no targets     130  broken off
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `probe`."""
    parser.epilog = _EXAMPLES
    whom = parser.add_argument_group("whom to probe (one of these)")
    whom = whom.add_mutually_exclusive_group(required=True)
    whom.add_argument(
        "--hosts",
        metavar="FILE",
        help="an Ansible inventory (.yml, .yaml, .ini, or with [sections]), or a list of names",
    )
    whom.add_argument("--targets", metavar="NAMES", help="names and patterns, such as lab[01-20]")
    whom.add_argument("--ssh-config", metavar="FILE", help="each Host of an OpenSSH config")
    parser.add_argument(
        "--only", metavar="NAMES", help="of these, those that patterns or @groups name"
    )
    parser.add_argument("--user", help="who logs in, where the target does not say (you)")
    parser.add_argument(
        "--identity", action="append", default=[], metavar="FILE", help="a private key; repeatable"
    )
    parser.add_argument(
        "--certificate", action="append", default=[], metavar="FILE", help="one for a private key"
    )
    parser.add_argument(
        "--passphrase", metavar="PLACE", help="what opens the keys: env:NAME or file:PATH"
    )
    parser.add_argument(
        "--known-hosts", default="~/.ssh/known_hosts", metavar="FILE", help="keys of the machines"
    )
    parser.add_argument(
        "--trust-new",
        action="store_true",
        help="believe a machine of which no key is known, and write its key down",
    )
    parser.add_argument(
        "--timeout", type=seconds, default=30.0, metavar="SECONDS", help="for the command (30)"
    )
    parser.add_argument(
        "--connect-timeout", type=seconds, default=3.0, metavar="SECONDS", help="for a port (3)"
    )
    parser.add_argument(
        "--ping-timeout",
        type=seconds,
        metavar="SECONDS",
        help="ask by ICMP before that whether a machine is there, where this may be done",
    )
    parser.add_argument("--script", metavar="FILE", help="send this file, run it and remove it")
    parser.add_argument("--exclusive", action="store_true", help="only where nobody is logged in")
    parser.add_argument("--json", action="store_true", help="one JSON object for each result")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="behind --")


def execute(arguments: argparse.Namespace) -> int:
    """Probe and return the exit status. Raises UsageError."""
    from ...operators.fleet import folded
    from ..by_hand.grouped_results import grouped, summed_up
    from ..by_hand.probing import probe_by_hand

    results: list[ProbeResult] = []

    def take(result: ProbeResult) -> None:
        results.append(result)
        if arguments.json:
            print(orjson.dumps(result).decode(), flush=True)

    try:
        targets, probe = _targets(arguments), _probe(arguments)
        access, limits = _access(arguments), _limits(arguments)
        # Looked up here, so that what is wrong with a file is told without a graph.
        loaded = targets.load()
        for note in loaded.notes:
            print(f"thalweg: {note}", file=sys.stderr)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    except (MisconfiguredError, MissingExtra) as error:
        raise UsageError(str(error)) from None
    began, broken_off = time.monotonic(), False
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        asking = probe_by_hand(loaded.targets, probe, access=access, limits=limits, each=take)
        try:
            runner.run(asking)
        except KeyboardInterrupt:
            broken_off = True
        except ThalwegError as error:
            if arguments.traceback:
                raise
            print(f"thalweg: {error}", file=sys.stderr)
            return ExitStatus.FAILED
    if not arguments.json:
        for text in grouped(results):
            print(text)
        sys.stdout.flush()
    print(summed_up(results, time.monotonic() - began), file=sys.stderr)
    if broken_off:
        answered = {result["target"] for result in results}
        missing = [one.name for one in loaded.targets if one.name not in answered]
        print(f"thalweg: broken off, without an answer of {folded(missing)}", file=sys.stderr)
        raise KeyboardInterrupt
    fine = all(result["outcome"] == "ok" for result in results)
    return ExitStatus.FINE if fine and results else ExitStatus.FAILED


def _targets(arguments: argparse.Namespace) -> Targets:
    from ...operators.fleet import inventory, ssh_config, target_file, targets

    if arguments.targets is not None:
        found = targets(*arguments.targets.split())
    elif arguments.ssh_config is not None:
        found = ssh_config(arguments.ssh_config)
    else:
        path = Path(arguments.hosts).expanduser()
        found = inventory(path) if _is_inventory(path) else target_file(path)
    return found if arguments.only is None else found.only(*arguments.only.split())


def _is_inventory(path: Path) -> bool:
    """By its ending, or by a section; a list of names has neither."""
    if path.suffix.lower() in (".yml", ".yaml", ".ini", ".json"):
        return True
    try:
        with path.open("rb") as file:
            head = file.read(64 * 1024)
    except OSError:
        return False  # which is told when it is read
    return any(
        line.startswith(b"[") or b"=" in line.partition(b"#")[0] for line in head.splitlines()
    )


def _probe(arguments: argparse.Namespace) -> Probe:
    from ...operators.fleet import probe, script

    words: list[str] = arguments.command
    if arguments.script is not None:
        made = script(
            arguments.script, args=words, timeout=arguments.timeout, exclusive=arguments.exclusive
        )
        made.payload()
        return made
    if not words:
        raise UsageError(
            "no command: write it behind --, as in thalweg probe --hosts FILE -- uptime"
        )
    return probe(
        " ".join(words), name="command", timeout=arguments.timeout, exclusive=arguments.exclusive
    )


def _access(arguments: argparse.Namespace) -> SshAccess:
    from ...operators.fleet import SshAccess

    return SshAccess(
        user=arguments.user,
        identities=tuple(arguments.identity),
        certificates=tuple(arguments.certificate),
        passphrase=arguments.passphrase,
        known_hosts=arguments.known_hosts,
        trust_new=arguments.trust_new,
    )


def _limits(arguments: argparse.Namespace) -> ProbeLimits:
    from ...operators.fleet import ProbeLimits

    return ProbeLimits(
        connect_timeout=arguments.connect_timeout, ping_timeout=arguments.ping_timeout
    )
