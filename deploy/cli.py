"""The command `thalweg`: reads the command line and hands over to one file per command."""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from ..runtime.errors import ThalwegError
from .exit_status import ExitStatus

__all__ = ["main"]

_COMMANDS = {
    "run": "run a graph until its sources end or a signal drains it",
    "show": "print a graph's plan, settings and drawing, without running it",
    "test": "run a graph with simulated faults, and compare what arrives",
    "tune": "search the settings of an operator against its live endpoint",
    "jobs": "list the jobs that run on this machine",
    "sql": "ask the tables of a running job",
    "look": "print what is in files: schema, rows, counts and a summary",
    "serve": "serve models over HTTP, for tests, rehearsals and small loads",
    "model": "store models with their versions, list them, delete them",
    "score": "print what a model answers, for records given by hand",
    "check": "ask a model what it takes, and in what time it answers",
    "probe": "run a command on many machines, once, and group what they say",
    "usage": "print how machines were used, from their usage database",
}
_STATUS = """\
exit status:
  0  ended or drained     1  the job failed     2  wrong usage, graph or settings
  3  cancelled, by a second signal or the drain timeout, with records unprocessed
"""


class _Command(Protocol):
    """What a file in `commands/` offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        ...

    def execute(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit status."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (that of the process unless given) and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser, chosen = _parser(words)
    options = parser.parse_args(words)
    if chosen is None:
        parser.print_help()
        return ExitStatus.USAGE
    if arguments is None:
        # The process has only this to do: what is loaded by now is needed to its end, where Python
        # would look through it thrice more for cycles. A graph comes later, and is looked through:
        # what it has not closed, such as a file that its functions write to, is closed at the end.
        gc.freeze()
    try:
        return chosen.execute(options)
    except ThalwegError as error:
        if options.traceback:
            raise
        print(f"thalweg: {error}", file=sys.stderr)
        return ExitStatus.USAGE
    except BrokenPipeError:
        # The reader of our output has gone, as in `thalweg show … | head`: nothing to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.FINE
    except KeyboardInterrupt:
        return 130


def _parser(words: Sequence[str]) -> tuple[argparse.ArgumentParser, _Command | None]:
    """The parser; only the command that is named is imported, so that help comes at once."""
    parser = argparse.ArgumentParser(
        prog="thalweg",
        description="A streaming runtime: graphs of operators, declared in Python files.",
        epilog=_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    # Named, it need not be looked up, with the width of the terminal and all that this imports.
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog=parser.prog)
    named = next((word for word in words if not word.startswith("-")), None)
    chosen: _Command | None = None
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # `--rest` would not be found by what takes `--restart` off again
        )
        command.add_argument(
            "--traceback", action="store_true", help="print the whole traceback of an error"
        )
        if name == named:
            module = importlib.import_module(f".commands.{name}", __package__)
            chosen = cast(_Command, module)
            chosen.configure(command)
    return parser, chosen


class _Version(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        # Looking the version up reads the disk, so it is done only here.
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"thalweg {version('thalweg')}")
        except PackageNotFoundError:
            print("thalweg, not installed")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
