"""The Open Inference Protocol v2 from the server's side: bytes in, an answer out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, cast

import orjson

from ...operators.endpoints.tensors import Tensor, columns_of, datatype_of
from ...runtime.errors import MisconfiguredError
from .served_model import ServedModel

__all__ = ["error_body", "infer", "listed", "metadata"]


def metadata(model: ServedModel, versions: Sequence[str]) -> dict[str, object]:
    """What the model takes and gives, and which versions of it there are."""
    return {
        "name": model.name,
        "versions": versions,
        "platform": model.platform,
        "inputs": list(map(_said, model.inputs)),
        "outputs": list(map(_said, model.outputs)),
    }


def _said(tensor: Tensor) -> dict[str, object]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def infer(model: ServedModel, body: bytes) -> bytes:
    """Answer one request. Raises MisconfiguredError or DataError for one that is wrong."""
    try:
        request: Any = orjson.loads(body)
        sent = {
            str(said["name"]): (said["datatype"], list(map(int, said["shape"])), said["data"])
            for said in request["inputs"]
        }
        wanted = {str(said["name"]) for said in request.get("outputs") or ()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MisconfiguredError(
            'the body is not {"inputs": [{"name", "shape", "datatype", "data"}]}'
        ) from None
    if not sent:
        raise MisconfiguredError("inputs is empty")
    _check_inputs(model, {name: datatype for name, (datatype, _, _) in sent.items()})
    shapes = [shape for _, shape, _ in sent.values()]
    count = shapes[0][0] if shapes[0] else 0
    if count < 1:
        raise MisconfiguredError("the first length of each shape is the number of rows, 1 or more")
    given: list[Sequence[object]] = []
    for name, (_, shape, data) in sent.items():
        try:
            given.append(columns_of(data, shape, count))
        except (TypeError, ValueError) as error:
            raise MisconfiguredError(
                f"input {name!r} does not fit the {count} rows: {error}"
            ) from None
    answer = model.predict(tuple(sent), list(zip(*given, strict=True)))
    datatypes = {tensor.name: tensor.datatype for tensor in model.outputs}
    columns = list(zip(*answer.rows, strict=True)) or [()] * len(answer.fields)
    outputs = [
        _tensor(name, column, datatypes.get(name))
        for name, column in zip(answer.fields, columns, strict=True)
        if not wanted or name in wanted
    ]
    response: dict[str, object] = {"model_name": model.name}
    if model.version is not None:
        response["model_version"] = model.version
    if "id" in request:
        response["id"] = request["id"]
    return orjson.dumps({**response, "outputs": outputs})


def _check_inputs(model: ServedModel, datatypes: dict[str, object]) -> None:
    if not model.inputs:
        return
    declared = {tensor.name: tensor.datatype for tensor in model.inputs}
    if datatypes.keys() != declared.keys():
        raise MisconfiguredError(
            f"{model.name} takes the inputs {', '.join(declared)}, not {', '.join(datatypes)}"
        )
    for name, datatype in declared.items():
        if datatypes[name] != datatype:
            raise MisconfiguredError(f"input {name!r} takes {datatype}, not {datatypes[name]}")


def _tensor(name: str, column: Sequence[object], datatype: str | None) -> dict[str, object]:
    shape, flat = [len(column)], column
    if set(map(type, column)) == {list}:
        lists = cast("Sequence[list[object]]", column)
        flat = list(chain.from_iterable(lists))
        shape.append(len(lists[0]))
        if any(len(values) != shape[1] for values in lists):
            raise ValueError(f"the output {name!r} holds lists of several lengths: it is no tensor")
    # Only who is made to answer too few rows answers none.
    datatype = datatype or (datatype_of(flat) if flat else "BYTES")
    if datatype is None or (flat and isinstance(flat[0], dict)):
        raise ValueError(f"the output {name!r} holds what no tensor can")
    return {"name": name, "datatype": datatype, "shape": shape, "data": flat}


def listed(models: Sequence[ServedModel]) -> list[dict[str, object]]:
    """The models that are ready, as the protocol's extension for repositories tells them."""
    return [
        {"name": model.name, "version": model.version or "", "state": "READY", "reason": ""}
        for model in models
    ]


def error_body(message: str) -> dict[str, object]:
    """The body of an error."""
    return {"error": message}
