"""Runs the scoring server: in the foreground, or inside a program or a test."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ...runtime.errors import MissingExtra, ThalwegError
from ..address import Address
from .served_model import load

__all__ = ["ServeError", "Serving", "serve", "serving"]


class ServeError(ThalwegError):
    """The server cannot listen where it should."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that listens: the model's name and the `url` that everything stands under.

    `named_inputs` tells whether the model says which inputs it takes; a Python callable does not,
    so that only Watson's protocol brings it its fields by name.

    >>> Serving("iris", "http://127.0.0.1:8501").oip
    'oip+http://127.0.0.1:8501/v2/models/iris'
    """

    name: str
    url: str
    named_inputs: bool = True

    @property
    def wml(self) -> str:
        """The endpoint, as a setting, over Watson Machine Learning's protocol."""
        return f"wml+{self.url}/ml/v4/deployments/{self.name}/predictions?version=2020-09-01"

    @property
    def oip(self) -> str:
        """The endpoint, as a setting, over the Open Inference Protocol."""
        return f"oip+{self.url}/v2/models/{self.name}"


@asynccontextmanager
async def serving(
    model: str, *, host: str = "127.0.0.1", port: int = 0, name: str | None = None
) -> AsyncGenerator[Serving, None]:
    """Serve a model as long as the context lasts.

    Parameters: `model`, the path of an .onnx file, or `module:function`; `host`, the address to
    listen on (loopback: the server knows no users); `port`, 0 for any free one; `name`, what the
    model is called in URLs (that of the file or function). Raises MisconfiguredError for a model
    that is missing or broken, MissingExtra without aiohttp, ServeError where the port is taken.
    """
    try:
        from aiohttp import web

        from .application import application
    except ModuleNotFoundError as error:
        raise MissingExtra("the scoring server", "http") from error
    served = await asyncio.to_thread(load, model, name)
    runner = web.AppRunner(application(served), access_log=None, shutdown_timeout=10.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ServeError(
                f"cannot listen on {host}:{port}: {reason}; another port, or port 0 for any free "
                "one, may do"
            ) from None
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        yield Serving(served.name, f"http://{shown}:{bound}", named_inputs=bool(served.inputs))
    finally:
        await runner.cleanup()


async def serve(
    model: str, *, host: str = "127.0.0.1", port: int = 8501, name: str | None = None
) -> None:
    """Serve a model until SIGTERM or SIGINT; requests under way are answered before it returns.

    Prints one line with the endpoints once it listens, and warns where other machines can reach
    it. Parameters and errors as with `serving`.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with serving(model, host=host, port=port, name=name) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        if not Address(host, port).loopback:
            print(
                f"thalweg: warning: {server.url} can be reached from other machines, "
                "and asks nobody who they are",
                file=sys.stderr,
            )
        try:
            endpoints = [server.wml, server.oip] if server.named_inputs else [server.wml]
            settings = " or ".join(f"--set 'endpoint={endpoint}'" for endpoint in endpoints)
            print(f"{server.name} is served: {settings}", flush=True)
            await stopped.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
