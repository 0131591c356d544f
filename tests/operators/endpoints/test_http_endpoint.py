"""The base of the protocols over HTTP, through a protocol of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack, cast

import pytest

from thalweg.operators.endpoints import Answer, HttpEndpoint, HttpOptions, bearer
from thalweg.operators.endpoints.endpoint import UnwritableError
from thalweg.runtime.context import Context
from thalweg.runtime.errors import UnavailableError

if TYPE_CHECKING:
    from tests.operators.endpoints.conftest import Script


class Sums(HttpEndpoint):
    def __init__(self, url: str, **options: Unpack[HttpOptions]) -> None:
        super().__init__(url, example="https://HOST/sums", **options)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        known = await self._get(self._url)
        answer = await self._post(self._url, {"rows": rows})
        if not isinstance(answer, list):
            raise self._garbage("POST", self._url, f"what is no list of sums: {answer}")
        return Answer((str(known),), [[value] for value in cast("list[object]", answer)])


@pytest.mark.asyncio
async def test_a_protocol_says_what_to_send_and_reads_what_comes(
    script: Script, context: Context
) -> None:
    script.answer(200, b'"sum"')
    script.answer(200, [3])
    endpoint = Sums(script.url + "/sums")
    await endpoint.open(context)
    assert await endpoint.predict(("a", "b"), [(1, 2)]) == Answer(("sum",), [[3]])
    await endpoint.close()
    got, posted = script.requests
    assert (got.method, got.path, got.body) == ("GET", "/sums", b"")
    assert (posted.method, posted.path, posted.json) == ("POST", "/sums", {"rows": [[1, 2]]})


@pytest.mark.asyncio
async def test_what_it_calls_garbage_names_the_request_and_no_secret(
    script: Script, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCORING_TOKEN", "open-sesame")
    script.answer(200, {"you": "open-sesame"})
    endpoint = Sums(script.url + "/sums", auth=bearer("env:SCORING_TOKEN"))
    await endpoint.open(context)
    with pytest.raises(
        UnavailableError, match=r"POST http.*/sums answered what is no list .*\[secret\]"
    ) as caught:
        await endpoint.predict(("a",), [(1,)])
    await endpoint.close()
    assert caught.value.answered


@pytest.mark.asyncio
async def test_what_json_cannot_carry_is_told_before_anything_is_awaited(context: Context) -> None:
    endpoint = Sums("http://127.0.0.1:9/sums")
    await endpoint.open(context)
    with pytest.raises(UnwritableError):
        endpoint._post("http://127.0.0.1:9/sums", object())  # pyright: ignore[reportPrivateUsage]
    await endpoint.close()


@pytest.mark.asyncio
async def test_it_is_called_between_open_and_close(script: Script, context: Context) -> None:
    script.answer(200, [3])
    endpoint = Sums(script.url + "/sums")
    with pytest.raises(RuntimeError, match="opened before it is called"):
        await endpoint.predict(("a",), [(1,)])
    await endpoint.open(context)
    await endpoint.close()
    with pytest.raises(RuntimeError, match="opened before it is called"):
        await endpoint.predict(("a",), [(1,)])
    await endpoint.close()


def test_a_wrong_address_shows_how_one_looks() -> None:
    with pytest.raises(ValueError, match=r"one looks like https://HOST/sums"):
        Sums("example.org/sums")
    for host in ("a..b", "a" * 64 + ".org", "ä" * 60 + ".org", "ä..org", "a b", "a\\b"):
        with pytest.raises(ValueError, match="names a host that cannot be"):
            Sums(f"http://{host}/sums")
    Sums("http://example.org./sums")
    Sums("http://bücher.example/sums")
    Sums("http://[::1]:8501/sums")
