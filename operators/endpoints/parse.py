"""Endpoints as text, for settings and command lines: the prefix names the protocol."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Unpack

from ...runtime.contracts import nearest
from .endpoint import Endpoint
from .http_options import HttpOptions

__all__ = ["endpoint_texts", "parse_endpoint"]

_MODELS = ("onnx", "sklearn", "pmml")
_SERVERS = ("wml", "oip", "v1", "mlflow")
_PROTOCOLS = {
    **{f"{model}:": model for model in _MODELS},
    **{f"{server}+{scheme}://": server for server in _SERVERS for scheme in ("http", "https")},
}
"""The protocol by the prefix of a text."""

_ENDINGS = {".onnx": "onnx:", ".skops": "sklearn:", ".pmml": "pmml:"}
_ELSEWHERE = {
    "kserve": "v1", "kserve_v1": "v1", "tf": "v1", "tensorflow": "v1", "tfserving": "v1",
    "vertex": "v1", "v2": "oip", "kserve_v2": "oip", "mlserver": "oip", "triton": "oip",
    "watson": "wml", "watsonx": "wml", "cp4d": "wml", "skops": "sklearn", "scikit-learn": "sklearn",
}  # fmt: skip
"""What the protocols and the files are called elsewhere."""

_FILES = "|".join(re.escape(prefix) for prefix in _PROTOCOLS if not prefix.endswith("//"))
_NEXT = re.compile(rf"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://|{_FILES})")


def parse_endpoint(text: str, **options: Unpack[HttpOptions]) -> Endpoint:
    """The endpoint that a text names, by its prefix. Nothing is read, and nothing connected to.

    >>> parse_endpoint("onnx:graphs/models/iris.onnx")
    onnx('graphs/models/iris.onnx')
    >>> parse_endpoint("oip+http://127.0.0.1:8501/v2/models/iris")
    oip('http://127.0.0.1:8501/v2/models/iris')

    Several endpoints are divided by spaces or commas, and make one of `several`. A comma or a
    space that stands in a path or a URL divides nothing, unless what follows begins as an endpoint
    does, with a scheme and `://` or a prefix such as `onnx:`: there write it as `%2C` or `%20`.

    Parameters: `text`, a prefix and what follows it; the others, see `HttpOptions`, for a protocol
    over HTTP. Raises ValueError for another prefix, naming the valid ones, for a wrong path or
    URL, and for an option where nothing is sent; TypeError for an unknown option.
    """
    texts = endpoint_texts(text)
    if len(texts) > 1:
        from .several import several

        return several(texts, **options)
    given = {name: value for name, value in options.items() if value is not None}
    for prefix, protocol in _PROTOCOLS.items():
        if text.startswith(prefix):
            if given and protocol not in _SERVERS:
                raise ValueError(
                    f"an endpoint of {prefix!r} runs in this process and sends nothing, so it "
                    f"takes no {next(iter(given))}"
                )
            return _maker(protocol)(text[len(protocol) + 1 :], **given)
    near = _nearest(text)
    meant = f" (did you mean {near}?)" if near else ""
    # What follows the prefix may hold a secret.
    start = text.partition("//")[0] if "//" in text else text.partition(":")[0]
    raise ValueError(
        f"{start!r} starts no endpoint{meant}; an endpoint starts with one of "
        + ", ".join(_PROTOCOLS)
    )


def _maker(protocol: str) -> Callable[..., Endpoint]:
    """What makes an endpoint of a protocol. The clients of the others are not loaded."""
    match protocol:
        case "onnx":
            from .onnx import onnx

            return onnx
        case "sklearn":
            from .sklearn import sklearn_text

            return sklearn_text
        case "pmml":
            from .pmml import pmml

            return pmml
        case "wml":
            from .wml import wml

            return wml
        case "oip":
            from .oip import oip

            return oip
        case "v1":
            from .kserve_v1 import kserve_v1

            return kserve_v1
        case _:
            from .mlflow import mlflow

            return mlflow


def endpoint_texts(text: str) -> list[str]:
    """The text of each endpoint in a text that may name several.

    >>> endpoint_texts("onnx:flat, old.onnx oip+http://a/v2/models/m,oip+http://b/v2/models/m")
    ['onnx:flat, old.onnx', 'oip+http://a/v2/models/m', 'oip+http://b/v2/models/m']
    """
    return _NEXT.split(text)


def _nearest(text: str) -> str | None:
    path = text.partition("?")[0]
    if ":" not in path:
        for ending, prefix in _ENDINGS.items():
            if path.lower().endswith(ending):
                return f"{prefix}{text}"
    scheme, is_address, rest = text.partition("://")
    if is_address and scheme in ("http", "https"):
        path = rest.partition("?")[0].rstrip("/")
        for protocol, is_meant in (
            ("oip", "/v2/models/" in path),
            ("mlflow", path.endswith("/invocations")),
            ("v1", path.endswith(":predict") or "/v1/models/" in path),
            ("wml", "/deployments/" in path),
        ):
            if is_meant:
                return f"{protocol}+{scheme}://"
        return "http_json() in the graph file, for JSON of the server's own form"
    start, separator, _ = text.partition("//")
    start = start + separator if separator else start.partition(":")[0] + ":"
    found = _ELSEWHERE.get(start.partition(":")[0].partition("+")[0].lower())
    if found is None:
        return nearest(start, _PROTOCOLS)
    return f"{found}+https://" if found in _SERVERS else f"{found}:"
