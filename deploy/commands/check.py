"""`thalweg check`: whether a model is up, which fields it takes, and how long it takes."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

from ...runtime.errors import DataError
from ..event_loop import loop_factory
from ..exit_status import ExitStatus, UsageError
from .endpoint_arguments import add_endpoint, endpoints_of

if TYPE_CHECKING:
    from ...operators.endpoints import Endpoint
    from ..by_hand.checking import Findings
    from ..by_hand.given_records import Record

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg check oip+http://127.0.0.1:8501/v2/models/iris
  thalweg check onnx:graphs/models/iris.onnx --batch 256 --json
  thalweg check 'wml+https://HOST/ml/v4/deployments/iris/predictions?version=2020-09-01' \\
      --record '{"Petal.Length": 1.4, "Petal.Width": 0.2}'

Without a record one is made of zeros, where the model tells fields that are numbers. The first
call is told apart, since it connects and may wake the model.

exit status:
  0  each endpoint scored the record and the batch     1  one did not     2  wrong usage
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `check`."""
    parser.epilog = _EXAMPLES
    add_endpoint(parser)
    parser.add_argument("--record", metavar="JSON", help="what is scored, as a JSON object")
    parser.add_argument(
        "--batch", type=_count, default=64, metavar="RECORDS", help="records in a full batch (64)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each endpoint")


def execute(arguments: argparse.Namespace) -> int:
    """Ask each endpoint and print what was found. Raises UsageError."""
    endpoints = endpoints_of(arguments)
    record = _record(arguments.record)
    fine = True
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for number, endpoint in enumerate(endpoints):
            found = runner.run(_found(endpoint, record, arguments))
            if arguments.json:
                print(json.dumps(found.as_dict()), flush=True)
            else:
                print(("\n" if number else "") + found.text(), flush=True)
            fine = fine and found.fine
    return ExitStatus.FINE if fine else ExitStatus.FAILED


async def _found(
    endpoint: Endpoint, record: Record | None, arguments: argparse.Namespace
) -> Findings:
    from ..by_hand.checking import check

    return await check(
        endpoint,
        record=record,
        fields=arguments.fields,
        batch=arguments.batch,
        timeout=arguments.timeout,
    )


def _record(text: str | None) -> Record | None:
    from ..by_hand.given_records import decoded

    if text is None:
        return None
    try:
        return decoded(text.encode("utf-8", "surrogateescape"))
    except DataError as error:
        raise UsageError(f"--record: {error}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"a number, 1 or more, is asked for, not {text!r}")
    return int(text)
