"""Where models answer: one small file for each protocol, and the seam for one of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.contracts import offer_lazily

if TYPE_CHECKING:
    from ...runtime.contracts import EndpointStatistics as EndpointStatistics
    from .auth import Auth as Auth
    from .auth import api_key as api_key
    from .auth import basic as basic
    from .auth import bearer as bearer
    from .endpoint import Answer as Answer
    from .endpoint import Endpoint as Endpoint
    from .endpoint import UnwritableError as UnwritableError
    from .function import function as function
    from .http_endpoint import HttpEndpoint as HttpEndpoint
    from .http_json import http_json as http_json
    from .http_options import HttpOptions as HttpOptions
    from .kserve_v1 import kserve_v1 as kserve_v1
    from .mlflow import mlflow as mlflow
    from .oip import oip as oip
    from .onnx import onnx as onnx
    from .parse import parse_endpoint as parse_endpoint
    from .pmml import pmml as pmml
    from .several import several as several
    from .sklearn import sklearn as sklearn
    from .tls import Tls as Tls
    from .tokens import client_credentials as client_credentials
    from .tokens import iam as iam
    from .wml import wml as wml

__all__ = [
    "Answer",
    "Auth",
    "Endpoint",
    "EndpointStatistics",
    "HttpEndpoint",
    "HttpOptions",
    "Tls",
    "UnwritableError",
    "api_key",
    "basic",
    "bearer",
    "client_credentials",
    "function",
    "http_json",
    "iam",
    "kserve_v1",
    "mlflow",
    "oip",
    "onnx",
    "parse_endpoint",
    "pmml",
    "several",
    "sklearn",
    "wml",
]

_PLACES = {
    "Answer": ".endpoint",
    "Auth": ".auth",
    "Endpoint": ".endpoint",
    "EndpointStatistics": "...runtime.contracts",
    "HttpEndpoint": ".http_endpoint",
    "HttpOptions": ".http_options",
    "Tls": ".tls",
    "UnwritableError": ".endpoint",
    "api_key": ".auth",
    "basic": ".auth",
    "bearer": ".auth",
    "client_credentials": ".tokens",
    "iam": ".tokens",
    "parse_endpoint": ".parse",
}
"""Where a name is that is not in the file of its own name."""

offer_lazily(__name__, __all__, _PLACES)
