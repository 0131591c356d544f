"""The routes of the scoring server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version

import orjson
from aiohttp import web

from ...runtime.errors import DataError, MisconfiguredError
from . import oip_protocol, wml_protocol
from .served_model import ServedModel

__all__ = ["application"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_WML = "/ml/v4/deployments"
_LONGEST_REASON = 1_000


def application(model: ServedModel, *, max_body_bytes: int = 64 * 1024 * 1024) -> web.Application:
    """An application that serves the model over WML v4 and the Open Inference Protocol v2.

    Parameters: `max_body_bytes`, the largest request that is read (64 MiB). A model runs in a
    thread, as many at once as there are processors.
    """
    app = web.Application(client_max_size=max_body_bytes, middlewares=[_errors])
    routes = _Routes(model)
    app.cleanup_ctx.append(routes.threads)
    app.router.add_post(_WML + "/{name}/predictions", routes.wml)
    app.router.add_get("/v2", routes.server)
    app.router.add_get("/v2/health/live", routes.live)
    app.router.add_get("/v2/health/ready", routes.ready)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.router.add_get(path, routes.metadata)
        app.router.add_get(path + "/ready", routes.model_ready)
        app.router.add_post(path + "/infer", routes.infer)
    return app


class _Routes:
    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._pool: ThreadPoolExecutor | None = None

    async def threads(self, _: web.Application) -> AsyncIterator[None]:
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="model") as self._pool:
            yield

    async def wml(self, request: web.Request) -> web.Response:
        body = await request.read()
        model = self._asked(request)
        return await self._answer(lambda: wml_protocol.score(model, request.query, body))

    async def infer(self, request: web.Request) -> web.Response:
        body = await request.read()
        model = self._asked(request)
        return await self._answer(lambda: oip_protocol.infer(model, body))

    async def metadata(self, request: web.Request) -> web.Response:
        return _json(oip_protocol.metadata(self._asked(request)))

    async def model_ready(self, request: web.Request) -> web.Response:
        return _json({"name": self._asked(request).name, "ready": True})

    async def server(self, _: web.Request) -> web.Response:
        try:
            release = version("thalweg")
        except PackageNotFoundError:
            release = "not installed"
        return _json({"name": "thalweg", "version": release, "extensions": []})

    async def live(self, _: web.Request) -> web.Response:
        return _json({"live": True})

    async def ready(self, _: web.Request) -> web.Response:
        return _json({"ready": True})

    def _asked(self, request: web.Request) -> ServedModel:
        name, asked = request.match_info["name"], request.match_info.get("version")
        if name != self._model.name:
            raise web.HTTPNotFound(text=f"model {name} is not served here, {self._model.name} is")
        if asked is not None and asked != self._model.version:
            raise web.HTTPNotFound(text=f"model {name} has no version {asked}")
        return self._model

    async def _answer(self, work: Callable[[], bytes]) -> web.Response:
        # Decoding and encoding too belong in the thread: a large body would hold up the loop.
        body = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        return web.Response(body=body, content_type="application/json")


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell each error in the words of the protocol that was asked in."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        status, message = error.status, error.text or error.reason
    except (DataError, MisconfiguredError) as error:
        status, message = 400, str(error)
    except Exception as error:
        status, message = 500, f"{type(error).__name__}: {error}"
    message = message[:_LONGEST_REASON]
    if request.path.startswith(_WML):
        return _json(wml_protocol.error_body(status, message), status)
    return _json(oip_protocol.error_body(message), status)


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
