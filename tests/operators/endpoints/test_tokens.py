"""What token servers are sent: IBM Cloud, and those of OAuth 2."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from thalweg.operators.endpoints import Auth, client_credentials, iam, wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import ThalwegError

from .token_scene import PATH, SECRET, Scene, played, refusal, to_iam, to_oauth


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("TOKEN_SECRET", SECRET)


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
