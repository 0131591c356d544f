"""Tokens that are fetched, kept and renewed, on real sockets and virtual time."""

from __future__ import annotations

import asyncio

import pytest

from thalweg.operators.endpoints import wml
from thalweg.operators.endpoints.mask import Mask
from thalweg.runtime.context import Context
from thalweg.runtime.errors import (
    BusyError,
    DataError,
    MisconfiguredError,
    ThalwegError,
    UnavailableError,
)

from .token_scene import PATH, SECRET, Scene, played, refusal, to_iam, to_oauth


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("TOKEN_SECRET", SECRET)


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


def test_a_refusal_that_comes_late_does_not_renew_the_new_token(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token-1", expires_in=3600)
        scene.give("token-2", expires_in=3600)
        scene.give("token-3", expires_in=3600)
        auth = to_oauth(scene.tokens.url + "/token")
        auth.mask = Mask()
        await auth.open(context)
        old = await auth.headers()
        new = await auth.renewed(old)
        assert new == {"Authorization": "Bearer token-2"}
        assert await auth.renewed(old) is new
        assert await auth.headers() is new
        await auth.close()

    assert len(played(context, main).tokens.requests) == 2


def test_a_key_in_the_address_is_hidden_whatever_tokens_have_come_since(context: Context) -> None:
    async def main(scene: Scene) -> None:
        scene.give("token", expires_in=0)
        for number in range(20):
            scene.give(f"token-{number}", expires_in=0)
        endpoint = wml(
            f"{scene.model.url}{PATH}&key=abracadabra", auth=to_oauth(scene.tokens.url + "/token")
        )
        await endpoint.open(context)
        for _ in range(20):
            await endpoint.predict(("a",), [(1,)])
        scene.model.answers[:] = [refusal(400, b"not for abracadabra")]
        with pytest.raises(DataError, match=r"not for \[secret\]"):
            await endpoint.predict(("a",), [(1,)])
        await endpoint.close()

    played(context, main)


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
        await asyncio.sleep(30)
        await scene.ask()
        await asyncio.sleep(29)
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


def test_a_secret_that_is_not_there_is_named_at_the_start(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN_SECRET")

    async def main(scene: Scene) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(MisconfiguredError, match=r"TOKEN_SECRET holds no secret"):
        played(context, main)
