"""A model server on a real socket that does what a test tells it to, over every protocol.

Its model takes rows of three numbers and answers each row with itself, as `same`: a score that
came to the wrong record shows.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import orjson
from aiohttp import web

from thalweg.operators.endpoints import Endpoint, HttpOptions, http_json, parse_endpoint

__all__ = ["FIELDS", "PROTOCOLS", "Asked", "Reply", "ScriptedServer", "echo"]

FIELDS = {"n": "N", "x": "X", "y": "Y"}

_PATHS = {
    "wml": "/ml/v4/deployments/same/predictions?version=2020-09-01",
    "oip": "/v2/models/same/infer",
    "v1": "/v1/models/same:predict",
    "mlflow": "/invocations",
    "json": "/same",
}
PROTOCOLS = tuple(_PATHS)

_MODEL = "/v2/models/same"


@dataclass(frozen=True, eq=False)
class Asked:
    """One request for scores: the rows, the bytes they came in, and when they came."""

    protocol: str
    rows: list[list[Any]]
    body: bytes
    at: float
    request: web.Request

    @property
    def numbers(self) -> list[Any]:
        """The `n` of each record that was sent."""
        return [row[0] for row in self.rows]

    @property
    def number(self) -> Any:
        """What the client calls the request, over a protocol that has numbers."""
        return orjson.loads(self.body)["id"]

    def answer(
        self, rows: Sequence[Sequence[Any]] | None = None, *, version: str | None = None
    ) -> web.Response:
        """The right answer, or one with these rows."""
        rows = self.rows if rows is None else rows
        named = [{"same": row} for row in rows]
        said: dict[str, Any] = {"predictions": named}  # of v1 and of MLflow
        if self.protocol == "wml":
            said = {"predictions": [{"fields": ["same"], "values": [[row] for row in rows]}]}
        elif self.protocol == "oip":
            tensor = {"name": "same", "datatype": "FP64", "shape": [len(rows), 3], "data": rows}
            said = {"model_name": "same", "id": self.number, "outputs": [tensor]}
            if version is not None:
                said["model_version"] = version
        elif self.protocol == "json":
            said = {"scores": named}
        return web.Response(body=orjson.dumps(said), content_type="application/json")

    def refuse(
        self, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        """An error in the words of the protocol."""
        said: dict[str, Any] = {"error": message}
        if self.protocol == "wml":
            said = {"trace": "", "errors": [{"code": "x", "message": message}]}
        elif self.protocol == "mlflow":
            said = {"error_code": "BAD_REQUEST", "message": message}
        elif self.protocol == "json":
            said = {"detail": [{"msg": message}]}
        return web.Response(
            status=status,
            body=orjson.dumps(said),
            content_type="application/json",
            headers=headers,
        )

    def send_raw(self, data: bytes = b"", *, reset: bool = False) -> web.Response:
        """Write these bytes as they are and end the connection, with a reset if so asked."""
        transport = self.request.transport
        assert transport is not None
        transport.write(data)
        if reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        return web.Response()


Reply = Callable[[Asked], Awaitable[web.StreamResponse]]


async def echo(asked: Asked) -> web.StreamResponse:
    """What the server does unless it is told otherwise."""
    return asked.answer()


@dataclass(eq=False)
class ScriptedServer:
    """Answers as `reply` says and keeps what it was `asked`. Refuses connections until `listen`."""

    reply: Reply = echo
    asked: list[Asked] = field(default_factory=list[Asked])
    metadata: list[web.Response] = field(default_factory=list[web.Response])
    """What the first questions for the model's metadata get instead of it."""

    def __post_init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = web.Application()
        app.router.add_get(_MODEL, self._metadata)
        rows = {
            "wml": _wml_rows,
            "oip": _oip_rows,
            "v1": _v1_rows,
            "mlflow": _mlflow_rows,
            "json": _json_rows,
        }
        for protocol, path in _PATHS.items():
            app.router.add_post(path.partition("?")[0], self._handler(protocol, rows[protocol]))
        # Handlers go on when the client has gone, as those of a real server do.
        self._runner = web.AppRunner(app, handler_cancellation=False, shutdown_timeout=0.1)

    async def listen(self) -> None:
        """Accept connections from now on."""
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def close(self) -> None:
        """Stop."""
        async with asyncio.timeout(10):
            await self._runner.cleanup()
        self._socket.close()

    def endpoint(self, protocol: str, **options: Unpack[HttpOptions]) -> Endpoint:
        """The model over this protocol."""
        if protocol == "json":
            address = self.address(protocol)
            return http_json(address, request=_request, answer=_scores, **options)
        return parse_endpoint(self.text(protocol), **options)

    def text(self, protocol: str) -> str:
        """The same as a setting says it, which can do so of all but `json`."""
        return f"{protocol}+{self.address(protocol).removesuffix('/infer')}"

    def address(self, protocol: str) -> str:
        """How an error names the request for scores."""
        return self.url + _PATHS[protocol]

    def tries_of(self, number: int) -> int:
        """How many requests held this record."""
        return sum(number in asked.numbers for asked in self.asked)

    async def _metadata(self, _: web.Request) -> web.Response:
        if self.metadata:
            return self.metadata.pop(0)
        inputs = [{"name": "row", "datatype": "FP64", "shape": [-1, 3]}]
        outputs = [{"name": "same", "datatype": "FP64", "shape": [-1, 3]}]
        said = {"name": "same", "versions": ["1"], "inputs": inputs, "outputs": outputs}
        return web.Response(body=orjson.dumps(said), content_type="application/json")

    def _handler(
        self, protocol: str, rows_of: Callable[[Any], list[list[Any]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            now = asyncio.get_running_loop().time()
            asked = Asked(protocol, rows_of(orjson.loads(body)), body, now, request)
            self.asked.append(asked)
            return await self.reply(asked)

        return handle


def _wml_rows(said: Any) -> list[list[Any]]:
    (part,) = said["input_data"]
    assert part["fields"] == list(FIELDS.values())
    return list(part["values"])


def _oip_rows(said: Any) -> list[list[Any]]:
    (tensor,) = said["inputs"]
    data, (count, width) = tensor["data"], tensor["shape"]
    assert (tensor["name"], width, len(data)) == ("row", len(FIELDS), count * width)
    return [data[start : start + width] for start in range(0, len(data), width)]


def _v1_rows(said: Any) -> list[list[Any]]:
    assert all(list(one) == list(FIELDS.values()) for one in said["instances"])
    return [list(one.values()) for one in said["instances"]]


def _mlflow_rows(said: Any) -> list[list[Any]]:
    frame = said["dataframe_split"]
    assert frame["columns"] == list(FIELDS.values())
    return list(frame["data"])


def _json_rows(said: Any) -> list[list[Any]]:
    return [said[str(number)] for number in range(len(said))]


def _request(fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Any:
    """The form of the server that has one of its own: rows by their numbers."""
    assert fields == tuple(FIELDS.values())
    return {str(number): row for number, row in enumerate(rows)}


def _scores(decoded: Any, count: int) -> Any:
    return decoded["scores"]
