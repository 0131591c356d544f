"""Runs the scoring server: in the foreground, or inside a program or a test."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from ...runtime.dataclass import dataclass
from ...runtime.errors import MisconfiguredError, MissingExtra, ThalwegError
from ..address import Address
from .faults import Faults
from .kinds import load
from .model_store import ModelStore
from .served_model import ServedModel

__all__ = ["ServeError", "Serving", "serve", "serving"]


class ServeError(ThalwegError):
    """The server cannot listen where it should."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that listens: the model's name and the `url` that everything stands under.

    Where there are several models, this is the first, and `others` are the others; an empty store
    has a `name` that is empty, too. `named_inputs` tells whether the model says which inputs it
    takes; a Python callable does not, so that only Watson's protocol brings it its fields by name.

    >>> iris = Serving("iris", "http://127.0.0.1:8501")
    >>> iris.oip
    'oip+http://127.0.0.1:8501/v2/models/iris'
    >>> iris.at("wine").oip
    'oip+http://127.0.0.1:8501/v2/models/wine'
    """

    name: str
    url: str
    named_inputs: bool = True
    others: tuple[Serving, ...] = ()

    def at(self, name: str) -> Serving:
        """Another model of the same server, also one that was stored since."""
        found = next((other for other in self.others if other.name == name), None)
        return found or replace(self, name=name, others=())

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
    *models: str,
    host: str = "127.0.0.1",
    port: int = 0,
    name: str | None = None,
    store: str | Path | None = None,
    check_every: float = 1.0,
    faults: Faults | None = None,
) -> AsyncGenerator[Serving, None]:
    """Serve models as long as the context lasts.

    Parameters: `models`, each the path of a model file, or `module:function`, with `NAME=` before
    it where it should not have the name of the file or function; `host`, the address to listen on
    (loopback: the server knows no users); `port`, 0 for any free one; `name`, what a single model
    is called in URLs; `store`, the folder of a store whose models are served as well (none);
    `check_every`, how often it is looked at for new versions, in seconds (1); `faults`, what to do
    wrong on purpose, changed at `/faults` while it runs (nothing, and no such path).

    Raises MisconfiguredError for a model that is missing or broken, for two of one name, and where
    there is nothing to serve; MissingExtra without aiohttp; ModelStoreError for a damaged store;
    ServeError where the port is taken.
    """
    try:
        from aiohttp import web

        from .application import application
        from .catalogue import Catalogue
        from .shelf import Shelf
    except ModuleNotFoundError as error:
        raise MissingExtra("the scoring server", "http") from error
    if not models and store is None:
        raise MisconfiguredError("there is nothing to serve: name a model, or a store of models")
    if name is not None and len(models) != 1:
        raise MisconfiguredError(
            f"the name {name!r} is for a single model, and there are {len(models)}: "
            "name each as NAME=MODEL"
        )
    async with contextlib.AsyncExitStack() as stack:
        given: list[ServedModel] = []
        for model in models:
            given.append(await asyncio.to_thread(load, model, name))
            stack.push_async_callback(asyncio.to_thread, given[-1].close)
        shelf = None
        if store is not None:
            shelf = Shelf(_opened(store), check_every=check_every)
            stack.push_async_callback(shelf.close)
            await shelf.open()
        catalogue = Catalogue(given, shelf)
        runner = web.AppRunner(
            application(catalogue, faults=faults), access_log=None, shutdown_timeout=10.0
        )
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ServeError(
                f"cannot listen on {host}:{port}: {reason}; another port, or port 0 for any free "
                "one, may do"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        yield _told(catalogue.models, f"http://{shown}:{runner.addresses[0][1]}")


def _opened(store: str | Path) -> ModelStore:
    folder = Path(store)
    if folder.exists() and not folder.is_dir():
        raise MisconfiguredError(
            f"the store of models {str(folder)!r} is no folder: name the models before --store, "
            "or put the folder of the store behind it"
        )
    return ModelStore(folder)


def _told(models: list[ServedModel], url: str) -> Serving:
    served = [Serving(model.name, url, named_inputs=bool(model.inputs)) for model in models]
    first, *others = served or [Serving("", url)]
    return replace(first, others=tuple(others))


async def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8501,
    name: str | None = None,
    store: str | Path | None = None,
    faults: Faults | None = None,
) -> None:
    """Serve models until SIGTERM or SIGINT; requests under way are answered before it returns.

    Prints one line with the endpoints of each model once it listens, and warns where other
    machines can reach it. Parameters and errors as with `serving`.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    with _logging():
        async with serving(
            *models, host=host, port=port, name=name, store=store, faults=faults
        ) as server:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stopped.set)
            try:
                _warn(server, Address(host, port), faults)
                _announce(server)
                await stopped.wait()
            finally:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)


def _warn(server: Serving, address: Address, faults: Faults | None) -> None:
    if not address.loopback:
        print(
            f"thalweg: warning: {server.url} can be reached from other machines, "
            "and asks nobody who they are",
            file=sys.stderr,
        )
    if faults is not None:
        print(
            f"thalweg: a rehearsal with {faults}; {server.url}/faults tells and changes them",
            file=sys.stderr,
        )


def _announce(server: Serving) -> None:
    if not server.name:
        print(f"{server.url} serves no model yet: store one", flush=True)
        return
    for model in (server, *server.others):
        endpoints = [model.wml, model.oip] if model.named_inputs else [model.wml]
        settings = " or ".join(f"--set 'endpoint={endpoint}'" for endpoint in endpoints)
        print(f"{model.name} is served: {settings}", flush=True)


@contextlib.contextmanager
def _logging() -> Generator[None]:
    """What the server logs goes to standard error, as the other lines for people do."""
    log = logging.getLogger("thalweg.serve")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("thalweg: %(message)s"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before
