"""The Open Inference Protocol, version 2, over REST: KServe, Triton, MLServer and others."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Literal, Unpack, get_args
from urllib.parse import urlunsplit

from ...runtime.contracts import Context, DataError, UnavailableError
from .address import shown
from .endpoint import Answer, Endpoint
from .http_endpoint import HttpEndpoint
from .http_options import HttpOptions
from .tensors import Layout, Tensor, arrange, columns_of, datatype_of, described

__all__ = ["Oip", "TensorLayout", "oip"]

TensorLayout = Literal["auto", "per_field", "stacked"]
"""How rows travel where the model's metadata names no inputs: one tensor for each field, or a
single one of shape [rows, fields]; `auto` takes the single one."""

_EXAMPLE = "http://HOST/v2/models/NAME"
_PATH = re.compile(r"(.*/v2/models/[^/]+(?:/versions/[^/]+)?)(?:/infer)?/?\Z")
# MLServer says so with a 400, which blames the data, for as long as it loads the model.
_LOADING = re.compile(r"\bis not ready\b")


class Oip(HttpEndpoint):
    """See `oip`."""

    def __init__(self, url: str, *, layout: TensorLayout, **options: Unpack[HttpOptions]) -> None:
        super().__init__(url, example=_EXAMPLE, **options)
        parts = self._parts
        path = _PATH.match(parts.path)
        if path is None:
            raise ValueError(
                f"{shown(url)!r} is no model of the Open Inference Protocol; one looks like "
                f"{_EXAMPLE}, with /versions/VERSION after it where one is meant"
            )
        if layout not in get_args(TensorLayout):
            raise ValueError(f"layout is one of {get_args(TensorLayout)}, not {layout!r}")
        self._model = urlunsplit(parts._replace(path=path[1], fragment=""))
        self._infer = urlunsplit(parts._replace(path=path[1] + "/infer", fragment=""))
        self._unsaid: TensorLayout = layout

    def __repr__(self) -> str:
        return f"oip({shown(self._model)!r})"

    async def open(self, context: Context) -> None:
        self._inputs: Sequence[Tensor] | None = None
        self._layout: Layout | None = None
        self._asking = asyncio.Lock()
        self._run = os.urandom(4).hex()
        self._numbers = count(1)
        await super().open(context)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        layout = self._layout or await self._arranged(fields, rows)
        inputs = [
            {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": values}
            for tensor, values, shape in layout.fill(rows)
        ]
        number = f"{self._run}-{next(self._numbers)}"
        try:
            answer = await self._post(self._infer, {"id": number, "inputs": inputs})
        except DataError as error:
            if _LOADING.search(str(error)):
                raise UnavailableError(str(error), answered=True) from None
            raise
        try:
            answers_to = answer.get("id")
            if answers_to is not None and answers_to != number:
                # A duplicate that came late, say: its rows are those of other records.
                raise ValueError(f"it answers request {str(answers_to)[:80]!r}, not {number!r}")
            version = answer.get("model_version")
            outputs = {str(output["name"]): output for output in answer["outputs"]}
            columns = [
                columns_of(output["data"], output["shape"], len(rows))
                for output in outputs.values()
            ]
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            why = f" ({error})" if type(error) is ValueError else ""
            raise self._garbage(
                "POST", self._infer, f"without a usable tensor for {len(rows)} rows{why}", answer
            ) from None
        return Answer(
            tuple(outputs),
            list(zip(*columns, strict=True)),
            str(version) if version not in (None, "") else None,
        )

    async def _arranged(
        self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]
    ) -> Layout:
        inputs = await self._asked()
        if inputs:
            self._layout = arrange(fields, inputs, repr(self))
            return self._layout
        # Not kept: the datatypes are those of this batch.
        if self._unsaid == "per_field":
            columns = zip(fields, zip(*rows, strict=True), strict=True)
            tensors = [Tensor(name, _datatype(values), (-1, 1)) for name, values in columns]
            return Layout(tuple(tensors), stacked=False)
        return Layout((Tensor("input-0", _datatype(sum(rows, ())), (-1, -1)),), stacked=True)

    async def _asked(self) -> Sequence[Tensor]:
        # The first calls come together: one asks for the metadata, the others wait for it.
        async with self._asking:
            if self._inputs is None:
                self._inputs = self._read(await self._get(self._model))
            return self._inputs

    async def fields(self) -> Mapping[str, str] | None:
        return described(await self._asked()) or None

    def _read(self, metadata: Any) -> Sequence[Tensor]:
        try:
            return [
                Tensor(str(said["name"]), str(said["datatype"]), tuple(map(int, said["shape"])))
                for said in metadata.get("inputs") or ()
            ]
        except (AttributeError, KeyError, TypeError, ValueError):
            raise self._garbage(
                "GET", self._model, "with metadata whose inputs have no name, datatype and shape"
            ) from None


def _datatype(values: Sequence[object]) -> str:
    datatype = datatype_of(values)
    if datatype is None:
        raise DataError(
            "the model's metadata names no inputs, and one tensor cannot carry values of several "
            "kinds: with oip(..., layout='per_field') each field has its own"
        )
    # A whole number here does not make the next batch whole.
    return "FP64" if datatype == "INT64" else datatype


def oip(url: str, *, layout: TensorLayout = "auto", **options: Unpack[HttpOptions]) -> Endpoint:
    """A model of the Open Inference Protocol v2 over REST.

    >>> oip("http://127.0.0.1:8501/v2/models/iris")
    oip('http://127.0.0.1:8501/v2/models/iris')

    The first call reads the model's metadata. Inputs named like the model fields take one field
    each; a single input of another name takes all fields, in the order of the mapping. Numbers are
    checked against the datatype of the input before they travel; an output of one value a row
    becomes a value, one of several a list. Text travels as BYTES, and BYTES in an answer are the
    text that stands there; what the server adds as `parameters` is not looked at. Tensors are
    JSON: a server that takes FP16 or BF16 in the binary extension alone (Triton) refuses them.
    Requests are numbered, and an answer with another number than its request's is not used. A
    model that "is not ready" is asked again, like a server that is down, whatever the status.

    Parameters: `url`, the address of the model, with `/versions/VERSION` after it where one is
    meant; `layout`, how rows travel where the metadata names no inputs (`auto`, see
    `TensorLayout`); `auth`, `tls`, `max_answer_bytes` and `max_request_bytes`, see `HttpOptions`.
    Raises ValueError where the URL is not that of a model, or would send a secret unencrypted.
    """
    return Oip(url, layout=layout, **options)
