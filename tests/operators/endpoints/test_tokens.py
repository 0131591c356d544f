"""Tokens that are fetched from a token server, on real sockets and virtual time."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from thalweg.operators.endpoints import Auth, Endpoint, client_credentials, iam, wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    MisconfiguredError,
    ThalwegError,
    UnavailableError,
)
from thalweg.testing import run_virtual

from .conftest import Script, serving

PATH = "/ml/v4/deployments/iris/predictions?version=2020-09-01"
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"]]}]}
SECRET = "open sesame/ü"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("TOKEN_SECRET", SECRET)


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


def form_of(scene: Scene) -> dict[str, list[str]]:
    (request,) = scene.tokens.requests
    assert (request.method, request.path) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["accept"] == "application/json"
    return parse_qs(request.body.decode(), strict_parsing=True)


def test_iam_gets_the_key_in_a_form(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600, expiration=1, refresh_token="not_supported")
        await scene.ask()
        await scene.ask()

    scene = played(context, main, to_iam)
    assert form_of(scene) == {
        "grant_type": ["urn:ibm:params:oauth:grant-type:apikey"],
        "apikey": [SECRET],
    }
    assert "authorization" not in scene.tokens.requests[0].headers
    assert scene.sent == ["Bearer token-1"] * 2


def test_client_credentials_travel_as_basic_authentication(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1")
        await scene.ask()

    def auth(url: str) -> Auth:
        return client_credentials(
            url, client_id="a:b", client_secret="env:TOKEN_SECRET", scope="score read"
        )

    scene = played(context, main, auth)
    assert form_of(scene) == {"grant_type": ["client_credentials"], "scope": ["score read"]}
    kind, written = scene.tokens.requests[0].headers["authorization"].split()
    # RFC 6749, 2.3.1: both are encoded as in a form first.
    assert (kind, b64decode(written)) == ("Basic", b"a%3Ab:open+sesame%2F%C3%BC")


def test_client_credentials_may_travel_in_the_body(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1")
        await scene.ask()

    def auth(url: str) -> Auth:
        return client_credentials(
            url, client_id="a:b", client_secret="env:TOKEN_SECRET", in_body=True
        )

    scene = played(context, main, auth)
    assert form_of(scene) == {
        "grant_type": ["client_credentials"],
        "client_id": ["a:b"],
        "client_secret": [SECRET],
    }
    assert "authorization" not in scene.tokens.requests[0].headers


def test_a_hundred_calls_at_once_fetch_one_token(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600)
        await asyncio.gather(*(scene.ask() for _ in range(100)))

    scene = played(context, main, max_in_flight=100)
    assert len(scene.tokens.requests) == 1
    assert scene.sent == ["Bearer token-1"] * 100


@pytest.mark.parametrize("life", [1000, 1000.0, "1000"])
def test_a_token_is_renewed_in_the_background_when_most_of_its_life_is_over(
    context: Context, life: object
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=life)
        scene.give("token-2", expires_in=life)
        await scene.ask()
        await asyncio.sleep(799)
        await scene.ask()
        assert len(scene.tokens.requests) == 1
        await asyncio.sleep(2)
        # Three at once: none of them waits, and one of them has it renewed.
        await asyncio.gather(*(scene.ask() for _ in range(3)))
        await asyncio.sleep(1)
        assert len(scene.tokens.requests) == 2
        await scene.ask()

    assert played(context, main).sent == ["Bearer token-1"] * 5 + ["Bearer token-2"]


def test_requests_go_on_with_a_valid_token_while_the_token_server_is_silent(
    context: Context,
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        await scene.ask()
        await asyncio.sleep(900)
        scene.tokens.answers[:] = [b""]
        scene.tokens.arrived.clear()
        await scene.ask()
        await scene.tokens.arrived.wait()
        await scene.ask()

    assert played(context, main).sent == ["Bearer token-1"] * 3


def test_an_expired_token_is_not_sent(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        scene.give("token-2", expires_in=1000)
        await scene.ask()
        await asyncio.sleep(1001)
        await asyncio.gather(*(scene.ask() for _ in range(3)))

    scene = played(context, main)
    assert scene.sent == ["Bearer token-1"] + ["Bearer token-2"] * 3
    assert len(scene.tokens.requests) == 2


def test_an_end_told_as_a_date_is_kept_too(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)

    async def main(scene: Scene) -> None:
        scene.give("token-1", expiration=1_700_001_000)
        scene.give("token-2", expiration=1_700_002_000)
        await scene.ask()
        await asyncio.sleep(999)
        await scene.ask()
        await asyncio.sleep(2)
        await scene.ask()

    assert played(context, main, to_iam).sent == [
        "Bearer token-1",
        "Bearer token-1",
        "Bearer token-2",
    ]


@pytest.mark.parametrize("life", [None, "soon", "inf", {}])
def test_a_token_that_does_not_tell_its_end_is_kept_until_it_is_refused(
    context: Context, life: object
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=life)
        scene.give("token-2")
        await scene.ask()
        await asyncio.sleep(1e7)
        await scene.ask()
        assert len(scene.tokens.requests) == 1
        scene.model.answers.insert(0, refusal())
        await scene.ask()

    assert played(context, main).sent == ["Bearer token-1"] * 3 + ["Bearer token-2"]


def test_a_token_without_any_life_serves_the_requests_that_waited_for_it(
    context: Context,
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=0)
        scene.give("token-2", expires_in=-5)
        await scene.ask()
        await scene.ask()

    assert played(context, main).sent == ["Bearer token-1", "Bearer token-2"]


def refusal(status: int = 401, said: bytes = b"no") -> bytes:
    return (
        f"HTTP/1.1 {status} Said\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
    ).encode() + said


def test_a_refused_token_is_renewed_and_the_request_made_again(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600)
        scene.give("token-2", expires_in=3600)
        scene.model.answers.insert(0, refusal())
        await scene.ask()
        await scene.ask()

    scene = played(context, main)
    assert scene.sent == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert scene.model.requests[0].body == scene.model.requests[1].body
    assert len(scene.tokens.requests) == 2


def test_many_requests_that_are_refused_at_once_renew_the_token_once(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600)
        scene.give("token-2", expires_in=3600)
        await scene.ask()
        scene.model.answers[:0] = [refusal()] * 50
        await asyncio.gather(*(scene.ask() for _ in range(50)))

    scene = played(context, main, max_in_flight=50)
    assert len(scene.tokens.requests) == 2
    assert scene.sent == ["Bearer token-1"] * 51 + ["Bearer token-2"] * 50


def test_a_second_refusal_fails_and_shows_neither_token(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600)
        scene.give("token-2", expires_in=3600)
        scene.model.answers[:] = [refusal(said=b"I know neither token-1 nor token-2")]
        with pytest.raises(MisconfiguredError, match=r"neither \[secret\] nor \[secret\]") as e:
            await scene.ask()
        assert "client_credentials(" in str(e.value)
        assert "token-" not in str(e.value)

    assert len(played(context, main).model.requests) == 2


@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_a_fetched_token_that_comes_back_is_not_shown(context: Context, status: int) -> None:
    async def main(scene: Scene) -> None:
        scene.give("eyJhbGciOi/+==", expires_in=3600)
        scene.model.answers[:] = [refusal(status, b"<p>Bearer eyJhbGciOi/+==</p>")]
        with pytest.raises(ThalwegError, match=r"Bearer \[secret\]</p>") as caught:
            await scene.ask()
        assert "eyJ" not in repr(caught.value)

    played(context, main)


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (400, b'{"error": "invalid_client"}', MisconfiguredError, "400: invalid_client"),
        (400, b'{"errorCode":"BXNIM0415E"}', MisconfiguredError, "BXNIM0415E"),
        (401, b'{"error": "invalid_client"}', MisconfiguredError, "401: invalid_client"),
        (403, b"", MisconfiguredError, "answered 403"),
        (404, b"", MisconfiguredError, "answered 404"),
        (307, b"", MisconfiguredError, "redirects are not followed"),
        (429, b"", BusyError, "answered 429"),
        (503, b"", BusyError, "answered 503"),
        (500, b"", UnavailableError, "answered 500"),
        (200, b"<html>", UnavailableError, "what is not JSON"),
        (200, b"[]", MisconfiguredError, "answered no JSON object: is it a token server?"),
        (200, b"{}", MisconfiguredError, "without access_token"),
        (200, b'{"access_token": ""}', MisconfiguredError, "without access_token"),
        (200, b'{"access_token": 7}', MisconfiguredError, "without access_token"),
        (200, b'{"access_token": "x\\r\\ny"}', MisconfiguredError, "no header can carry"),
        (200, b'{"access_token": "x", "token_type": "mac"}', MisconfiguredError, "no bearer"),
    ],
)
def test_each_answer_of_a_token_server_raises_the_error_of_its_class(
    context: Context, status: int, body: bytes, error: type[ThalwegError], told: str
) -> None:
    async def main(scene: Scene) -> None:
        scene.tokens.answer(status, body, Connection="close", Retry_After="7")
        with pytest.raises(error) as caught:
            await scene.ask()
        message = str(caught.value)
        assert message.startswith(f"client_credentials('{scene.tokens.url}/token'")
        assert told in message
        assert "model" not in message
        assert "auth=" not in message
        if isinstance(caught.value, BusyError):
            assert caught.value.retry_after == 7.0
        if isinstance(caught.value, UnavailableError):
            # As silence: the data cannot be to blame.
            assert not caught.value.answered

    assert not played(context, main).model.requests


def test_a_token_in_an_answer_that_broke_off_is_not_shown(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.tokens.answer(200, b'{"access_token": "eyJhbGciOi', Connection="close")
        with pytest.raises(UnavailableError) as caught:
            await scene.ask()
        assert "eyJ" not in repr(caught.value)

    played(context, main)


@pytest.mark.parametrize("auth", [to_iam, to_oauth])
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_a_token_server_that_says_the_secret_is_masked(
    context: Context, auth: Callable[[str], Auth], status: int
) -> None:
    async def main(scene: Scene) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            said = head.split(b"uthorization: ")[-1][:80] + await reader.readexactly(length)
            writer.write(refusal(status, SECRET.encode() + b" " + said))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
            endpoint = wml(scene.model.url + PATH, auth=auth(url))
            await endpoint.open(context)
            with pytest.raises(ThalwegError) as caught:
                await endpoint.predict(("a",), [(1,)])
            await endpoint.close()
        message = str(caught.value)
        assert "[secret]" in message
        assert "sesame" not in message
        assert "c2NvcmVy" not in message  # "scorer" as Basic authentication writes it

    played(context, main)


def test_no_answer_of_the_token_server_is_waited_for_for_ever(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.tokens.answers[:] = [b""]
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(UnavailableError, match=r"got no token within 30 s"):
            await scene.ask()
        assert loop.time() - began == pytest.approx(30.0, abs=0.5)

    played(context, main, idle_after=0.1)


def test_a_failed_renewal_in_the_background_is_repeated_after_a_pause_and_disturbs_nobody(
    context: Context,
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        await scene.ask()
        await asyncio.sleep(801)
        scene.tokens.answers.clear()
        for _ in range(2):
            scene.tokens.answer(500, b"", Connection="close")
        scene.give("token-2", expires_in=1000)
        for _ in range(60):
            await scene.ask()
            await asyncio.sleep(0.1)

    scene = played(context, main)
    # After 1 s, then after 2 s more.
    assert len(scene.tokens.requests) == 4
    assert 25 < scene.sent.index("Bearer token-2") < 40


def test_a_token_server_that_asks_for_patience_gets_it_while_there_is_a_token(
    context: Context,
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        await scene.ask()
        await asyncio.sleep(801)
        scene.tokens.answers.clear()
        scene.tokens.answer(429, b"", Connection="close", Retry_After="60")
        scene.give("token-2", expires_in=1000)
        await scene.ask()
        await asyncio.sleep(59)
        await scene.ask()
        assert len(scene.tokens.requests) == 2
        await asyncio.sleep(2)
        await scene.ask()
        await asyncio.sleep(1)
        assert len(scene.tokens.requests) == 3

    played(context, main)


def test_a_call_that_is_cancelled_while_it_waits_leaves_the_fetch_to_the_others(
    context: Context,
) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        first, second = (asyncio.ensure_future(scene.ask()) for _ in range(2))
        await scene.tokens.arrived.wait()
        first.cancel()
        await second
        assert first.cancelled()

    scene = played(context, main)
    assert (len(scene.tokens.requests), scene.sent) == (1, ["Bearer token-1"])


def test_closing_ends_a_fetch_that_is_under_way(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.tokens.answers[:] = [b""]
        asking = asyncio.ensure_future(scene.ask())
        await scene.tokens.arrived.wait()
        asking.cancel()
        await scene.endpoint.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "thalweg-token"]

    played(context, main)


def test_a_secret_file_that_was_rotated_is_read_for_the_next_fetch(
    context: Context, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("old-secret")

    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=1000)
        scene.give("token-2", expires_in=1000)
        await scene.ask()
        path.write_text("new-secret")
        await asyncio.sleep(1001)
        await scene.ask()

    scene = played(context, main, lambda url: iam(f"file:{path}", url=url))
    forms: list[dict[str, Any]] = [
        parse_qs(request.body.decode()) for request in scene.tokens.requests
    ]
    assert [form["apikey"] for form in forms] == [["old-secret"], ["new-secret"]]


def test_a_secret_that_is_not_there_is_named_at_the_start(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN_SECRET")

    async def main(scene: Scene) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(MisconfiguredError, match=r"TOKEN_SECRET holds no secret"):
        played(context, main)


def test_a_secret_goes_to_a_token_server_only_encrypted_and_not_in_its_url() -> None:
    for make in (to_iam, to_oauth):
        with pytest.raises(ValueError, match=r"unencrypted to example\.org: use an https URL"):
            make("http://example.org/token")
        with pytest.raises(ValueError, match=r"no user or password") as caught:
            make("https://ali:sesame@example.org/token")
        assert "sesame" not in str(caught.value)
        with pytest.raises(ValueError, match=r"is no http or https URL"):
            make("example.org/token")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"client_id": ""}, "client_id is the name of the client"),
        ({"client_secret": "sesame"}, "client_secret takes a secret as 'env:NAME'"),
        ({"scope": " "}, "scope is names with spaces"),
    ],
)
def test_wrong_options_are_told_when_the_graph_is_built(options: dict[str, str], told: str) -> None:
    given: dict[str, str] = {"client_id": "scorer", "client_secret": "env:TOKEN_SECRET"}
    with pytest.raises(ValueError, match=told) as caught:
        client_credentials("https://example.org/token", **(given | options))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert "sesame" not in str(caught.value)


def test_it_shows_where_tokens_come_from_and_no_more() -> None:
    auth = client_credentials(
        "https://example.org/token?key=abracadabra",
        client_id="scorer",
        client_secret="env:TOKEN_SECRET",
        scope="score",
        in_body=True,
    )
    assert repr(auth) == (
        "client_credentials('https://example.org/token?key=…', client_id='scorer', "
        "client_secret='env:TOKEN_SECRET', scope='score', in_body=True)"
    )
    assert repr(iam("file:/run/key", url="https://example.org/t")) == (
        "iam('file:/run/key', url='https://example.org/t')"
    )
