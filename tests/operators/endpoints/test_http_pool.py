"""Connections over HTTP/1.1: an answer is for the request that it was asked by, or for nobody."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from thalweg.operators.endpoints import http_pool
from thalweg.operators.endpoints.http_connection import Connection
from thalweg.operators.endpoints.http_pool import Place, Pool
from thalweg.operators.endpoints.http_request import Target
from thalweg.operators.endpoints.http_response import Headers, Response
from thalweg.runtime.errors import MisconfiguredError

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script

SAID = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@asynccontextmanager
async def pooled(largest: int = 1000) -> AsyncGenerator[Pool, None]:
    pool = Pool(max_answer_bytes=largest)
    try:
        yield pool
    finally:
        await pool.close()


async def ask(pool: Pool, script: Script, body: bytes = b"[1]") -> Response:
    target = Target("POST", f"{script.url}/score", {})
    return await pool.ask(target.place, target.head(len(body)), body)


@pytest.mark.asyncio
async def test_a_connection_is_kept_and_used_again(script: Script) -> None:
    script.answers.append(SAID)
    async with pooled() as pool:
        for _ in range(3):
            assert (await ask(pool, script)).body == b"[]"
    assert (script.connections, len(script.requests)) == (1, 3)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n[]",
        SAID + SAID,
        SAID + b"HTTP/1.1 200 OK\r\n",
        SAID + b"what nobody asked for",
    ],
)
async def test_a_connection_that_cannot_be_trusted_any_more_is_not(
    script: Script, said: bytes
) -> None:
    script.answers.append(said)
    async with pooled() as pool:
        for _ in range(2):
            assert (await ask(pool, script)).body == b"[]"
    assert script.connections == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("more", [SAID, b"HTTP/1.1 200 O"])
async def test_an_error_stays_one_where_a_success_comes_behind_it(
    script: Script, more: bytes
) -> None:
    script.answers.append(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}" + more)
    async with pooled() as pool:
        response = await ask(pool, script)
    assert (response.status, response.body) == (500, b"{}")


@pytest.mark.asyncio
async def test_what_comes_behind_the_body_is_no_header(script: Script) -> None:
    script.answers.append(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"
        b"0\r\nContent-Encoding: gzip\r\n\r\n"
    )
    async with pooled() as pool:
        for _ in range(2):
            response = await ask(pool, script)
            assert dict(response.headers) == {"transfer-encoding": "chunked"}
    assert script.connections == 1


@pytest.mark.asyncio
async def test_what_comes_unasked_ends_a_connection_that_is_idle(script: Script) -> None:
    script.answers += [SAID, SAID]
    late: list[asyncio.StreamWriter] = []
    serve = script.serve

    async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        late.append(writer)
        await serve(reader, writer)

    async with await asyncio.start_server(keeping, "127.0.0.1", 0) as server:
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with pooled() as pool:
            await ask(pool, script)
            (kept,) = pool.connected
            late[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[9]")
            await asyncio.wait_for(kept.closed, 10)
            assert (await ask(pool, script)).body == b"[]"
    assert script.connections == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("late", [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[9]", None])
async def test_what_came_while_the_loop_was_busy_is_no_answer_to_the_next_request(
    script: Script, late: bytes | None
) -> None:
    script.answers += [SAID, SAID]
    written: list[asyncio.StreamWriter] = []
    serve = script.serve

    async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written.append(writer)
        await serve(reader, writer)

    async with await asyncio.start_server(keeping, "127.0.0.1", 0) as server:
        script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with pooled() as pool:
            await ask(pool, script)
            if late is None:
                written[0].transport.abort()
                await asyncio.sleep(0)
            else:
                written[0].write(late)
            assert (await ask(pool, script)).body == b"[]"
    assert script.connections == 2


@pytest.mark.asyncio
async def test_after_a_while_a_connection_is_not_trusted_to_be_there(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers.append(SAID)
    monkeypatch.setattr(http_pool, "_KEPT", 0.0)
    async with pooled() as pool:
        for _ in range(2):
            await ask(pool, script)
    assert script.connections == 2


@pytest.mark.asyncio
async def test_the_answer_comes_after_one_that_says_go_on(script: Script) -> None:
    script.answers.append(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SAID
    )
    async with pooled() as pool:
        for _ in range(2):
            response = await ask(pool, script)
            assert (response.status, response.body, dict(response.headers)) == (
                200,
                b"[]",
                {"content-length": "2"},
            )
    assert script.connections == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", "is not HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 400_000, "headers are larger than 65536 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"
            + b"X: x\r\n" * 100_000,
            "headers are larger than 65536 bytes",
        ),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n[", "broke off"),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n[]\r\n",
            "broke off",
        ),
    ],
)
async def test_what_is_no_whole_answer_is_an_error(script: Script, said: bytes, error: str) -> None:
    script.answers.append(said)
    async with pooled() as pool:
        with pytest.raises(ConnectionError, match=error):
            await ask(pool, script)
        assert not any(connection.usable for connection in pool.connected)


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [b"Content-Length: 5000\r\n", b"Connection: close\r\n"])
async def test_an_answer_beyond_the_limit_is_cut(script: Script, length: bytes) -> None:
    script.answers.append(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + b"x" * 5000)
    async with pooled(largest=100) as pool:
        response = await ask(pool, script)
        assert not response.whole
        assert len(response.body) <= 100


@pytest.mark.asyncio
async def test_of_an_error_that_breaks_off_the_start_is_enough(script: Script) -> None:
    script.answers.append(
        b"HTTP/1.1 500 No\r\nContent-Length: 99\r\nConnection: close\r\n\r\nthe reason"
    )
    async with pooled() as pool:
        response = await ask(pool, script)
    assert (response.status, response.body, response.whole) == (500, b"the reason", False)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [413, 200])
async def test_to_half_a_request_an_error_is_heard_and_a_success_is_not(status: int) -> None:
    """A server that will not read so much would wait for us, and we for it; but one that says that
    all is well speaks of something else.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Said\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        await over.wait()
        writer.transport.abort()

    over = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024) as server:
        place = Place("127.0.0.1", server.sockets[0].getsockname()[1], tls=False)
        async with pooled() as pool:
            body = bytes(64 * 1024 * 1024)
            target = Target("POST", f"http://127.0.0.1:{place.port}/", {})
            asking = asyncio.wait_for(pool.ask(place, target.head(len(body)), body), timeout=30)
            if status == 413:
                assert (await asking).status == 413
            else:
                with pytest.raises(ConnectionError, match="before all of the request was sent"):
                    await asking
            assert not any(connection.usable for connection in pool.connected)
        over.set()
        await asyncio.wait([t for t in asyncio.all_tasks() if t is not asyncio.current_task()])


@pytest.mark.asyncio
async def test_a_request_that_is_given_up_takes_its_connection_with_it(script: Script) -> None:
    script.answers += [b"", SAID]
    async with pooled() as pool:
        asking = asyncio.ensure_future(ask(pool, script))
        await script.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (await ask(pool, script, b"[2]")).body == b"[]"
    assert script.connections == 2


@pytest.mark.asyncio
async def test_a_request_that_is_given_up_as_the_answer_comes_leaves_no_connection(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers.append(SAID)
    asking: list[asyncio.Future[Response]] = []
    heard = Connection.data_received

    def heard_too_late(connection: Connection, data: bytes) -> None:
        heard(connection, data)
        asking[0].cancel()

    monkeypatch.setattr(Connection, "data_received", heard_too_late)
    async with pooled() as pool:
        asking.append(asyncio.ensure_future(ask(pool, script)))
        with pytest.raises(asyncio.CancelledError):
            await asking[0]
        assert not any(connection.usable for connection in pool.connected)


@pytest.mark.asyncio
async def test_a_connection_that_is_there_only_after_the_pool_closed_is_not_used(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers.append(SAID)
    pool = Pool(max_answer_bytes=1000)
    loop = asyncio.get_running_loop()
    connecting = loop.create_connection

    async def connected(*given: Any, **options: Any) -> Any:
        both = await connecting(*given, **options)
        await pool.close()
        return both

    monkeypatch.setattr(loop, "create_connection", connected)
    with pytest.raises(ConnectionError, match="closed while it connected"):
        await ask(pool, script)
    assert not any(connection.usable for connection in pool.connected)
    assert not script.requests


@pytest.mark.asyncio
async def test_when_the_pool_closes_who_waits_is_told(script: Script) -> None:
    script.answers.append(b"")
    async with pooled() as pool:
        asking = asyncio.ensure_future(ask(pool, script))
        await script.arrived.wait()
        await pool.close()
        with pytest.raises(ConnectionError, match="closed"):
            await asking


@pytest.mark.asyncio
async def test_a_name_that_nobody_has_is_an_error_in_words() -> None:
    async with pooled() as pool:
        target = Target("POST", "http://nobody.invalid/", {})
        with pytest.raises(ConnectionError, match=r"cannot connect: .*[nN]ame"):
            await pool.ask(target.place, target.head(None), None)


@pytest.mark.parametrize(
    ("url", "place", "first", "host"),
    [
        ("http://a.example/x y?q=ü", Place("a.example", 80, False), "/x%20y?q=%C3%BC", "a.example"),
        ("https://a.example:443", Place("a.example", 443, True), "/", "a.example"),
        ("https://[::1]:8443/p", Place("::1", 8443, True), "/p", "[::1]:8443"),
        ("http://bücher.example/", Place("xn--bcher-kva.example", 80, False), "/", None),
    ],
)
def test_a_url_is_written_as_servers_read_it(
    url: str, place: Place, first: str, host: str | None
) -> None:
    target = Target("POST", url, {})
    assert target.place == place
    lines = target.head(None).split(b"\r\n")
    assert lines[0] == f"POST {first} HTTP/1.1".encode()
    assert lines[1] == f"Host: {host or place.host}".encode()


def test_user_and_password_travel_as_basic_authentication() -> None:
    head = Target("GET", "https://us%40er:p%3Ass@a.example/", {}).head(None)
    assert b"\r\nAuthorization: Basic dXNAZXI6cDpzcw==\r\n" in head
    assert b"us" not in head.partition(b"\r\n")[0]


def test_what_is_given_stands_in_the_place_of_the_usual() -> None:
    target = Target("POST", "http://a.example/", {"Accept": "a", "X": "x"})
    given = {"accept": "b"}
    for _ in range(2):
        assert target.head(3, given).endswith(b"\r\nX: x\r\naccept: b\r\nContent-Length: 3\r\n\r\n")
    assert b"Accept: a\r\n" in target.head(None)


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\0"])
def test_a_header_that_would_be_two_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(MisconfiguredError, match="the header 'X-Key' cannot be sent") as caught:
        Target("GET", "http://a.example/", {}).head(None, {"X-Key": value})
    assert value not in str(caught.value)


def test_what_is_compressed_is_unpacked_up_to_the_limit() -> None:
    headers = Headers([(b"content-encoding", b"deflate")])
    bomb = Response(200, headers, zlib.compress(bytes(100_000_000)))
    unpacked = bomb.unpacked(1000)
    assert (len(unpacked.body), unpacked.whole) == (1000, False)
    with pytest.raises(ConnectionError, match="compressed as 'br'"):
        Response(200, Headers([(b"Content-Encoding", b"br")]), b"x").unpacked(10)
