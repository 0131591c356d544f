"""`thalweg score`: what a model answers, for records that are given by hand."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, BinaryIO

from ...runtime.errors import ThalwegError
from ..event_loop import loop_factory
from ..exit_status import ExitStatus, UsageError
from .endpoint_arguments import add_endpoint, endpoints_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..by_hand.given_records import Given

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg score oip+http://127.0.0.1:8501/v2/models/iris --file flowers.ndjson --join
  thalweg score onnx:graphs/models/iris.onnx --record '{"Petal.Length": 1.4, …}'
  thalweg score onnx:graphs/models/iris.onnx --file - --fields petal_length=Petal.Length,…

Answers are printed as JSON, one a line, in the order of the records; what could not be scored is
told on standard error. A file is read to its end; for a stream write a graph.

exit status:
  0  all records were scored     1  some were not     2  wrong usage
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `score`."""
    parser.epilog = _EXAMPLES
    add_endpoint(parser)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--record",
        action="append",
        metavar="JSON",
        help="a record, as a JSON object; may be repeated",
    )
    given.add_argument(
        "--file",
        metavar="FILE",
        help="records, as a JSON object in each line or a JSON list of them; - is standard input",
    )
    parser.add_argument(
        "--join", action="store_true", help="print the record's own fields beside the answer's"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Score the records and return the exit status. Raises UsageError."""
    from ...operators.endpoints import several
    from ..by_hand.scoring import score_by_hand

    endpoints = endpoints_of(arguments)
    with _source(arguments.file) as file, asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            all_scored = runner.run(
                score_by_hand(
                    endpoints[0] if len(endpoints) == 1 else several(endpoints),
                    _given(arguments.record, file),
                    fields=arguments.fields,
                    join=arguments.join,
                    timeout=arguments.timeout,
                )
            )
        except UsageError:
            raise
        except ThalwegError as error:
            if arguments.traceback:
                raise
            print(f"thalweg: {type(error).__name__}: {error}", file=sys.stderr)
            return ExitStatus.FAILED
    return ExitStatus.FINE if all_scored else ExitStatus.FAILED


def _source(file: str | None) -> AbstractContextManager[BinaryIO | None]:
    if file is None:
        return nullcontext(None)
    if file == "-":
        return nullcontext(_standard_input())
    try:
        return open(file, "rb")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or type(error).__name__}") from None


def _standard_input() -> BinaryIO:
    """A reader of its own: Python closes sys.stdin when it ends, and a thread may still read."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except (OSError, ValueError):  # in the place of the process's own stands something else
        return sys.stdin.buffer


def _given(records: list[str] | None, file: BinaryIO | None) -> Iterator[Given]:
    from ..by_hand.given_records import read_records

    if file is not None:
        return read_records(file)
    return iter([record.encode("utf-8", "surrogateescape") for record in records or ()])
