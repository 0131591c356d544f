"""A model, a token server and an endpoint between them, on real sockets and virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from thalweg.operators.endpoints import Auth, Endpoint, client_credentials, iam, wml
from thalweg.runtime.context import Context
from thalweg.testing import run_virtual

from .conftest import Script, serving

__all__ = ["PATH", "SECRET", "Scene", "played", "refusal", "to_iam", "to_oauth"]

PATH = "/ml/v4/deployments/iris/predictions?version=2020-09-01"
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"]]}]}
SECRET = "open sesame/ü"


@dataclass
class Scene:
    """A model, a token server, and an endpoint between them."""

    model: Script
    tokens: Script
    endpoint: Endpoint

    async def ask(self) -> None:
        await self.endpoint.predict(("a",), [(1,)])

    def give(self, token: str, **said: object) -> None:
        """One more token; the connection ends behind it, so that it does not hold the clock."""
        body = {"access_token": token, "token_type": "Bearer", **said}
        self.tokens.answer(200, body, Connection="close")

    @property
    def sent(self) -> list[str]:
        """The tokens that came to the model."""
        return [request.headers["authorization"] for request in self.model.requests]


def to_iam(url: str) -> Auth:
    return iam("env:TOKEN_SECRET", url=url)


def to_oauth(url: str) -> Auth:
    return client_credentials(url, client_id="scorer", client_secret="env:TOKEN_SECRET")


def played(
    context: Context,
    main: Callable[[Scene], Awaitable[None]],
    auth: Callable[[str], Auth] = to_oauth,
    max_in_flight: int = 8,
    idle_after: float | None = None,
) -> Scene:
    """What is left of the scene when `main` has run in it, on virtual time."""

    async def body() -> Scene:
        async with AsyncExitStack() as stack:
            model = await stack.enter_async_context(serving())
            tokens = await stack.enter_async_context(serving())
            endpoint = wml(model.url + PATH, auth=auth(tokens.url + "/token"))
            endpoint.max_in_flight = max_in_flight
            model.answer(200, GOOD, Connection="close")
            await endpoint.open(context)
            stack.push_async_callback(endpoint.close)
            scene = Scene(model, tokens, endpoint)
            await main(scene)
            return scene

    return run_virtual(body, idle_after=idle_after)


def refusal(status: int = 401, said: bytes = b"no") -> bytes:
    return (
        f"HTTP/1.1 {status} Said\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
    ).encode() + said
