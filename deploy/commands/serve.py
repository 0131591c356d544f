"""`thalweg serve`: models over HTTP, for tests, rehearsals and small loads."""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING

from ..event_loop import loop_factory
from ..exit_status import ExitStatus

if TYPE_CHECKING:
    from ..serve import Faults

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg serve graphs/models/iris.onnx --port 8501
  thalweg run iris_scoring --set endpoint=oip+http://127.0.0.1:8501/v2/models/iris
  thalweg serve old=iris.onnx new=iris2.onnx mine:classify --store
  thalweg serve iris.onnx --fault latency=5ms,per_row=20us,workers=8,error=0.01

what a model answers to, by protocol:
  POST /ml/v4/deployments/NAME/predictions?version=2020-09-01     Watson Machine Learning
  POST /v2/models/NAME[/versions/N]/infer                         Open Inference Protocol
  POST /v1/models/NAME[/versions/N]:predict                       KServe 1, TensorFlow Serving
  POST /invocations                                               MLflow, where there is one model

faults on purpose, NAME=VALUE,… (times with a unit, chances from 0 to 1):
  latency, per_row, jitter    how long a request takes: always, for each row, at most on top
  workers, queue              how many are worked on at once, and how many more may wait
  rate                        requests a second; more are refused as busy
  busy, retry_after           the chance of a 429, and how long it asks to wait
  error, status               the chance of an error, and its HTTP status (500)
  reset, hang                 the connection breaks; or is kept, with no answer
  html, truncated, cut        a page with status 200; half of the JSON; half of the answer
  short_rows, long_rows       a row too few, or too many
  seed                        which requests they happen to
GET, PUT (all) and PATCH (some) /faults tell and change them while it runs: {"latency": "10ms"}

SIGTERM and SIGINT end it, after what is under way has been answered.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `serve`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="a model file (.onnx, .skops, .pmml) or a Python callable (module:function); "
        "NAME=MODEL names it",
    )
    parser.add_argument(
        "--store",
        nargs="?",
        const="",
        metavar="DIR",
        help="serve all models of a store, and new versions as they come (that of `thalweg model`)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine)"
    )
    parser.add_argument(
        "--port", type=_port, default=8501, help="the port to listen on; 0 is any free one (8501)"
    )
    parser.add_argument("--name", help="the name of a single model in URLs (that of the file)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="FAULTS",
        help="what to do wrong or slowly on purpose (see below); may be repeated",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it. Raises ThalwegError when it cannot."""
    from ..serve import serve
    from ..serve.model_store import default_folder

    given: list[str] = arguments.fault
    store: str | None = arguments.store
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(
            serve(
                *arguments.models,
                host=arguments.host,
                port=arguments.port,
                name=arguments.name,
                store=default_folder() if store == "" else store,
                faults=_faults(given),
            )
        )
    return ExitStatus.FINE


def _faults(given: list[str]) -> Faults | None:
    from ..serve import Faults

    return Faults.parsed(",".join(given)) if given else None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)
