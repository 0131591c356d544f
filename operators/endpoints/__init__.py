"""Where models answer: one small file for each protocol, and the seam for one of your own."""

from __future__ import annotations

from .endpoint import Answer as Answer
from .endpoint import Endpoint as Endpoint
from .endpoint import UnwritableError as UnwritableError
from .function import function as function
from .member import EndpointStatistics as EndpointStatistics
from .oip import oip as oip
from .onnx import onnx as onnx
from .parse import parse_endpoint as parse_endpoint
from .several import several as several
from .wml import wml as wml

__all__ = [
    "Answer",
    "Endpoint",
    "EndpointStatistics",
    "UnwritableError",
    "function",
    "oip",
    "onnx",
    "parse_endpoint",
    "several",
    "wml",
]
