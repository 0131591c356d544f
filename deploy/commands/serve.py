"""`thalweg serve`: a model over HTTP, for tests and small loads."""

from __future__ import annotations

import argparse
import asyncio

from ..event_loop import loop_factory
from ..exit_status import ExitStatus

__all__ = ["configure", "execute"]

_EXAMPLES = """\
examples:
  thalweg serve graphs/models/iris.onnx --port 8501
  thalweg run iris_scoring --set endpoint=oip+http://127.0.0.1:8501/v2/models/iris

SIGTERM and SIGINT end it, after what is under way has been answered.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `serve`."""
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model file (iris.onnx) or a Python callable (module:function)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine)"
    )
    parser.add_argument(
        "--port", type=_port, default=8501, help="the port to listen on; 0 is any free one (8501)"
    )
    parser.add_argument("--name", help="the model's name in URLs (that of the file)")


def execute(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it. Raises ThalwegError when it cannot."""
    from ..serve import serve

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(
            serve(arguments.model, host=arguments.host, port=arguments.port, name=arguments.name)
        )
    return ExitStatus.FINE


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)
