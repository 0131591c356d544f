"""Endpoints as text, for settings and command lines: the prefix names the protocol."""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import Endpoint
from .oip import oip
from .onnx import onnx
from .pmml import pmml
from .sklearn import sklearn
from .wml import wml

__all__ = ["parse_endpoint"]

_PROTOCOLS: dict[str, tuple[int, Callable[[str], Endpoint]]] = {
    "onnx:": (len("onnx:"), onnx),
    "sklearn:": (len("sklearn:"), sklearn),
    "pmml:": (len("pmml:"), pmml),
    "wml+http://": (len("wml+"), wml),
    "wml+https://": (len("wml+"), wml),
    "oip+http://": (len("oip+"), oip),
    "oip+https://": (len("oip+"), oip),
}


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that a text names, by its prefix. Nothing is read, and nothing connected to.

    >>> parse_endpoint("onnx:graphs/models/iris.onnx")
    onnx('graphs/models/iris.onnx')
    >>> parse_endpoint("oip+http://127.0.0.1:8501/v2/models/iris")
    oip('http://127.0.0.1:8501/v2/models/iris')

    Raises ValueError for another prefix, naming the valid ones, and for a wrong path or URL.
    """
    for prefix, (cut, make) in _PROTOCOLS.items():
        if text.startswith(prefix):
            return make(text[cut:])
    near = _nearest(text)
    meant = f" (did you mean {near}?)" if near else ""
    # What follows the prefix may hold a secret.
    start = text.partition("//")[0] if "//" in text else text.partition(":")[0]
    raise ValueError(
        f"{start!r} starts no endpoint{meant}; an endpoint starts with one of "
        + ", ".join(_PROTOCOLS)
    )


def _nearest(text: str) -> str | None:
    from difflib import get_close_matches

    if text.endswith(".onnx") and ":" not in text:
        return f"onnx:{text}"
    if text.startswith(("http://", "https://")):
        scheme = text.partition("://")[0]
        return f"oip+{scheme}://" if "/v2/models/" in text else f"wml+{scheme}://"
    start, separator, _ = text.partition("//")
    start = start + separator if separator else start.partition(":")[0] + ":"
    near = get_close_matches(start, _PROTOCOLS, n=1, cutoff=0.5)
    return near[0] if near else None
