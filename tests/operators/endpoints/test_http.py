"""What every protocol over HTTP does with answers, shown through `wml`."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from thalweg.operators.endpoints import Answer, Endpoint, bearer, wml
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
ROWS = [(5.1, 3.5), (6.0, 3.0)]
GOOD = {"predictions": [{"fields": ["prediction"], "values": [["setosa"], ["virginica"]]}]}


@asynccontextmanager
async def opened(endpoint: Endpoint, context: Context) -> AsyncGenerator[Endpoint, None]:
    await endpoint.open(context)
    try:
        yield endpoint
    finally:
        await endpoint.close()


async def ask(endpoint: Endpoint, context: Context) -> Answer:
    async with opened(endpoint, context):
        return await endpoint.predict(("a", "b"), ROWS)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [(status, DataError) for status in (400, 413, 415, 422)]
    + [(status, BusyError) for status in (408, 425, 429, 503)]
    + [(status, MisconfiguredError) for status in (301, 302, 307, 401, 403, 404, 405, 501)]
    + [(status, UnavailableError) for status in (409, 500, 502, 504, 507)],
)
async def test_each_status_raises_the_error_of_its_class(
    script: Script, context: Context, status: int, error: type[Exception]
) -> None:
    script.answer(status, {"errors": [{"code": "x", "message": "the reason"}]})
    with pytest.raises(error, match=f"answered {status}: the reason") as caught:
        await ask(wml(script.url + PATH), context)
    assert len(script.requests) == 1
    if isinstance(caught.value, UnavailableError):
        assert caught.value.answered


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "after", "at"),
    [
        ({"Retry_After": "7"}, 7.0, None),
        ({"Retry_After": "0.5"}, 0.5, None),
        ({"Retry_After": "7", "retry_after_ms": "250"}, 0.25, None),
        ({"Retry_After": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, 1445412480.0),
        ({"Retry_After": "soon"}, None, None),
        ({"Retry_After": "-3"}, None, None),
        ({"Retry_After": "inf"}, None, None),
        ({}, None, None),
    ],
)
async def test_retry_advice_is_read_in_all_its_forms(
    script: Script, context: Context, headers: dict[str, str], after: float | None, at: float | None
) -> None:
    script.answer(503, b"busy", **headers)
    with pytest.raises(BusyError) as caught:
        await ask(wml(script.url + PATH), context)
    assert (caught.value.retry_after, caught.value.retry_at) == (after, at)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"error": "wrong\\n  width"}', "wrong width"),
        (b'{"errors": [{"message": "one"}, {"message": "two"}]}', "one; two"),
        (b'{"error": {"message": "deep", "code": 3}}', "deep"),
        (b'[{"error": "in a list"}]', "in a list"),
        (b'{"detail": [{"msg": "of a field"}]}', "of a field"),
        (b"plain\x00\x1b[31m text", "plain [31m text"),
        (b"x" * 100_000, "x" * 200 + "…"),
    ],
)
async def test_the_reason_is_one_short_line(
    script: Script, context: Context, body: bytes, told: str
) -> None:
    script.answer(400, body)
    with pytest.raises(DataError) as caught:
        await ask(wml(script.url + PATH), context)
    assert str(caught.value) == f"POST {script.url}{PATH} answered 400: {told}"


@pytest.mark.asyncio
async def test_no_message_and_no_repr_shows_a_password_or_a_key(
    script: Script, context: Context
) -> None:
    # One that shows its visitors what they sent.
    sent = b"Basic dXNlcjpzZXNhbWU= is user:sesame and may not use abracadabra of 2020-09-01"
    script.answer(500, sent)
    address = script.url.replace("//", "//user:sesame@") + PATH + "&apikey=abracadabra"
    endpoint = wml(address)
    with pytest.raises(UnavailableError, match=r"user:\[secret\] .* \[secret\] of 2020") as caught:
        await ask(endpoint, context)
    assert script.requests[0].headers["authorization"] == "Basic dXNlcjpzZXNhbWU="
    for text in (str(caught.value), repr(endpoint)):
        assert "version=2020-09-01&apikey=…" in text
        assert "sesame" not in text
        assert "dXNlcjpzZXNhbWU" not in text
        assert "abracadabra" not in text
    assert script.requests[0].path.endswith("apikey=abracadabra")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Welcome</body></html>",
        b'{"predictions": [{"fields": ["prediction"], "val',
        b'{"predictions": [{"fields": ["prediction"], "values": [[NaN], [1]]}]}',
        b"[" * 100_000,
        b"",
    ],
)
async def test_a_whole_answer_that_is_not_json_counts_as_answered(
    script: Script, context: Context, body: bytes
) -> None:
    script.answer(200, body)
    with pytest.raises(UnavailableError, match=r"POST http.*answered 200 with what") as caught:
        await ask(wml(script.url + PATH), context)
    assert caught.value.answered
    assert len(str(caught.value)) < 400


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_counts_as_silence(
    script: Script, context: Context
) -> None:
    script.answer(200, GOOD, Content_Length="1000", Connection="close")
    with pytest.raises(UnavailableError, match=r"POST http.*got no answer") as caught:
        await ask(wml(script.url + PATH), context)
    assert not caught.value.answered


@pytest.mark.asyncio
async def test_a_reset_on_a_kept_connection_is_silence_and_the_next_call_connects_anew(
    script: Script, context: Context
) -> None:
    script.answer(200, GOOD)
    script.answers.append(None)
    script.answer(200, GOOD)
    async with opened(wml(script.url + PATH), context) as endpoint:
        await endpoint.predict(("a", "b"), ROWS)
        with pytest.raises(UnavailableError, match=r"got no answer") as caught:
            await endpoint.predict(("a", "b"), ROWS)
        assert not caught.value.answered
        assert len((await endpoint.predict(("a", "b"), ROWS)).rows) == 2
    assert (len(script.requests), script.connections) == (3, 2)


@pytest.mark.asyncio
async def test_an_answer_that_comes_twice_is_used_once(script: Script, context: Context) -> None:
    script.answer(200, GOOD)
    once = script.answers[0]
    assert once is not None
    script.answers[0] = once + once
    other = {"predictions": [{"fields": ["prediction"], "values": [["a"], ["b"]]}]}
    script.answer(200, other)
    async with opened(wml(script.url + PATH), context) as endpoint:
        first = await endpoint.predict(("a", "b"), ROWS)
        second = await endpoint.predict(("a", "b"), ROWS)
    assert (first.rows, second.rows) == ([["setosa"], ["virginica"]], [["a"], ["b"]])
    assert script.connections == 2


@pytest.mark.asyncio
async def test_a_refused_connection_is_silence(context: Context) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        url = f"http://127.0.0.1:{held.getsockname()[1]}{PATH}"
        with pytest.raises(UnavailableError, match=r"got no answer: .*connect") as caught:
            await ask(wml(url), context)
    assert not caught.value.answered


@pytest.mark.asyncio
async def test_what_does_not_speak_http_is_silence(script: Script, context: Context) -> None:
    script.answers.append(b"220 mail.example.org ESMTP\r\nConnection: close\r\n\r\n")
    with pytest.raises(UnavailableError) as caught:
        await ask(wml(script.url + PATH), context)
    assert not caught.value.answered


@pytest.mark.asyncio
async def test_a_redirect_is_not_followed(script: Script, context: Context) -> None:
    script.answer(307, b"", Location=f"{script.url}/elsewhere")
    script.answer(200, GOOD)
    with pytest.raises(MisconfiguredError, match=r"redirects are not followed"):
        await ask(wml(script.url + PATH), context)
    assert len(script.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["length", "chunked", "until the end", "gzip"])
async def test_an_answer_beyond_the_limit_is_not_read(
    script: Script, context: Context, form: str
) -> None:
    body = b" " * 3_000_000
    if form == "length":
        script.answer(200, body)
    elif form == "chunked":
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        script.answer(200, chunk, Content_Length="", Transfer_Encoding="chunked")
    elif form == "gzip":
        script.answer(200, gzip.compress(body), Content_Encoding="gzip")
    else:
        script.answer(200, body, Content_Length="", Connection="close")
    with pytest.raises(DataError, match=r"more than 1000 bytes.*max_answer_bytes"):
        await ask(wml(script.url + PATH, max_answer_bytes=1000), context)


@pytest.mark.asyncio
async def test_an_error_means_what_its_status_says_though_its_body_cannot_be_unpacked(
    script: Script, context: Context
) -> None:
    script.answer(400, b"what", Content_Encoding="br")
    script.answer(429, b"no gzip", Content_Encoding="gzip", Retry_After="3")
    with pytest.raises(DataError, match="answered 400: what came is compressed as 'br'"):
        await ask(wml(script.url + PATH), context)
    with pytest.raises(BusyError, match="answered 429: what came is not gzip") as caught:
        await ask(wml(script.url + PATH), context)
    assert caught.value.retry_after == 3.0


@pytest.mark.asyncio
async def test_an_answer_that_cannot_be_unpacked_counts_as_answered(
    script: Script, context: Context
) -> None:
    script.answer(200, b"what", Content_Encoding="br")
    with pytest.raises(UnavailableError, match="answered 200, and what came is comp") as caught:
        await ask(wml(script.url + PATH), context)
    assert caught.value.answered


@pytest.mark.asyncio
async def test_of_an_error_that_is_a_bomb_little_is_unpacked(
    script: Script, context: Context
) -> None:
    script.answer(400, gzip.compress(b"a" * 60_000_000), Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="answered 400: aaaa"):
            await ask(wml(script.url + PATH), context)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.asyncio
@pytest.mark.parametrize("headers", [{}, {"Content_Type": "text/html"}])
async def test_an_answer_is_read_whatever_it_says_that_it_is(
    script: Script, context: Context, headers: dict[str, str]
) -> None:
    script.answer(200, GOOD, **headers)
    answer = await ask(wml(script.url + PATH), context)
    assert (answer.fields, list(answer.rows)) == (("prediction",), [["setosa"], ["virginica"]])


@pytest.mark.asyncio
async def test_the_token_travels_and_is_never_shown(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_TOKEN", "open-sesame\n")
    script.answer(200, GOOD)
    script.answer(400, b"bad token open-sesame")
    script.answer(200, b"<html>open-sesame")
    endpoint = wml(script.url + PATH, auth=bearer("env:SCORING_TOKEN"))
    await ask(endpoint, context)
    assert script.requests[0].headers["authorization"] == "Bearer open-sesame"
    with pytest.raises(DataError) as refused:
        await ask(endpoint, context)
    with pytest.raises(UnavailableError) as garbage:
        await ask(endpoint, context)
    for text in (repr(endpoint), str(refused.value), str(garbage.value), str(vars(endpoint))):
        assert "open-sesame" not in text


@pytest.mark.asyncio
async def test_a_token_that_is_not_set_is_named_when_the_job_starts(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCORING_TOKEN", raising=False)
    with pytest.raises(MisconfiguredError, match=r"SCORING_TOKEN holds no secret"):
        await ask(wml("http://127.0.0.1:9" + PATH, auth=bearer("env:SCORING_TOKEN")), context)


def test_a_token_does_not_leave_the_machine_unencrypted() -> None:
    with pytest.raises(ValueError, match=r"unencrypted to example\.org"):
        wml("http://example.org" + PATH, auth=bearer("env:SCORING_TOKEN"))
    for url in ("https://example.org", "http://localhost:1", "http://[::1]:1"):
        wml(url + PATH, auth=bearer("env:SCORING_TOKEN"))


@pytest.mark.asyncio
async def test_no_proxy_is_taken_from_the_environment(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    script.answer(200, GOOD)
    assert len((await ask(wml(script.url + PATH), context)).rows) == 2


@pytest.mark.asyncio
async def test_a_certificate_that_nobody_signed_is_refused(context: Context) -> None:
    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    async with await asyncio.start_server(never, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MisconfiguredError, match=r"certificate is not trusted"):
            await ask(wml(f"https://127.0.0.1:{port}{PATH}"), context)


@pytest.mark.asyncio
async def test_a_cancelled_call_leaves_the_endpoint_usable(
    script: Script, context: Context
) -> None:
    script.answers.append(b"")
    script.answer(200, GOOD)
    async with opened(wml(script.url + PATH), context) as endpoint:
        call = asyncio.ensure_future(endpoint.predict(("a", "b"), ROWS))
        await script.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len((await endpoint.predict(("a", "b"), ROWS)).rows) == 2
    # The silent answer might still come: its connection is not used again.
    assert script.connections == 2


@pytest.mark.asyncio
async def test_there_are_never_more_connections_than_calls_in_flight(
    script: Script, context: Context
) -> None:
    script.answer(200, GOOD)
    async with opened(wml(script.url + PATH), context) as endpoint:
        for _ in range(10):
            await asyncio.gather(*(endpoint.predict(("a", "b"), ROWS) for _ in range(2)))
    assert len(script.requests) == 20
    assert script.connections <= 2


@pytest.mark.asyncio
async def test_a_large_request_travels_whole(script: Script, context: Context) -> None:
    rows = [(0.5, 0.25)] * 200_000
    values = [["x"]] * len(rows)
    script.answer(200, {"predictions": [{"fields": ["p"], "values": values}]})
    async with opened(wml(script.url + PATH), context) as endpoint:
        assert len((await endpoint.predict(("a", "b"), rows)).rows) == len(rows)
    assert len(script.requests[0].body) > 1_500_000
    assert len(script.requests[0].json["input_data"][0]["values"]) == len(rows)
