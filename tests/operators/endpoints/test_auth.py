"""Secrets that are sent as they stand in their place, shown through `wml`."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Auth, Endpoint, api_key, basic, bearer, oip, wml
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    UnavailableError,
)

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

PATH = "/ml/v4/deployments/iris/predictions?version=2020-09-01"
ROWS = [(5.1, 3.5)]
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"]]}]}
SECRET = "open-sesame"
WRITTEN = b64encode(b"ali:open-sesame").decode()


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("SCORING_SECRET", SECRET)


async def ask(endpoint: Endpoint, context: Context, times: int = 1) -> None:
    await endpoint.open(context)
    try:
        for _ in range(times):
            await endpoint.predict(("a", "b"), ROWS)
    finally:
        await endpoint.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (bearer("env:SCORING_SECRET"), "authorization", "Bearer open-sesame"),
        (api_key("env:SCORING_SECRET"), "x-api-key", "open-sesame"),
        (api_key("env:SCORING_SECRET", header="X-Key"), "x-key", "open-sesame"),
        (basic("ali", "env:SCORING_SECRET"), "authorization", f"Basic {WRITTEN}"),
    ],
)
async def test_the_secret_travels_in_its_header(
    script: Script, context: Context, auth: Auth, header: str, value: str
) -> None:
    script.answer(200, GOOD)
    await ask(wml(script.url + PATH, auth=auth), context, times=2)
    assert [request.headers[header] for request in script.requests] == [value] * 2
    assert "SCORING_SECRET" in repr(auth)


@pytest.mark.asyncio
@pytest.mark.parametrize("auth", [bearer("env:SCORING_SECRET"), basic("ali", "env:SCORING_SECRET")])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, UnavailableError),
        (307, MisconfiguredError),
        (400, DataError),
        (401, MisconfiguredError),
        (403, MisconfiguredError),
        (429, BusyError),
        (500, UnavailableError),
    ],
)
@pytest.mark.parametrize("filling", ["", "y" * 190, " " * 3990, " " * 65_530])
async def test_no_message_shows_a_secret_that_the_server_says(
    script: Script,
    context: Context,
    auth: Auth,
    status: int,
    error: type[Exception],
    filling: str,
) -> None:
    told = f"{SECRET} {WRITTEN}" if "basic" in repr(auth) else f"{SECRET} {SECRET}"
    script.answer(status, f"{filling}x {told} {SECRET}".encode())
    script.answer(status, {"error": {"message": f"{filling} {told}"}})
    endpoint = wml(script.url + PATH, auth=auth)
    for _ in range(2):
        with pytest.raises(error) as caught:
            await ask(endpoint, context)
        for text in (str(caught.value), repr(endpoint), repr(caught.value)):
            assert "sesame" not in text
            assert "open-" not in text
            assert WRITTEN[:8] not in text


@pytest.mark.asyncio
async def test_a_refused_secret_is_named_by_its_place_and_sent_once(
    script: Script, context: Context
) -> None:
    script.answer(401, {"error": "who are you?"})
    with pytest.raises(
        MisconfiguredError, match=r"answered 401: who are you\? .*bearer\('env:SCORING_SECRET'\)"
    ):
        await ask(wml(script.url + PATH, auth=bearer("env:SCORING_SECRET")), context)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_without_auth_a_401_says_how_to_give_it(script: Script, context: Context) -> None:
    script.answer(401)
    with pytest.raises(MisconfiguredError, match=r"give the endpoint auth=, such as bearer\("):
        await ask(wml(script.url + PATH), context)


@pytest.mark.asyncio
async def test_a_file_that_was_rotated_is_read_again_when_its_secret_is_refused(
    script: Script, context: Context, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old-token")
    for status in (200, 401, 200):
        script.answer(status, GOOD)
    endpoint = wml(script.url + PATH, auth=bearer(f"file:{token}"))
    await endpoint.open(context)
    try:
        await endpoint.predict(("a", "b"), ROWS)
        token.write_text("new-token\n")
        await endpoint.predict(("a", "b"), ROWS)
    finally:
        await endpoint.close()
    sent = [request.headers["authorization"] for request in script.requests]
    assert sent == ["Bearer old-token", "Bearer old-token", "Bearer new-token"]
    assert script.requests[1].body == script.requests[2].body


@pytest.mark.asyncio
async def test_a_file_that_did_not_change_is_not_sent_again(
    script: Script, context: Context, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET)
    script.answer(401)
    with pytest.raises(MisconfiguredError, match=r"does not accept bearer\('file:"):
        await ask(wml(script.url + PATH, auth=bearer(f"file:{token}")), context)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_a_second_refusal_of_a_file_that_changed_fails(
    script: Script, context: Context, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old-token")
    script.answer(401, b"not old-token, not new-token")
    endpoint = wml(script.url + PATH, auth=bearer(f"file:{token}"))
    await endpoint.open(context)
    token.write_text("new-token")
    with pytest.raises(MisconfiguredError, match=r"also when that is renewed") as caught:
        await endpoint.predict(("a", "b"), ROWS)
    await endpoint.close()
    assert len(script.requests) == 2
    assert "not [secret], not [secret]" in str(caught.value)


@pytest.mark.asyncio
async def test_many_calls_that_are_refused_at_once_read_the_file_once(
    script: Script, context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("old-token")
    for status in [401] * 20 + [200]:
        script.answer(status, GOOD)
    endpoint = wml(script.url + PATH, auth=bearer(f"file:{token}"))
    endpoint.max_in_flight = 20
    await endpoint.open(context)
    token.write_text("new-token")
    opened: list[Path] = []
    real = Path.open

    def counted(self: Path, mode: str = "r") -> object:
        opened.append(self)
        return real(self, mode)

    monkeypatch.setattr(Path, "open", counted)
    await asyncio.gather(*(endpoint.predict(("a", "b"), ROWS) for _ in range(20)))
    await endpoint.close()
    assert opened == [token]
    assert len(script.requests) == 40


@pytest.mark.asyncio
async def test_a_secret_is_not_sent_along_a_redirect(script: Script, context: Context) -> None:
    script.answer(308, b"", Location=f"{script.url.replace('127.0.0.1', 'localhost')}/elsewhere")
    script.answer(200, GOOD)
    with pytest.raises(MisconfiguredError, match=r"redirects are not followed"):
        await ask(wml(script.url + PATH, auth=bearer("env:SCORING_SECRET")), context)
    assert len(script.requests) == 1


@pytest.mark.asyncio
async def test_two_jobs_with_one_auth_do_not_share_what_they_read(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = bearer("env:SCORING_SECRET")
    script.answer(200, GOOD)
    first, second = (wml(script.url + PATH, auth=auth) for _ in range(2))
    await first.open(context)
    monkeypatch.setenv("SCORING_SECRET", "abracadabra")
    await second.open(context)
    for endpoint in (first, second, first):
        await endpoint.predict(("a", "b"), ROWS)
    await first.close()
    await second.close()
    sent = [request.headers["authorization"].split()[1] for request in script.requests]
    assert sent == [SECRET, "abracadabra", SECRET]
    assert SECRET not in str(vars(auth))


@pytest.mark.asyncio
async def test_a_secret_that_no_header_can_carry_is_told_at_the_start_and_not_shown(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_SECRET", "sésame")
    with pytest.raises(MisconfiguredError, match=r"no header can carry") as caught:
        await ask(wml("http://127.0.0.1:9" + PATH, auth=bearer("env:SCORING_SECRET")), context)
    assert "sésame" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_password_may_hold_any_letter(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_SECRET", "sé:same")
    script.answer(200, GOOD)
    await ask(wml(script.url + PATH, auth=basic("ali", "env:SCORING_SECRET")), context)
    written = b64encode("ali:sé:same".encode()).decode()
    assert script.requests[0].headers["authorization"] == f"Basic {written}"


@pytest.mark.parametrize("header", ["", "two words", "Host", "content-type", "X\r\nY", "Ключ"])
def test_a_header_that_cannot_be_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match=r"header is the name of a header"):
        api_key("env:SCORING_SECRET", header=header)


@pytest.mark.parametrize("user", ["", "ali:sesame", "ali\nbaba"])
def test_a_user_that_cannot_be_is_refused_and_not_shown(user: str) -> None:
    with pytest.raises(ValueError, match=r"the name of a user") as caught:
        basic(user, "env:SCORING_SECRET")
    assert "ali" not in str(caught.value)


def test_a_secret_leaves_the_machine_only_encrypted() -> None:
    auth = bearer("env:SCORING_SECRET")
    for host in ("example.org", "10.0.0.1", "localhost.example.org", "127.0.0.1.nip.io"):
        with pytest.raises(ValueError, match=rf"unencrypted to {host}: use an https URL"):
            wml(f"http://{host}{PATH}", auth=auth)
        with pytest.raises(ValueError, match=r"password in the URL would travel unencrypted"):
            oip(f"http://ali:sesame@{host}/v2/models/iris")
    for url in ("https://example.org", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"):
        wml(url + PATH, auth=auth)
    with pytest.raises(ValueError, match=r"auth is given: leave one out"):
        wml("https://ali:sesame@example.org" + PATH, auth=auth)
