"""Where models answer: one small file for each protocol, and the seam for one of your own."""

from __future__ import annotations

from .endpoint import Answer as Answer
from .endpoint import Endpoint as Endpoint
from .endpoint import UnwritableError as UnwritableError
from .function import function as function
from .oip import oip as oip
from .onnx import onnx as onnx
from .parse import parse_endpoint as parse_endpoint
from .pmml import pmml as pmml
from .sklearn import sklearn as sklearn
from .wml import wml as wml

__all__ = [
    "Answer",
    "Endpoint",
    "UnwritableError",
    "function",
    "oip",
    "onnx",
    "parse_endpoint",
    "pmml",
    "sklearn",
    "wml",
]
