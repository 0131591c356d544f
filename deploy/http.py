"""The launcher's web page for machines: metrics, health, progress and the graph.

It has a thread and an event loop of its own, so that it answers while user code blocks the
engine's. Everything it tells is read from plain counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, cast

import orjson

from ..runtime.dataclass import dataclass
from ..runtime.errors import MissingExtra, ThalwegError
from ..runtime.progress import Progress
from ..runtime.tables.answer import Answer
from ..runtime.triggers.report import Status, TriggerReport
from .address import Address, listen
from .answering import answering
from .watchdog import Blocked

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware
    from prometheus_client import CollectorRegistry

__all__ = ["HttpServer", "Pages"]

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_SETTABLE = frozenset(("linger", "max_batch_size", "max_in_flight"))


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the pages come from. Each is called in the server's thread and must not wait."""

    registry: CollectorRegistry
    progress: Callable[[], Progress]
    graph: Callable[[], Mapping[str, object]]
    blocked: Callable[[], Blocked | None]
    adjust: Callable[[str, Mapping[str, object]], Mapping[str, object]] | None = None
    """Sets what a node may have set while it runs; it may wait a moment, in a thread."""
    status: Callable[[], Status] | None = None
    recent: Callable[[], list[TriggerReport]] | None = None
    """What the job does, and did in its last triggers, in the field names of Spark."""
    sql: Callable[[str], Answer] | None = None
    """What a query finds in the tables of the job, if it has any; it may wait, in a thread."""

    def metrics(self, accept: str) -> tuple[int, str, bytes]:
        """The registry, as OpenMetrics for who asks for it, else in Prometheus' text format."""
        from ..runtime.metrics import exposition

        return 200, *exposition(self.registry, accept)

    def healthz(self, accept: str) -> tuple[int, str, bytes]:
        """Whether the engine's loop answers; who blocks it, if not."""
        blocked = self.blocked()
        if blocked is None:
            return 200, _TEXT, b"ok\n"
        return 503, _TEXT, f"{blocked}\n".encode()

    def readyz(self, accept: str) -> tuple[int, str, bytes]:
        """Whether the job runs: neither starting nor draining nor ended."""
        state = self.progress().state
        return 200 if state == "running" else 503, _TEXT, f"{state}\n".encode()

    def as_json(self, accept: str) -> tuple[int, str, bytes]:
        """The progress."""
        return 200, _JSON, orjson.dumps(self.progress().as_dict())

    def of_spark(self) -> Mapping[str, Callable[[str], tuple[int, str, bytes]]]:
        """The pages in the field names of Spark, by their paths."""
        status, recent = self.status, self.recent
        if status is None or recent is None:
            return {}
        return {
            "/status": lambda accept: (200, _JSON, orjson.dumps(status())),
            "/progress/last": lambda accept: (200, _JSON, orjson.dumps(_last_of(recent()))),
            "/progress/recent": lambda accept: (200, _JSON, orjson.dumps(recent())),
        }

    def drawing(self, accept: str) -> tuple[int, str, bytes]:
        """The plan with its drawing."""
        return 200, _JSON, orjson.dumps(self.graph(), default=str)


def _last_of(triggers: list[TriggerReport]) -> TriggerReport | None:
    return triggers[-1] if triggers else None


class HttpServer:
    """Serves `Pages` from a thread of its own between `start` and `stop`.

    Parameters: `address`, where to listen; `pages`, what to tell. Raises MissingExtra when aiohttp
    is not installed. `start` raises AddressError when the address cannot be had.
    """

    def __init__(self, address: Address, pages: Pages) -> None:
        try:
            import aiohttp.web as _  # noqa: F401
        except ImportError:
            raise MissingExtra("--http", "http") from None
        self._pages = pages
        self._socket, self.address = listen(address)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="thalweg-http", daemon=True)

    def start(self) -> None:
        """Begin to answer; it does when this returns."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Answer what has been asked, and end within a second."""
        with contextlib.suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(2.0)

    def _run(self) -> None:
        # Not uvloop: one loop of the faster kind is enough, and this one should disturb nothing.
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()  # Nobody waits for a thread that could not begin.

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        near = self.address.loopback
        application = web.Application(middlewares=[_asked_by_this_machine()] if near else [])
        routes = {
            "/metrics": self._pages.metrics,
            "/healthz": self._pages.healthz,
            "/readyz": self._pages.readyz,
            "/progress": self._pages.as_json,
            "/graph": self._pages.drawing,
            **self._pages.of_spark(),
        }
        for path, page in routes.items():
            application.router.add_get(path, _handler(page))
        if self._pages.adjust is not None:
            application.router.add_patch("/nodes/{node}", _adjusting(self._pages.adjust))
        if self._pages.sql is not None:
            application.router.add_post("/sql", answering(self._pages.sql))
        application.router.add_get("/{path:.*}", _not_found(list(routes)))
        runner = web.AppRunner(
            application, handle_signals=False, access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        self._ready.set()
        await self._stopped.wait()
        await runner.cleanup()


def _asked_by_this_machine() -> Middleware:
    """Refuses to set anything, or to look into tables, for who asks under another name.

    A page of another site, open in a browser of this machine, could have its own name lead here;
    the browser would then take both for one site, and let the page read what is answered.
    """
    from aiohttp import web

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        name = request.headers.get("Host", "localhost").rpartition("]")[0].removeprefix("[")
        name = name or request.headers.get("Host", "localhost").partition(":")[0]
        if request.method in ("GET", "HEAD") or Address(name, 0).loopback:
            return await handler(request)
        told = f"this answers who asks for localhost or 127.0.0.1, not for {name[:100]!r}\n"
        return web.Response(status=421, text=told)

    return check


def _handler(
    page: Callable[[str], tuple[int, str, bytes]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        from aiohttp import web

        status, content_type, body = page(request.headers.get("Accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return web.Response(status=status, headers=headers, body=body)

    return handle


def _not_found(paths: list[str]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        from aiohttp import web

        return web.Response(status=404, text=f"there are: {' '.join(paths)}\n")

    return handle


def _adjusting(
    adjust: Callable[[str, Mapping[str, object]], Mapping[str, object]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answers `PATCH /nodes/NODE` with what is in force then.

    The body has to say that it is JSON: a page of another site, open in a browser of this machine,
    cannot send that without asking first, which nobody here answers.
    """

    async def handle(request: web.Request) -> web.Response:
        from aiohttp import web

        if request.content_type != _JSON:
            return web.Response(status=415, text="send application/json\n")
        try:
            wanted = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            return web.Response(status=400, text=f"the body is no JSON: {error}\n")
        if not isinstance(wanted, dict) or not wanted or not wanted.keys() <= _SETTABLE:
            return web.Response(
                status=400, text=f"send an object with some of: {', '.join(sorted(_SETTABLE))}\n"
            )
        try:
            made = await asyncio.to_thread(
                adjust, request.match_info["node"], cast("dict[str, object]", wanted)
            )
        except (ThalwegError, ValueError) as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(body=orjson.dumps(dict(made)), content_type=_JSON)

    return handle
