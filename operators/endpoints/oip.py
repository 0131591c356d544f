"""The Open Inference Protocol, version 2, over REST: KServe, Triton, MLServer and others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack, get_args
from urllib.parse import urlunsplit

from ...runtime.contracts import Context, DataError
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
        await super().open(context)

    async def predict(self, fields: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Answer:
        layout = self._layout or await self._arranged(fields, rows)
        inputs = [
            {"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": values}
            for tensor, values, shape in layout.fill(rows)
        ]
        answer = await self._post(self._infer, {"inputs": inputs})
        try:
            version = answer.get("model_version")
            outputs = {str(output["name"]): output for output in answer["outputs"]}
            columns = [
                columns_of(output["data"], output["shape"], len(rows))
                for output in outputs.values()
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f" ({error})" if type(error) is ValueError else ""
            raise self._garbage(
                "POST", self._infer, f"without a usable tensor for {len(rows)} rows{why}"
            ) from None
        return Answer(
            tuple(outputs),
            list(zip(*columns, strict=True)),
            str(version) if version is not None else None,
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
    becomes a value, one of several a list.

    Parameters: `url`, the address of the model, with `/versions/VERSION` after it where one is
    meant; `layout`, how rows travel where the metadata names no inputs (`auto`, see
    `TensorLayout`); `auth`, `tls`, `max_answer_bytes` and `max_request_bytes`, see `HttpOptions`.
    Raises ValueError where the URL is not that of a model, or would send a secret unencrypted.
    """
    return Oip(url, layout=layout, **options)
