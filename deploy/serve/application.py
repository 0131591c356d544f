"""The routes of the scoring server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, cast

import orjson
from aiohttp import web

from ...runtime.errors import DataError, MisconfiguredError
from . import kserve_protocol, mlflow_protocol, oip_protocol, wml_protocol
from .catalogue import Catalogue, NotServed
from .faults import Faults, FaultsError
from .rehearsal import Rehearsal, Rehearsed
from .served_model import ServedModel

__all__ = ["application"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Protocol = Callable[[ServedModel, bytes], bytes]

# When the work on a request began, for the middleware around the handler: both are in one task.
_began: ContextVar[float] = ContextVar("began")
_WML = "/v4/deployments"
_LONGEST_REASON = 1_000


def application(
    catalogue: Catalogue,
    *,
    faults: Faults | None = None,
    max_body_bytes: int = 64 * 1024 * 1024,
) -> web.Application:
    """An application that serves models over all protocols.

    Parameters: `faults`, what to do wrong on purpose, which `/faults` then tells and changes
    (None: nothing, and no such path); `max_body_bytes`, the largest request that is read (64 MiB).
    A model runs in a thread, as many at once as there are processors.
    """
    app = web.Application(client_max_size=max_body_bytes, middlewares=[_timed, _errors])
    routes = _Routes(catalogue, None if faults is None else Rehearsal(faults))
    app.cleanup_ctx.append(routes.threads)
    app.on_shutdown.append(routes.stop)
    app.router.add_post("/ml" + _WML + "/{name}/predictions", routes.wml)
    app.router.add_post(_WML + "/{name}/predictions", routes.wml)
    app.router.add_get("/v2", routes.server)
    app.router.add_get("/v2/health/live", routes.live)
    app.router.add_get("/v2/health/ready", routes.ready)
    app.router.add_post("/v2/repository/index", routes.listed)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.router.add_get(path, routes.metadata)
        app.router.add_get(path + "/ready", routes.model_ready)
        app.router.add_post(path + "/infer", routes.infer)
    app.router.add_get("/v1/models", routes.names)
    name = "/v1/models/{name:[^/:]+}"
    for path in (name, name + "/versions/{version:[^/:]+}"):
        app.router.add_get(path, routes.model_ready)
        app.router.add_post(path + ":predict", routes.predict)
    app.router.add_get("/ping", routes.ready)
    app.router.add_post("/invocations", routes.invocations)
    if faults is not None:
        app.router.add_get("/faults", routes.faults)
        app.router.add_put("/faults", routes.change_faults)
        app.router.add_patch("/faults", routes.change_faults)
    return app


class _Routes:
    def __init__(self, catalogue: Catalogue, rehearsal: Rehearsal | None) -> None:
        self._catalogue = catalogue
        self._rehearsal = rehearsal
        self._pool: ThreadPoolExecutor | None = None

    async def threads(self, _: web.Application) -> AsyncIterator[None]:
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="model") as self._pool:
            yield

    async def stop(self, _: web.Application) -> None:
        if self._rehearsal is not None:
            self._rehearsal.stop()

    async def wml(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/ml/"):
            wml_protocol.check_version(request.query)
        return await self._scored(request, wml_protocol.score)

    async def infer(self, request: web.Request) -> web.StreamResponse:
        return await self._scored(request, oip_protocol.infer)

    async def predict(self, request: web.Request) -> web.StreamResponse:
        return await self._scored(request, kserve_protocol.predict)

    async def invocations(self, request: web.Request) -> web.StreamResponse:
        return await self._scored(request, mlflow_protocol.invoke)

    async def metadata(self, request: web.Request) -> web.Response:
        model = await self._asked(request)
        return _json(oip_protocol.metadata(model, self._catalogue.versions(model)))

    async def model_ready(self, request: web.Request) -> web.Response:
        return _json({"name": (await self._asked(request)).name, "ready": True})

    async def listed(self, _: web.Request) -> web.Response:
        return _json(oip_protocol.listed(self._catalogue.models))

    async def names(self, _: web.Request) -> web.Response:
        return _json({"models": [model.name for model in self._catalogue.models]})

    async def server(self, _: web.Request) -> web.Response:
        try:
            release = version("thalweg")
        except PackageNotFoundError:
            release = "not installed"
        return _json({"name": "thalweg", "version": release, "extensions": ["model_repository"]})

    async def live(self, _: web.Request) -> web.Response:
        return _json({"live": True})

    async def ready(self, _: web.Request) -> web.Response:
        return _json({"ready": True})

    async def faults(self, _: web.Request) -> web.Response:
        assert self._rehearsal is not None
        return _json(self._rehearsal.faults.as_dict())

    async def change_faults(self, request: web.Request) -> web.Response:
        """PUT sets all faults, those that it does not name as well; PATCH only what it names."""
        assert self._rehearsal is not None
        try:
            said: Any = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise FaultsError('the body is an object of faults, such as {"latency": "20ms"}')
        before = self._rehearsal.faults if request.method == "PATCH" else Faults()
        self._rehearsal.change(before.changed(cast("dict[str, object]", said)))
        return _json(self._rehearsal.faults.as_dict())

    async def _asked(self, request: web.Request) -> ServedModel:
        name = request.match_info.get("name")
        if name is None:
            return await self._catalogue.only()
        return await self._catalogue.find(name, request.match_info.get("version"))

    async def _scored(self, request: web.Request, protocol: Protocol) -> web.StreamResponse:
        body = await request.read()
        # How long a client takes to send is no time of the server's.
        _began.set(monotonic())
        model = await self._asked(request)

        async def scoring(model: ServedModel) -> bytes:
            # Decoding and encoding too belong in the thread: a large body would hold up the loop.
            work = partial(protocol, model, body)
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

        if self._rehearsal is not None:
            return await self._rehearsal.answer(request, model, scoring)
        return web.Response(body=await scoring(model), content_type="application/json")


@web.middleware
async def _timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell in each answer how long it took here, so that a client knows what the network took."""
    _began.set(monotonic())
    response = await handler(request)
    if not response.prepared:
        took = 1000.0 * (monotonic() - _began.get())
        response.headers["Server-Timing"] = f"total;dur={took:.3f}"
    return response


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell each error in the words of the protocol that was asked in."""
    headers: dict[str, str] = {}
    try:
        return await handler(request)
    except web.HTTPException as error:
        status, message = error.status, error.text or error.reason
        if "Allow" in error.headers:
            headers["Allow"] = error.headers["Allow"]
    except Rehearsed as error:
        status, message = error.status, str(error)
        headers.update(error.headers)
    except NotServed as error:
        status, message = 404, str(error)
    except (DataError, MisconfiguredError, FaultsError) as error:
        status, message = 400, str(error)
    except Exception as error:
        status, message = 500, f"{type(error).__name__}: {error}"
    message = message[:_LONGEST_REASON]
    if request.path.startswith((_WML, "/ml" + _WML)):
        body = wml_protocol.error_body(status, message)
    elif request.path == "/invocations":
        body = mlflow_protocol.error_body(status, message)
    else:
        body = oip_protocol.error_body(message)
    return _json(body, status, headers)


def _json(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )
